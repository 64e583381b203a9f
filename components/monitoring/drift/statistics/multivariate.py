"""Two tests of all features together, on samples of rows: for what no feature alone shows.

A correlation that breaks leaves every histogram as it was. A classifier that tells the samples
apart on rows it was not fitted on has found a difference of any kind (Lopez-Paz and Oquab 2017,
"Revisiting classifier two-sample tests"); principal components of the reference that no longer
reconstruct the current rows show a changed covariance (Qahtan et al. 2015). Needs scikit-learn,
imported when asked for; seconds for 5,000 rows a side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from tfx_loop.contracts.drift_report import TOGETHER, FeatureDrift
from tfx_loop.monitoring.drift.statistics.rank_area import area_under_curve
from tfx_loop.monitoring.drift.window import EVENT_TIME
from tfx_loop.monitoring.profile.bins import CategoryBins
from tfx_loop.monitoring.profile.column_roles import ColumnRoles
from tfx_loop.monitoring.profile.columns import FeatureType, fits, flat, numbers, strings
from tfx_loop.monitoring.profile.derived_columns import value_keys
from tfx_loop.monitoring.profile.reference import FeatureProfile
from tfx_loop.monitoring.profile.row_keys import KeyArray, mixed
from tfx_loop.monitoring.profile.row_sample import GROUP, TIME, sampled_column

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
# Rows of a side: enough to see what matters, and seconds of work.
MOST_ROWS = 5_000
# Below it a fold has fewer rows than a tree's leaves need.
_LEAST_ROWS = 200
# Each row is judged by a model that has not seen it; more folds cost time and make the models, and
# so the tests, more alike.
_FOLDS = 2
# With fewer blocks a variance says nothing.
_LEAST_BLOCKS = 8
# Rows in order of time are taken in as many stretches, each of which may depend on itself.
_STRETCHES = 32
# Share of the variance that the kept components hold.
_VARIANCE = 0.9


@dataclass(frozen=True)
class Multivariate:
    """Both tests.

    Attributes:
        auc: How well a classifier tells current from reference rows, 0.5 for not at all.
        auc_p_value: Chance of an AUC as large without drift.
        reconstruction: Mean squared error of the current rows over that of held-out reference
            rows, on the principal components of the reference.
        reconstruction_p_value: Chance of errors as different without drift.
        top: Features that the classifier's error rests on most, the first most.
    """

    auc: float
    auc_p_value: float
    reconstruction: float
    reconstruction_p_value: float
    top: tuple[str, ...] = ()

    @property
    def p_value(self) -> float:
        """Of both tests together, Bonferroni."""
        return min(1.0, 2 * min(self.auc_p_value, self.reconstruction_p_value))


def as_numbers(column: Any, profile: FeatureProfile) -> FloatArray:
    """Returns a flat column as numbers, of shape (rows,): text as how often training had it.

    Args:
        column: Values that fit the profile's type.
        profile: What training had.
    """
    if profile.type is not FeatureType.CATEGORICAL or not isinstance(profile.bins, CategoryBins):
        return numbers(column, profile.type)
    known = dict(zip(profile.bins.categories, profile.counts.bins, strict=False))
    values = strings(column).to_pylist()
    # Count encoding: one number a value, however many there are, and the same for both sides; a new
    # value is 0, which trees split off at once.
    return np.array([np.nan if v is None else float(known.get(v, 0)) for v in values])


def compared_together(
    profiles: Sequence[FeatureProfile],
    reference: Any,
    current: Any,
    seed: int = 0,
    roles: ColumnRoles | None = None,
) -> list[FeatureDrift]:
    """Returns both tests as one more entry of a report; none where they cannot be made.

    Args:
        profiles: The features to look at; those that a sample lacks are left out.
        reference: Sampled reference rows as a pyarrow table, columns as row_sample.py says.
        current: Sampled current rows.
        seed: Of the folds.
        roles: Which rows depend on each other; None for independent rows.
    """
    names: list[str] = []
    sides: tuple[list[FloatArray], list[FloatArray]] = ([], [])
    for profile in profiles:
        columns = [sampled_column(rows, profile) for rows in (reference, current)]
        if all(column is not None and fits(column, profile.type) for column in columns):
            names.append(profile.name)
            for side, column in zip(sides, columns, strict=True):
                side.append(as_numbers(column, profile))
    # Of one feature its own tests say more.
    if len(names) < 2:
        return []
    stacked = np.column_stack(sides[0]), np.column_stack(sides[1])
    roles = roles or ColumnRoles()
    blocks = _blocks(reference, roles, 0), _blocks(current, roles, _STRETCHES)
    tests = compare_samples(*stacked, tuple(names), seed, blocks)
    if tests is None:
        return []
    # PSI of two normals that a classifier tells apart with this area, for the ranking.
    distance = np.sqrt(2) * special.ndtri(min(max(tests.auc, 0.5), 1 - 1e-9))
    return [
        FeatureDrift(
            feature=TOGETHER,
            type="multivariate",
            psi_corrected=float(distance**2),
            p_value=tests.p_value,
            note=f"a classifier tells the rows apart with AUC {tests.auc:.3f} "
            f"by {', '.join(tests.top) or 'nothing'}; error of reconstruction "
            f"x{tests.reconstruction:.2f}",
        )
    ]


def _blocks(rows: Any, roles: ColumnRoles, first: int) -> KeyArray | None:
    """The block of each sampled row, of rows that may depend on each other; None for no blocks.

    A group may have rows on both sides; stretches of time, numbered from `first`, may not.
    """
    if roles.group and GROUP in rows.column_names:
        return np.asarray(rows.column(GROUP).to_numpy(), dtype=np.uint64)
    if roles.group and roles.group in rows.column_names:
        return value_keys(flat(rows.column(roles.group)))
    times = next((name for name in (TIME, EVENT_TIME) if name in rows.column_names), "")
    if not roles.time or not times:
        return None
    order = np.argsort(flat(rows.column(times)).fill_null(0).to_numpy(), kind="stable")
    places = np.zeros(len(order), dtype=np.uint64)
    places[order] = first + np.arange(len(order)) * _STRETCHES // max(len(order), 1)
    return places


def compare_samples(
    reference: FloatArray,
    current: FloatArray,
    names: tuple[str, ...] = (),
    seed: int = 0,
    blocks: tuple[KeyArray | None, KeyArray | None] = (None, None),
) -> Multivariate | None:
    """Returns both tests on rows of shape (rows, features); None for too few rows or features.

    Args:
        reference: Sampled reference rows; NaN for missing.
        current: Sampled current rows.
        names: Of the features.
        seed: Of the folds.
        blocks: Of each row of either side, where rows of one block depend on each other; None where
            they do not.
    """
    if min(len(reference), len(current)) < _LEAST_ROWS or reference.shape[1] < 2:
        return None
    reference, current = reference[:MOST_ROWS], current[:MOST_ROWS]
    together = None
    if blocks[0] is not None and blocks[1] is not None:
        parts = blocks[0][:MOST_ROWS], blocks[1][:MOST_ROWS]
        if min(len(np.unique(part)) for part in parts) < _LEAST_BLOCKS:
            return None
        together = np.concatenate(parts)
    auc, auc_p, top = _classified(reference, current, names, seed, together)
    ratio, ratio_p = _reconstructed(reference, current, seed, together)
    return Multivariate(auc, auc_p, ratio, ratio_p, top)


def _fold_of(blocks: KeyArray, seed: int) -> IntArray:
    """The fold of each row, blocks whole: a model would know the others of a block again."""
    found, places = np.unique(blocks, return_inverse=True)
    order = np.argsort(mixed(found ^ np.uint64(seed)))
    folds = np.zeros(len(found), dtype=np.int64)
    folds[order] = np.arange(len(found)) % _FOLDS
    return np.asarray(folds[places])


def _classified(
    reference: FloatArray,
    current: FloatArray,
    names: tuple[str, ...],
    seed: int,
    blocks: KeyArray | None,
) -> tuple[float, float, tuple[str, ...]]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    rows = np.where(
        np.isfinite(np.vstack([reference, current])), np.vstack([reference, current]), np.nan
    )
    side = np.repeat([0, 1], [len(reference), len(current)])
    if blocks is None:
        parts = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(rows, side)
    else:
        fold = _fold_of(blocks, seed)
        parts = ((fold != k, fold == k) for k in range(_FOLDS))
    chances, aucs = [], []
    for fitted, held in parts:
        # Small on purpose: of at most 5,000 rows a fold more trees learn noise, and the time is
        # felt.
        model = HistGradientBoostingClassifier(
            max_iter=40, max_leaf_nodes=15, min_samples_leaf=20, random_state=seed
        )
        # Few rows: threads would wait for each other, badly so on a busy machine.
        with threadpool_limits(1):
            model.fit(rows[fitted], side[fitted])
            scores = model.predict_proba(rows[held])[:, 1]
            auc = area_under_curve(scores, side[held], None if blocks is None else blocks[held])
        aucs.append(auc.value)
        # One-sided: an area below a half is chance, as no classifier learns to be wrong.
        chances.append(auc.chance_above)
    with threadpool_limits(1):
        top = _most_telling(model, rows[held], side[held], names, seed)
    # The folds' models share rows, so their scores are not independent: the larger p-value of
    # the mean and of Bonferroni would be too careful, the best of the folds times folds is right.
    p_value = min(1.0, _FOLDS * min(chances))
    return float(np.mean(aucs)), p_value, top


def _most_telling(
    model: Any, rows: FloatArray, side: Any, names: tuple[str, ...], seed: int
) -> tuple[str, ...]:
    """Features whose shuffling costs the classifier most of its area."""
    if not names:
        return ()
    random = np.random.default_rng(seed)
    # 2,000 rows rank the features as well as all of them do.
    step = -(-len(rows) // 2_000)
    rows, side = rows[::step], side[::step]
    whole = area_under_curve(model.predict_proba(rows)[:, 1], side).value
    losses = []
    for place in range(len(names)):
        shuffled = rows.copy()
        shuffled[:, place] = random.permutation(shuffled[:, place])
        losses.append(whole - area_under_curve(model.predict_proba(shuffled)[:, 1], side).value)
    # Three names fit the sentence.
    order = np.argsort(losses)[::-1][:3]
    return tuple(names[place] for place in order if losses[place] > 0)


def _reconstructed(
    reference: FloatArray, current: FloatArray, seed: int, blocks: KeyArray | None
) -> tuple[float, float]:
    """Ranks are compared, not means: one outlier's error says nothing about the others."""
    half = np.random.default_rng(seed).permutation(len(reference))
    # Components fit the rows that they are fitted on better than others: errors are compared on
    # rows that neither side's fit has seen.
    first, second = half[: len(half) // 2], half[len(half) // 2 :]
    if blocks is not None:
        fold = _fold_of(blocks[: len(reference)], seed)
        first, second = np.flatnonzero(fold == 0), np.flatnonzero(fold)
        blocks = np.concatenate([blocks[second], blocks[len(reference) :]])
    # Missing values become the median below, so no component follows the fact that they are
    # missing.
    fitted, held = reference[first], reference[second]
    middle = np.nanmedian(np.where(np.isfinite(fitted), fitted, np.nan), axis=0)
    # The middle 80 % as the scale: a deviation would be set by the outliers.
    low, high = np.nanquantile(np.where(np.isfinite(fitted), fitted, np.nan), [0.1, 0.9], axis=0)
    scale = np.where(high > low, high - low, 1.0)

    def standard(rows: FloatArray) -> FloatArray:
        filled = np.where(np.isfinite(rows), rows, middle)
        # Clipped, as a few far outliers would turn the components towards themselves.
        # 5 spans of the middle 80 % are some 13 standard deviations of a normal: only outliers are
        # cut.
        return np.asarray(np.clip((filled - middle) / scale, -5, 5))

    _, values, axes = np.linalg.svd(
        standard(fitted) - standard(fitted).mean(0), full_matrices=False
    )
    explained = np.cumsum(values**2) / max(float(np.sum(values**2)), 1e-12)
    # One component less than there are, or nothing is left to reconstruct wrongly.
    kept = axes[: min(int(np.searchsorted(explained, _VARIANCE)) + 1, len(axes) - 1)]
    centre = standard(fitted).mean(0)

    def errors(rows: FloatArray) -> FloatArray:
        centred = standard(rows) - centre
        return np.asarray(np.sum((centred - centred @ kept.T @ kept) ** 2, axis=1))

    before, now = errors(held), errors(current)
    side = np.repeat([0, 1], [len(before), len(now)])
    auc = area_under_curve(np.concatenate([before, now]), side, blocks)
    # Two-sided: rows that collapse onto the components have moved, too.
    # Mann-Whitney on the errors is normal from some twenty rows a side on; there are hundreds.
    chance = auc.chance_above
    p_value = 2 * min(chance, 1 - chance)
    return float(now.mean() / max(before.mean(), 1e-12)), p_value
