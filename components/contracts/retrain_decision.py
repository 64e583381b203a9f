"""The content of `retrain_decision.json`: whether a retraining would pay, and why.

RetrainDecider writes it, and reads its own of the window before; the loop acts on it, `loop
explain`, `loop timeline` and the demo's page tell of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tfx_loop.core.json_file import JsonFile

# Reasons, one for each way to a verdict.
DATA_FAULT = "data_fault"
TOO_FEW_ROWS = "too_few_rows"
TOO_FEW_LABELS = "too_few_labels"
LABELS_OF_ONE_CLASS = "labels_of_one_class"
NO_AVOIDABLE_LOSS = "no_avoidable_loss"
BETTER_THAN_PROMISED = "better_than_promised"
SAVING_BELOW_COST = "saving_below_training_cost"
RETRAINING_PAYS = "retraining_pays"


class RetrainVerdict(str, Enum):
    """What to do about the champion."""

    RETRAIN = "RETRAIN"
    HOLD = "HOLD"


@dataclass(frozen=True, kw_only=True)
class MeasuredLoss:
    """What a retraining would have saved in one window, as it was measured.

    Attributes:
        mean: Loss saved per row (nats, or squared units of the label).
        standard_error: Of the mean, over blocks of time.
        z: The mean in standard errors.
        relative: The mean in units of the window's loss.
        relative_standard_error: The standard error in those units.
        champion_loss: Mean loss per row of the champion's stand-in.
        champion_loss_error: Standard error of that.
        promised_loss: Mean loss per row on rows held out of the champion's training sample.
        promised_loss_error: Standard error of that.
        risen_z: How far the champion's loss exceeds the promised one, in standard errors.
        rows: Labelled rows that both stand-ins were compared on.
    """

    mean: float
    standard_error: float
    z: float
    relative: float
    relative_standard_error: float
    champion_loss: float
    champion_loss_error: float
    promised_loss: float
    promised_loss_error: float
    risen_z: float
    rows: int


@dataclass(frozen=True, kw_only=True)
class SavingState:
    """What is believed about the champion after some windows; savings in windows' losses.

    Attributes:
        accumulated: Savings that counted, up to the label window.
        latest: The last window's saving if it counted, else 0.
        label_window: The last window that was observed; empty before the first.
    """

    accumulated: float = 0.0
    latest: float = 0.0
    label_window: str = ""


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


@dataclass(frozen=True, kw_only=True)
class DecisionProperties:
    """What the artifact says of itself, for conditions and queries.

    Attributes:
        verdict: `RETRAIN` or `HOLD`.
        reason: A constant of this module.
        window: The window that just ended.
        model_version: The champion's version.
        retrain: The verdict, for conditions of a pipeline.
        avoidable_loss: What a retraining would have saved, in units of one window's loss; 0 where
            it was not measured.
        accumulated: Savings that counted since the champion was trained, in the same units.
    """

    verdict: str
    reason: str
    window: str
    model_version: int
    retrain: bool
    avoidable_loss: float
    accumulated: float


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

    @property
    def properties(self) -> DecisionProperties:
        """What the artifact says of itself."""
        measured = self.evidence.avoidable_loss
        return DecisionProperties(
            verdict=self.verdict.value,
            reason=self.reason,
            window=self.window,
            model_version=self.model_version,
            retrain=self.verdict is RetrainVerdict.RETRAIN,
            avoidable_loss=measured.relative if measured else 0.0,
            accumulated=self.evidence.accumulated,
        )


RETRAIN_DECISION = JsonFile(
    name="retrain_decision.json",
    kind=DecisionRecord,
    title="a retrain decision",
    remedy="Run RetrainDecider of this release on the window again.",
)
