"""Settings of a decision, their flat JSON in the record, and those of the node RetrainDecider."""

from dataclasses import dataclass, field, fields
from typing import Any

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.settings import NodeSettings
from tfx_loop.monitoring.retrain_decider.avoidable_loss import MeasureSettings
from tfx_loop.monitoring.retrain_decider.policy import PolicySettings
from tfx_loop.monitoring.retrain_decider.surrogate import SurrogateSettings

_NESTED = {"measure", "surrogate"}


@dataclass(frozen=True, kw_only=True)
class DecisionSettings(PolicySettings):
    """When a retraining is asked for.

    Attributes:
        min_rows: Rows that a window must have.
        min_labelled_rows: Labelled rows that the newest labelled window must have.
        measure: How avoidable loss is measured.
    """

    min_rows: int = 200
    min_labelled_rows: int = 200
    measure: MeasureSettings = field(default_factory=MeasureSettings)

    def __post_init__(self) -> None:
        """Checks the ranges, and that every window that passes the gates can be measured."""
        super().__post_init__()
        least = 2 * self.measure.blocks
        if self.min_labelled_rows < least:
            raise ConfigError(
                f"min_labelled_rows must be at least {least} (two rows a block), "
                f"got {self.min_labelled_rows}."
            )

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "DecisionSettings":
        """Returns settings from a flat JSON object; a name that is not there keeps its default.

        Raises:
            ConfigError: A name is unknown or a value cannot work.
        """
        parts: dict[str, dict[str, Any]] = {part: {} for part in _KNOWN}
        for name, value in content.items():
            parts[_part_of(name)][name] = value
        try:
            surrogate = SurrogateSettings(**parts["surrogate"])
            measure = MeasureSettings(surrogate=surrogate, **parts["measure"])
            return cls(**parts[""], measure=measure)
        except TypeError as error:
            raise ConfigError(f"A setting of RetrainDecider has a wrong type: {error}.") from error

    def to_json(self) -> dict[str, Any]:
        """Returns the flat JSON object that `from_json` reads."""
        flat: dict[str, Any] = {}
        # The surrogate first: the seed that counts is the measurement's.
        for part in (self.measure.surrogate, self.measure, self):
            flat |= {
                name: value
                for name, value in vars(part).items()
                if isinstance(value, (int, float, str))
            }
        return flat


# The first home of a name wins: `seed` is the measurement's, the surrogate's stays 0.
_KNOWN: dict[str, set[str]] = {
    part: {field.name for field in fields(kind)} - _NESTED
    for part, kind in (
        ("", DecisionSettings),
        ("measure", MeasureSettings),
        ("surrogate", SurrogateSettings),
    )
}


def _part_of(name: str) -> str:
    for part, names in _KNOWN.items():
        if name in names:
            return part
    known = sorted(set().union(*_KNOWN.values()))
    raise ConfigError(f"Unknown setting {name!r} of RetrainDecider. Known: {', '.join(known)}.")


@dataclass(frozen=True, kw_only=True)
class RetrainDeciderSettings(DecisionSettings, NodeSettings):
    """Which windows a decision is about, and when a retraining is asked for.

    Attributes:
        model_name: The name that the model is served under.
        window: Name of the window that just ended, such as "2013-05".
        label_window: Name of the newest window whose labels have arrived, such as "2013-04".
        label_start_ms: Begin of the label window, milliseconds UTC.
        label_end_ms: End of the label window, exclusive.
        training_start_ms: A retraining would use rows from this time on, milliseconds UTC; None
            takes all there are.
    """

    model_name: str
    window: str
    label_window: str
    label_start_ms: int
    label_end_ms: int
    training_start_ms: int | None = None
