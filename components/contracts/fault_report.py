"""The content of `fault_report.json`: whether a training went wrong, and by how much."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tfx_loop.core.json_file import JsonFile

# Kinds of finding, which are the reasons of a verdict, too. First those of the fit.
OVER_FITTED = "over_fitted"
UNDER_FITTED = "under_fitted"
WORSE_THAN_REFERENCE = "worse_than_reference"
NO_SIGNAL = "no_signal"
# Those of leakage.
FEATURE_TELLS_LABEL = "feature_tells_label"
FEATURE_DOMINATES = "feature_dominates"
COPIED_ROWS = "copied_rows"
NEAR_COPIES = "near_copies"
GROUPS_OVERLAP = "groups_overlap"
OWN_LABEL_ENCODING = "own_label_encoding"
FITTED_ON_ALL_ROWS = "fitted_on_all_rows"
TIMES_OVERLAP = "times_overlap"
SPLITS_SWAPPED = "splits_swapped"
FEATURE_AFTER_PREDICTION = "feature_after_prediction"
LABEL_BEFORE_EVENT = "label_before_event"
# Of a verdict alone.
SOUND = "sound"
TOO_FEW_ROWS = "too_few_rows"
ONE_CLASS = "one_class"

FIT_KINDS = (OVER_FITTED, UNDER_FITTED, WORSE_THAN_REFERENCE, NO_SIGNAL)
LEAK_KINDS = (
    FEATURE_TELLS_LABEL,
    FEATURE_DOMINATES,
    COPIED_ROWS,
    NEAR_COPIES,
    GROUPS_OVERLAP,
    OWN_LABEL_ENCODING,
    FITTED_ON_ALL_ROWS,
    TIMES_OVERLAP,
    SPLITS_SWAPPED,
    FEATURE_AFTER_PREDICTION,
    LABEL_BEFORE_EVENT,
)


class FaultVerdict(str, Enum):
    """What became of a model."""

    SOUND = "SOUND"
    WARN = "WARN"
    BLOCK = "BLOCK"
    NOT_ENOUGH_DATA = "NOT_ENOUGH_DATA"


@dataclass(frozen=True, kw_only=True)
class FaultFinding:
    """One thing that is wrong.

    Attributes:
        kind: A constant of this module.
        blocks: Whether it stops a push.
        explanation: What was found and what to do, in a sentence or two.
        feature: The feature that it is about; empty for the model or all rows.
        evidence: The numbers behind it, by name.
        acknowledged: Who accepts it and why; empty where nobody does.
    """

    kind: str
    blocks: bool
    explanation: str
    feature: str = ""
    evidence: Mapping[str, float] = field(default_factory=dict)
    acknowledged: str = ""

    @property
    def name(self) -> str:
        """How `acknowledged` names it: the kind, and the feature where there is one."""
        return f"{self.kind}:{self.feature}" if self.feature else self.kind

    @property
    def stops(self) -> bool:
        """Whether it stops the push: it blocks, and nobody accepts it."""
        return self.blocks and not self.acknowledged


@dataclass(frozen=True, kw_only=True)
class FitMeasures:
    """Mean losses of the model, of a reference and of a constant; lower is better.

    Log loss in nats for classes, squared error for numbers.

    Attributes:
        loss: What the losses are: `log_loss` or `squared_error`.
        reference: What the reference is, chosen out of fold on the training rows.
        training: Of the model on rows that it was trained on; None without such rows.
        held_out: Of the model on held-out rows.
        reference_training: Of the reference on training rows, out of fold.
        reference_held_out: Of the reference on held-out rows.
        constant_held_out: Of the best constant of the training rows.
        shortfall: Held-out loss of the model less that of the reference.
        shortfall_error: Standard error of that, over groups where there are any.
        learnable: What the reference gains on the constant.
        constant_training: Of that constant on training rows; None without such rows.
        half_rows: Held-out loss of the reference learnt from half the rows.
    """

    loss: str
    reference: str
    training: float | None
    held_out: float
    reference_training: float
    reference_held_out: float
    constant_held_out: float
    shortfall: float
    shortfall_error: float
    learnable: float
    constant_training: float | None = None
    half_rows: float | None = None


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """The loss by epoch, as the Trainer left it; its own loss, with its penalties.

    Attributes:
        training: On the rows that it trained on.
        validation: On rows that it kept back for itself; empty where it kept none.
    """

    training: tuple[float, ...]
    validation: tuple[float, ...] = ()

    @property
    def best_epoch(self) -> int:
        """The epoch of the lowest validation loss, or else training loss, counted from 1."""
        losses = self.validation or self.training
        return losses.index(min(losses)) + 1

    @property
    def last_epoch(self) -> int:
        """How many epochs there were."""
        return len(self.validation or self.training)


@dataclass(frozen=True, kw_only=True)
class FaultProperties:
    """What the artifact says of itself, for conditions and queries."""

    verdict: str
    reason: str
    findings: int
    training_rows: int
    held_out_rows: int
    shortfall_share: float | None = None
    refused_because: str | None = None


@dataclass(frozen=True, kw_only=True)
class FaultResult:
    """What FaultDetector found.

    Attributes:
        verdict: BLOCK where a finding stops the push, WARN where there are others.
        reason: The kind of the worst finding, or a constant of this module.
        explanation: The same in a sentence or two.
        training_rows: Rows that were looked at of those that the model was trained on.
        held_out_rows: The same of the others.
        findings: What is wrong, the worst first.
        fit: Losses; None where there were too few rows.
        untested: What could not be told, each with the reason.
        settings: What the report was made with.
        curve: The learning curve; None where the Trainer left none.
    """

    verdict: FaultVerdict
    reason: str
    explanation: str
    training_rows: int
    held_out_rows: int
    findings: tuple[FaultFinding, ...] = ()
    fit: FitMeasures | None = None
    untested: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    curve: LearningCurve | None = None

    @property
    def passes(self) -> bool:
        """Whether a push may go on."""
        return self.verdict in (FaultVerdict.SOUND, FaultVerdict.WARN)

    @property
    def properties(self) -> FaultProperties:
        """What the artifact says of itself."""
        fit = self.fit
        share = fit.shortfall / fit.learnable if fit and fit.learnable > 0 else None
        return FaultProperties(
            verdict=self.verdict.value,
            reason=self.reason,
            findings=len(self.findings),
            training_rows=self.training_rows,
            held_out_rows=self.held_out_rows,
            shortfall_share=share,
            refused_because=None if self.passes else self.explanation,
        )


FAULT_REPORT = JsonFile(
    name="fault_report.json",
    kind=FaultResult,
    title="a fault report",
    remedy="Run FaultDetector of this release on the model again.",
)
