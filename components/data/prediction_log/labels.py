"""Late labels joined to the prediction log, with every row of both accounted for.

Label files are Parquet with `request_id` (text), `instance_index` (whole number), `label` (number)
and `label_time_ms` (whole number, milliseconds UTC). Where a task says so, labels may be texts (the
names of classes) or lists (one-hot rows, sets of labels), in all files alike. SageMaker's ground
truth (JSON lines) is read as well. Nothing is lost silently:

    rows of the label files = matched + unknown_ids + duplicates + wrong_type + after_as_of
    rows of the log         = matched + unlabelled_rows
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.contracts.task import ModelTask
from tfx_loop.core.bucket.trees import open_tree
from tfx_loop.core.errors import DataError
from tfx_loop.core.folders import is_folder, walk_files
from tfx_loop.core.storage import read_bytes
from tfx_loop.data.prediction_log.importers.ground_truth import parse_ground_truth
from tfx_loop.data.prediction_log.reader import identity_keys
from tfx_loop.data.prediction_log.record import LABEL_COLUMNS, Array
from tfx_loop.data.tables.parquet_files import parquet_table

_PARQUET, _TRUTH = ".parquet", ".jsonl"
LABEL_FILE_COLUMNS = ("request_id", "instance_index", "label", "label_time_ms")
_NUMBER = pa.float64()
# Buckets that TFX's file systems do not know without a further library.
_S3 = "s3://"


@dataclass(frozen=True, kw_only=True)
class LabelCounts:
    """Where the rows of the label files and of the log went.

    Attributes:
        matched: Log rows that got their label.
        unknown_ids: Labels whose request id and instance index are not in this log.
        duplicates: Further labels for a row that has one; the earliest label counts, or the latest
            where corrections do.
        conflicting: How many of the duplicates say something else than the label that counts.
        wrong_type: Label rows with a null, a NaN or a value of the wrong type in some column.
        after_as_of: Labels that had not arrived at the time asked about.
        unlabelled_rows: Log rows without a label.
        unusable_files: Label files that could not be read at all.
    """

    matched: int = 0
    unknown_ids: int = 0
    duplicates: int = 0
    conflicting: int = 0
    wrong_type: int = 0
    after_as_of: int = 0
    unlabelled_rows: int = 0
    unusable_files: int = 0


@dataclass(frozen=True, kw_only=True)
class LabelRows:
    """The label rows that can be used, and what could not.

    Attributes:
        table: request_id, instance_index, label, label_time_ms.
        wrong_type: Rows left out for their types.
        unusable: File to reason, for files left out whole.
    """

    table: pa.Table
    wrong_type: int
    unusable: dict[str, str]


def read_labels(labels_dir: str, task: ModelTask | None = None) -> LabelRows:
    """Reads all label files below a folder.

    Args:
        labels_dir: The folder.
        task: What the labels are; None for numbers alone.

    Raises:
        DataError: The folder does not exist, or none of its label files can be used.
    """
    in_s3 = labels_dir.startswith(_S3)
    if not in_s3 and not is_folder(labels_dir):
        raise DataError(
            f"Expected a folder of label files at {labels_dir}, found none. "
            "Make it, empty if no labels have arrived yet."
        )
    tables: list[pa.Table] = []
    unusable: dict[str, str] = {}
    wrong_type = 0
    read = open_tree(labels_dir).read if in_s3 else read_bytes
    for path in label_files(labels_dir):
        try:
            table = _parsed(read(path), path, task)
        except DataError as error:
            unusable[path] = str(error)
            continue
        usable = _usable(table, task)
        kind = usable.schema.field("label").type
        if tables and len(usable) and kind != tables[0].schema.field("label").type:
            unusable[path] = (
                f"Expected labels as in the files before, {tables[0].schema.field('label').type}, "
                f"{path} has {kind}. Write all label files alike."
            )
            continue
        wrong_type += len(table) - len(usable)
        # What holds no label that can be used says nothing of how the others have it.
        tables += [usable] if len(usable) else []
    if unusable and not tables:
        raise DataError("; ".join(unusable.values()))
    table = pa.concat_tables(tables or [_schema(_NUMBER).empty_table()]).combine_chunks()
    return LabelRows(table=table, wrong_type=wrong_type, unusable=unusable)


def label_files(labels_dir: str) -> list[str]:
    """Returns the label files below a folder; of S3 their paths below the address."""
    if labels_dir.startswith(_S3):
        paths = [path for path, _ in open_tree(labels_dir).below("")]
        return [path for path in paths if path.endswith((_PARQUET, _TRUTH))]
    return [*walk_files(labels_dir, _PARQUET), *walk_files(labels_dir, _TRUTH)]


def _parsed(content: bytes, path: str, task: ModelTask | None) -> pa.Table:
    if path.endswith(_TRUTH):
        named = task is not None and bool(task.classes or task.outputs)
        return parse_ground_truth(content, path, named)
    return parse_labels(content, path)


def parse_labels(content: bytes, path: str) -> pa.Table:
    """Returns the four columns of a label file, of whatever types they are.

    Raises:
        DataError: It is no Parquet file, or lacks a column.
    """
    try:
        table = parquet_table(content)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"Expected a Parquet file of labels, {path} is none: {error}") from error
    missing = [name for name in LABEL_FILE_COLUMNS if name not in table.schema.names]
    if missing:
        raise DataError(
            f"Expected the columns {', '.join(LABEL_FILE_COLUMNS)} in {path}, missing: "
            f"{', '.join(missing)}."
        )
    return table.select(list(LABEL_FILE_COLUMNS))


def join_labels(
    rows: pa.Table,
    labels: LabelRows,
    as_of_ms: int | None = None,
    *,
    corrections: bool = False,
) -> tuple[pa.Table, LabelCounts]:
    """Returns the log rows that have a label, with `label` and `label_time_ms` added, and counts.

    Args:
        rows: Prediction records. Of requests that share an id, all rows get its label.
        labels: What `read_labels` returned.
        as_of_ms: Labels with a later label_time_ms have not arrived yet.
        corrections: Of labels that disagree the latest counts, and not the earliest.
    """
    arrived = labels.table
    if as_of_ms is not None:
        arrived = arrived.filter(pc.less_equal(arrived.column("label_time_ms"), as_of_ms))
    # One dictionary for both, so that equal ids get equal keys.
    ids = pa.chunked_array(
        [*rows.column("request_id").chunks, *arrived.column("request_id").chunks], pa.string()
    )
    indices = pa.chunked_array(
        [
            *rows.column("instance_index").cast(pa.int64()).chunks,
            *arrived.column("instance_index").chunks,
        ],
        pa.int64(),
    )
    keys = identity_keys(ids, indices)
    row_keys, label_keys = keys[: len(rows)], keys[len(rows) :]
    first, conflicting = _one_each(label_keys, arrived, latest=corrections)
    # `first` is in the order of unique keys, so what `_match` looks through is sorted.
    matched_rows, matched_labels = _match(row_keys, label_keys[first])
    taken = arrived.take(pa.array(first[matched_labels]))
    labelled = rows.take(pa.array(matched_rows))
    for name in LABEL_COLUMNS:
        labelled = labelled.append_column(name, taken.column(name))
    counts = LabelCounts(
        matched=len(matched_rows),
        unknown_ids=len(first) - len(np.unique(matched_labels)),
        duplicates=len(label_keys) - len(first),
        conflicting=conflicting,
        wrong_type=labels.wrong_type,
        after_as_of=len(labels.table) - len(arrived),
        unlabelled_rows=len(rows) - len(matched_rows),
        unusable_files=len(labels.unusable),
    )
    return labelled.combine_chunks(), counts


def _one_each(keys: Array, labels: pa.Table, *, latest: bool) -> tuple[Array, int]:
    """Returns the positions of each key's label that counts, and how many others contradict it."""
    # Stable: of labels with one time, the first in the files counts, run after run.
    times = labels.column("label_time_ms").to_numpy()
    order = np.argsort(-times if latest else times, kind="stable")
    unique, first_in_order, inverse = np.unique(keys[order], return_index=True, return_inverse=True)
    values = _comparable(labels.column("label"))[order]
    conflicting = np.count_nonzero(values != values[first_in_order][inverse.reshape(-1)])
    return order[first_in_order][: len(unique)], int(conflicting)


def _comparable(column: pa.ChunkedArray) -> Array:
    """Returns labels so that equal ones are equal numbers."""
    if pa.types.is_floating(column.type):
        return np.asarray(column.to_numpy())
    texts = pa.array([str(value) for value in column.to_pylist()], pa.string())
    return np.asarray(texts.dictionary_encode().indices.to_numpy())


def _match(row_keys: Array, label_keys: Array) -> tuple[Array, Array]:
    """Returns positions of rows and of their labels; label_keys are sorted and unique."""
    if len(label_keys) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    # searchsorted returns the length for keys above all others; the comparison drops those.
    places = np.minimum(np.searchsorted(label_keys, row_keys), len(label_keys) - 1)
    matched_rows = np.flatnonzero(label_keys[places] == row_keys)
    return matched_rows, places[matched_rows]


def _usable(table: pa.Table, task: ModelTask | None) -> pa.Table:
    """Returns the rows whose four values have the right types, with canonical types."""
    label = _labels(table.column("label"), task)
    columns = [
        _texts(table.column("request_id")),
        _whole_numbers(table.column("instance_index")),
        label,
        _whole_numbers(table.column("label_time_ms")),
    ]
    typed = pa.table(columns, schema=_schema(label.type))
    valid = pa.array(np.ones(len(typed), dtype=bool))
    for column in typed.columns:
        valid = pc.and_(valid, pc.is_valid(column).combine_chunks())
    index = typed.column("instance_index")
    # The log's instance_index is int32; a larger one would collide in `identity_keys`.
    in_range = pc.and_(pc.greater_equal(index, 0), pc.less(index, 2**31))
    return typed.filter(pc.and_(valid, pc.fill_null(in_range, False).combine_chunks()))


def _schema(label: pa.DataType) -> pa.Schema:
    kinds = (pa.string(), pa.int64(), label, pa.int64())
    return pa.schema(list(zip(LABEL_FILE_COLUMNS, kinds, strict=True)))


def _labels(column: pa.ChunkedArray, task: ModelTask | None) -> pa.ChunkedArray:
    """Returns labels as float64; where the task has classes also as text or lists of either."""
    if task is None or not (task.classes or task.outputs):
        return _numbers(column)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = _NUMBER if not _is_text(kind.value_type) else pa.string()
        rows = [None if row is None or None in row else row for row in column.to_pylist()]
        return pa.chunked_array([pa.array(rows, pa.list_(inner))])
    return _texts(column) if _is_text(kind) else _numbers(column)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.string())
    return _all_null(column, pa.string())


def _numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64(), safe=False)
    if pa.types.is_floating(kind):
        wide = _float64(column)
        return pc.if_else(pc.is_finite(wide), wide, pa.scalar(None, pa.float64()))
    return _all_null(column, pa.float64())


def _whole_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_uint64(kind):
        # int64 ends there: what is larger becomes null in place of an error of the cast.
        fits = pc.less_equal(column, pa.scalar(2**63 - 1, pa.uint64()))
        column = pc.if_else(fits, column, pa.scalar(None, kind))
        return column.cast(pa.int64())
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_floating(kind):
        # Pandas turns a column of whole numbers with a gap into floats.
        wide = _float64(column)
        # From 2^53 on a double no longer holds every whole number.
        whole = pc.and_(pc.equal(pc.floor(wide), wide), pc.less(pc.abs(wide), 2.0**53))
        return pc.if_else(whole, wide, pa.scalar(None, pa.float64())).cast(pa.int64())
    return _all_null(column, pa.int64())


def _float64(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_float16(column.type):
        # Arrow has no cast from float16 (pyarrow 10).
        halves = [chunk.to_numpy(zero_copy_only=False) for chunk in column.chunks]
        return pa.chunked_array([pa.array(h.astype(np.float64)) for h in halves], pa.float64())
    return column.cast(pa.float64())


def _all_null(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array([pa.nulls(len(column), kind)])
