"""Upper bounds of losses that sit in rare rows: errors of numbers, and log loss.

Student's t knows what it has seen. Of a quantised model the loss may sit in rows that a few hundred
have none of: beyond the ranges that calibration saw a child answers with the end of its range
(clipping), and a probability below the child's smallest step becomes 0, whose logarithm is large.
No bound holds for any distribution of unbounded losses (Bahadur and Savage, Annals of Mathematical
Statistics 27, 1956), so what is known of such rows is used:

- Rows count as rare events of unequal weight, with Fay and Feuer's interval for weighted Poisson
  sums (Statistics in Medicine 16, 1997), and the weight of a row that was not seen is bounded.
- Numbers: the weight is what the child moves an answer by (its square for squared errors), which
  bounds the row's loss without the noise of labels. Beyond the largest answer seen, a child with
  fixed ranges is taken to stay where it is, while the parent's answers go on as a generalised
  Pareto tail does (Pickands, Annals of Statistics 3, 1975), fitted by probability-weighted moments
  (Hosking and Wallis, Technometrics 29, 1987), for squares with a shape one standard error on the
  heavy side.
- Log loss: what a class loses beyond half a nat happens as often as the parent's probabilities
  say, times a factor that the labels tell: rows with such a loss are counted, and observed over
  expected has the exact interval of a Poisson count.
- AUC: a row of either class costs what its rank would lose had it been of that class; one as costly
  as the costliest may be missing (the rule of three).

Both are added to the interval of what the labels show, in quadrature (MOVER; Zou and Donner,
Statistics in Medicine 27, 2008). `make bench-compress` measures how often the bounds hold.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from tfx_loop.optimization.metrics.intervals import by_influence, weighted_poisson_interval

Array = npt.NDArray[Any]

# The tail is fitted to an eighth of the answers, but to no fewer and no more than these.
_TAIL, _FEWEST_IN_TAIL, _MOST_IN_TAIL = 8, 10, 120
# Shape of an exponential tail is 0, of a log-normal one a little above: the prior, as so many rows.
_PRIOR_SHAPE, _PRIOR_ROWS = 0.1, 10
# Standard errors, about (1 + shape) / root of the rows, that the shape is taken to be heavier by:
# squares hang on it far more. Chosen on seeds that the benchmark does not report.
_HEAVIER = {1: 0.5, 2: 1.5}
# Nats: a class that loses more counts as a rare event, one that loses less lies within +-0.5.
_RARE_NATS = 0.5
# Events that the parent's word counts for, in the estimate.
_PRIOR_EVENTS = 2.0
# Parents that were trained long state rare classes up to so many times too rare (the largest that
# was met on development seeds was seven); it limits what no event at all leaves open.
_MOST_UNDERSTATED = 10.0


def error_reach(
    before: Array, after: Array, *, power: int, confidence: float, clips: bool
) -> float:
    """Returns by how much rare rows may raise the mean error of a child above what labels show.

    Args:
        before: (rows, outputs) the parent's numbers.
        after: The child's.
        power: 1 for absolute errors, 2 for squared ones.
        confidence: Two-sided.
        clips: Whether the child has fixed ranges.
    """
    # A row's error rises by no more than its answer moved; of squares, but for a product with the
    # parent's own error, whose mean is 0 and which the labels show.
    weights = (np.abs(after - before) ** power).mean(axis=1)
    unseen = float(weights.max())
    if clips:
        # Inner layers clip, too, where the answer itself is not extreme: that shows in the tail of
        # the weights.
        beyond = unseen + _tail(np.sort(weights), 1).mean_excess
        unseen = max(beyond, beyond_range(before, after, power))
    _, most = weighted_poisson_interval(weights[weights > 0], unseen, confidence)
    return (most - float(weights.sum())) / len(weights)


def log_loss_bound(
    before: Array, after: Array, truth: Array, calibrated: Array, confidence: float
) -> float:
    """Returns the upper end of what the log loss rises by from parent to child.

    Args:
        before: (rows, decisions, classes) the parent's probabilities, above 0.
        after: The child's.
        truth: (rows, decisions) class numbers.
        calibrated: As `before`, the parent's probabilities as the labels calibrate them.
        confidence: Two-sided.
    """
    lost = np.log(before) - np.log(after)
    own = np.take_along_axis(lost, truth[..., None], axis=-1)[..., 0]
    rare = np.maximum(lost - _RARE_NATS, 0.0)
    # Cutting gains off at half a nat only raises the bound, and leaves bounded numbers.
    usual = np.clip(own, -_RARE_NATS, _RARE_NATS).mean(axis=1)
    expected = (calibrated * rare).sum(axis=-1).mean(axis=1)
    happened = int((own > _RARE_NATS).sum())
    foreseen = float((calibrated * (rare > 0)).sum())
    # The best guess of how far the parent's probabilities are off, drawn towards 1 by the prior.
    factor = (happened + _PRIOR_EVENTS) / (foreseen + _PRIOR_EVENTS)
    # The exact upper end of a Poisson rate (Garwood, Biometrika 28, 1936), over what is foreseen.
    most = float(stats.gamma.ppf(0.5 + confidence / 2, happened + 1)) / max(foreseen, 1e-9)
    if not happened:
        most = min(most, _MOST_UNDERSTATED)
    most = max(most, factor)
    total, rows, mean = float(expected.sum()), len(usual), float(usual.mean())
    _, high = weighted_poisson_interval(expected[expected > 0], float(expected.max()), confidence)
    rare_reach = float(np.hypot(factor * (high - total), (most - factor) * high)) / rows
    _, usual_high = by_influence(mean, usual, confidence)
    return mean + factor * total / rows + float(np.hypot(usual_high - mean, rare_reach))


def beyond_range(before: Array, after: Array, power: int) -> float:
    """Returns the mean loss of a row whose answer lies beyond all that were seen.

    Args:
        before: (rows, outputs) the parent's numbers.
        after: The child's.
        power: 1 for absolute errors, 2 for squared ones.
    """
    outputs = before.shape[1]
    sides = [(before[:, i], after[:, i]) for i in range(outputs)]
    # Mirrored: an answer may lie below all that were seen as well as above.
    sides += [(-first, -second) for first, second in sides]
    return sum(_beyond(first, second, power) for first, second in sides) / outputs


def _beyond(before: Array, after: Array, power: int) -> float:
    """Returns the mean of (answer - child's largest)^power over the largest answer seen."""
    tail = _tail(np.sort(before), power)
    gap = max(float(before.max() - after.max()), 0.0)
    if power == 1:
        return tail.mean_excess + gap
    # Moments of a generalised Pareto tail: E x = s / (1 - k), E x² = 2 s² / ((1 - k) (1 - 2 k)).
    squared = 2 * tail.mean_excess**2 * (1 - tail.shape) / (1 - 2 * tail.shape)
    return squared + 2 * gap * tail.mean_excess + gap**2


@dataclass(frozen=True, kw_only=True)
class _Tail:
    """Generalised Pareto tail over the largest value: its shape, and the mean beyond that value."""

    shape: float
    mean_excess: float


def _tail(ordered: Array, power: int) -> _Tail:
    """Fits the tail of sorted values; moments up to `power` stay finite."""
    count = int(np.clip(len(ordered) // _TAIL, _FEWEST_IN_TAIL, _MOST_IN_TAIL))
    # Too few to fit a tail: its mean is put at the whole range, which is on the safe side.
    if len(ordered) <= count:
        return _Tail(shape=0.0, mean_excess=float(np.ptp(ordered)))
    start, largest = float(ordered[-count - 1]), float(ordered[-1])
    excess = ordered[-count:] - start
    mean = float(excess.mean())
    if not mean > 0:
        return _Tail(shape=0.0, mean_excess=0.0)
    shape = _shape(excess)
    shape += _HEAVIER[power] * (1 + shape) / np.sqrt(count)
    # Below 1/power, where the mean of the power is finite; at nine tenths of it the factor is ten.
    shape = min(shape, 0.9 / power)
    # The scale that gives the mean of what was seen, moved up to the largest value.
    scale = max(mean * (1 - shape) + shape * (largest - start), 0.1 * mean)
    return _Tail(shape=shape, mean_excess=scale / (1 - shape))


def _shape(excess: Array) -> float:
    """Returns the shape of a generalised Pareto tail by probability-weighted moments."""
    count = len(excess)
    # Plotting positions (i - 0.35) / n, as Hosking and Wallis recommend them.
    above = 1 - (np.arange(1, count + 1) - 0.35) / count
    mean, weighted = float(excess.mean()), float((excess * above).mean())
    # k = 2 - m / (m - 2 w) with w the weighted mean, and the sign turned: here heavy tails are
    # above 0.
    found = 2 - mean / (mean - 2 * weighted) if mean > 2 * weighted else 1.0
    weight = count / (count + _PRIOR_ROWS)
    # Within it the mean is finite, and a bounded tail is not made shorter than a uniform one's
    # half.
    return float(np.clip(weight * found + (1 - weight) * _PRIOR_SHAPE, -0.5, 1.0))
