"""The content of `retrain_decision.json`: whether a retraining would pay, and why.

RetrainDecider writes it, and reads its own of the window before; the loop acts on it, `loop
explain`, `loop timeline` and the demo's page tell of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tfx_loop.contracts.measured_loss import FaultyWindow, MeasuredLoss, SavingState
from tfx_loop.contracts.quality_report import PromiseTest
from tfx_loop.contracts.version_contest import VersionContest
from tfx_loop.core.json_codec import LEFT_OUT, none_as
from tfx_loop.core.json_file import JsonFile

# Reasons, one for each way to a verdict.
DATA_FAULT = "data_fault"
QUARANTINED = "quarantined"
LABEL_FAULT = "label_fault"
LOG_DISAGREES = "log_disagrees"
CHAMPION_IS_NEW = "champion_is_new"
TOO_FEW_ROWS = "too_few_rows"
TOO_FEW_LABELS = "too_few_labels"
LABELS_OF_ONE_CLASS = "labels_of_one_class"
NO_AVOIDABLE_LOSS = "no_avoidable_loss"
BETTER_THAN_PROMISED = "better_than_promised"
SAVING_BELOW_COST = "saving_below_training_cost"
RETRAINING_PAYS = "retraining_pays"
WORSE_THAN_STAND_IN = "worse_than_stand_in"
PROMISE_WAS_WRONG = "promise_was_wrong"
OTHER_VERSION_FITS = "other_version_fits_better"


class RetrainVerdict(str, Enum):
    """What to do about the champion."""

    RETRAIN = "RETRAIN"
    HOLD = "HOLD"
    MODEL_FAULT = "MODEL_FAULT"
    REINSTATE = "REINSTATE"


class DecisionAction(str, Enum):
    """What the loop is to carry out, whatever the verdict calls it."""

    NONE = "none"
    RETRAIN = "retrain"
    ROLL_BACK = "roll_back"
    ALARM = "alarm"
    REINSTATE = "reinstate"
    REINSTATE_AND_RETRAIN = "reinstate_and_retrain"

    @property
    def retrains(self) -> bool:
        """Whether a retraining is asked for."""
        return self in (DecisionAction.RETRAIN, DecisionAction.REINSTATE_AND_RETRAIN)

    @property
    def moves(self) -> bool:
        """Whether a version that served before is to serve again."""
        return self in (
            DecisionAction.ROLL_BACK,
            DecisionAction.REINSTATE,
            DecisionAction.REINSTATE_AND_RETRAIN,
        )


@dataclass(frozen=True, kw_only=True)
class DecisionEvidence:
    """The numbers that a decision rests on.

    Attributes:
        avoidable_loss: What was measured; None where a gate held before.
        accumulated: Savings that counted since the champion was trained, in windows' losses.
        saving: What is carried to the next decision on this champion.
        rows: Rows of the window.
        labelled_rows: Labelled rows of the label window.
        one_class: Whether those labels are all of one class.
        drifted: Features that drifted.
        faults: Features that are broken, as `feature: fault`.
        quality: Metrics of the champion on the label window, for the record.
        faulty_windows: Windows that this decision found to be broken; None where no release of that
            time looked.
        left_out: Windows whose rows were kept from this measurement and from a retraining.
        contest: Versions that served before, beside the champion; None where none was asked.
        promise: How the champion did beside its promise; None where QualityMonitor did not say.
    """

    avoidable_loss: MeasuredLoss | None
    accumulated: float
    saving: SavingState
    rows: int
    labelled_rows: int
    one_class: bool
    drifted: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    quality: Mapping[str, float] = field(default_factory=dict)
    faulty_windows: tuple[FaultyWindow, ...] | None = field(
        default=None, metadata=none_as(LEFT_OUT)
    )
    left_out: tuple[FaultyWindow, ...] | None = field(default=None, metadata=none_as(LEFT_OUT))
    contest: VersionContest | None = field(default=None, metadata=none_as(LEFT_OUT))
    promise: PromiseTest | None = field(default=None, metadata=none_as(LEFT_OUT))


@dataclass(frozen=True, kw_only=True)
class DecisionProperties:
    """What the artifact says of itself, for conditions and queries.

    Attributes:
        verdict: `RETRAIN`, `HOLD`, `MODEL_FAULT` or `REINSTATE`.
        reason: A constant of this module.
        window: The window that just ended.
        model_version: The champion's version.
        retrain: Whether a retraining is asked for, for conditions of a pipeline.
        avoidable_loss: What a retraining would have saved, in units of one window's loss; 0 where
            it was not measured.
        accumulated: Savings that counted since the champion was trained, in the same units.
        model_name: Name that the model is served under; empty in earlier releases.
        label_window: The newest window whose labels had come; empty in earlier releases.
        faulty_windows: Names of the windows that were found to be broken, comma-separated.
        reinstate: The version that is to serve again; 0 for none.
    """

    verdict: str
    reason: str
    window: str
    model_version: int
    retrain: bool
    avoidable_loss: float
    accumulated: float
    model_name: str = ""
    label_window: str = ""
    faulty_windows: str = ""
    reinstate: int = 0


@dataclass(frozen=True, kw_only=True)
class DecisionRecord:
    """A verdict, its reason, and the numbers that it rests on.

    Attributes:
        verdict: What to do.
        reason: A constant of this module.
        explanation: The same in one sentence.
        policy_version: Names the rule.
        model_name: Name that the model is served under.
        model_version: The champion's version.
        window: The window that just ended.
        label_window: The newest window whose labels had come.
        evidence: What was seen and measured.
        settings: What was decided with.
        action: What the loop is to do; None in records of releases that knew two verdicts.
        reinstate: The version that is to serve again; None for none.
    """

    verdict: RetrainVerdict
    reason: str
    explanation: str
    policy_version: str
    model_name: str
    model_version: int
    window: str
    label_window: str
    evidence: DecisionEvidence
    settings: Mapping[str, Any] = field(default_factory=dict)
    action: DecisionAction | None = field(default=None, metadata=none_as(LEFT_OUT))
    reinstate: int | None = field(default=None, metadata=none_as(LEFT_OUT))

    @property
    def asks_for(self) -> DecisionAction:
        """What the loop is to do."""
        if self.action is not None:
            return self.action
        # Records of releases before actions: a verdict to retrain was all that could be asked for.
        asks = self.verdict is RetrainVerdict.RETRAIN
        return DecisionAction.RETRAIN if asks else DecisionAction.NONE

    @property
    def properties(self) -> DecisionProperties:
        """What the artifact says of itself."""
        measured = self.evidence.avoidable_loss
        return DecisionProperties(
            verdict=self.verdict.value,
            reason=self.reason,
            window=self.window,
            model_version=self.model_version,
            retrain=self.asks_for.retrains,
            avoidable_loss=measured.relative if measured else 0.0,
            accumulated=self.evidence.accumulated,
            model_name=self.model_name,
            label_window=self.label_window,
            faulty_windows=",".join(w.window for w in self.evidence.faulty_windows or ()),
            reinstate=self.reinstate or 0,
        )


RETRAIN_DECISION = JsonFile(
    name="retrain_decision.json",
    kind=DecisionRecord,
    title="a retrain decision",
    remedy="Run RetrainDecider of this release on the window again.",
)
