"""Quality of one window: estimated from its scores, or measured once its labels have come."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tfx_loop.core.json_codec import LEFT_OUT, none_as


@dataclass(frozen=True, kw_only=True)
class EstimatedMetric:
    """A metric as the scores of a window let one expect it.

    Attributes:
        reference: What held-out rows with labels gave at training time.
        value: What is expected of the window: from its scores, corrected by as much as labels of
            earlier windows say that such estimates are off by now.
        low: 2.5th percentile of where the window's labels would put it.
        high: 97.5th percentile.
        factor: How many times as wide as chance alone makes it the interval is; below 1 where
            labels have taught more than the held-out rows did.
        from_scores: The value before the correction.
        chance: Standard deviation that chance in the window's labels alone gives.
        unit: Of a loss, the held-out loss that its corrections are told in; None of a share, which
            is from 0 to 1.
    """

    reference: float
    value: float
    low: float
    high: float
    factor: float = 1.0
    from_scores: float | None = None
    chance: float = 0.0
    unit: float | None = field(default=None, metadata=none_as(LEFT_OUT))


@dataclass(frozen=True, kw_only=True)
class EstimatedQuality:
    """Quality of a window without its labels.

    Attributes:
        rows: Rows of the window with a score.
        held_out_rows: Labelled rows that said what the scores mean.
        threshold: Score above which a row is answered with 1.
        metrics: By name: auc, accuracy, precision, recall, f1, positive_rate; of several classes
            the accuracy, of numbers the task's loss, such as `squared_error`.
        unseen: What this estimate cannot see, or could not count; sentences.
    """

    rows: int
    held_out_rows: int
    threshold: float
    metrics: Mapping[str, EstimatedMetric] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RealisedQuality:
    """Quality of the newest window whose labels have come, from QualityMonitor's quality.json.

    Attributes:
        window: Its name.
        labelled_rows: Rows that were judged.
        metrics: Overall, under the names of EstimatedQuality.
        slices: The same by slice.
        coverage: Share of the window's rows that have a label, in [0, 1]; None where unknown.
        delay_hours: Percentiles of label time less event time, such as `p50`.
        evidence: For a rise of the errors: 1 where nothing speaks for it (sequential.py).
        alarm_at_row: Row of the stream at which a rise was certain; None where it is not.
    """

    window: str
    labelled_rows: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    coverage: float | None = None
    delay_hours: Mapping[str, float] = field(default_factory=dict)
    evidence: float | None = None
    alarm_at_row: int | None = None
