"""Reference of a version for a decision: its training sample and what it promised."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tfx_loop.contracts.task import ModelTask
from tfx_loop.core.errors import DataError
from tfx_loop.models.task_labels import encoded_labels, inferred_task
from tfx_loop.models.task_losses import shaped_answers
from tfx_loop.models.time_blocks import Floats
from tfx_loop.monitoring.profile.bins import NumericBins
from tfx_loop.monitoring.profile.columns import is_number
from tfx_loop.monitoring.profile.derived_columns import unchunked
from tfx_loop.monitoring.profile.logged_features import plain_rows
from tfx_loop.monitoring.profile.profile_files import load_profile, load_sample
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.profile.score_calibration import (
    fit_calibration,
    log_loss,
    measured,
)
from tfx_loop.monitoring.retrain_decider.labelled_rows import SCORE, TIME, VERSION
from tfx_loop.monitoring.retrain_decider.served_loss import ServedAnswers
from tfx_loop.monitoring.retrain_decider.thinning import LabelledSample

# When a row was is known to whoever trains, and would tell the newest rows from the older ones.
_CALENDAR = ("span", TIME)


@dataclass(frozen=True, kw_only=True)
class VersionReference:
    """What a version was trained on.

    Attributes:
        profile: Its reference profile.
        sample: Labelled rows of its training sample, the labels encoded.
        task: What the model answers.
    """

    profile: FrozenProfile
    sample: LabelledSample
    task: ModelTask


def read_reference(uri: str) -> VersionReference:
    """Returns a reference profile with the labelled rows of its training sample.

    Raises:
        DataError: A file is missing something, the sample has no labels, or nobody said whether
            they are classes or amounts.
    """
    profile = load_profile(uri)
    label = profile.label
    table = load_sample(uri)
    if label not in table.column_names or not table.num_rows:
        raise DataError(
            f"Expected a training sample with the label {label!r} beside the reference profile, "
            f"received {table.num_rows} rows with {sorted(table.column_names)}. Run "
            "ReferenceProfiler on labelled examples."
        )
    column = unchunked(table.column(label))
    task = profile.task or _shown_task(profile, column)
    plain = plain_rows(table)
    rows = plain.to_pandas()
    rows[label] = encoded_labels(column, task)
    # Labels that the task does not know have no loss.
    rows = rows[rows[label].notna()]
    sample = LabelledSample(rows=rows, fraction=profile.sample.fraction)
    return VersionReference(profile=profile, sample=sample, task=task)


def _shown_task(profile: FrozenProfile, column: Any) -> ModelTask:
    """Returns the task of a profile of before there were tasks, as its labels and scores show."""
    if not is_number(column.type):
        raise DataError(
            f"Expected labels {profile.label!r} that are numbers, or a task beside the reference "
            f"profile, received {column.type}. Name the classes in ReferenceProfiler: "
            "task='classes:red,green'."
        )
    answers, bins = None, profile.score.bins if profile.score else None
    if isinstance(bins, NumericBins):
        # Ends and edges stand for the scores: enough to see fractions beyond probabilities.
        answers = np.array([bins.low, bins.high, *bins.edges])
    return inferred_task(column.cast("float64").to_numpy(zero_copy_only=False), answers)


def feature_names(profile: FrozenProfile, sample: pd.DataFrame) -> list[str]:
    """Returns the columns of a training sample that a model may learn from."""
    ignored = {profile.label, *_CALENDAR, *profile.unwatched, *profile.hidden_in_sample}
    return [name for name in sample.columns if name not in ignored]


def promised_loss(profile: FrozenProfile) -> tuple[float, float] | None:
    """Returns the mean loss of the scores on held-out rows and its error; None without scores."""
    if profile.promised:
        return profile.promised.mean, profile.promised.standard_error
    score = profile.score
    if not (score and isinstance(score.bins, NumericBins) and profile.score_positives):
        return None
    return log_loss(score.counts.bins, profile.score_positives, score.bins.edges)


def promised_auc(profile: FrozenProfile) -> float | None:
    """Returns the AUC of the champion's scores on rows held out of its training."""
    if profile.score is None or not profile.score_positives:
        return None
    counts = profile.score.counts.bins
    return measured(counts, profile.score_positives, len(counts) // 2).get("auc")


def promised_rates(profile: FrozenProfile, scores: Floats) -> Floats | None:
    """Returns how often rows held out of training with such scores had label 1, float64 [rows].

    NaN where there is no score; None where the profile does not tell.
    """
    score = profile.score
    if not (score and isinstance(score.bins, NumericBins) and profile.score_positives):
        return None
    if not sum(score.counts.bins):
        return None
    calibration = fit_calibration(score.counts.bins, profile.score_positives)
    # Bin i ends with its upper edge.
    rates = calibration.at_bins()[np.searchsorted(score.bins.edges, scores, side="left")]
    return np.where(np.isfinite(scores), rates, np.nan)


def served_answers(
    newest: pd.DataFrame, version: int, profile: FrozenProfile, task: ModelTask
) -> ServedAnswers | None:
    """Returns what the champion answered, and what its scores on held-out rows promised.

    Raises:
        DataError: The logged output has another shape than the task.
    """
    scores = logged_answers(newest, task)
    if scores is None:
        return None
    if VERSION in newest.columns:
        scores[newest[VERSION].to_numpy() != version] = np.nan
    promised, error = promised_loss(profile) or (None, None)
    return ServedAnswers(scores=scores, promised=promised, promised_error=error)


def logged_answers(rows: pd.DataFrame, task: ModelTask) -> Any:
    """Returns the logged answers in the task's shape, NaN where there is none.

    None where the log has no such numbers.
    """
    if SCORE not in rows.columns:
        return None
    if pd.api.types.is_numeric_dtype(rows[SCORE].dtype):
        values = rows[SCORE].to_numpy(dtype=np.float64, na_value=np.nan)
        # A copy: the caller writes NaN where another version answered.
        return shaped_answers(values, len(rows), task).copy()
    answers = [None if one is None else np.asarray(one) for one in rows[SCORE]]
    known = [one for one in answers if one is not None and one.dtype.kind in "fiub"]
    if not known:
        return None
    gap = np.full(known[0].shape, np.nan)
    # Versions of different outputs answered: none of them can be told by one task.
    if any(one.shape != gap.shape for one in known):
        return None
    filled = [gap if one is None or one.dtype.kind not in "fiub" else one for one in answers]
    return shaped_answers(np.stack(filled), len(rows), task).copy()
