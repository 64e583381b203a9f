"""Order of a model's outputs by class name, told from its answers.

The model is asked about rows whose names are known. A numbering of the names gives these rows a
likelihood, the product of the probabilities of their classes, and the most likely numbering solves
an assignment problem. Probabilities tell more than decisions: a rare class that is never the most
probable one still is more probable on its own rows.

How sure one numbering is against another: each row adds the difference d of its log probabilities,
and a sum S of differences that were as often negative as positive exceeds x times the root of
sum d² with a probability of at most exp(-x²/2) (Efron, JASA 64, 1969; self-normalised sums). That
bound needs no variance to be known and holds for any number of rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

Array = npt.NDArray[Any]

# A confident mistake, often a wrong label, must not outweigh a dozen right rows.
_LEAST_LOG = np.log(1e-3)
# The second-best numbering costs an assignment a class; beyond so many only swaps of two classes
# are compared.
_MOST_ASSIGNMENTS = 300


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A model's answers about rows of named classes.

    Attributes:
        numbers: (rows,) position of each row's name among the names.
        logs: (rows, outputs) logarithms of the probabilities, not below that of 0.001.
    """

    numbers: Array
    logs: Array

    @classmethod
    def of(cls, numbers: Array, scores: Array) -> "Answers":
        """Returns them from scores (rows, outputs), probabilities or logits."""
        scores = np.asarray(scores, dtype=np.float64)
        # int8 models answer in steps of 1/256: their probabilities add up to 1 but for hundredths.
        probabilities = scores.min() >= 0 and np.allclose(scores.sum(axis=1), 1, atol=0.05)
        if not probabilities:
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores = scores / scores.sum(axis=1, keepdims=True)
        return cls(numbers=numbers, logs=np.log(np.maximum(scores, np.exp(_LEAST_LOG))))

    def table(self) -> Array:
        """Returns the sum of the logarithms by name and output."""
        outputs = self.logs.shape[1]
        found = np.zeros((outputs, outputs))
        np.add.at(found, self.numbers, self.logs)
        return found

    def doubt(self, order: Array, other: Array) -> float:
        """Returns a bound on the probability that `order` looks so much likelier by chance.

        Args:
            order: (names,) output of each name.
            other: The same of a less likely numbering.

        Returns:
            1 where it is not likelier at all, or no row tells the two apart.
        """
        rows = np.arange(len(self.numbers))
        gained = self.logs[rows, order[self.numbers]] - self.logs[rows, other[self.numbers]]
        total, squares = float(gained.sum()), float((gained**2).sum())
        # exp(-x²/2) with x the sum over the root of the squares, as in the module's docstring.
        return float(np.exp(-(total**2) / squares / 2)) if total > 0 and squares > 0 else 1.0


def most_likely(table: Array) -> Array:
    """Returns the output of each name under the likeliest numbering, (names,)."""
    # It minimises a cost, and the likelihood is to be largest.
    _, order = linear_sum_assignment(-table)
    return np.asarray(order)


def runner_up(table: Array, order: Array) -> Array:
    """Returns the likeliest numbering but `order`, itself the likeliest."""
    names = np.arange(len(order))
    if len(order) > _MOST_ASSIGNMENTS:
        own = table[names, order]
        # What swapping the outputs of two names costs in log-likelihood.
        lost = own[:, None] + own[None, :] - table[:, order] - table[:, order].T
        np.fill_diagonal(lost, np.inf)
        first, second = np.unravel_index(int(lost.argmin()), lost.shape)
        swapped = order.copy()
        swapped[first], swapped[second] = order[second], order[first]
        return swapped
    best, found = -np.inf, order
    # It differs in some name's output, so it is the best of those that forbid one of them.
    for name in names:
        without = table.copy()
        # Not -inf, which the assignment refuses; no sum of logarithms above log(0.001) comes near
        # it.
        without[name, order[name]] = -1e12
        candidate = most_likely(without)
        if (total := float(table[names, candidate].sum())) > best:
            best, found = total, candidate
    return found
