"""Settings of a decision, their flat JSON in the record, and those of the node RetrainDecider."""

from dataclasses import dataclass, field
from typing import Any

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.settings import NodeSettings
from tfx_loop.monitoring.retrain_decider.avoidable_loss import MeasureSettings


@dataclass(frozen=True, kw_only=True)
class PolicySettings:
    """What a training costs and which savings are believed.

    Attributes:
        training_cost: Of one training, in units of one window's loss.
        certain_z: Standard errors by which a saving must stand out to count by itself.
        risen_z: Standard errors by which the champion's loss must exceed the expected one for any
            saving to count.
        better_z: Standard errors by which it must fall below for none to count.
        late_windows: Windows served since the label window ended: their labels are to come.
    """

    # The deviations were chosen on 28 generated streams, other ones than are reported
    # (tests/benchmarks/decide/RESULTS.md); the cost is the user's to state.
    training_cost: float = 0.02
    certain_z: float = 4.0
    risen_z: float = 2.0
    better_z: float = 1.5
    late_windows: int = 1

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not self.training_cost > 0:
            raise ConfigError(
                f"training_cost must be positive, got {self.training_cost}. To retrain whenever a "
                "saving is certain, make it very small."
            )
        for name in ("certain_z", "risen_z", "better_z", "late_windows"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}.")


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
