"""pandas' frames as Arrow tables, whatever their columns hold."""

from typing import Any

import pyarrow as pa

from tfx_loop.core.errors import DataError

_ARROW_ERRORS = (pa.ArrowException, TypeError, ValueError)
# What a CSV file would hold as well; of anything else the text would be an address in memory.
_SCALARS = (str, bytes, bool, int, float)


def arrow_of_frame(frame: Any, source: str) -> Any:
    """Returns a frame as a pyarrow table, without its index.

    A column whose values mix types, as 1 and "a", is text, as it would be in a CSV file.

    Args:
        frame: A pandas DataFrame.
        source: What errors call it.

    Raises:
        DataError: A name is there twice, or a column holds what is neither text nor a number.
    """
    names = [str(name) for name in frame.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(
            f"Expected each column once in {source}, received {twice} twice. Rename one."
        )
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except _ARROW_ERRORS:
        columns = [_column(frame.iloc[:, place], name, source) for place, name in enumerate(names)]
        return pa.table(columns, names=names)


def _column(series: Any, name: str, source: str) -> Any:
    if hasattr(series, "sparse"):
        series = series.sparse.to_dense()
    try:
        return pa.array(series, from_pandas=True)
    except _ARROW_ERRORS as error:
        values = series.astype(object)
        there = values[series.notna()]
        strange = next((v for v in there if not _is_scalar(v)), None)
        if strange is not None:
            raise DataError(
                f"Expected text, numbers, times or lists in column {name!r} of {source}, received "
                f"{type(strange).__name__}. Drop it, or make text of it."
            ) from error
        texts = [None if lacks else str(v) for v, lacks in zip(values, series.isna(), strict=True)]
        return pa.array(texts, pa.string())


def _is_scalar(value: Any) -> bool:
    # NumPy's numbers and decimals, times and dates print as what they are.
    modules = ("numpy", "decimal", "datetime", "pandas")
    plain = isinstance(value, _SCALARS) or type(value).__module__.split(".")[0] in modules
    return plain and not isinstance(value, complex)
