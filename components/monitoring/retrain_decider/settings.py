"""Settings of a decision, their flat JSON in the record, and those of the node RetrainDecider."""

from dataclasses import dataclass, field
from typing import Any

from tfx_loop.contracts.measured_loss import FaultyWindow
from tfx_loop.contracts.retrain_decision import DecisionAction
from tfx_loop.contracts.version_contest import PoolVersion
from tfx_loop.core.errors import ConfigError
from tfx_loop.core.settings import NodeSettings, wide
from tfx_loop.monitoring.retrain_decider.avoidable_loss import MeasureSettings
from tfx_loop.monitoring.retrain_decider.reinstatement import ReinstatementSettings


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
        fault_share: Share of what the stand-in gains on one constant answer that the served model
            must lack to be called faulty.
        fault_z: Standard errors by which it must lack more than that.
        on_model_fault: What is asked for then: `retrain`, `roll_back` or `alarm`.
    """

    # The deviations were chosen on 28 generated streams, other ones than are reported
    # (tests/benchmarks/decide/RESULTS.md); the cost is the user's to state.
    training_cost: float = 0.02
    certain_z: float = 4.0
    risen_z: float = 2.0
    better_z: float = 1.5
    late_windows: int = 1
    # Half of what can be learnt: weaker models than the stand-in are common and sound.
    fault_share: float = 0.5
    fault_z: float = 3.0
    on_model_fault: DecisionAction = DecisionAction.RETRAIN

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not self.training_cost > 0:
            raise ConfigError(
                f"training_cost must be positive, got {self.training_cost}. To retrain whenever a "
                "saving is certain, make it very small."
            )
        for name in ("certain_z", "risen_z", "better_z", "late_windows", "fault_share", "fault_z"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}.")
        answers = (DecisionAction.RETRAIN, DecisionAction.ROLL_BACK, DecisionAction.ALARM)
        if self.on_model_fault not in answers:
            raise ConfigError(
                "on_model_fault must be 'retrain', 'roll_back' or 'alarm', got "
                f"{self.on_model_fault.value!r}. 'alarm' changes nothing about what serves."
            )


@dataclass(frozen=True, kw_only=True)
class DecisionSettings(PolicySettings):
    """When a retraining is asked for.

    Attributes:
        min_rows: Rows that a window must have.
        min_labelled_rows: Labelled rows that the newest labelled window must have.
        measure: How avoidable loss is measured.
        reinstatement: When a version that served before is to serve again.
    """

    # A mean loss of a few hundred rows is known to some percent; of fewer a decision rests on
    # chance.
    min_rows: int = 200
    min_labelled_rows: int = 200
    measure: MeasureSettings = field(default_factory=MeasureSettings)
    reinstatement: ReinstatementSettings = field(default_factory=ReinstatementSettings)

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
        for part in (self.measure.surrogate, self.measure, self.reinstatement, self):
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
        score_output: Log column with the model's answer, a probability where labels are 0 and 1,
            by which its own loss is measured; empty for none.
        champion_version: The version that the deployment record calls stable; 0 takes the latest
            that answered in the window.
        champion_model_uri: Folder of that version's model; empty asks no other version.
        pool: Versions that served before and may serve again: `version`, `model_uri` and
            `reference_profile_uri`. The first of them and the newest are asked.
        quarantined: Windows whose rows are left out: `window`, `start_ms`, `end_ms` and `faults`.
        parse_fn: Import path of the function that makes the profiled features of the log's, as
            ReferenceProfiler was given it.
    """

    model_name: str
    window: str
    label_window: str
    label_start_ms: int = field(metadata=wide())
    label_end_ms: int = field(metadata=wide())
    training_start_ms: int | None = field(default=None, metadata=wide())
    score_output: str = "output.probability"
    quarantined: tuple[FaultyWindow, ...] = ()
    champion_version: int = 0
    champion_model_uri: str = ""
    pool: tuple[PoolVersion, ...] = ()
    parse_fn: str = ""
