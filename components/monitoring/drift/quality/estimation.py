"""Estimated quality of a window, before its labels are here.

First from its scores, as far as these tell what they told at training time. Then labels of earlier
windows, where such have come, correct the estimate by as much as those before it were off, and the
interval holds what may have changed since.
"""

import math
from collections.abc import Iterable
from dataclasses import replace

from tfx_loop.contracts.drift_report import PastWindow
from tfx_loop.contracts.window_quality import EstimatedMetric, EstimatedQuality
from tfx_loop.monitoring.drift.quality.label_offset import WindowEstimate, corrected
from tfx_loop.monitoring.profile.bins import NumericBins
from tfx_loop.monitoring.profile.counts import ColumnCounts
from tfx_loop.monitoring.profile.estimated_quality import (
    CalibrationMap,
    estimate,
    first_positive,
    fit_calibration,
    measured,
)
from tfx_loop.monitoring.profile.reference import FeatureProfile

CONCEPT = "No labels: a change of what labels mean is not seen."
# Share of scores beyond the held-out ones from which the guess there is worth a word.
_STRANGE_SHARE = 0.05
# 97.5th percentile of the normal distribution.
_NORMAL = 1.96
# Of an interval's half: a metric at 0 or 1 has none, and a factor of it is wanted.
_LEAST_HALF = 1e-4
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
    held_out = measured(rows, positives, positive_from)
    expected = estimate(current.bins, calibration, positive_from, held_out=(rows, positives))
    return EstimatedQuality(
        rows=current.present,
        held_out_rows=sum(rows),
        threshold=threshold,
        metrics={
            name: EstimatedMetric(
                reference=round(held_out[name], _DIGITS),
                value=round(found.value, _DIGITS),
                low=round(found.low, _DIGITS),
                high=round(found.high, _DIGITS),
                from_scores=round(found.value, _DIGITS),
                chance=round(found.chance, _DIGITS),
            )
            for name, found in expected.items()
            if name in held_out
        },
        unseen=(CONCEPT, *_not_counted(calibration, current)),
    )


def corrected_by_labels(
    estimated: EstimatedQuality, past: Iterable[PastWindow]
) -> EstimatedQuality:
    """Returns the estimate as labels of earlier windows correct it.

    Args:
        estimated: From the scores alone, with intervals of chance.
        past: Windows of the same model, the oldest first; some have their labels.
    """
    known = list(past)
    metrics = {}
    for name, metric in estimated.metrics.items():
        half = max((metric.high - metric.low) / 2, _LEAST_HALF)
        # The interval holds chance in labels and in the map: the map's variance is the rest.
        map_error = math.sqrt(max(0.0, (half / _NORMAL) ** 2 - metric.chance**2))
        found = corrected(
            [window for entry in known if (window := _seen(entry, name))],
            WindowEstimate(estimated=metric.value, chance=metric.chance),
            map_error,
        )
        metrics[name] = replace(
            metric,
            value=round(found.value, _DIGITS),
            low=round(found.low, _DIGITS),
            high=round(found.high, _DIGITS),
            factor=round((found.high - found.low) / 2 / half, _DIGITS),
        )
    told = sum(bool(entry.realised.keys() & entry.estimated.keys()) for entry in known)
    unseen = [_since(told) if said == CONCEPT else said for said in estimated.unseen]
    return replace(estimated, metrics=metrics, unseen=tuple(unseen))


def _seen(entry: PastWindow, name: str) -> WindowEstimate | None:
    if name not in entry.estimated:
        return None
    value, low, high, factor = entry.estimated[name]
    # Reports of before there was a correction hold the estimate from scores itself.
    as_was = (value, (high - low) / 2 / max(factor, 1.0) / _NORMAL)
    value, chance = entry.from_scores.get(name, as_was)
    return WindowEstimate(estimated=value, chance=chance, realised=entry.realised.get(name))


def _since(told: int) -> str:
    if not told:
        return CONCEPT
    windows = "an earlier window" if told == 1 else f"{told} earlier windows"
    return f"Corrected by labels of {windows}: what labels came to mean since then is not seen."


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
