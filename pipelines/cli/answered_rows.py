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
        unlabelled: Rows that were left out, as they have no label.
    """

    rows: "Rows"
    answers: Any
    drawn: float
    others: tuple[str, ...] = ()
    unlabelled: int = 0

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
    predictor: "Predictor",
    path: str,
    args: argparse.Namespace,
    slices: Sequence[str] = (),
    ignored: Sequence[str] = (),
) -> AnsweredRows:
    """Asks a model about the rows of a file.

    Args:
        predictor: The model.
        path: A table of any format.
        args: With `label`, `output`, `max_rows` and `seed`.
        slices: Columns to read beside the features and the label.
        ignored: Columns that the model takes by their names at most: left out of a matrix, unless
            that wants all of them.

    Raises:
        DataError: The rows do not fit the model.
        ConfigError: The model has several outputs, and none of them is named.
    """
    import numpy as np
    import pyarrow as pa

    from tfx_loop.core.errors import ConfigError, DataError
    from tfx_loop.data.tables.table_file import open_table
    from tfx_loop.models.rows.fitting import check_columns, rows_from_table

    whole = open_table(path).read()
    try:
        check_columns(whole.column_names, [args.label])
        labelled = _labelled(whole, args.label)
        table = labelled
        if table.num_rows > args.max_rows:
            order = np.random.default_rng(args.seed).permutation(table.num_rows)[: args.max_rows]
            table = table.take(pa.array(np.sort(order)))
        given = _without(table, predictor, [name for name in ignored if name != args.label], slices)
        rows = rows_from_table(given, predictor.inputs, args.label, slices)
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
    drawn = table.num_rows / labelled.num_rows
    unlabelled = whole.num_rows - labelled.num_rows
    return AnsweredRows(rows, answers[name], drawn, others, unlabelled)


def _labelled(table: Any, label: str) -> Any:
    """Returns the rows that have a label; all where none has, which is refused later on."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.column(label)
    known = column.is_valid()
    if pa.types.is_floating(column.type):
        # What pandas and CSV write for a missing number.
        known = pc.and_(known, pc.invert(pc.fill_null(pc.is_nan(column), True)))
    kept = table.filter(known)
    return kept if kept.num_rows else table


def _without(
    table: Any, predictor: "Predictor", ignored: Sequence[str], slices: Sequence[str]
) -> Any:
    """Returns a table without the columns that are ignored and that the model does not need."""
    import pyarrow as pa

    inputs = {tensor.name: tensor for tensor in predictor.inputs}
    kept = [n for n in table.column_names if n in inputs or n in slices or n not in ignored]
    smaller = table.select(kept)
    if len(inputs) != 1 or {*inputs} & {*table.column_names}:
        return smaller
    (tensor,) = inputs.values()
    width = tensor.shape[-1]
    numbers = sum(
        pa.types.is_integer(f.type) or pa.types.is_floating(f.type) or pa.types.is_boolean(f.type)
        for f in smaller.schema
    )
    # One of them is the label. A matrix that wants more has ignored columns in it: they are fed to
    # the model, and not judged.
    return table if width is not None and numbers - 1 < width else smaller
