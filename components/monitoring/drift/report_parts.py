"""What does a drift report hold beside its features? Shapes, quality, and the windows before."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

NUMBERS = "numbers"
CATEGORIES = "categories"
OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How a feature was distributed, in few bars, for a picture.

    Attributes:
        feature: Name, as in the report's features.
        kind: `numbers` or `categories`.
        edges: Of `numbers`: edges of the inner bars, rising, one more than there are of them.
        names: Of `categories`: what each bar counts.
        reference: Share of the reference's rows in each bar, in [0, 1]. For numbers the first bar
            is what lies below all edges, the last what lies above.
        current: The same of the window.
        reference_missing: Share of the reference's rows without a value.
        current_missing: Share of the window's rows without a value.
        importance: The feature's part of what the model rests on, in [0, 1]: of all that it loses
            when columns are shuffled one by one; None where nobody measured it.
    """

    feature: str
    kind: str
    edges: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    reference: tuple[float, ...]
    current: tuple[float, ...]
    reference_missing: float = 0.0
    current_missing: float = 0.0
    importance: float | None = None


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
    """

    reference: float
    value: float
    low: float
    high: float
    factor: float = 1.0
    from_scores: float | None = None
    chance: float = 0.0


@dataclass(frozen=True, kw_only=True)
class EstimatedQuality:
    """Quality of a window without its labels.

    Attributes:
        rows: Rows of the window with a score.
        held_out_rows: Labelled rows that said what the scores mean.
        threshold: Score above which a row is answered with 1.
        metrics: By name: auc, accuracy, precision, recall, f1, positive_rate.
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


@dataclass(frozen=True, kw_only=True)
class PastWindow:
    """A window in a few numbers, carried from report to report for pictures over time.

    Attributes:
        window: Its name.
        verdict: Of its report; empty where only its labels are known.
        model_version: Which version answered.
        rows: Its answered rows.
        psi: Corrected PSI by feature.
        drifted: Features that had drifted.
        faults: Fault code by broken feature.
        estimated: Value, low, high and the factor of the interval by metric.
        realised: Value by metric, once labels came.
        from_scores: What scores alone said and the chance in it, by metric.
    """

    window: str
    verdict: str = ""
    model_version: int = 0
    rows: int = 0
    psi: Mapping[str, float] = field(default_factory=dict)
    drifted: tuple[str, ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)
    estimated: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)
    realised: Mapping[str, float] = field(default_factory=dict)
    from_scores: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """All of it; each part is empty where nothing is known.

    Attributes:
        shapes: Of the features that moved most.
        estimated: Quality of this window without labels.
        realised: Quality of an earlier window with labels.
        past: The last windows and this one, the newest last.
    """

    shapes: tuple[Shape, ...] = ()
    estimated: EstimatedQuality | None = None
    realised: RealisedQuality | None = None
    past: tuple[PastWindow, ...] = ()


def to_json(parts: Parts) -> dict[str, Any]:
    """Returns the parts as a report's JSON has them."""
    return {
        "shapes": [_plain(asdict(shape)) for shape in parts.shapes],
        "estimated": _plain(asdict(parts.estimated)) if parts.estimated else None,
        "realised": _plain(asdict(parts.realised)) if parts.realised else None,
        "past": [_plain(asdict(window)) for window in parts.past],
    }


def from_json(content: Mapping[str, Any]) -> Parts:
    """Returns what `to_json` wrote; reports without these parts have none of them.

    Raises:
        KeyError, TypeError, ValueError: A part is not whole.
    """
    estimated, realised = content.get("estimated"), content.get("realised")
    return Parts(
        shapes=tuple(Shape(**_tupled(entry)) for entry in content.get("shapes", ())),
        estimated=_estimated(estimated) if estimated else None,
        realised=RealisedQuality(**realised) if realised else None,
        past=tuple(_past(entry) for entry in content.get("past", ())),
    )


def _estimated(entry: Mapping[str, Any]) -> EstimatedQuality:
    metrics = {name: EstimatedMetric(**value) for name, value in entry["metrics"].items()}
    return EstimatedQuality(**{**entry, "metrics": metrics, "unseen": tuple(entry["unseen"])})


def _past(entry: Mapping[str, Any]) -> PastWindow:
    estimated = {}
    for name, (value, low, high, factor) in entry["estimated"].items():
        estimated[name] = (float(value), float(low), float(high), float(factor))
    from_scores = {n: (float(v), float(c)) for n, (v, c) in entry.get("from_scores", {}).items()}
    return PastWindow(**{**_tupled(entry), "estimated": estimated, "from_scores": from_scores})


def _tupled(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in entry.items()}


def _plain(entry: Any) -> Any:
    """Returns the entry as it comes back from JSON: mappings and lists."""
    if isinstance(entry, Mapping):
        return {name: _plain(value) for name, value in entry.items()}
    if isinstance(entry, tuple | list):
        return [_plain(value) for value in entry]
    return entry
