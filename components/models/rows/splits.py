"""Rows as a model takes them, and their division: for calibration, choice and report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tfx_loop.core.errors import DataError
from tfx_loop.models.rows.arrays import save_arrays
from tfx_loop.models.tensors import Array

# Calibration fixes ranges and needs few rows (TensorFlow says 100 to 500); the metric needs many.
CALIBRATION_FRACTION, MAX_CALIBRATION_ROWS = 0.2, 500
CHOOSING_FRACTION = 0.7  # of what calibration leaves; the other rows only report
# Of fewer, too few are left to choose with and to report on.
MIN_ROWS = 30
# More distinct labels than this are numbers rather than classes: strata are tenths then.
_MAX_STRATA = 50


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows as a model takes them.

    Attributes:
        inputs: Input name to (rows, …) array, in the model's shape and type.
        labels: (rows,) or (rows, …); None where there are none.
        slices: Column name to (rows,) values that results are broken down by.
        other_labels: Labels of further outputs, by output.
        notes: What was assumed of the data, in sentences.
        stacked: The columns that the one input is made of, where it is made of several.
    """

    inputs: Mapping[str, Array]
    labels: Array | None = None
    slices: Mapping[str, Array] = field(default_factory=dict)
    other_labels: Mapping[str, Array] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    stacked: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks that all parts have the same number of rows."""
        parts = {**self.inputs, **{f"slice {k}": v for k, v in self.slices.items()}}
        parts |= {f"labels of {name}": values for name, values in self.other_labels.items()}
        if self.labels is not None:
            parts["labels"] = self.labels
        lengths = {name: len(values) for name, values in parts.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {count}" for name, count in lengths.items())
            raise DataError(f"Expected the same number of rows everywhere, received {told}.")

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(next(iter(self.inputs.values()))) if self.inputs else 0

    def take(self, indices: Array) -> "Rows":
        """Returns the rows at these positions, in their order."""
        return Rows(
            inputs={name: values[indices] for name, values in self.inputs.items()},
            labels=None if self.labels is None else self.labels[indices],
            slices={name: values[indices] for name, values in self.slices.items()},
            other_labels={name: values[indices] for name, values in self.other_labels.items()},
            notes=self.notes,
            stacked=self.stacked,
        )

    def save_inputs(self, path: str | Path) -> None:
        """Writes the inputs as .npz by input name: how rows reach a child process."""
        save_arrays(path, self.inputs)


@dataclass(frozen=True, kw_only=True)
class RowSplit:
    """Rows by use.

    Attributes:
        calibration: Fix the ranges of activations.
        choosing: Choose the variant.
        reporting: Only report; nothing is fitted to them or chosen on them.
    """

    calibration: Rows
    choosing: Rows
    reporting: Rows

    def counts(self) -> dict[str, int]:
        """Returns the number of rows by use, as the report has it."""
        return {
            "calibration": len(self.calibration),
            "choosing": len(self.choosing),
            "reporting": len(self.reporting),
        }


def split(rows: Rows, seed: int) -> RowSplit:
    """Returns three disjoint parts that cover all rows, each class in each part in proportion.

    A fifth of the rows (at most 500) calibrates; of the others 70 % choose and 30 % report.

    Raises:
        DataError: Fewer than 30 rows.
    """
    if len(rows) < MIN_ROWS:
        raise DataError(
            f"Expected at least {MIN_ROWS} rows to calibrate, choose and report with, received "
            f"{len(rows)}. Give more rows; some hundreds a class tell small losses apart."
        )
    order = _stratified_order(rows, seed)
    # A fifth, so that small data keeps rows to choose and report with.
    calibrating = min(int(len(rows) * CALIBRATION_FRACTION), MAX_CALIBRATION_ROWS)
    # In stratified order every stretch has each class in proportion: positions spread evenly.
    calibration, rest = _spread(order, calibrating)
    choosing, reporting = _spread(rest, round(len(rest) * CHOOSING_FRACTION))
    return RowSplit(
        calibration=rows.take(np.sort(calibration)),
        choosing=rows.take(np.sort(choosing)),
        reporting=rows.take(np.sort(reporting)),
    )


def stratified_sample(rows: Rows, count: int, seed: int) -> Rows:
    """Returns `count` rows (all when there are fewer), each class in proportion.

    Raises:
        DataError: There are no rows, or none are asked for.
    """
    if len(rows) == 0 or count < 1:
        raise DataError(
            f"Expected rows to draw from and at least 1 to draw, received {len(rows)} rows and "
            f"{count} to draw. Give calibration rows like those that the model will serve."
        )
    if count >= len(rows):
        return rows
    return rows.take(np.sort(_spread(_stratified_order(rows, seed), count)[0]))


def joined(first: Rows, second: Rows) -> Rows:
    """Returns the rows of both, in this order; they come from one table."""

    def both(one: Mapping[str, Array], other: Mapping[str, Array]) -> dict[str, Array]:
        return {name: np.concatenate([values, other[name]]) for name, values in one.items()}

    labels = None
    if first.labels is not None and second.labels is not None:
        labels = np.concatenate([first.labels, second.labels])
    return Rows(
        inputs=both(first.inputs, second.inputs),
        labels=labels,
        slices=both(first.slices, second.slices),
        other_labels=both(first.other_labels, second.other_labels),
        notes=first.notes,
    )


def _stratified_order(rows: Rows, seed: int) -> Array:
    """Returns the row numbers shuffled with the seed, then by stratum."""
    shuffled = np.random.default_rng(seed).permutation(len(rows))
    strata = _strata(rows.labels)
    if strata is None:
        return shuffled
    # Stable: within a stratum the shuffled order stays, so the seed decides which rows are drawn.
    return np.asarray(shuffled[np.argsort(strata[shuffled], kind="stable")])


def _strata(labels: Array | None) -> Array | None:
    """Returns a stratum a row: the class, or a tenth of the range of ranks for numbers."""
    if labels is None or len(labels) == 0:
        return None
    if labels.ndim > 1:
        flat = labels.reshape(len(labels), -1)
        if flat.shape[1] > 1:  # one-hot rows have a class; maps and other vectors have none
            return np.asarray(flat.argmax(axis=1)) if (flat.sum(axis=1) == 1).all() else None
        labels = flat[:, 0]
    values, strata = np.unique(labels, return_inverse=True)
    if len(values) <= _MAX_STRATA:
        return np.asarray(strata)
    # The argsort of an argsort is the rank; tenths of ranks are equally full, those of values not.
    ranks = np.argsort(np.argsort(labels, kind="stable"), kind="stable")
    return np.asarray(ranks * 10 // len(labels))


def _spread(order: Array, count: int) -> tuple[Array, Array]:
    """Returns `count` entries evenly spread over `order`, and the others, in its order."""
    chosen = np.zeros(len(order), dtype=bool)
    # The middle of each of `count` equal stretches: no two positions coincide for count <= length.
    positions = ((np.arange(count) + 0.5) * len(order) / max(count, 1)).astype(np.int64)
    chosen[positions] = True
    return order[chosen], order[~chosen]
