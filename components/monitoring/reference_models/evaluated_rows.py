"""Rows that a model was trained on and others, with its outputs and a matrix of features."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.core.errors import DataError
from tfx_loop.core.texts import listed
from tfx_loop.monitoring.reference_models.feature_matrix import feature_matrices
from tfx_loop.monitoring.reference_models.row_losses import FloatArray


@dataclass(frozen=True, kw_only=True)
class EvaluatedRows:
    """Rows of one side, and what the model answered.

    Attributes:
        features: Of shape (rows, columns), standardised (feature_matrix.py).
        labels: Of shape (rows,): numbers, or classes from 0.
        outputs: Of shape (rows,) a probability or a number, or (rows, classes).
    """

    features: FloatArray
    labels: FloatArray
    outputs: FloatArray

    def __post_init__(self) -> None:
        if not len(self.features) == len(self.labels) == len(self.outputs):
            raise DataError(
                f"Expected features, labels and outputs of the same rows, received "
                f"{len(self.features)}, {len(self.labels)} and {len(self.outputs)}."
            )


def evaluated_rows(
    columns: Sequence[Mapping[str, Any]],
    outputs: Sequence[npt.NDArray[Any]],
    label: str,
    ignored: Collection[str] = (),
) -> tuple[EvaluatedRows, EvaluatedRows]:
    """Returns the rows of members and of others that have a label.

    Args:
        columns: Of each side, by name, of shape (rows,) or (rows, …).
        outputs: What the model answered, of each side.
        label: The column of labels.
        ignored: Columns that say nothing of how hard a row is.

    Raises:
        DataError: The label is not there or holds no numbers, or there are no rows.
    """
    labels = [number_labels(side, label) for side in columns]
    kept = [np.isfinite(side) for side in labels]
    names = ({*columns[0]} & {*columns[1]}) - {label, *ignored}
    features = feature_matrices(
        *(
            {name: side[name][rows] for name in names}
            for side, rows in zip(columns, kept, strict=True)
        )
    )
    members, others = (
        EvaluatedRows(features=x, labels=y[rows], outputs=np.asarray(answers, np.float64)[rows])
        for x, y, rows, answers in zip(features, labels, kept, outputs, strict=True)
    )
    return members, others


def number_labels(columns: Mapping[str, Any], label: str) -> FloatArray:
    """Returns the labels of rows as numbers, of shape (rows,); NaN where one is missing.

    Raises:
        DataError: The column is not there, or does not hold one number a row.
    """
    if label not in columns:
        raise DataError(
            f"Expected the label {label!r} among the columns, received {sorted(columns)}. Name it, "
            "and give transform_graph where Transform makes it."
        )
    values = np.asarray(columns[label])
    values = values.reshape(len(values), -1)
    if values.dtype.kind not in "fiub" or values.shape[1:] != (1,):
        raise DataError(
            f"Expected one number a row as label {label!r}, received such as "
            f"{listed(values[0].tolist(), 3) if len(values) else 'none'}. Number the classes as "
            "the model does."
        )
    return np.asarray(values[:, 0], dtype=np.float64)
