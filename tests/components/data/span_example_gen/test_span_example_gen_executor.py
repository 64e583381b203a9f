"""SpanExampleGen writes Examples that TensorFlow reads back as they were."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfx_loop.core.errors import DataError

pytestmark = pytest.mark.tensorflow

ROWS = 400
PROPERTIES = {
    "pattern": "span-{SPAN:02d}.parquet",
    "spans": "1,2",
    "key_column": "id",
    "label_column": "late",
    "eval_fraction": 0.25,
    "seed": 3,
}


def span(number):
    """Rows with every kind of value: `row` says which row it was."""
    rows = np.arange(ROWS) + number * 1000
    return pa.table(
        {
            "id": [f"r{row}" for row in rows],
            "row": pa.array(rows, pa.int64()),
            "small": pa.array([None if r % 5 == 0 else r % 100 for r in rows], pa.int32()),
            "wide": pa.array([math.nan if r % 3 == 0 else r / 7 for r in rows], pa.float64()),
            "gap": pa.array([None if r % 4 == 0 else float(r) for r in rows], pa.float32()),
            "name": pa.array([None if r % 6 == 0 else f"Zürich {r % 9}" for r in rows]),
            "empty": pa.array(["" if r % 2 == 0 else "x" for r in rows], pa.large_string()),
            "late": pa.array([None if r % 10 == 0 else float(r % 2) for r in rows]),
        }
    )


@pytest.fixture(scope="module")
def spans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spans")
    for number in (1, 2):
        pq.write_table(span(number), folder / f"span-{number:02d}.parquet")
    return folder


def generate(folder, target, **changes):
    from tfx.types import standard_artifacts

    from tfx_loop.data.span_example_gen.executor import Executor

    examples = standard_artifacts.Examples()
    examples.uri = str(target)
    properties = {"input_base": str(folder), **PROPERTIES, **changes}
    Executor().Do({}, {"examples": [examples]}, properties)
    return examples


def read_back(examples, split):
    """Returns the rows of a split as TensorFlow parses them: None where there is no value."""
    import tensorflow as tf

    kinds = {"row": tf.int64, "small": tf.int64, "wide": tf.float32, "gap": tf.float32}
    kinds |= {"name": tf.string, "empty": tf.string, "late": tf.float32}
    files = tf.io.gfile.glob(f"{examples.uri}/Split-{split}/*")
    records = list(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())
    parsed = tf.io.parse_example(records, {n: tf.io.VarLenFeature(k) for n, k in kinds.items()})
    columns = {}
    for name, sparse in parsed.items():
        values = [None] * len(records)
        for (row, place), value in zip(sparse.indices.numpy(), sparse.values.numpy(), strict=True):
            assert place == 0, "one value a row"
            values[row] = value.decode() if isinstance(value, bytes) else value.item()
        columns[name] = values
    return {row[0]: row for row in zip(*(columns[name] for name in kinds), strict=True)}


@pytest.fixture(scope="module")
def examples(spans, tmp_path_factory):
    return generate(spans, tmp_path_factory.mktemp("examples"))


def test_examples_are_read_back_equal_and_missing_values_are_missing(examples):
    rows = read_back(examples, "train") | read_back(examples, "eval")
    source = pa.concat_tables([span(1), span(2)]).drop(["id"]).to_pylist()
    expected = {}
    for row in source:
        if row["late"] is not None:
            wide = None if math.isnan(row["wide"]) else float(np.float32(row["wide"]))
            expected[row["row"]] = tuple({**row, "wide": wide}.values())
    assert rows == expected


def test_no_row_is_in_both_splits_and_the_share_is_right(examples):
    train, held_out = (read_back(examples, split) for split in ("train", "eval"))
    assert not set(train) & set(held_out)
    assert len(held_out) / (len(train) + len(held_out)) == pytest.approx(0.25, abs=0.05)


def test_the_artifact_says_what_it_holds(examples):
    from tfx.components.util import examples_utils
    from tfx.proto import example_gen_pb2
    from tfx.types import artifact_utils

    assert artifact_utils.decode_split_names(examples.split_names) == ["train", "eval"]
    assert examples.get_string_custom_property("spans") == "1,2"
    assert examples.get_int_custom_property("rows") == 2 * ROWS * 9 // 10
    assert examples.span == 2
    assert examples_utils.get_payload_format(examples) == example_gen_pb2.FORMAT_TF_EXAMPLE
    assert examples_utils.get_file_format(examples) == "tfrecords_gzip"


def test_a_row_stays_held_out_when_more_spans_are_read(spans, examples, tmp_path):
    first = read_back(generate(spans, tmp_path, spans="1"), "eval")
    both = read_back(examples, "eval")
    assert set(first) == {row for row in both if row < 2000}


def test_a_group_is_held_out_as_a_whole_and_is_no_feature(tmp_path):
    rows = span(1)
    days = pa.array([f"day {row % 20}" for row in rows["row"].to_pylist()])
    pq.write_table(rows.append_column("day", days), tmp_path / "span-01.parquet")
    examples = generate(tmp_path, tmp_path / "out", spans="1", group_column="day")
    train, held_out = (read_back(examples, split) for split in ("train", "eval"))
    assert held_out
    assert not {row % 20 for row in train} & {row % 20 for row in held_out}
    import tensorflow as tf

    files = tf.io.gfile.glob(f"{examples.uri}/Split-eval/*")
    record = next(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())
    assert "day" not in tf.train.Example.FromString(record).features.feature


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spans": "1,9"}, r"Expected a span at .*span-09\.parquet, found no file"),
        ({"key_column": "no"}, "Expected a column 'no' in the span"),
        ({"spans": "x"}, "spans must be whole numbers with commas, got 'x'"),
    ],
)
def test_bad_input_is_one_line_that_names_it(spans, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        generate(spans, tmp_path, **changes)


def test_what_is_no_parquet_names_the_file(tmp_path):
    (tmp_path / "span-01.parquet").write_text("rubbish")
    with pytest.raises(DataError, match=r"Expected Parquet in .*span-01\.parquet"):
        generate(tmp_path, tmp_path / "out", spans="1")


def test_spans_without_labels_are_refused(tmp_path):
    rows = span(1)
    unlabelled = pa.array([None] * ROWS, pa.float64())
    rows = rows.set_column(rows.column_names.index("late"), "late", unlabelled)
    pq.write_table(rows, tmp_path / "span-01.parquet")
    with pytest.raises(DataError, match="Expected labelled rows in the split 'train' of the span"):
        generate(tmp_path, tmp_path / "out", spans="1")


def test_a_column_that_no_example_can_hold_is_refused(tmp_path):
    rows = span(1).append_column("when", pa.array([0] * ROWS, pa.timestamp("ms")))
    pq.write_table(rows, tmp_path / "span-01.parquet")
    with pytest.raises(DataError, match="Expected strings, bytes, numbers or lists"):
        generate(tmp_path, tmp_path / "out", spans="1")


def test_a_column_that_changes_its_type_between_spans_is_refused(tmp_path):
    pq.write_table(span(1), tmp_path / "span-01.parquet")
    rows = span(2)
    rows = rows.set_column(rows.column_names.index("row"), "row", pa.array(["x"] * ROWS))
    pq.write_table(rows, tmp_path / "span-02.parquet")
    with pytest.raises(DataError, match="Expected the same columns in the spans 1,2"):
        generate(tmp_path, tmp_path / "out")


def test_a_column_may_be_all_missing_in_one_span(tmp_path):
    pq.write_table(span(1), tmp_path / "span-01.parquet")
    rows = span(2)
    gone = pa.array([None] * ROWS, pa.null())
    rows = rows.set_column(rows.column_names.index("gap"), "gap", gone)
    pq.write_table(rows, tmp_path / "span-02.parquet")
    examples = generate(tmp_path, tmp_path / "out")
    rows = read_back(examples, "train") | read_back(examples, "eval")
    assert all(row[3] is None for number, row in rows.items() if number >= 2000)
    assert any(row[3] is not None for row in rows.values())


def test_a_column_that_is_missing_in_every_row_has_no_values(tmp_path):
    rows = span(1)
    gone = pa.array([None] * ROWS, pa.null())
    rows = rows.set_column(rows.column_names.index("gap"), "gap", gone)
    pq.write_table(rows, tmp_path / "span-01.parquet")
    examples = generate(tmp_path, tmp_path / "out", spans="1")
    rows = read_back(examples, "train") | read_back(examples, "eval")
    assert rows
    assert {row[3] for row in rows.values()} == {None}


LISTS = {
    "fixed": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(8.0)), 2),
    "ragged": pa.array([[1.5], None, [], [2.5, 3.5]]),
    "whole": pa.array([[1, 2], [3], None, [4]], pa.large_list(pa.int32())),
}


def test_lists_of_numbers_are_read_back_in_order(tmp_path):
    import tensorflow as tf

    from tfx_loop.data.span_example_gen.executor import write_examples

    write_examples(str(tmp_path), pa.table(LISTS))
    records = tf.data.TFRecordDataset(tf.io.gfile.glob(f"{tmp_path}/*"), "GZIP")
    for name, column in LISTS.items():
        found = []
        for record in records.as_numpy_iterator():
            feature = tf.train.Example.FromString(record).features.feature[name]
            found.append(list(feature.float_list.value or feature.int64_list.value))
        assert found == [values or [] for values in column.to_pylist()], name


def test_lists_of_words_are_refused(tmp_path):
    from tfx_loop.data.span_example_gen.executor import write_examples

    with pytest.raises(DataError, match="Expected lists of integers or floats, received list"):
        write_examples(str(tmp_path), pa.table({"words": [["a", "b"]]}))
