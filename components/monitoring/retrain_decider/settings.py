"""Settings of a decision, their flat JSON in the record, and those of the node RetrainDecider."""

from dataclasses import dataclass, field
from typing import Any

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.settings import NodeSettings
from tfx_loop.monitoring.retrain_decider.avoidable_loss import MeasureSettings
from tfx_loop.monitoring.retrain_decider.policy import PolicySettings


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

    def to_json(self) -> dict[str, Any]:
        """Returns the flat JSON object that a decision's record keeps."""
        flat: dict[str, Any] = {}
        # The surrogate first: the seed that counts is the measurement's.
        for part in (self.measure.surrogate, self.measure, self):
            flat |= {
                name: value
                for name, value in vars(part).items()
                if isinstance(value, (int, float, str))
            }
        return flat


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
