"""Columns of the log for tf.Examples: the same whatever a request leaves out."""

import numpy as np
import pytest
import tensorflow as tf
from small_examples import example_bytes

from tfx_loop.core.errors import ServerUnavailable
from tfx_loop.deployment.model_server.features import FeatureColumns, schema_types
from tfx_loop.deployment.model_server.log_policy import LogFailures, LogPolicy, Unwritable
from tfx_loop.deployment.model_server.signature import Signature
from tfx_loop.models.saved_model.graph import read_graph
from tfx_loop.models.saved_model.parsed_features import parsed_features
from tfx_loop.models.tensors import TensorSpec

pytestmark = pytest.mark.tensorflow

EXAMPLES = Signature(
    name="serving_default",
    inputs={"examples": TensorSpec(name="examples", shape=(None,), dtype="string")},
    outputs={},
)
PARSED = {"hour": "int64", "delay": "float32", "origin": "string"}


def of(columns, parsed, *examples):
    values = np.empty(len(examples), dtype=object)
    values[:] = [example_bytes(**example) for example in examples]
    found = columns.of(EXAMPLES, {"serving_default": EXAMPLES}, parsed, {"examples": values})
    return {name: (str(column.type), column.to_pylist()) for name, column in found.items()}


def test_examples_leave_lists_of_what_the_model_parses():
    assert of(FeatureColumns(), PARSED, {"hour": [7], "more": [1]}, {"delay": [1.5, 2.5]}) == {
        "hour": ("list<item: int64>", [[7], None]),
        "delay": ("list<item: float>", [None, [1.5, 2.5]]),
        "origin": ("list<item: string>", [None, None]),
    }


def test_optional_features_leave_one_schema():
    columns = FeatureColumns()
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(300):
        given = {name: [v] for name, v in (("hour", 1), ("delay", 0.5)) if rng.random() < 0.5}
        kinds.add(tuple((n, kind) for n, (kind, _) in of(columns, PARSED, given).items()))
    assert len(kinds) == 1


def test_a_schema_says_what_the_graph_does_not():
    from tensorflow_metadata.proto.v0 import schema_pb2

    schema = schema_pb2.Schema()
    for name, kind in (("hour", schema_pb2.INT), ("origin", schema_pb2.BYTES)):
        feature = schema.feature.add()
        feature.name, feature.type = name, kind
    columns = FeatureColumns(schema_types(schema))
    assert of(columns, {}, {"hour": [7]}) == {
        "hour": ("list<item: int64>", [[7]]),
        "origin": ("list<item: string>", [None]),
    }


def test_without_a_schema_columns_are_learned_and_stay():
    columns = FeatureColumns()
    of(columns, {}, {"a": [1]})
    of(columns, {}, {"b": [b"x"]})
    assert of(columns, {}, {"a": [0.5]}) == {
        "a": ("list<item: double>", [[0.5]]),
        "b": ("list<item: string>", [None]),
    }


def test_learned_columns_are_bounded():
    columns = FeatureColumns()
    found = of(columns, {}, {f"f{number}": [1] for number in range(1200)})
    assert len(found) == 1000


def test_redacted_features_are_in_no_column_and_no_key():
    columns = FeatureColumns(redacted=["hour"])
    assert set(of(columns, PARSED, {"hour": [7]})) == {"delay", "origin"}
    pair = [np.array([example_bytes(hour=[hour], delay=[1.0])], dtype=object) for hour in (7, 8)]
    first, second = (columns.without_redacted(EXAMPLES, {"examples": v}) for v in pair)
    assert first["examples"].tolist() == second["examples"].tolist()
    by_column = Signature(
        name="c", inputs={"hour": TensorSpec(name="hour", shape=(None,), dtype="int64")}, outputs={}
    )
    assert columns.without_redacted(by_column, {"hour": np.array([7])}) == {}


@pytest.mark.parametrize("parse", ["dense", "sparse", "ragged", "single"])
def test_the_graph_tells_the_features_that_it_parses(tmp_path, parse):
    kinds = {
        "dense": tf.io.FixedLenFeature([], tf.float32, 0.0),
        "sparse": tf.io.VarLenFeature(tf.float32),
        "ragged": tf.io.RaggedFeature(tf.float32),
        "single": tf.io.FixedLenFeature([], tf.float32, 0.0),
    }
    spec = {"x": kinds[parse], "word": tf.io.VarLenFeature(tf.string)}
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(examples):
        if parse == "single":
            single = tf.io.parse_single_example
            x = tf.map_fn(lambda e: single(e, spec)["x"], examples, fn_output_signature=tf.float32)
        else:
            x = tf.io.parse_example(examples, spec)["x"]
        if parse == "ragged":
            x = x.to_tensor()
        elif parse == "sparse":
            x = tf.sparse.to_dense(x)
        return {"y": x * 2.0}

    module.serve = serve
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": serve})
    assert parsed_features(read_graph(tmp_path)) == {"x": "float32", "word": "string"}


@pytest.mark.parametrize("unwritable", Unwritable)
def test_a_full_disk_is_said_once_and_counted(unwritable, caplog):
    notes = []
    failures = LogFailures(LogPolicy(unwritable=unwritable), notes.append)
    for number in range(50):
        try:
            failures.failed(OSError(28, "No space left on device"), 2, number)
            assert unwritable is Unwritable.SERVE
        except ServerUnavailable:
            assert unwritable is Unwritable.REFUSE
    failures.written()
    failures.written()
    assert caplog.text.count("state=unwritable") == 1
    assert caplog.text.count("state=written_again") == 1
    rows = [(note.rows, note.first_ms, note.last_ms) for note in notes]
    assert rows == ([(100, 0, 49)] if unwritable is Unwritable.SERVE else [])
