"""Type of a column, and its values as they are read for binning.

NaN and null are missing. Floats are rounded to float32, because that is what a tf.Example stores:
otherwise 0.7 of a request's JSON and 0.7 of a training row would fall on two sides of an edge.
"""

from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import DataError

FloatArray = npt.NDArray[np.float64]
# What a tf.Example makes of a larger number would be infinite.
_FLOAT32_MAX = float(np.finfo(np.float32).max)
# A column is bytes, as images are, where most of these rows are no UTF-8.
_LOOKED_AT, _MOSTLY = 1_000, 0.5


class FeatureType(str, Enum):
    """What kind of values a feature has; the last two are counted as derived columns."""

    NUMERIC = "numeric"
    INTEGER = "integer"
    CATEGORICAL = "categorical"
    BOOLEAN = "boolean"
    TEXT = "text"
    MULTIVALENT = "multivalent"


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
    if pa.types.is_integer(kind):
        return FeatureType.INTEGER
    if pa.types.is_boolean(kind):
        return FeatureType.BOOLEAN
    if is_text_type(kind):
        return FeatureType.CATEGORICAL
    raise DataError(
        f"Expected a column of numbers, integers or strings, received {kind}. "
        "Convert it, or name it in ignore_features."
    )


def is_number(kind: Any) -> bool:
    """Says whether a pyarrow type holds one number a row."""
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def is_text_type(kind: Any) -> bool:
    """Says whether a pyarrow type holds strings or bytes, one a row."""
    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    )


def is_bytes(column: Any) -> bool:
    """Says whether a flat column holds bytes that are no UTF-8, such as images; text is none."""
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        return False
    try:
        column.cast(pa.large_string() if pa.types.is_large_binary(column.type) else pa.string())
    except pa.ArrowInvalid:
        # A stray byte in a text is a fault of the data; most rows of images have one.
        return _share_of_bytes(column) > _MOSTLY
    return False


def _share_of_bytes(column: Any) -> float:
    seen = [value for value in column.slice(0, _LOOKED_AT).to_pylist() if value is not None]
    return sum(not _is_utf8(value) for value in seen) / max(len(seen), 1)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def score_column_of(column: Any) -> Any:
    """Returns one score a row: of lists, one number a class, the largest."""
    if not is_list(column.type):
        return column
    rows = column.to_pylist()
    # How sure the model was of its answer: one number a row, whatever the classes are.
    largest = [max((v for v in row or () if v is not None), default=None) for row in rows]
    return pa.array(largest, pa.float64())


def fits(column: Any, expected: FeatureType) -> bool:
    """Says whether a flat column can be read as `expected`.

    A JSON client may send 5 for 5.0 and 5.0 for 5, so whole floats fit an integer feature; and
    where one side has booleans the other may have 0 and 1.
    """
    try:
        received = type_of(column)
    except DataError:
        return False
    if received is None or received is expected:
        return True
    # Text and numbers are never each other: "5" for 5 is a fault that a model notices.
    if FeatureType.CATEGORICAL in (received, expected):
        return False
    return not unfit_numbers(numbers(column, expected), expected).any()


def unfit_numbers(values: npt.NDArray[Any], expected: FeatureType) -> npt.NDArray[np.bool_]:
    """Says which numbers a feature of this type cannot have: fractions, or anything but 0 and 1."""
    if expected is FeatureType.NUMERIC:
        return np.zeros(len(values), dtype=bool)
    with np.errstate(invalid="ignore"):
        # NaN and infinities fit any type here: as missing or infinite values they are faults of
        # their own.
        fitting = values == np.floor(values)
        if expected is FeatureType.BOOLEAN:
            fitting = (values == 0) | (values == 1)
        return np.asarray(~(fitting | ~np.isfinite(values)))


def numbers(column: Any, feature_type: FeatureType) -> FloatArray:
    """Returns a flat column of numbers as float64 with NaN for missing, of shape (rows,)."""
    return raw_numbers(column, feature_type).astype(np.float64, copy=False)


def raw_numbers(column: Any, feature_type: FeatureType) -> npt.NDArray[Any]:
    """Returns the numbers as they are compared: float32 for NUMERIC, else float64.

    Source of the rounding: a tf.Example stores floats as float32. Numbers beyond its range become
    its largest number, so that only infinities are infinite.
    """
    if pa.types.is_null(column.type):
        values: npt.NDArray[Any] = np.full(len(column), np.nan)
    else:
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8())
        values = column.to_numpy(zero_copy_only=False)
    if feature_type is not FeatureType.NUMERIC:
        return values.astype(np.float64, copy=False)
    with np.errstate(over="ignore"):
        stored = values.astype(np.float32, copy=False)
    # Two passes over the values only where the cast made an infinity of one.
    if values.dtype.itemsize > 4 and len(stored) and np.isinf(stored).any():
        clipped = np.copysign(np.float32(_FLOAT32_MAX), stored)
        stored = np.where(np.isinf(stored) & np.isfinite(values), clipped, stored)
    return stored


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
