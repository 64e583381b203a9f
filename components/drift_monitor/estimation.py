"""How good were a window's answers, as far as its scores tell before any label is here?

The interval holds chance in the labels and in the map, as if rows were drawn one by one. Rows that
share a day or a machine share their luck, and labels come to mean other things: where earlier
estimates have been farther off than their intervals said, this one's is widened by as much.

Source of the widening: R. T. Birge, "The calculation of errors by the method of least squares",
Physical Review 40 (1932): stated errors times the root of the mean squared residual in their units.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from components.drift_monitor.report_parts import EstimatedMetric, EstimatedQuality, PastWindow
from components.profile.bins import NumericBins
from components.profile.counts import ColumnCounts
from components.profile.estimated_quality import (
    CalibrationMap,
    estimate,
    first_positive,
    fit_calibration,
    measured,
)
from components.profile.reference import FeatureProfile

CONCEPT = "No labels: a change of what labels mean is not seen."
_STRANGE_SHARE = 0.05
_NORMAL = 1.96
_FEWEST_WINDOWS = 3
_DIGITS = 6


def estimated_quality(
    score: FeatureProfile | None,
    positives: tuple[int, ...],
    current: ColumnCounts | None,
    threshold: float = 0.5,
) -> EstimatedQuality | None:
    """Returns the estimate; None where nobody ever said what the scores mean.

    Args:
        score: Scores of held-out rows at training time.
        positives: Held-out rows with label 1 in each bin of it; empty where there were no labels.
        current: Scores of the window on the same bins; None where none were logged.
        threshold: Score above which a row is answered with 1.
    """
    if score is None or not any(positives) or not isinstance(score.bins, NumericBins):
        return None
    rows = score.counts.bins
    if sum(positives) >= sum(rows) or current is None or not current.present:
        return None
    calibration = fit_calibration(rows, positives)
    positive_from = first_positive(score.bins.edges, threshold)
    promised = measured(rows, positives, positive_from)
    expected = estimate(current.bins, calibration, positive_from, held_out=(rows, positives))
    return EstimatedQuality(
        rows=current.present,
        held_out_rows=sum(rows),
        threshold=threshold,
        metrics={
            name: EstimatedMetric(
                reference=round(promised[name], _DIGITS),
                value=round(found.value, _DIGITS),
                low=round(found.low, _DIGITS),
                high=round(found.high, _DIGITS),
            )
            for name, found in expected.items()
            if name in promised
        },
        unseen=(CONCEPT, *_not_counted(calibration, current)),
    )


def widened(estimated: EstimatedQuality, past: Iterable[PastWindow]) -> EstimatedQuality:
    """Returns the estimate with intervals that would have held what labels showed before.

    Args:
        estimated: With the intervals of chance alone.
        past: Windows of the same model whose estimates met their labels, among others.
    """
    known = list(past)
    metrics = {}
    for name, metric in estimated.metrics.items():
        met = [
            (*window.estimated[name], window.realised[name])
            for window in known
            if name in window.estimated and name in window.realised
        ]
        factor = interval_factor(met)
        metrics[name] = replace(
            metric,
            low=round(max(0.0, metric.value - factor * (metric.value - metric.low)), _DIGITS),
            high=round(min(1.0, metric.value + factor * (metric.high - metric.value)), _DIGITS),
            factor=round(factor, _DIGITS),
        )
    return replace(estimated, metrics=metrics)


def interval_factor(met: Sequence[tuple[float, float, float, float, float]]) -> float:
    """Returns how much wider intervals have to be, at least 1; 1 for fewer than three windows.

    Args:
        met: Value, low, high and factor of estimates, and what labels gave.
    """
    squares = [
        (_NORMAL * factor * (real - value) / max((high - low) / 2, 1e-9)) ** 2
        for value, low, high, factor, real in met
    ]
    if len(squares) < _FEWEST_WINDOWS:
        return 1.0
    return max(1.0, math.sqrt(sum(squares) / len(squares)))


def _not_counted(calibration: CalibrationMap, current: ColumnCounts) -> list[str]:
    said = []
    if current.missing:
        said.append(f"{current.missing:,} answered rows have no score and are not in it.")
    # Beyond the outermost blocks the map is a guess: no held-out row scored like this.
    low, high = calibration.centres[0], calibration.centres[-1]
    strange = sum(current.bins[: int(low)]) + sum(current.bins[int(high) + 1 :])
    if strange > _STRANGE_SHARE * current.present:
        share = strange / current.present
        said.append(
            f"{share:.0%} of the scores are beyond nearly all held-out ones: a guess there."
        )
    return said
