"""Labels join their predictions by identity, and each row is accounted for."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from example_counts import scaled
from hypothesis import given, settings
from hypothesis import strategies as st
from log_rows import batch_of

from tfx_loop.core.errors import DataError
from tfx_loop.data.prediction_log.labels import LabelRows, join_labels, read_labels

SCHEMA = pa.schema(
    [
        ("request_id", pa.string()),
        ("instance_index", pa.int64()),
        ("label", pa.float64()),
        ("label_time_ms", pa.int64()),
    ]
)


def log_of(*requests):
    batches = [batch_of(name, rows) for name, rows in requests]
    return pa.Table.from_batches(batches, schema=batch_of("r").schema)


def write(directory, name, **columns):
    defaults = {"request_id": ["a"], "instance_index": [0], "label": [1.0], "label_time_ms": [5]}
    pq.write_table(pa.table({**defaults, **columns}), directory / name)


def labels_of(rows):
    columns = list(zip(*rows, strict=True)) if rows else [[], [], [], []]
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], SCHEMA)
    return LabelRows(table=table, wrong_type=0, unusable={})


def test_labels_join_by_request_and_instance(tmp_path):
    write(
        tmp_path,
        "x.parquet",
        request_id=["a", "a", "b"],
        instance_index=[1, 0, 0],
        label=[1, 0, 1],
        label_time_ms=[7, 8, 9],
    )
    labelled, counts = join_labels(log_of(("a", 3), ("b", 1)), read_labels(str(tmp_path)))
    found = labelled.select(["request_id", "instance_index", "label", "label_time_ms"]).to_pylist()
    assert [tuple(row.values()) for row in found] == [
        ("a", 0, 0.0, 8),
        ("a", 1, 1.0, 7),
        ("b", 0, 1.0, 9),
    ]
    assert (counts.matched, counts.unlabelled_rows, counts.unknown_ids) == (3, 1, 0)


def test_unknown_ids_and_duplicates_are_counted_and_the_earliest_label_wins():
    rows = [("a", 0, 1.0, 20), ("a", 0, 0.0, 10), ("a", 0, 0.0, 30), ("z", 0, 1.0, 1)]
    labelled, counts = join_labels(log_of(("a", 1)), labels_of(rows))
    assert labelled.column("label").to_pylist() == [0.0]
    assert (counts.duplicates, counts.conflicting, counts.unknown_ids) == (2, 1, 1)


def test_labels_after_as_of_are_not_seen():
    rows = [("a", 0, 1.0, 10), ("a", 1, 1.0, 11)]
    labelled, counts = join_labels(log_of(("a", 2)), labels_of(rows), as_of_ms=10)
    assert len(labelled) == 1
    assert (counts.after_as_of, counts.unlabelled_rows) == (1, 1)


@pytest.mark.parametrize(
    ("columns", "usable"),
    [
        ({"label": ["late", "1"]}, 0),
        ({"label": [None, 1.0]}, 1),
        ({"label": [float("nan"), 1.0]}, 1),
        ({"label": [True, False]}, 2),
        ({"request_id": [1, 2]}, 0),
        ({"request_id": [None, "a"]}, 1),
        ({"instance_index": [0.0, 0.5]}, 1),
        ({"instance_index": [-1, 2**40]}, 0),
        ({"instance_index": pa.array([0, 2**63], pa.uint64())}, 1),
        ({"label_time_ms": ["2013", "2014"]}, 0),
        ({"label_time_ms": [5.0, float("nan")]}, 1),
        ({"request_id": pa.array(["a", "b"]).dictionary_encode()}, 2),
    ],
)
def test_wrong_types_are_counted_row_by_row(tmp_path, columns, usable):
    defaults = {
        "request_id": ["a", "b"],
        "instance_index": [0, 0],
        "label": [1.0, 0.0],
        "label_time_ms": [5, 5],
    }
    write(tmp_path, "x.parquet", **{**defaults, **columns})
    labels = read_labels(str(tmp_path))
    assert len(labels.table) == usable
    assert labels.wrong_type == 2 - usable


def test_an_unusable_file_beside_a_good_one_is_reported(tmp_path):
    write(tmp_path, "good.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"rubbish")
    pq.write_table(pa.table({"request_id": ["a"]}), tmp_path / "thin.parquet")
    labels = read_labels(str(tmp_path))
    _, counts = join_labels(log_of(("a", 1)), labels)
    assert (counts.matched, counts.unusable_files) == (1, 2)
    assert any("missing: instance_index" in reason for reason in labels.unusable.values())


def test_only_unusable_files_are_one_clear_error(tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"rubbish")
    with pytest.raises(DataError, match=r"Expected a Parquet file of labels, .*bad.parquet"):
        read_labels(str(tmp_path))


def test_no_labels_yet_is_no_error_but_no_folder_is(tmp_path):
    labelled, counts = join_labels(log_of(("a", 2)), read_labels(str(tmp_path)))
    assert len(labelled) == 0
    assert "label" in labelled.schema.names
    assert counts.unlabelled_rows == 2
    with pytest.raises(DataError, match="folder of label files"):
        read_labels(str(tmp_path / "missing"))


def test_a_window_without_rows_joins_to_nothing():
    labelled, counts = join_labels(log_of(), labels_of([("a", 0, 1.0, 1)]))
    assert len(labelled) == 0
    assert counts.unknown_ids == 1


LABEL_ROWS = st.lists(
    st.tuples(
        st.sampled_from(["r0", "r1", "r2", "zz"]),
        st.integers(0, 4),
        st.sampled_from([0.0, 1.0]),
        st.integers(0, 20),
    ),
    max_size=20,
)


@settings(max_examples=scaled(100), deadline=None)
@given(st.lists(st.integers(0, 4), max_size=3), LABEL_ROWS, st.integers(0, 20))
def test_every_row_of_log_and_labels_is_accounted_for(sizes, label_rows, as_of_ms):
    log = log_of(*[(f"r{number}", size) for number, size in enumerate(sizes) if size])
    labelled, counts = join_labels(log, labels_of(label_rows), as_of_ms)
    assert counts.matched + counts.unlabelled_rows == len(log)
    assert counts.matched == len(labelled)
    went = counts.matched + counts.unknown_ids + counts.duplicates + counts.after_as_of
    assert went == len(label_rows)
    earliest = {}
    for request, index, label, time_ms in sorted(label_rows, key=lambda row: row[3]):
        if time_ms <= as_of_ms:
            earliest.setdefault((request, index), label)
    for row in labelled.to_pylist():
        assert row["label"] == earliest[row["request_id"], row["instance_index"]]
