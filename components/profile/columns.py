"""What type has a column of a table, and how are its values read for binning?

NaN and null are missing. Floats are rounded to float32, because that is what a tf.Example stores:
otherwise 0.7 of a request's JSON and 0.7 of a training row would fall on two sides of an edge.
"""

from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import DataError

FloatArray = npt.NDArray[np.float64]
_FLOAT32_MAX = float(np.finfo(np.float32).max)


class FeatureType(str, Enum):
    """What kind of values a feature has."""

    NUMERIC = "numeric"
    INTEGER = "integer"
    CATEGORICAL = "categorical"


def flat(column: Any) -> Any:
    """Returns one plain array: no chunks, no dictionary, lists of at most one value unpacked.

    Args:
        column: A pyarrow Array or ChunkedArray. An empty or null list is a missing value.

    Raises:
        DataError: A row holds more than one value.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(column, pa.ChunkedArray):  # some pyarrow versions combine into chunks again
        column = pa.concat_arrays(column.chunks)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if is_list(column.type):
        return _unpacked(column)
    return column


def is_list(kind: Any) -> bool:
    """Says whether a pyarrow type holds several values a row."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _unpacked(column: Any) -> Any:
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    if lengths.max(initial=0) > 1:
        raise DataError(
            f"Expected at most one value a row, received up to {lengths.max()}. "
            "Features with several values a row are not profiled: name them in ignore_features."
        )
    values = flat(column.flatten())
    if len(values) == len(column):
        return values
    positions = np.cumsum(lengths) - 1
    return values.take(pa.array(positions, mask=lengths == 0))


def type_of(column: Any) -> FeatureType | None:
    """Returns the type of a flat column; None when it has no type, as every value is null.

    Raises:
        DataError: The column is of a kind that no feature has (a timestamp, a struct).
    """
    kind = column.type
    if pa.types.is_null(kind):
        return None
    if pa.types.is_floating(kind):
        return FeatureType.NUMERIC
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return FeatureType.INTEGER
    if _is_text(kind):
        return FeatureType.CATEGORICAL
    raise DataError(
        f"Expected a column of numbers, integers or strings, received {kind}. "
        "Convert it, or name it in ignore_features."
    )


def _is_text(kind: Any) -> bool:
    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    )


def fits(column: Any, expected: FeatureType) -> bool:
    """Says whether a flat column can be read as `expected`.

    A JSON client may send 5 for 5.0 and 5.0 for 5, so whole floats fit an integer feature.
    """
    try:
        received = type_of(column)
    except DataError:
        return False
    if received is None or received is expected:
        return True
    if expected is FeatureType.NUMERIC:
        return received is FeatureType.INTEGER
    if expected is FeatureType.INTEGER and received is FeatureType.NUMERIC:
        values = numbers(column, expected)
        finite = values[np.isfinite(values)]
        return bool(np.all(finite == np.floor(finite)))
    return False


def numbers(column: Any, feature_type: FeatureType) -> FloatArray:
    """Returns a flat column of numbers as float64 with NaN for missing, of shape (rows,)."""
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if pa.types.is_float16(column.type):
        column = pa.array(column.to_numpy(zero_copy_only=False).astype(np.float32))
    column = column.cast(pa.float64(), safe=False)
    values: FloatArray = column.to_numpy(zero_copy_only=False)
    if feature_type is FeatureType.NUMERIC:
        return _as_stored(values)
    return values


def _as_stored(values: FloatArray) -> FloatArray:
    finite = np.isfinite(values)
    clipped = np.where(finite, np.clip(values, -_FLOAT32_MAX, _FLOAT32_MAX), values)
    return clipped.astype(np.float32).astype(np.float64)


def strings(column: Any) -> Any:
    """Returns a flat column of text as a pyarrow string array; bytes that are no UTF-8 escaped."""
    if pa.types.is_null(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.string())
    if pa.types.is_string(column.type):
        return column
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array(
            [
                None if value is None else value.decode("utf-8", "backslashreplace")
                for value in column.to_pylist()
            ],
            pa.string(),
        )
