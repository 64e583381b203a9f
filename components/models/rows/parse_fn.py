"""Features that a user's own function makes of others: of an image its size and brightness, say."""

from typing import Any

import numpy as np
import pyarrow as pa

from tfx_loop.core.errors import DataError, first_line
from tfx_loop.core.import_path import user_function


def parsed_table(table: Any, path: str, keep: tuple[str, ...] = ()) -> Any:
    """Returns the columns that the function at an import path makes of a table's.

    Args:
        table: Arrow table or record batch of features.
        path: `package.module.function` of a function from arrays by name to arrays by name, a row
            for each row; empty leaves the table as it is.
        keep: Columns that stay although the function does not return them, such as the label.

    Raises:
        ConfigError: There is no such function.
        DataError: It fails, or returns another number of rows.
    """
    if not path:
        return table
    function = user_function(path, "parse_fn")
    names = table.schema.names
    columns = {name: _values(table.column(name)) for name in names}
    try:
        made = {name: _array(values) for name, values in dict(function(columns)).items()}
    except Exception as error:  # Whatever a user's function raises.
        raise DataError(
            f"Expected features that {path} makes of {', '.join(names)}, received "
            f"{type(error).__name__}: {first_line(error)} Correct the function."
        ) from error
    if short := {name: len(v) for name, v in made.items() if len(v) != table.num_rows}:
        raise DataError(
            f"Expected {table.num_rows} rows of each feature from {path}, received {short}. Return "
            "a row for each row that came in."
        )
    kept = {name: table.column(name) for name in keep if name in names and name not in made}
    return pa.table({**kept, **made})


def _values(column: Any) -> Any:
    chunked = isinstance(column, pa.ChunkedArray)
    return column.to_numpy() if chunked else column.to_numpy(zero_copy_only=False)


def _array(values: Any) -> Any:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    array = np.asarray(values)
    # An embedding is a list a row.
    return pa.array(list(array) if array.ndim > 1 else array)
