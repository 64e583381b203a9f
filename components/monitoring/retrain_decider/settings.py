"""Which settings does a decision have, and how do they lie in one flat JSON object?"""

from dataclasses import dataclass, field, fields
from typing import Any

from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.retrain_decider.avoidable_loss import MeasureSettings
from tfx_loop.monitoring.retrain_decider.policy import PolicySettings
from tfx_loop.monitoring.retrain_decider.surrogate import SurrogateSettings

_NESTED = {"policy", "measure", "surrogate"}


@dataclass(frozen=True, kw_only=True)
class DecisionSettings:
    """When a retraining is asked for.

    Attributes:
        min_rows: Rows that a window must have.
        min_labelled_rows: Labelled rows that the newest labelled window must have.
        policy: What a training costs, and how savings are believed.
        measure: How avoidable loss is measured.
    """

    min_rows: int = 200
    min_labelled_rows: int = 200
    policy: PolicySettings = field(default_factory=PolicySettings)
    measure: MeasureSettings = field(default_factory=MeasureSettings)

    def __post_init__(self) -> None:
        """Checks that every window that passes the gates can be measured."""
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
            return cls(
                **parts[""],
                policy=PolicySettings(**parts["policy"]),
                measure=MeasureSettings(surrogate=surrogate, **parts["measure"]),
            )
        except TypeError as error:
            raise ConfigError(f"A setting of RetrainDecider has a wrong type: {error}.") from error

    def to_json(self) -> dict[str, Any]:
        """Returns the flat JSON object that `from_json` reads."""
        flat: dict[str, Any] = {}
        # The surrogate first: the seed that counts is the measurement's.
        for part in (self.measure.surrogate, self.measure, self.policy, self):
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
        ("policy", PolicySettings),
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
