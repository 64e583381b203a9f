"""Estimated quality of a window, before its labels are here.

First from its scores, as far as these tell what they told at training time. Then labels of earlier
windows, where such have come, correct the estimate by as much as those before it were off, and the
interval holds what may have changed since.
"""

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from tfx_loop.contracts.drift_report import PastWindow
from tfx_loop.contracts.task import TaskKind
from tfx_loop.contracts.window_quality import EstimatedMetric, EstimatedQuality
from tfx_loop.monitoring.drift.quality.label_offset import WindowEstimate, corrected
from tfx_loop.monitoring.profile.bins import NumericBins
from tfx_loop.monitoring.profile.counts import ColumnCounts
from tfx_loop.monitoring.profile.reference import FeatureProfile, FrozenProfile
from tfx_loop.monitoring.profile.score_calibration import (
    CalibrationMap,
    estimate,
    first_positive,
    fit_calibration,
    measured,
)

CONCEPT = "No labels: a change of what labels mean is not seen."
# Share of scores beyond the held-out ones from which the guess there is worth a word.
_STRANGE_SHARE = 0.05
# 97.5th percentile of the normal distribution.
_NORMAL = 1.96
# Of an interval's half: a metric at 0 or 1 has none, and a factor of it is wanted.
_LEAST_HALF = 1e-4
# More than labels could ever tell: a hundred million rows know a share to 5e-5.
_DIGITS = 6


def estimated_quality(
    profile: FrozenProfile, current: ColumnCounts | None, threshold: float = 0.5
) -> EstimatedQuality | None:
    """Returns the estimate; None where nobody ever said what the scores mean.

    Args:
        profile: Of the model: scores of held-out rows, and which of them came true or what they
            lost.
        current: Scores of the window on the same bins; None where none were logged.
        threshold: Score above which a row is answered with 1.
    """
    score, positives = profile.score, profile.score_positives
    if score is not None and profile.promised and profile.promised.by_bin:
        return estimated_loss(profile, score, current)
    found = _from_chances(score, positives, current, threshold)
    if found is None or profile.task is None or profile.task.kind is not TaskKind.CLASSES:
        return found
    # What came true of a score that is the surest class's is that the answer was right.
    right = found.metrics.get("positive_rate")
    return replace(found, metrics={"accuracy": right} if right else {})


def _from_chances(
    score: FeatureProfile | None,
    positives: tuple[int, ...],
    current: ColumnCounts | None,
    threshold: float,
) -> EstimatedQuality | None:
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


def estimated_loss(
    profile: FrozenProfile, score: FeatureProfile, current: ColumnCounts | None
) -> EstimatedQuality | None:
    """Returns what a window's scores let one expect of a loss that is known by bin of the score.

    A model errs more where it answers much, say: each row is expected to lose what held-out rows
    with such a score lost. Where no held-out row had one, what all of them lost.

    Args:
        profile: With what held-out rows lost by bin.
        score: Scores of the held-out rows.
        current: Scores of the window on the same bins; None where none were logged.
    """
    promised, task = profile.promised, profile.task
    if promised is None or task is None or task.loss is None:
        return None
    if current is None or not current.present:
        return None
    held_out, rows = np.asarray(score.counts.bins, float), np.asarray(current.bins, float)
    seen = held_out > 0
    known = np.where(seen, held_out, 1.0)
    mean = np.where(seen, np.asarray(promised.by_bin) / known, promised.mean)
    whole = sum(promised.squares_by_bin) / promised.rows
    square = np.where(seen, np.asarray(promised.squares_by_bin) / known, whole)
    variance = np.maximum(square - mean**2, 0.0)
    share = rows / rows.sum()
    value = float(share @ mean)
    # Of the window's labels, and of the means by bin that so many held-out rows gave.
    chance = float(np.sqrt((share @ variance) / rows.sum()))
    error = float(np.hypot(chance, np.sqrt(share**2 @ (variance / known))))
    metric = EstimatedMetric(
        reference=round(promised.mean, _DIGITS),
        value=round(value, _DIGITS),
        low=round(max(0.0, value - _NORMAL * error), _DIGITS),
        high=round(value + _NORMAL * error, _DIGITS),
        from_scores=round(value, _DIGITS),
        chance=round(chance, _DIGITS),
        unit=promised.mean or None,
    )
    return EstimatedQuality(
        rows=current.present,
        held_out_rows=promised.rows,
        threshold=0.5,
        metrics={task.loss.value: metric},
        unseen=(CONCEPT,),
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
        # A loss is told in units of the held-out one: the filter's sizes are of shares.
        unit = metric.unit or 1.0
        half = max((metric.high - metric.low) / 2 / unit, _LEAST_HALF)
        chance = metric.chance / unit
        # The interval holds chance in labels and in the map: the map's variance is the rest.
        map_error = math.sqrt(max(0.0, (half / _NORMAL) ** 2 - chance**2))
        found = corrected(
            [window for entry in known if (window := _seen(entry, name, unit))],
            WindowEstimate(estimated=metric.value / unit, chance=chance),
            map_error,
            most=1.0 if metric.unit is None else math.inf,
        )
        metrics[name] = replace(
            metric,
            value=round(found.value * unit, _DIGITS),
            low=round(found.low * unit, _DIGITS),
            high=round(found.high * unit, _DIGITS),
            factor=round((found.high - found.low) / 2 / half, _DIGITS),
        )
    told = sum(bool(entry.realised.keys() & entry.estimated.keys()) for entry in known)
    unseen = [_since(told) if said == CONCEPT else said for said in estimated.unseen]
    return replace(estimated, metrics=metrics, unseen=tuple(unseen))


def _seen(entry: PastWindow, name: str, unit: float) -> WindowEstimate | None:
    if name not in entry.estimated:
        return None
    value, low, high, factor = entry.estimated[name]
    # Reports of before there was a correction hold the estimate from scores itself.
    as_was = (value, (high - low) / 2 / max(factor, 1.0) / _NORMAL)
    value, chance = entry.from_scores.get(name, as_was)
    realised = entry.realised.get(name)
    return WindowEstimate(
        estimated=value / unit,
        chance=chance / unit,
        realised=None if realised is None else realised / unit,
    )


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
