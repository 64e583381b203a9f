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

from tfx_loop.contracts.drift_report import FeatureDrift
from tfx_loop.monitoring.profile.bins import CategoryBins
from tfx_loop.monitoring.profile.columns import FeatureType, fits, numbers, strings
from tfx_loop.monitoring.profile.reference import FeatureProfile
from tfx_loop.monitoring.profile.row_sample import sampled_column

FloatArray = npt.NDArray[np.float64]
# Rows of a side: enough to see what matters, and seconds of work.
MOST_ROWS = 5_000
TOGETHER = "(all features)"
# Below it a fold has fewer rows than a tree's leaves need.
_LEAST_ROWS = 200
# Each row is judged by a model that has not seen it; more folds cost time and make the models, and
# so the tests, more alike.
_FOLDS = 2
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
    return np.array([np.nan if v is None else float(known.get(v, 0)) for v in values])


def compared_together(
    profiles: Sequence[FeatureProfile], reference: Any, current: Any, seed: int = 0
) -> list[FeatureDrift]:
    """Returns both tests as one more entry of a report; none where they cannot be made.

    Args:
        profiles: The features to look at; those that a sample lacks are left out.
        reference: Sampled reference rows as a pyarrow table, columns as row_sample.py says.
        current: Sampled current rows.
        seed: Of the folds.
    """
    names: list[str] = []
    sides: tuple[list[FloatArray], list[FloatArray]] = ([], [])
    for profile in profiles:
        columns = [sampled_column(rows, profile) for rows in (reference, current)]
        if all(column is not None and fits(column, profile.type) for column in columns):
            names.append(profile.name)
            for side, column in zip(sides, columns, strict=True):
                side.append(as_numbers(column, profile))
    if len(names) < 2:
        return []
    stacked = np.column_stack(sides[0]), np.column_stack(sides[1])
    tests = compare_samples(*stacked, tuple(names), seed)
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


def compare_samples(
    reference: FloatArray, current: FloatArray, names: tuple[str, ...] = (), seed: int = 0
) -> Multivariate | None:
    """Returns both tests on rows of shape (rows, features); None for too few rows or features.

    Args:
        reference: Sampled reference rows; NaN for missing.
        current: Sampled current rows.
        names: Of the features.
        seed: Of the folds.
    """
    if min(len(reference), len(current)) < _LEAST_ROWS or reference.shape[1] < 2:
        return None
    reference, current = reference[:MOST_ROWS], current[:MOST_ROWS]
    auc, auc_p, top = _classified(reference, current, names, seed)
    ratio, ratio_p = _reconstructed(reference, current, seed)
    return Multivariate(auc, auc_p, ratio, ratio_p, top)


def _classified(
    reference: FloatArray, current: FloatArray, names: tuple[str, ...], seed: int
) -> tuple[float, float, tuple[str, ...]]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    rows = np.where(
        np.isfinite(np.vstack([reference, current])), np.vstack([reference, current]), np.nan
    )
    side = np.repeat([0, 1], [len(reference), len(current)])
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    z_values, aucs = [], []
    for fitted, held in folds.split(rows, side):
        model = HistGradientBoostingClassifier(
            max_iter=40, max_leaf_nodes=15, min_samples_leaf=20, random_state=seed
        )
        # Few rows: threads would wait for each other, badly so on a busy machine.
        with threadpool_limits(1):
            model.fit(rows[fitted], side[fitted])
            auc, spread = _auc(model.predict_proba(rows[held])[:, 1], side[held])
        aucs.append(auc)
        z_values.append((auc - 0.5) / spread)
    with threadpool_limits(1):
        top = _most_telling(model, rows[held], side[held], names, seed)
    # The folds' models share rows, so their scores are not independent: the larger p-value of
    # the mean and of Bonferroni would be too careful, the best of the folds times folds is right.
    p_value = min(1.0, _FOLDS * float(special.ndtr(-max(z_values))))
    return float(np.mean(aucs)), p_value, top


def _auc(scores: FloatArray, side: npt.NDArray[np.int64]) -> tuple[float, float]:
    """The area and its spread without drift, from the rank sum with ties (Mann and Whitney)."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    n, m = int(np.sum(side == 0)), int(np.sum(side == 1))
    auc = (ranks[side == 1].sum() - m * (m + 1) / 2) / (n * m)
    # Var(U) without a difference, less what ties take from it (Lehmann 1975, "Nonparametrics").
    ties = float(np.sum(counts.astype(float) ** 3 - counts)) / ((n + m) * (n + m - 1))
    spread = np.sqrt(max((n + m + 1) - ties, 1e-12) / (12 * n * m))
    return float(auc), float(spread)


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
    whole, _ = _auc(model.predict_proba(rows)[:, 1], side)
    losses = []
    for place in range(len(names)):
        shuffled = rows.copy()
        shuffled[:, place] = random.permutation(shuffled[:, place])
        losses.append(whole - _auc(model.predict_proba(shuffled)[:, 1], side)[0])
    order = np.argsort(losses)[::-1][:3]
    return tuple(names[place] for place in order if losses[place] > 0)


def _reconstructed(reference: FloatArray, current: FloatArray, seed: int) -> tuple[float, float]:
    """Ranks are compared, not means: one outlier's error says nothing about the others."""
    half = np.random.default_rng(seed).permutation(len(reference))
    fitted, held = reference[half[: len(half) // 2]], reference[half[len(half) // 2 :]]
    middle = np.nanmedian(np.where(np.isfinite(fitted), fitted, np.nan), axis=0)
    low, high = np.nanquantile(np.where(np.isfinite(fitted), fitted, np.nan), [0.1, 0.9], axis=0)
    scale = np.where(high > low, high - low, 1.0)

    def standard(rows: FloatArray) -> FloatArray:
        filled = np.where(np.isfinite(rows), rows, middle)
        # Clipped, as a few far outliers would turn the components towards themselves.
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
    auc, spread = _auc(np.concatenate([before, now]), side)
    # Two-sided: rows that collapse onto the components have moved, too.
    p_value = 2 * float(special.ndtr(-abs(auc - 0.5) / spread))
    return float(now.mean() / max(before.mean(), 1e-12)), p_value
