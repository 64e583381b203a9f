"""TFRecords of tf.Examples, as TensorFlow writes them, are read as TensorFlow reads them."""

import numpy as np
import pytest

from tfx_loop.core.errors import DataError
from tfx_loop.data.tables.table_file import open_table

pytestmark = pytest.mark.tensorflow


def example(**values):
    import tensorflow as tf

    kinds = {int: ("int64_list", tf.train.Int64List), float: ("float_list", tf.train.FloatList)}
    features = {}
    for name, value in values.items():
        if value is None:
            continue
        listed = value if isinstance(value, list) else [value]
        field, message = kinds.get(
            type(listed[0]) if listed else float, ("bytes_list", tf.train.BytesList)
        )
        features[name] = tf.train.Feature(**{field: message(value=listed)})
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write(path, records, packed=""):
    import tensorflow as tf

    packed = packed or ("GZIP" if str(path).endswith(".gz") else "")
    options = tf.io.TFRecordOptions(compression_type=packed)
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for record in records:
            writer.write(record)
    return str(path)


def rows(count):
    rng = np.random.default_rng(3)
    return [
        {
            "n": int(rng.integers(-9, 9)) if i % 3 else None,
            "x": float(np.float32(rng.normal())),
            "word": [b"a", b"\xff\x00", b""][i % 3],
            "many": [1.0] * (i % 4),
            "late": [7, 8] if i == count - 1 else 7,
        }
        for i in range(count)
    ]


@pytest.mark.parametrize("name", ["rows.tfrecord", "data_tfrecord-00000-of-00001.gz", "unnamed"])
def test_examples_come_back_as_written(tmp_path, name):
    written = rows(500)
    table = open_table(write(tmp_path / name, [example(**row) for row in written]))
    assert (table.format, table.rows) == ("tfrecord", 500)
    assert {field.name: str(field.type) for field in table.schema} == {
        "n": "int64",
        "x": "float",
        "word": "large_binary" if "large" in str(table.schema.field("word").type) else "binary",
        "many": str(table.schema.field("many").type),
        "late": str(table.schema.field("late").type),
    }
    assert "list" in str(table.schema.field("late").type)
    read = [row for batch in table.batches(batch_rows=77) for row in batch.to_pylist()]
    expected = [
        {**row, "late": row["late"] if isinstance(row["late"], list) else [row["late"]]}
        for row in written
    ]
    assert [{**row, "many": row["many"] or []} for row in read] == expected


def test_files_of_a_folder_may_lack_a_feature(tmp_path):
    write(tmp_path / "a.tfrecord", [example(x=1.0)])
    write(tmp_path / "b.tfrecord", [example(x=2.0, n=3)])
    assert open_table(str(tmp_path)).read().to_pydict() == {"n": [None, 3], "x": [1.0, 2.0]}


def test_one_feature_of_two_types_is_refused(tmp_path):
    mixed = write(tmp_path / "mixed.tfrecord", [example(x=1.0), example(x=1)])
    with pytest.raises(DataError, match="one type a feature"):
        open_table(mixed)
    apart = tmp_path / "apart"
    apart.mkdir()
    write(apart / "a.tfrecord", [example(x=1.0)])
    write(apart / "b.tfrecord", [example(x=1)])
    with pytest.raises(DataError, match="one type of column 'x'"):
        open_table(str(apart))


def test_records_that_are_no_examples_and_cut_files_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"tf\.Examples"):
        open_table(write(tmp_path / "other.tfrecord", [b"no example"]))
    path = write(tmp_path / "rows.tfrecord", [example(x=1.0)] * 5)
    whole = (tmp_path / "rows.tfrecord").read_bytes()
    (tmp_path / "rows.tfrecord").write_bytes(whole[:-3])
    with pytest.raises(DataError, match="record 4"):
        open_table(path)


def test_records_that_tensorflow_packed_with_zlib_are_read(tmp_path):
    records = [example(x=float(number), word=b"w" * number) for number in range(2_000)]
    path = write(tmp_path / "rows.tfrecord", records, "ZLIB")
    found = open_table(path).read().to_pydict()
    assert found["x"] == [float(number) for number in range(2_000)]
    assert len(found["word"][-1]) == 1_999
    assert open_table(write(tmp_path / "unnamed", records[:3], "ZLIB")).rows == 3
    whole = (tmp_path / "rows.tfrecord").read_bytes()
    (tmp_path / "rows.tfrecord").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cut or damaged"):
        open_table(path)


def test_sequences_are_refused_and_not_read_by_their_context_alone(tmp_path):
    import tensorflow as tf

    steps = tf.train.FeatureList(feature=[tf.train.Feature()])
    sequence = tf.train.SequenceExample(
        context=tf.train.Example.FromString(example(x=1.0)).features,
        feature_lists=tf.train.FeatureLists(feature_list={"steps": steps}),
    )
    path = write(tmp_path / "rows.tfrecord", [sequence.SerializeToString()] * 5)
    with pytest.raises(DataError, match=r"tf\.SequenceExamples.* Write what"):
        open_table(path)
