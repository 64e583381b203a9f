"""Area under the ROC curve as TFMA draws it, with each row's influence.

TFMA draws the ROC curve through `num_thresholds` evenly spaced thresholds and joins the points by
straight lines. The area under that is the rank statistic of the scores rounded to the buckets
between the thresholds, ties counted half; so it is computed, from a histogram.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def rank_costs(truth: Array, before: Array, after: Array, num_thresholds: int) -> Array:
    """Returns what each row would cost the area if its class were the one that costs more, (rows,).

    A positive costs the share of negatives that it beat with the parent's score and does not with
    the child's; a negative likewise. As influences: a mean over the rows is a loss of the area.

    Args:
        truth: (rows,) of 0 and 1, both of them.
        before: (rows,) the parent's scores.
        after: (rows,) the child's.
        num_thresholds: As for `auc`.
    """
    positive = truth > 0.5
    shares = [_beaten_shares(positive, scores, num_thresholds) for scores in (before, after)]
    (below, above), (below_after, above_after) = shares
    rows, positives = len(truth), int(positive.sum())
    as_positive = (below - below_after) * rows / positives
    as_negative = (above - above_after) * rows / (rows - positives)
    return np.maximum(as_positive, as_negative)


def _beaten_shares(positive: Array, scores: Array, num_thresholds: int) -> tuple[Array, Array]:
    """Returns the share of negatives below each row and of positives above it, ties by halves."""
    # A score counts as positive when it is above the threshold: buckets are (low, high].
    bucket = np.ceil(np.clip(scores, 0.0, 1.0) * (num_thresholds - 1)).astype(np.int64)
    ups = np.bincount(bucket[positive], minlength=num_thresholds)
    downs = np.bincount(bucket[~positive], minlength=num_thresholds)
    # Negatives below each bucket and positives above it, the bucket's own counted half (ties).
    below = np.concatenate([[0], np.cumsum(downs)[:-1]]) + downs / 2
    above = int(positive.sum()) - np.cumsum(ups) + ups / 2
    return below[bucket] / max(downs.sum(), 1), above[bucket] / max(ups.sum(), 1)


def auc(truth: Array, scores: Array, num_thresholds: int) -> tuple[float, Array]:
    """Returns the area under the ROC curve and its influence by row.

    Args:
        truth: (rows,) of 0 and 1.
        scores: (rows,) in [0, 1].
        num_thresholds: As TFMA's AUC has it, at least 2.

    Returns:
        NaN and zeros when there is one class only. The influence of a positive row is how far its
        share of beaten negatives is from the mean, over the fraction of positives; likewise for
        negative rows (DeLong, DeLong and Clarke-Pearson 1988, structural components).
    """
    positive = truth > 0.5
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan"), np.zeros(len(truth))
    below, above = _beaten_shares(positive, scores, num_thresholds)
    beaten = np.where(positive, below, above)
    value = float(beaten[positive].mean())
    # A positive row is one of `positives`: over all rows its deviation weighs rows / positives.
    rows = len(truth)
    share = np.where(positive, positives / rows, negatives / rows)
    return value, (beaten - value) / share
