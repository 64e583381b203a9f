"""The content of `quality.json`: how good a model was on a window whose labels have come.

QualityMonitor writes it beside TFMA's result; DriftMonitor sets its estimates right by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tfx_loop.contracts.model_evaluation import OVERALL
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
class ErrorTest:
    """Where the sequential test for a rise of the errors stands.

    Attributes:
        promised_error: Mean squared error on rows held out from training.
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


@dataclass(frozen=True, kw_only=True)
class QualityResult:
    """Quality of one window with labels.

    Attributes:
        window: Its name; empty where nobody named it.
        rows: Rows that were judged.
        slices: Metric values by slice (`overall`, or such as `origin=JFK`), as TFMA measured them.
        labels: How many rows have labels, and how late; None where nobody counted.
        sequential: The test for a rise of the errors; None without a model's promise.
    """

    window: str = ""
    rows: int
    slices: Mapping[str, Mapping[str, float]]
    labels: LabelArrivals | None = None
    sequential: ErrorTest | None = None

    @property
    def properties(self) -> QualityProperties:
        """What the artifact says of itself."""
        overall = self.slices.get(OVERALL, {})
        labels, errors = self.labels, self.sequential
        return QualityProperties(
            window=self.window,
            labelled_rows=self.rows,
            auc=overall.get("auc"),
            calibration=overall.get("calibration"),
            label_coverage=labels.coverage if labels else None,
            label_delay_hours_p50=labels.delay_hours.get("p50") if labels else None,
            error_rise_evidence=errors.evidence if errors else None,
            error_rise_alarm=errors.alarm_at_row is not None if errors else None,
        )


QUALITY_REPORT = JsonFile(
    name="quality.json",
    kind=QualityResult,
    title="a quality report",
    remedy="Run QualityMonitor of this release on the window again.",
)
