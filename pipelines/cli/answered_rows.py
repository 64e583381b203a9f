"""Rows of a file that a model has answered, for the commands that judge a model by its losses."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfx_loop.models.predictor import Predictor
    from tfx_loop.models.rows.splits import Rows


@dataclass(frozen=True)
class AnsweredRows:
    """Rows of a file, drawn by chance where there are more than asked for.

    Attributes:
        rows: As the model takes them, with labels.
        answers: The chosen output, of shape (rows, …).
        drawn: The share of the file's rows that these are.
        others: Columns of the file that were not read.
    """

    rows: "Rows"
    answers: Any
    drawn: float
    others: tuple[str, ...] = ()

    def features(self) -> dict[str, Any]:
        """Returns the columns that the model reads, by their names in the file."""
        if not self.rows.stacked:
            return dict(self.rows.inputs)
        (wide,) = self.rows.inputs.values()
        return {
            name: wide.reshape(len(wide), -1)[:, place]
            for place, name in enumerate(self.rows.stacked)
        }


def answered_rows(
    predictor: "Predictor", path: str, args: argparse.Namespace, slices: Sequence[str] = ()
) -> AnsweredRows:
    """Asks a model about the rows of a file.

    Args:
        predictor: The model.
        path: A table of any format.
        args: With `label`, `output`, `max_rows` and `seed`.
        slices: Columns to read beside the features and the label.

    Raises:
        DataError: The rows do not fit the model.
        ConfigError: The model has several outputs, and none of them is named.
    """
    import numpy as np
    import pyarrow as pa

    from tfx_loop.core.errors import ConfigError, DataError
    from tfx_loop.data.tables.table_file import open_table
    from tfx_loop.models.rows.fitting import rows_from_table

    table = open_table(path).read()
    total = table.num_rows
    if total > args.max_rows:
        order = np.random.default_rng(args.seed).permutation(total)[: args.max_rows]
        table = table.take(pa.array(np.sort(order)))
    try:
        rows = rows_from_table(table, predictor.inputs, args.label, slices)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    answers = predictor.predict(rows.inputs)
    name = args.output or (next(iter(answers)) if len(answers) == 1 else "")
    if name not in answers:
        raise ConfigError(
            f"Expected one of the outputs {', '.join(sorted(answers))} as --output, received "
            f"{name or 'none'}."
        )
    read = {*rows.inputs, *rows.stacked, *slices, args.label}
    others = tuple(column for column in table.column_names if column not in read)
    return AnsweredRows(rows, answers[name], table.num_rows / total, others)
