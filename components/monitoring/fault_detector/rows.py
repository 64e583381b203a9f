"""Rows that faults are looked for in, what is predicted, and what else is known of a training."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tfx_loop.contracts.fault_report import LearningCurve
from tfx_loop.monitoring.reference_models.row_losses import FloatArray, log_losses

AnyArray = npt.NDArray[np.generic]


@dataclass(frozen=True, kw_only=True)
class SplitRows:
    """Rows of one split.

    Attributes:
        features: Columns by name, of shape (rows,) or (rows, …): numbers, texts or bytes.
        labels: Of shape (rows,): numbers, or classes from 0.
        outputs: What the model answered: a probability or number, or (rows, classes).
        groups: Of shape (rows,): what a row belongs to; None where nobody said.
        times: Of shape (rows,): when the prediction is due, in any unit; None where nobody said.
        drawn: The share of the split's rows that these are, drawn by chance.
        unread: Columns that are there and that the model does not read.
        feature_times: By feature, when its value was known, in the unit of `times`.
        label_times: When the label was known; None where nobody said.
        unlabelled: Rows that were left out, as their label is missing or not finite.
    """

    features: Mapping[str, AnyArray]
    labels: FloatArray
    outputs: FloatArray
    groups: AnyArray | None = None
    times: FloatArray | None = None
    drawn: float = 1.0
    unread: tuple[str, ...] = ()
    feature_times: Mapping[str, FloatArray] = field(default_factory=dict)
    label_times: FloatArray | None = None
    unlabelled: int = 0

    def __len__(self) -> int:
        return len(self.labels)


def no_rows(like: SplitRows) -> SplitRows:
    """Returns a split without rows, with the columns of another."""
    return SplitRows(
        features={name: values[:0] for name, values in like.features.items()},
        labels=like.labels[:0],
        outputs=like.outputs[:0],
    )


@dataclass(frozen=True, kw_only=True)
class TrainingContext:
    """What is known of a training beside its rows.

    Attributes:
        curve: What the Trainer left; None where it left nothing.
        analyzed: Splits of the held-out rows that the preprocessing was fitted on.
        transformed: What Transform made of the rows of both sides, by name; empty where unknown.
    """

    curve: LearningCurve | None = None
    analyzed: tuple[str, ...] = ()
    transformed: tuple[Mapping[str, AnyArray], Mapping[str, AnyArray]] = ({}, {})


@dataclass(frozen=True)
class Task:
    """What is predicted.

    Attributes:
        classes: How many; 0 for numbers.
    """

    classes: int

    @property
    def loss(self) -> str:
        """What a row's loss is."""
        return "log_loss" if self.classes else "squared_error"

    def losses(self, predicted: FloatArray, labels: FloatArray) -> FloatArray:
        """Returns the loss of each row.

        Args:
            predicted: Probabilities of shape (rows, classes), or numbers of shape (rows,).
            labels: Of shape (rows,).
        """
        if self.classes:
            return log_losses(predicted, labels)
        return np.asarray((predicted - labels) ** 2)

    def constant(self, labels: FloatArray, rows: int) -> FloatArray:
        """Returns the best constant of some labels, for as many rows as asked."""
        if not self.classes:
            return np.full(rows, labels.mean())
        counts = np.bincount(labels.astype(np.int64), minlength=self.classes)
        # Laplace's rule, so that a class that is not there does not cost without bound.
        shares = (counts + 1.0) / (len(labels) + self.classes)
        return np.tile(shares, (rows, 1))


def mean_and_error(values: FloatArray, groups: AnyArray | None = None) -> tuple[float, float]:
    """Returns a mean and its standard error.

    Rows of a group share their luck, so the error is that of the groups' sums (Cameron and Miller
    2015, "A practitioner's guide to cluster-robust inference", equation 8).

    Args:
        values: Of shape (rows,).
        groups: Of shape (rows,); None where each row stands for itself.
    """
    mean, rows = float(values.mean()), len(values)
    centred: FloatArray = values - mean
    if groups is not None:
        _, codes = np.unique(groups, return_inverse=True)
        # Residuals are summed within a group: what its rows share counts once a row, in full.
        centred = np.asarray(np.bincount(codes.reshape(-1), weights=centred), dtype=np.float64)
    few = len(centred)
    if few < 2:
        # One group alone says nothing of how others would differ: nothing is certain then.
        return mean, float("inf")
    # few / (few - 1) for the mean that was estimated from the same groups.
    return mean, float(np.sqrt((centred**2).sum() * few / (few - 1)) / rows)
