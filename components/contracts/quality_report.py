"""The content of `quality.json`: how good a model was on a window whose labels have come.

QualityMonitor writes it beside TFMA's result; DriftMonitor sets its estimates right by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tfx_loop.contracts.model_evaluation import OVERALL
from tfx_loop.contracts.task import ModelTask
from tfx_loop.core.json_codec import LEFT_OUT, default_left_out, none_as
from tfx_loop.core.json_file import JsonFile


@dataclass(frozen=True, kw_only=True)
class LabelArrivals:
    """The labels of a window that have come.

    Attributes:
        labelled_rows: Answered rows with a label.
        rows: Answered rows; None where nobody counted them.
        delay_hours: Percentiles of label time less event time (p50, p90, p99, max), of the labels
            that have come: those still on their way took longer.
    """

    # Readers of the JSON without the library get the share, too.
    JSON_KEYS: ClassVar = {
        "labelled_rows": "labelled_rows",
        "rows": "rows",
        "delay_hours": "delay_hours",
        "coverage": "coverage",
    }

    labelled_rows: int
    rows: int | None = None
    delay_hours: Mapping[str, float] = field(default_factory=dict)

    @property
    def coverage(self) -> float | None:
        """Share of the answered rows that have a label, in [0, 1]; None where unknown."""
        return self.labelled_rows / self.rows if self.rows else None


@dataclass(frozen=True, kw_only=True)
class MetricInterval:
    """A metric of all rows of a window, with what chance leaves of it.

    Attributes:
        value: Of the rows, each by itself.
        low: Lower end of the 95 % interval, blocks of time being independent; None with too few.
        high: Upper end.
        blocks: Blocks of time.
    """

    value: float
    low: float | None = None
    high: float | None = None
    blocks: int


@dataclass(frozen=True, kw_only=True)
class ErrorTest:
    """Where the sequential test for a rise of the errors stands.

    Attributes:
        promised_error: Mean error on rows held out from training: squared errors of probabilities,
            of numbers the task's loss in units of the largest that is usual.
        mean_error: The same on the rows of this window; None for no rows.
        rows: Rows since the model answers.
        evidence: For a rise: 1 where nothing speaks for it.
        alarm_at_row: Row at which a rise was certain, counted from 1; None where it is not.
        rows_since_quiet: Rows since the evidence was last at its lowest.
    """

    promised_error: float
    mean_error: float | None
    rows: int
    evidence: float
    alarm_at_row: int | None
    rows_since_quiet: int


@dataclass(frozen=True, kw_only=True)
class PromiseTest:
    """What the model lost above its promise, beside a reference that learnt the same rows.

    Losses are mean log losses (nats).

    Attributes:
        model_version: The version that answered; 0 where the log names none.
        rows: Labelled rows of the window that it answered.
        promised: Of the model on rows held out of its training.
        live: Of the model on the window's rows.
        reference_promised: Of the reference on training rows, out of fold.
        reference_live: Of the reference on the window's rows.
        constant: Of one constant answer, the mean label of the training rows, on the window's rows.
        error: Standard error of the optimism.
        wrong: Whether the promise is called wrong.
    """

    JSON_KEYS: ClassVar = {
        "model_version": "model_version",
        "rows": "rows",
        "promised": "promised",
        "live": "live",
        "reference_promised": "reference_promised",
        "reference_live": "reference_live",
        "constant": "constant",
        "error": "error",
        "wrong": "wrong",
        "optimism": "optimism",
        "z": "z",
    }

    model_version: int
    rows: int
    promised: float
    live: float
    reference_promised: float
    reference_live: float
    constant: float
    error: float
    wrong: bool

    @property
    def reference_rise(self) -> float:
        """By how much the reference loses more than out of fold: what drift costs."""
        return self.reference_live - self.reference_promised

    @property
    def optimism(self) -> float:
        """The model's rise above its promise, less the reference's: what is no drift."""
        return self.live - self.promised - self.reference_rise

    @property
    def z(self) -> float:
        """The optimism in standard errors; 0 where there is no variation to measure it by."""
        return self.optimism / self.error if self.error > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class QualityProperties:
    """What the artifact says of itself, for conditions and queries."""

    window: str
    labelled_rows: int
    auc: float | None = None
    calibration: float | None = None
    label_coverage: float | None = None
    label_delay_hours_p50: float | None = None
    error_rise_evidence: float | None = None
    error_rise_alarm: bool | None = None
    optimism: float | None = None
    promise_was_wrong: bool | None = None
    mean_loss: float | None = None


@dataclass(frozen=True, kw_only=True)
class QualityResult:
    """Quality of one window with labels.

    Attributes:
        window: Its name; empty where nobody named it.
        rows: Rows that were judged.
        slices: Metric values by slice (`overall`, or such as `origin=JFK`), as TFMA measured them.
        labels: How many rows have labels, and how late; None where nobody counted.
        sequential: The test for a rise of the errors; None without a model's promise.
        promise: Whether the promise itself was wrong; None where that can't be told.
        task: What the model answers; None in files of before there were tasks.
        intervals: Of all rows by metric, the task's own loss first, such as `squared_error`.
        unknown_labels: Labelled rows that are left out, as no class of the task has their label.
    """

    window: str = ""
    rows: int
    slices: Mapping[str, Mapping[str, float]]
    labels: LabelArrivals | None = None
    sequential: ErrorTest | None = None
    promise: PromiseTest | None = field(default=None, metadata=none_as(LEFT_OUT))
    task: ModelTask | None = field(default=None, metadata=none_as(LEFT_OUT))
    intervals: Mapping[str, MetricInterval] = field(
        default_factory=dict, metadata=default_left_out()
    )
    unknown_labels: int = field(default=0, metadata=default_left_out())

    @property
    def loss(self) -> MetricInterval | None:
        """The task's own loss; None where nobody measured it."""
        return self.intervals.get(self.task.loss.value) if self.task and self.task.loss else None

    @property
    def properties(self) -> QualityProperties:
        """What the artifact says of itself."""
        overall = self.slices.get(OVERALL, {})
        labels, errors, promise = self.labels, self.sequential, self.promise
        return QualityProperties(
            window=self.window,
            labelled_rows=self.rows,
            auc=overall.get("auc"),
            calibration=overall.get("calibration"),
            label_coverage=labels.coverage if labels else None,
            label_delay_hours_p50=labels.delay_hours.get("p50") if labels else None,
            error_rise_evidence=errors.evidence if errors else None,
            error_rise_alarm=errors.alarm_at_row is not None if errors else None,
            optimism=promise.optimism if promise else None,
            promise_was_wrong=promise.wrong if promise else None,
            mean_loss=self.loss.value if self.loss else None,
        )


QUALITY_REPORT = JsonFile(
    name="quality.json",
    kind=QualityResult,
    title="a quality report",
    remedy="Run QualityMonitor of this release on the window again.",
)
