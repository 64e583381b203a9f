"""Effects and p-value of one feature: a window's counts against a profile.

Ordered features get Anderson-Darling on all bins and chi-square on coarse ones, others chi-square
and the bin that changed most; where values are missing, their share is tested apart. The weights
were chosen on other seeds and shifts than the benchmark reports.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tfx_loop.contracts.drift_report import FeatureDrift
from tfx_loop.monitoring.drift.statistics import dependent_rows, effects, two_sample
from tfx_loop.monitoring.drift.statistics.row_dependence import RowDependence
from tfx_loop.monitoring.profile.bins import CategoryBins, NumericBins
from tfx_loop.monitoring.profile.columns import FeatureType
from tfx_loop.monitoring.profile.counts import ColumnCounts
from tfx_loop.monitoring.profile.reference import FeatureProfile

# More bins than this, as a score has, are joined to half as many: Anderson-Darling needs the
# eigenvalues of a matrix of bins by bins.
_MOST_BINS = 64
# Effects are measured on fine bins, chi-square on coarse ones: it loses power with each degree of
# freedom that a change of shape does not need.
_FINE_BINS, _COARSE_BINS = 32, 16
# Rows of the smaller sample a bin: with fewer, PSI's noise and the tests are not χ² yet.
_ROWS_A_BIN = 40
# Weights of the tests in the Bonferroni combination (two_sample.combined).
_MISSING_WEIGHT = 0.1
_ORDER_WEIGHT = 0.75
_CATEGORY_WEIGHT = 0.6
# 99 %, one-sided: an effect is called too small only when that is sure.
_DOUBT = 2.33


def compare(
    blank: FeatureDrift,
    profile: FeatureProfile,
    counts: ColumnCounts,
    effective: Any = None,
    dependence: tuple[RowDependence, RowDependence] | None = None,
    *,
    with_missing: bool = True,
) -> FeatureDrift:
    """Returns `blank` with effects and the p-value of a window's counts against a profile.

    Args:
        blank: The feature, as far as it is known.
        profile: What training had.
        counts: What the window has, on the same bins.
        effective: Where rows stand for several, the weighted counts scaled to effective rows,
            `missing` last, of shape (bins + 1,); None takes the counts.
        dependence: How the rows of the reference and of the window depend on each other; None
            where they do not.
        with_missing: Whether the share of missing values is a part of the difference.
    """
    reference: Any = profile.counts.vector()
    current = counts.vector() if effective is None else effective
    order = _order(profile)
    rows = [reference, current]
    if dependence:
        rows = [side / known.design_effect for side, known in zip(rows, dependence, strict=True)]
        tests, missing = _dependent_tests(order, reference, current, rows, dependence)
    else:
        tests, missing = _tests(order, reference, current)
    # A test without any missing value is not made, and costs the others no weight.
    share = _MISSING_WEIGHT if with_missing and (reference[-1] or current[-1]) else 0.0
    tests = [(p_value, part * (1 - share)) for p_value, part in tests]
    if share:
        tests.append((missing, share))
    # Effects, too, of as many independent rows as tell as much.
    reference, current = rows
    if not with_missing:
        reference, current = np.append(reference[:-1], 0), np.append(current[:-1], 0)
    r, c = _present(order, reference, current)
    whole_r, whole_c = _compared(order, reference, current)
    return replace(
        blank,
        psi=effects.psi(whole_r, whole_c),
        psi_corrected=effects.psi_corrected(whole_r, whole_c),
        psi_bound=effects.psi_bound(whole_r, whole_c, _DOUBT),
        ks=None if order is None else effects.kolmogorov_smirnov(r, c),
        js=effects.jensen_shannon(whole_r, whole_c),
        hellinger=effects.hellinger(whole_r, whole_c),
        l_infinity=effects.l_infinity(whole_r, whole_c),
        wasserstein=_wasserstein(profile, reference, current),
        p_value=two_sample.combined(tests),
        design_effect=dependence[1].design_effect if dependence else None,
    )


def _tests(order: Any, reference: Any, current: Any) -> tuple[list[tuple[float, float]], float]:
    """P-values with their weights, and that of the missing values."""
    r, c = _present(order, reference, current)
    if order is None:
        tests = [
            (two_sample.chi_square(r, c).p_value, _CATEGORY_WEIGHT),
            (two_sample.most_changed_cell(r, c), 1 - _CATEGORY_WEIGHT),
        ]
    else:
        tests = [
            (two_sample.anderson_darling(r, c), _ORDER_WEIGHT),
            (two_sample.chi_square(*coarse(r, c, _COARSE_BINS)).p_value, 1 - _ORDER_WEIGHT),
        ]
    return tests, two_sample.chi_square(*_missing(reference, current)).p_value


def _dependent_tests(
    order: Any,
    reference: Any,
    current: Any,
    effective: Sequence[Any],
    sides: tuple[RowDependence, RowDependence],
) -> tuple[list[tuple[float, float]], float]:
    """The same for rows that depend on each other; `effective` are the rows of either side."""
    found = dependent_rows.share_difference(reference, current, sides)
    there = dependent_rows.among_present(found)
    if order is None:
        there = there.map(_settled_cells(sides[0], reference, current))
        r, c = _present(order, *effective)
        rest = (r, c) if len(reference) > len(found.pooled) else ((), ())
        tests = [
            (dependent_rows.chi_square(there), _CATEGORY_WEIGHT),
            (dependent_rows.most_changed(there, *rest), 1 - _CATEGORY_WEIGHT),
        ]
    else:
        tests = [
            (dependent_rows.anderson_darling(there), _ORDER_WEIGHT),
            (dependent_rows.chi_square(there), 1 - _ORDER_WEIGHT),
        ]
    return tests, dependent_rows.missing_share(found)


def _settled_cells(side: RowDependence, reference: Any, current: Any) -> Any:
    """Sums that join cells with the last one that the reference may have chosen by luck.

    As two_sample.settled: those stand alone that both sides put above the last one without a cell.
    """
    n, m = float(reference.sum()), float(current.sum())
    rows = side.joined(reference + current)[:-1] * n / (n + m)
    places = side.cells[:-1] == len(rows) - 1
    last = float(reference[:-1][places].max()) if places.any() else 0.0
    # Three deviations, of rows that tell less than independent ones do.
    sure = last + 3 * np.sqrt(last * side.design_effect) + 3
    alone = np.flatnonzero(rows[:-1] >= sure)
    matrix = np.eye(len(rows))
    rest = np.setdiff1d(np.arange(len(rows)), alone)
    return np.vstack([matrix[alone], matrix[rest].sum(axis=0)])


def effect(profile: FeatureProfile, reference: Any, current: Any) -> float:
    """Returns the corrected PSI, as `compare` does, of any counts on a profile's bins.

    Args:
        profile: Whose bins they are.
        reference: Rows in each bin, `missing` last, of shape (bins + 1,).
        current: The same of other rows.
    """
    return effects.psi_corrected(*_compared(_order(profile), reference, current))


def _present(order: Any, reference: Any, current: Any) -> tuple[Any, Any]:
    """The bins of rows that have a value, in order or settled, at most so many."""
    if order is None:
        return two_sample.settled(reference[:-1], current[:-1])
    r, c = reference[:-1][order], current[:-1][order]
    return effects.coarsened(r, c, _MOST_BINS // 2) if len(r) > _MOST_BINS else (r, c)


def _compared(order: Any, reference: Any, current: Any) -> tuple[Any, Any]:
    """The bins that effects are measured on, as many as the rows bear, `missing` last."""
    r, c = _present(order, reference, current)
    if order is not None:
        r, c = coarse(r, c, _FINE_BINS)
    return np.append(r, reference[-1]), np.append(c, current[-1])


def coarse(reference: Any, current: Any, most: int) -> tuple[Any, Any]:
    """Joins neighbouring bins, so that the smaller sample has some 40 rows in each."""
    # Four at least: with fewer a change of shape has nowhere to show.
    rows = min(reference.sum(), current.sum())
    groups = int(np.clip(rows / _ROWS_A_BIN, 4, most))
    return effects.coarsened(reference, current, groups)


def _order(profile: FeatureProfile) -> Any:
    """The bins from low to high, `other` of a whole number last; None for no order."""
    if isinstance(profile.bins, NumericBins):
        return np.arange(len(profile.bins))
    categories = profile.bins.categories
    if profile.kind is FeatureType.CATEGORICAL:
        return None
    # `other` of a whole number has no place in the order; where training left it empty it is last.
    if profile.type is not FeatureType.INTEGER or len(categories) < 3 or profile.counts.bins[-1]:
        return None
    return np.append(np.argsort(np.asarray(categories, dtype=np.float64)), len(categories))


def _missing(reference: Any, current: Any) -> tuple[Any, Any]:
    split = [np.array([v[:-1].sum(), v[-1]]) for v in (reference, current)]
    return split[0], split[1]


def _wasserstein(profile: FeatureProfile, reference: Any, current: Any) -> float | None:
    if isinstance(profile.bins, CategoryBins):
        return None
    return effects.wasserstein(reference[:-1], current[:-1], np.asarray(profile.bins.edges))
