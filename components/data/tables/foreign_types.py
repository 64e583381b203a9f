"""Column types that libraries add to Arrow's, as types of Arrow's own.

pandas keeps periods as ordinals and intervals as structs, each under a name that Arrow knows only
where pandas was imported before. Elsewhere the name stands in the field's metadata.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_NAME, _DETAILS = b"ARROW:extension:name", b"ARROW:extension:metadata"
_PERIOD, _INTERVAL = "pandas.period", "pandas.interval"
# NumPy's unit by the first letters of pandas' frequency, and how many of it one period has; of
# weeks and years that end elsewhere the beginning is close enough to order rows by.
_UNITS = {
    **dict.fromkeys(("A", "Y"), ("Y", 1)),
    "Q": ("M", 3),
    "M": ("M", 1),
    "W": ("W", 1),
    **dict.fromkeys(("D", "B"), ("D", 1)),
    **dict.fromkeys(("H", "h"), ("h", 1)),
    **dict.fromkeys(("T", "min"), ("m", 1)),
    **dict.fromkeys(("S", "s"), ("s", 1)),
    **dict.fromkeys(("L", "ms"), ("ms", 1)),
    **dict.fromkeys(("U", "us"), ("us", 1)),
    **dict.fromkeys(("N", "ns"), ("ns", 1)),
}
_TIME = pa.timestamp("ms")


def plain_schema(schema: Any) -> Any:
    """Returns a schema with Arrow's own types: periods are times, intervals texts."""
    names = plain_names(schema.names)
    return pa.schema(
        [pa.field(name, _plain_type(field)) for name, field in zip(names, schema, strict=True)]
    )


def plain_names(names: Sequence[str]) -> list[str]:
    """Returns columns' names; one without a name is called as in a CSV file: `Unnamed: 0`."""
    return [name or f"Unnamed: {place}" for place, name in enumerate(names)]


def plain_batch(batch: Any, schema: Any) -> Any:
    """Returns a record batch as `plain_schema` describes it.

    Args:
        batch: Some columns, as Arrow gives them.
        schema: Of all columns, with the metadata of its fields.
    """
    fields = [schema.field(name) for name in batch.schema.names]
    if "" in batch.schema.names:
        called = dict(zip(schema.names, plain_names(schema.names), strict=True))
        names = [called[name] for name in batch.schema.names]
        batch = pa.RecordBatch.from_arrays(batch.columns, names=names)
    if not any(_foreign(field) or _is_extension(field.type) for field in fields):
        return batch
    arrays = [
        _plain_array(column, field) for column, field in zip(batch.columns, fields, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _is_extension(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_extension(kind.value_type)
    return isinstance(kind, pa.BaseExtensionType)


def _foreign(field: Any) -> tuple[str, dict[str, Any]] | None:
    """Returns the name of a type that is not Arrow's own, and its details."""
    kind, metadata = field.type, field.metadata or {}
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if isinstance(kind, pa.BaseExtensionType):
        name = str(kind.extension_name)
        # Of types that Arrow defines itself the storage is what matters.
        details = kind.__arrow_ext_serialize__() if name in (_PERIOD, _INTERVAL) else b"{}"
    elif _NAME in metadata:
        name, details = metadata[_NAME].decode(), metadata.get(_DETAILS, b"{}")
    else:
        return None
    return (name, json.loads(details)) if name in (_PERIOD, _INTERVAL) else (name, {})


def _unit(details: dict[str, Any]) -> tuple[str, int] | None:
    frequency = str(details.get("freq", "")).split("-")[0].removesuffix("E")
    return _UNITS.get(frequency)


def _plain_type(field: Any) -> Any:
    found = _foreign(field)
    if found is None:
        return field.type
    if found[0] == _PERIOD and _unit(found[1]):
        return _TIME
    if found[0] == _INTERVAL:
        return pa.string()
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _plain_array(column: Any, field: Any) -> Any:
    found = _foreign(field)
    if found is None:
        return column
    if pa.types.is_dictionary(column.type):
        # Arrow takes no values of such a dictionary, so its own are made plain, and then taken.
        values = _plain_array(column.dictionary, pa.field(field.name, column.dictionary.type))
        return values.take(column.indices)
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if found[0] == _PERIOD and (unit := _unit(found[1])):
        ordinals = column.fill_null(0).to_numpy(zero_copy_only=False) * unit[1]
        times = ordinals.astype(f"datetime64[{unit[0]}]").astype("datetime64[ms]")
        missing = column.is_null().to_numpy(zero_copy_only=False)
        return pa.array(times.astype(np.int64), _TIME, mask=missing)
    if found[0] == _INTERVAL:
        return _interval_texts(column, str(found[1].get("closed", "right")))
    return column


def _interval_texts(column: Any, closed: str) -> Any:
    """Returns intervals as pandas prints them: (0.0, 0.5]."""
    left, right = (column.field(name).cast(pa.string()) for name in ("left", "right"))
    opening = "[" if closed in ("left", "both") else "("
    closing = "]" if closed in ("right", "both") else ")"
    inner = pc.binary_join_element_wise(left, right, ", ")
    texts = pc.binary_join_element_wise(opening, inner, closing, "")
    return pc.if_else(column.is_valid(), texts, pa.scalar(None, pa.string()))
