"""Leakage of the label through one feature: its predictive power, and whether it dominates.

A feature that tells the label by itself was mostly made from it, or after it: a delay at departure
for one at arrival, a tip for the class of tips.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfx_loop.contracts.fault_report import FEATURE_DOMINATES, FEATURE_TELLS_LABEL, FaultFinding
from tfx_loop.monitoring.fault_detector.leaks.columns import Column, IntArray
from tfx_loop.monitoring.fault_detector.rows import Task, mean_and_error
from tfx_loop.monitoring.reference_models.feature_matrix import feature_matrices
from tfx_loop.monitoring.reference_models.models import chances, reference_models
from tfx_loop.monitoring.reference_models.row_losses import FloatArray

# As the predictive power score's package has them (Wetschoreck et al. 2020, "ppscore").
_FOLDS = 4
_MOST_ROWS = 5_000
_RESAMPLES = 200
# The best feature of nine real tables stayed below it in 180 clean draws.
TELLS = 0.8
# Of the loss that is explained, alone; and what is clearly lost without it.
_DOMINATES = 0.9
_LEAST_LOST = 0.05
# A feature that explains less of the constant's loss is the best of a few weak ones, and no leak.
_LEAST_EXPLAINED = 0.25
# One-sided at 1 %.
_CERTAIN = 2.33
# Two copies of a leak rank the rows alike; a pair of sound features seldom does.
_ALIKE = 0.8
_FLOOR = 1e-4


class Power(NamedTuple):
    """What one column tells of the label.

    Attributes:
        score: From 0 (nothing) to 1.
        low: What it is surely above; 0 where the score is of no account.
    """

    score: float
    low: float


def predictive_power(values: FloatArray, labels: FloatArray, task: Task, seed: int) -> Power:
    """Returns the predictive power score of one column.

    A decision tree's weighted F1, or mean absolute error of numbers, out of fold, between that of
    a naive guess and a perfect one.

    Args:
        values: One column, without NaN.
        labels: Of the same rows.
        task: What is predicted.
        seed: Of the rows drawn, of the tree and of the bootstrap.
    """
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    random = np.random.default_rng(seed)
    drawn = random.permutation(len(labels))[:_MOST_ROWS]
    x, y = values[drawn].reshape(-1, 1), labels[drawn]
    folds = np.arange(len(y)) % _FOLDS
    guessed = np.zeros(len(y))
    for fold in range(_FOLDS):
        kind = DecisionTreeClassifier if task.classes else DecisionTreeRegressor
        tree = kind(random_state=seed).fit(x[folds != fold], y[folds != fold])
        guessed[folds == fold] = tree.predict(x[folds == fold])
    naive = _naive_guess(y, task, random)
    score = _score_between(y, guessed, naive, task)
    # Most columns: the bootstrap costs more than the trees.
    if score <= TELLS:
        return Power(score, 0.0)
    # Efron 1979: of a few hundred rows a sound feature may reach the bound by chance.
    again = (random.integers(0, len(y), len(y)) for _ in range(_RESAMPLES))
    spread = np.std([_score_between(y[rows], guessed[rows], naive[rows], task) for rows in again])
    return Power(score, score - _CERTAIN * float(spread))


def _naive_guess(labels: FloatArray, task: Task, random: np.random.Generator) -> FloatArray:
    if not task.classes:
        return np.full(len(labels), np.median(labels))
    most = np.full(len(labels), float(np.bincount(labels.astype(np.int64)).argmax()))
    # Where no class is frequent, guesses in proportion beat the most frequent class by F1.
    shuffled = random.permutation(labels)
    return max((most, shuffled), key=lambda guess: _weighted_f1(labels, guess))


def _score_between(labels: FloatArray, guessed: FloatArray, naive: FloatArray, task: Task) -> float:
    if task.classes:
        low, own = _weighted_f1(labels, naive), _weighted_f1(labels, guessed)
        return max(0.0, (own - low) / (1 - low)) if low < 1 else 0.0
    wrong = float(np.abs(labels - naive).mean())
    return max(0.0, 1 - float(np.abs(labels - guessed).mean()) / wrong) if wrong else 0.0


def _weighted_f1(labels: FloatArray, guessed: FloatArray) -> float:
    """Returns the mean F1 of the classes, weighted by their rows."""
    total = 0.0
    for value in np.unique(labels):
        is_it, said = labels == value, guessed == value
        total += is_it.sum() * 2 * (is_it & said).sum() / (is_it.sum() + said.sum())
    return float(total / len(labels))


class LabelledBins(NamedTuple):
    """Rows of one feature.

    Attributes:
        bins: The bin of each row.
        labels: Its label.
    """

    bins: IntArray
    labels: FloatArray


def single_feature_losses(
    learnt: LabelledBins, asked: LabelledBins, bins: int, task: Task
) -> FloatArray:
    """Returns row losses of the model of one feature: the smoothed mean label of each bin.

    Args:
        learnt: Rows to learn from.
        asked: Rows to answer.
        bins: How many there are.
        task: What is predicted.
    """
    rows = np.bincount(learnt.bins, minlength=bins)
    # One row's worth of the mean of all, so that a bin of one row is not taken at its word.
    if not task.classes:
        sums = np.bincount(learnt.bins, weights=learnt.labels, minlength=bins)
        return task.losses(((sums + learnt.labels.mean()) / (rows + 1))[asked.bins], asked.labels)
    counts = np.zeros((bins, task.classes))
    np.add.at(counts, (learnt.bins, learnt.labels.astype(np.int64)), 1)
    shares = (counts + task.constant(learnt.labels, 1)) / (rows[:, None] + 1)
    return task.losses(shares[asked.bins], asked.labels)


def feature_findings(
    columns: Sequence[Column], training: FloatArray, held_out: FloatArray, task: Task, seed: int
) -> list[FaultFinding]:
    """Returns what single features tell too much.

    Args:
        columns: Of both sides.
        training: Labels of the training rows.
        held_out: Labels of the held-out rows.
        task: What is predicted.
        seed: Of trees and rows.
    """
    found = []
    for column in columns:
        # A tree takes no NaN; missing values stand at a place of their own beside most columns.
        values = np.nan_to_num(column.training, nan=-1.0, posinf=1e300, neginf=-1e300)
        power = predictive_power(values, training, task, seed)
        if power.low > TELLS:
            found.append(
                FaultFinding(
                    kind=FEATURE_TELLS_LABEL,
                    feature=column.name,
                    blocks=True,
                    evidence={"predictive_power": power.score},
                    explanation=f"{column.name} alone tells the label (predictive power "
                    f"{power.score:.2f} of 1). Is it known before the event that is predicted? "
                    "If not, leave it out; if so, acknowledge it.",
                )
            )
    if found:
        return found  # That one dominates is no news then.
    return _dominating(columns, training, held_out, task, seed)


def _dominating(
    columns: Sequence[Column], training: FloatArray, held_out: FloatArray, task: Task, seed: int
) -> list[FaultFinding]:
    if len(columns) < 2:
        return []
    alone = [
        single_feature_losses(
            LabelledBins(inner, training), LabelledBins(outer, held_out), bins, task
        )
        for inner, outer, bins in (column.bins() for column in columns)
    ]
    best = int(np.argmin([losses.mean() for losses in alone]))
    constant = float(task.losses(task.constant(training, len(held_out)), held_out).mean())
    everything = _losses(columns, training, held_out, task, seed)
    # The better of both is what can be learnt: boosting on weak columns may lose to one strong one.
    base = everything if everything.mean() <= alone[best].mean() else alone[best]
    learnable = constant - float(base.mean())
    if learnable <= 0:
        return []
    share = (constant - float(alone[best].mean())) / learnable
    explained = (constant - float(alone[best].mean())) / constant
    if share <= _DOMINATES or explained < _LEAST_EXPLAINED:
        return []
    others = _unlike(columns, best)
    if not others:
        return []  # All features rank the rows alike: none can be told from the rest.
    lost, error = mean_and_error(_losses(others, training, held_out, task, seed) - base)
    low = (lost - _CERTAIN * error) / learnable
    if low <= _LEAST_LOST:
        return []
    name = columns[best].name
    return [
        FaultFinding(
            kind=FEATURE_DOMINATES,
            feature=name,
            blocks=False,
            evidence={"share_alone": share, "lost_without": lost / learnable},
            explanation=f"{name} alone explains {share:.0%} of what all features explain of the "
            f"label, and {min(lost / learnable, 1.0):.0%} is lost without it and "
            "without features that order the rows as it does. Is it known before the event that is "
            "predicted?",
        )
    ]


def _unlike(columns: Sequence[Column], best: int) -> list[Column]:
    """Returns the columns that don't rank the rows as the best one does, by Spearman."""
    from scipy import stats

    # Missing values are ranked below all, as boosting sends them to one side.
    ranks = [stats.rankdata(np.nan_to_num(column.training, nan=-1e300)) for column in columns]
    kept = []
    for column, own in zip(columns, ranks, strict=True):
        if column is columns[best]:
            continue
        if own.std() > 0 and ranks[best].std() > 0:
            alike = abs(float(np.corrcoef(own, ranks[best])[0, 1]))
            if alike > _ALIKE:
                continue
        kept.append(column)
    return kept


def _losses(
    columns: Sequence[Column], training: FloatArray, held_out: FloatArray, task: Task, seed: int
) -> FloatArray:
    """Returns the held-out losses of boosting on some columns."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    sides = [
        {
            column.name: _texts(side) if column.categories else side
            for column, side in ((c, getattr(c, part)) for c in columns)
        }
        for part in ("training", "held_out")
    ]
    features = feature_matrices(*sides)
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = reference_models(task.classes, seed)[0].fit(features[0], training)
        if not task.classes:
            return task.losses(np.asarray(model.predict(features[1])), held_out)
        answers = np.clip(chances(model, features[1], task.classes), _FLOOR, 1)
    return task.losses(answers, held_out)


def _texts(codes: FloatArray) -> FloatArray:
    return np.asarray(codes.astype(str))
