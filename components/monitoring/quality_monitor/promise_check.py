"""Check of a model's promise: its rise above it, less that of a reference.

The world moves for a reference, too, that learnt the same rows; what the model alone loses above
the loss that its held-out rows promised is no drift. Then the estimate before the push was too
good: rows or groups that stood on both sides of the split, preprocessing that saw labels, a model
that was chosen by the very rows that it was judged on. A feature that leaks misleads the reference
as much as the model, and shows as drift or skew of that feature.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from tfx_loop.contracts.quality_report import PromiseTest
from tfx_loop.contracts.task import BINARY
from tfx_loop.models.task_losses import row_losses
from tfx_loop.models.time_blocks import Floats, blocked_standard_error
from tfx_loop.monitoring.profile.bins import NumericBins
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.quality_monitor.settings import PromiseSettings
from tfx_loop.monitoring.retrain_decider.avoidable_loss import column_faults, one_class_only
from tfx_loop.monitoring.retrain_decider.labelled_rows import SCORE, TIME, VERSION
from tfx_loop.monitoring.retrain_decider.surrogate import SurrogateSettings, fit_surrogate
from tfx_loop.monitoring.retrain_decider.thinning import LabelledSample
from tfx_loop.monitoring.retrain_decider.version_reference import feature_names, promised_loss

_FOLDS = 4
# Blocks of time are the independent units of the standard error, as in avoidable_loss.py.
_BLOCKS = 32
# Below it the standard error of a mean log loss is beyond a tenth of what there is to learn.
FEWEST_ROWS = 200
# A reference is fitted in a second; more rows say the same.
_MOST_ROWS = 20_000
# A reference that saves less than this share of a constant's loss tells nothing of the window.
_LEAST_TO_LEARN = 0.02
# Standard errors by which a promise must be better than the reference's to be too good.
_BETTER_Z = 2.0
# A move of the world hurts one kind of model more than another; so much of the reference's own rise
# is put down to that.
_UNEVEN = 0.5


@dataclass(frozen=True)
class _Reference:
    """Losses of a reference by row: promised out of fold, and on the window."""

    promised: Floats
    block: npt.NDArray[np.int64]
    live: Floats


def check_promise(
    profile: FrozenProfile, sample: LabelledSample, window: pd.DataFrame, settings: PromiseSettings
) -> PromiseTest | None:
    """Returns how a model did beside its promise; None where that can't be told.

    Args:
        profile: Of the model, with the scores of its held-out rows.
        sample: Of its training rows, with labels.
        window: Labelled rows, oldest first, with the model's answers.
        settings: When a promise is called wrong.
    """
    promised = promised_loss(profile)
    binary = sample.rows[profile.label].isin((0, 1)).all()
    if promised is None or SCORE not in window.columns or not binary:
        return None
    if not pd.api.types.is_numeric_dtype(window[SCORE].dtype):
        return None
    # The newest: rows of a version before it were answered by a model that promised something else.
    version = int(window[VERSION].max()) if VERSION in window.columns and len(window) else 0
    if version:
        window = window[window[VERSION] == version]
    window = window[np.isfinite(window[SCORE].astype(float))]
    label, features = profile.label, feature_names(profile, sample.rows)
    if min(len(window), len(sample.rows)) < FEWEST_ROWS or one_class_only(window[label]):
        return None
    if not features or column_faults(sample.rows, window, features):
        return None
    scores = window[SCORE].to_numpy(dtype=np.float64)
    if not profile.promised:
        scores = _as_promised(profile, scores)
    own = row_losses(window[label].to_numpy(dtype=np.float64), scores, BINARY)
    reference = _reference(sample.rows, window, label, features)
    live_block = np.arange(len(window)) * _BLOCKS // len(window)
    constant = np.full(len(window), sample.rows[label].mean())
    flat = row_losses(window[label].to_numpy(dtype=np.float64), constant, BINARY)
    live_error = blocked_standard_error(own - reference.live, live_block)
    # The reference's error on the training sample, and the model's on its held-out rows.
    promise_error = float(
        np.hypot(blocked_standard_error(reference.promised, reference.block), promised[1])
    )
    measured = PromiseTest(
        model_version=version,
        rows=len(window),
        promised=promised[0],
        live=float(own.mean()),
        reference_promised=float(reference.promised.mean()),
        reference_live=float(reference.live.mean()),
        constant=float(flat.mean()),
        error=float(np.hypot(live_error, promise_error)),
        wrong=False,
    )
    return replace(measured, wrong=_is_wrong(measured, promise_error, settings))


def _is_wrong(measured: PromiseTest, promise_error: float, settings: PromiseSettings) -> bool:
    # A promise that any honest model of these rows could have made was not too good: what such a
    # model loses more than a reference, it loses as it is over-fitted, or extrapolates.
    if measured.reference_promised - measured.promised <= _BETTER_Z * promise_error:
        return False
    # Where the reference tells no more than a constant, the world is another one than was learnt,
    # and whose fault a loss is can't be told.
    learnable = measured.constant - measured.reference_live
    if learnable <= _LEAST_TO_LEARN * measured.constant:
        return False
    beyond = measured.optimism - _UNEVEN * abs(measured.reference_rise)
    return (
        beyond > settings.promise_z * measured.error and beyond > settings.promise_share * learnable
    )


def _as_promised(profile: FrozenProfile, scores: Floats) -> Floats:
    """Returns scores as the middles of the bins that the promise was counted in."""
    # In other numbers a sure and wrong answer would cost more now than it did then.
    score = profile.score
    assert score is not None
    assert isinstance(score.bins, NumericBins)
    limits = np.concatenate([[0.0], score.bins.edges, [1.0]])
    middles = (limits[1:] + limits[:-1]) / 2
    return np.asarray(middles[np.searchsorted(score.bins.edges, scores, side="right")])


def _reference(
    rows: pd.DataFrame, window: pd.DataFrame, label: str, features: list[str]
) -> _Reference:
    """Fits a reference in folds of time, where the rows have one; each fold judges the window."""
    if len(rows) > _MOST_ROWS:
        rows = rows.sample(_MOST_ROWS, random_state=0)
    timed = TIME in rows.columns
    rows = rows.sort_values(TIME, kind="stable") if timed else rows.sample(frac=1, random_state=0)
    # Neighbours share their causes, so they are held out together.
    block = np.arange(len(rows)) * _BLOCKS // len(rows)
    promised, live = np.empty(len(rows)), np.zeros(len(window))
    for fold in range(_FOLDS):
        asked = block % _FOLDS == fold
        model = fit_surrogate(rows[~asked], label, features, SurrogateSettings())
        promised[asked] = model.losses(rows[asked])
        # The same fits on both: what more rows are worth drops out.
        live += model.losses(window) / _FOLDS
    return _Reference(promised, block if timed else np.arange(len(rows)), live)
