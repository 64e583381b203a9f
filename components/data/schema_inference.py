"""A TFDV schema inferred from the rows of a table, as `tfdv.infer_schema` does without TensorFlow.

A person corrects it and keeps it beside the data: `loop monitor --schema`, DriftMonitor and TFX's
own ExampleValidator hold later rows to it.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import ConfigError, DataError, check_columns, did_you_mean
from tfx_loop.data.tables.table_file import TableFile

# As tfdv.infer_schema has it (max_string_domain_size).
MOST_VALUES = 100
# Values of a domain come again and again: with fewer rows each they are names of the rows.
_ROWS_A_VALUE = 5
_TRAINING, _SERVING = "TRAINING", "SERVING"


@dataclass
class _ColumnSummary:
    """What a column held so far.

    Attributes:
        rows: All rows.
        missing: Rows without a value.
        fewest: Least values of a row that has some.
        most: Most values of a row.
        values: Distinct texts; None for other types, and once they are too many.
    """

    rows: int = 0
    missing: int = 0
    fewest: int | None = None
    most: int = 0
    values: set[str] | None = field(default_factory=set)

    def add(self, column: Any) -> None:
        """Takes more rows."""
        self.rows += len(column)
        self.missing += column.null_count
        present = column.drop_null()
        if not len(present):
            return
        low = high = 1
        if _is_list(present.type):
            limits = pc.min_max(pc.list_value_length(present)).as_py()
            low, high, present = limits["min"], limits["max"], present.flatten().drop_null()
        self.fewest = low if self.fewest is None else min(self.fewest, low)
        self.most = max(self.most, high)
        if self.values is not None:
            self._add_values(present)

    def _add_values(self, present: Any) -> None:
        kind = present.type.value_type if pa.types.is_dictionary(present.type) else present.type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            self.values = None
            return
        assert self.values is not None
        self.values.update(map(str, pc.unique(present).to_pylist()))
        if len(self.values) > MOST_VALUES:
            self.values = None


def infer_schema(table: TableFile, label: str = "", ignored: Collection[str] = ()) -> Any:
    """Returns the Schema message that all rows of a table keep to.

    Args:
        table: The rows.
        label: Column that is there in training and not in serving; empty for none.
        ignored: Columns that the schema leaves out.

    Raises:
        ConfigError: There is no such label, or no such column to ignore.
        DataError: There are no rows.
    """
    from tensorflow_metadata.proto.v0 import schema_pb2

    if not table.rows:
        raise DataError(f"Expected rows in {table.path}, received none: nothing to infer from.")
    if label and label not in table.schema.names:
        raise ConfigError(
            f"Expected a column of {table.path} as label, received {label!r}."
            f"{did_you_mean(label, table.schema.names)}"
        )
    check_columns(ignored, table.schema.names, "to ignore")
    names = [name for name in table.schema.names if name not in set(ignored)]
    seen = {name: _ColumnSummary() for name in names}
    for batch in table.batches(names):
        for name, column in zip(names, batch.columns, strict=True):
            seen[name].add(column)
    schema = schema_pb2.Schema()
    for name in names:
        _describe(schema, name, table.schema.field(name).type, seen[name])
    if label:
        schema.default_environment.extend([_TRAINING, _SERVING])
        (feature,) = [feature for feature in schema.feature if feature.name == label]
        feature.not_in_environment.append(_SERVING)
    return schema


def to_text(schema: Any) -> str:
    """Returns the schema as `schema.pbtxt` holds it."""
    from google.protobuf import text_format

    text: str = text_format.MessageToString(schema, as_utf8=True)
    return text


def _describe(schema: Any, name: str, kind: Any, seen: _ColumnSummary) -> None:
    from tensorflow_metadata.proto.v0 import schema_pb2

    feature = schema.feature.add(name=name)
    inner = kind.value_type if _is_list(kind) else kind
    if pa.types.is_integer(inner) or pa.types.is_boolean(inner):
        feature.type = schema_pb2.INT
    elif pa.types.is_floating(inner):
        feature.type = schema_pb2.FLOAT
    elif not pa.types.is_null(inner):
        feature.type = schema_pb2.BYTES
    if pa.types.is_boolean(inner):
        # TFDV has no type for truth values: they are INT with an empty bool_domain.
        feature.bool_domain.SetInParent()
    if seen.missing < seen.rows:
        feature.presence.min_count = 1
    if not seen.missing:
        feature.presence.min_fraction = 1.0
    if _is_list(kind) and seen.fewest is not None:
        feature.value_count.min, feature.value_count.max = seen.fewest, seen.most
    # A fixed shape says that each row has the value; where some lack it, at most one is said.
    elif not seen.missing:
        feature.shape.dim.add(size=1)
    else:
        feature.value_count.min = feature.value_count.max = 1
    if seen.values and len(seen.values) * _ROWS_A_VALUE <= seen.rows:
        schema.string_domain.add(name=name, value=sorted(seen.values))
        feature.domain = name


def _is_list(kind: Any) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
