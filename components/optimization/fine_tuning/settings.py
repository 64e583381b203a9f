"""How long, how fast and with whose loss is a model trained further? Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from tfx_loop.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class FineTuningSettings:
    """How a model is trained further.

    Attributes:
        epochs: Passes over the rows.
        batch_size: Rows a step.
        learning_rate: None takes the one that the model was compiled with.
        validation_fraction: Share of the rows held back; the epoch with the lowest loss on them is
            kept. 0 keeps the last epoch.
        seed: Sets what is held back, the order of the rows and all random weights.
        compile_fn: Import path `package.module.function` of a function that gets the model and
            compiles it. Empty takes the compile settings stored in the model file.
        custom_objects: Import paths `module:Name` of layers and losses that the file names.
    """

    epochs: int = 10
    batch_size: int = 64
    learning_rate: float | None = None
    validation_fraction: float = 0.1
    seed: int = 0
    compile_fn: str = ""
    custom_objects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ConfigError(f"Expected epochs of at least 1, received {self.epochs}.")
        if self.batch_size < 1:
            raise ConfigError(f"Expected batch_size of at least 1, received {self.batch_size}.")
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise ConfigError(
                f"Expected a learning_rate above 0, received {self.learning_rate}. "
                "Leave it out to take the one that the model was compiled with."
            )
        if not 0 <= self.validation_fraction <= 0.5:
            raise ConfigError(
                f"Expected validation_fraction from 0 to 0.5, received {self.validation_fraction}."
            )

    def to_json(self) -> dict[str, Any]:
        """Returns the settings as JSON."""
        return asdict(self) | {"custom_objects": list(self.custom_objects)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "FineTuningSettings":
        """Returns the settings that `to_json` wrote.

        Raises:
            ConfigError: A name is unknown or a value cannot work.
        """
        check_names(cls, content)
        return cls(**{**content, "custom_objects": tuple(content.get("custom_objects", ()))})


def check_names(kind: type[Any], content: Mapping[str, Any]) -> None:
    """Checks that each name is a setting of a dataclass.

    Raises:
        ConfigError: There are others, all named.
    """
    known = {field.name for field in fields(kind)}
    if unknown := sorted(set(content) - known):
        raise ConfigError(f"Expected settings among {sorted(known)}, received {unknown}.")
