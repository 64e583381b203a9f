"""Few bars of a feature's distribution, for a picture, from the counts on its frozen bins.

Bins of equal mass say much where values are many, and look all alike: a picture has bars of equal
width. Mass is spread evenly within a bin; what lies beyond the outermost edges is a bar of its own,
as nobody knows where in there it is.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tfx_loop.contracts.drift_report import CATEGORIES, NUMBERS, FeatureDrift, Shape
from tfx_loop.core.redaction import OPEN, OTHER, Redaction
from tfx_loop.monitoring.drift.all_features import watched
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.profile.bins import CategoryBins, NumericBins
from tfx_loop.monitoring.profile.columns import FeatureType
from tfx_loop.monitoring.profile.counts import ColumnCounts
from tfx_loop.monitoring.profile.reference import FeatureProfile, FrozenProfile
from tfx_loop.monitoring.profile.window_profile import WindowProfile

Array = npt.NDArray[np.float64]

# What a picture a third of a page wide can show, and as many features as a page is read for; each
# costs some 300 bytes in every later report.
BARS = 20
MOST_NAMES = 8
MOST_SHAPES = 24
# Shares to a thousandth of a per cent: below a pixel of any plot.
_DIGITS = 5


def shapes_of(
    features: Sequence[FeatureDrift],
    reference: FrozenProfile,
    window: WindowProfile,
    settings: DriftSettings,
    redaction: Redaction = OPEN,
) -> tuple[Shape, ...]:
    """Returns pictures of the highest ranked features that were counted."""
    known = {profile.name: profile for profile in watched(reference, settings)}
    weights = {name: max(value, 0.0) for name, value in reference.importances.items()}
    total = sum(weights.values())
    shapes = []
    for feature in [feature for feature in features if not feature.slice][:MOST_SHAPES]:
        profile = known.get(feature.feature)
        if not profile or not window.has(profile.name):
            continue
        counts = window.total(profile.name).counts
        if counts.absent < counts.rows:
            shape = shape_of(profile, counts, redaction=redaction)
            if total and profile.column in weights:
                shape = replace(shape, importance=round(weights[profile.column] / total, 4))
            shapes.append(shape)
    return tuple(shapes)


def shape_of(
    profile: FeatureProfile,
    current: ColumnCounts,
    name: str = "",
    redaction: Redaction = OPEN,
) -> Shape:
    """Returns the bars of a feature.

    Args:
        profile: The reference's bins and counts.
        current: The window's counts on the same bins.
        name: What the report calls the feature; the profile's name unless given.
        redaction: What it calls the feature's values.
    """
    sides = [np.asarray(counts.bins, float) for counts in (profile.counts, current)]
    rows = [max(1, counts.rows) for counts in (profile.counts, current)]
    reference, now = (side / count for side, count in zip(sides, rows, strict=True))
    missing = profile.counts.missing / rows[0], current.missing / rows[1]
    title = name or profile.name
    bins = profile.bins
    if isinstance(bins, CategoryBins):
        if not _is_line(profile):
            most = np.maximum(*(np.asarray(c.bins) for c in (profile.counts, current)))
            names = [
                redaction.name(profile.column, category, int(rows))
                for category, rows in zip(bins.categories, most[:-1], strict=True)
            ]
            return _categories(title, bins, names, (reference, now), missing)
        shape = _whole_numbers(title, bins, reference, now, missing)
    else:
        shape = _numbers(title, bins, reference, now, missing)
    if redaction.hides(profile.name):
        # Where the bars stand on a scale of nobody's: from 0 to 1.
        shape = replace(shape, edges=tuple(np.linspace(0, 1, len(shape.edges)).round(3).tolist()))
    return shape


def _is_line(profile: FeatureProfile) -> bool:
    """Says whether categories are numbers, too many to name each."""
    named = profile.kind is FeatureType.CATEGORICAL
    return profile.type is FeatureType.INTEGER and not named and len(profile.bins) > MOST_NAMES + 1


def _categories(
    name: str,
    bins: CategoryBins,
    labels: Sequence[str],
    sides: tuple[Array, Array],
    missing: tuple[float, float],
) -> Shape:
    reference, now = sides
    known = len(labels)
    # The largest, and those that changed most: both are what one looks for.
    weight = np.maximum(reference, now)[:known] + 2 * np.abs(now - reference)[:known]
    # What may not be named is one of the others.
    ranked = [p for p in np.argsort(-weight, kind="stable").tolist() if labels[p] != OTHER]
    kept = sorted(ranked[:MOST_NAMES])
    if known and not isinstance(bins.categories[0], int):
        kept.sort(key=lambda place: -reference[place])
    rest = [place for place in range(len(reference)) if place not in set(kept)]
    bars = [[*side[kept], side[rest].sum()] for side in (reference, now)]
    names = [labels[place] for place in kept] + [OTHER]
    if not any(bar[-1] for bar in bars):
        names, bars = names[:-1], [bar[:-1] for bar in bars]
    return Shape(
        feature=name,
        kind=CATEGORIES,
        names=tuple(names),
        reference=_rounded(bars[0]),
        current=_rounded(bars[1]),
        reference_missing=round(missing[0], _DIGITS),
        current_missing=round(missing[1], _DIGITS),
    )


def _whole_numbers(
    name: str, bins: CategoryBins, reference: Array, now: Array, missing: tuple[float, float]
) -> Shape:
    """Integers with a bin each, as bars of equal width; values without one lie above."""
    values = np.array([float(value) for value in bins.categories])
    order = np.argsort(values)
    # Whole widths alone: a bar of 1.5 integers would hold one here and two there, and look like a
    # comb.
    width = max(1, math.ceil((values.max() - values.min() + 1) / BARS))
    count = math.ceil((values.max() - values.min() + 1) / width)
    edges = values.min() - 0.5 + width * np.arange(count + 1)
    places = np.clip(np.searchsorted(edges, values[order]) - 1, 0, count - 1)
    bars = [
        [0.0, *np.bincount(places, weights=side[:-1][order], minlength=count), side[-1]]
        for side in (reference, now)
    ]
    return _drawn(name, edges, bars, missing)


def _numbers(
    name: str, bins: NumericBins, reference: Array, now: Array, missing: tuple[float, float]
) -> Shape:
    limits = np.asarray(bins.edges if len(bins.edges) else (0.0,))
    low, high = limits[0], limits[-1]
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BARS + 1)
    bars = [_spread(side, limits, edges) for side in (reference, now)]
    return _drawn(name, edges, bars, missing)


def _spread(shares: Array, limits: Array, edges: Array) -> list[float]:
    """Returns bars below, between and above the edges from shares on the bins."""
    # Rows are taken as even within a bin, which is all that the counts say.
    reached = np.interp(edges, limits, np.cumsum(shares)[: len(limits)])
    inner = np.diff(reached)
    above = float(shares[-1]) if len(shares) > 1 else 0.0
    return [float(shares[0]), *inner.tolist(), above]


def _drawn(
    name: str, edges: Array, bars: Sequence[Sequence[float]], missing: tuple[float, float]
) -> Shape:
    return Shape(
        feature=name,
        kind=NUMBERS,
        edges=tuple(float(f"{edge:.6g}") for edge in edges),
        reference=_rounded(bars[0]),
        current=_rounded(bars[1]),
        reference_missing=round(missing[0], _DIGITS),
        current_missing=round(missing[1], _DIGITS),
    )


def _rounded(shares: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(float(share), _DIGITS) for share in shares)
