"""The one reader of .tflite files, and the one name of a layer."""

import time

import numpy as np
import pytest
import shared_tables
from ai_edge_litert import schema_py_generated as tables
from edgetpu_pairs import FOLDER, needs_pairs
from tflite_builder import TfliteBuilder
from time_limits import seconds

from tfx_loop.core.errors import ModelError
from tfx_loop.models.tflite import reading
from tfx_loop.models.tflite.layers import computing_operators, layer_name, layers_by_constant
from tfx_loop.models.tflite.reading import read_model
from tfx_loop.models.weights import weights_of

REAL = sorted(p for p in FOLDER.glob("*.tflite") if not p.stem.endswith("_edgetpu"))
SHAPE = [1, 4, 4, 8]


def dense() -> tuple[TfliteBuilder, int]:
    """A model of one CONV_2D, and its output."""
    builder = TfliteBuilder()
    return builder, builder.conv(builder.input(SHAPE), SHAPE, filters=8)


@pytest.mark.parametrize(
    ("tensor", "operator", "expected"),
    [
        (
            "model/norm/add;model/hidden/MatMul;model/hidden/BiasAdd/ReadVariableOp",
            "FULLY_CONNECTED",
            "norm+hidden (fully_connected)",
        ),
        (
            "model/norm/batchnorm/mul_1;model/norm/batchnorm/add_1;model/hidden/MatMul",
            "FULLY_CONNECTED",
            "norm/batchnorm+hidden (fully_connected)",
        ),
        ("StatefulPartitionedCall:0", "SOFTMAX", "StatefulPartitionedCall (softmax)"),
        ("model/hidden/BiasAdd", "CONV_2D", "hidden (conv_2d)"),
    ],
)
def test_layers_have_the_names_that_people_gave_them(tensor, operator, expected):
    assert layer_name(tensor, operator) == expected


@needs_pairs
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_search_and_report_call_each_layer_the_same(path):
    """The search for float layers names operators, the report names weights: both must agree."""
    graph = read_model(path).main
    searched = {
        layer_name(graph.tensors_at(operator.outputs)[0].name, operator.op)
        for operator in computing_operators(graph)
    }
    reported = layers_by_constant(graph)
    assert reported
    assert set(reported.values()) <= searched
    shown = {weight.layer for weight in weights_of(path) if weight.name in reported}
    assert shown <= searched


def test_constant_is_named_after_the_layer_that_reads_it_through_what_unpacks_it():
    builder = TfliteBuilder()
    stored = builder.constant(np.ones((2, 8)), np.float32)
    builder.graph.tensors[stored].name = b"tfl.pseudo_qconst"
    unpacked = builder.op("DEQUANTIZE", [stored], builder.tensor([2, 8], "FLOAT32"))
    output = builder.tensor([1, 2], "FLOAT32", name="model/hidden/MatMul")
    builder.op("FULLY_CONNECTED", [builder.input([1, 8], "FLOAT32"), unpacked, -1], output)
    graph = read_model(builder.content(output)).main
    assert layers_by_constant(graph) == {"tfl.pseudo_qconst": "hidden (fully_connected)"}


def test_constants_are_read_in_type_and_shape_and_not_copied():
    builder, output = dense()
    content = builder.content(output)
    weights, bias = read_model(content).constants
    assert (weights.dtype, weights.values().shape) == ("int8", (8, 1, 1, 8))
    assert not weights.values().flags.owndata
    assert bias.integers() == tuple(bias.values().tolist())
    assert weights.stored_elements == weights.elements == 64
    assert read_model(content).main.operators[0].attributes["strideW"] == 1


def test_open_sizes_are_none():
    builder = TfliteBuilder()
    source = builder.input([1, 8], "FLOAT32", signature=[-1, 8])
    output = builder.op("RELU", [source], builder.tensor([1, 8], "FLOAT32"))
    first, second = read_model(builder.content(output)).main.tensors
    assert (first.open_shape, second.open_shape) == ((None, 8), (1, 8))
    assert first.shape == (1, 8)


def damaged(change) -> bytes:
    builder, output = dense()
    change(builder)
    return builder.content(output)


def set_weights(builder: TfliteBuilder, **values) -> None:
    for name, value in values.items():
        setattr(builder.graph.tensors[1], name, value)


def set_scales(builder: TfliteBuilder, scales, zero_points, axis=0) -> None:
    parameters = builder.graph.tensors[1].quantization
    parameters.scale, parameters.zeroPoint = scales, zero_points
    parameters.quantizedDimension = axis


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda b: setattr(b.model, "version", 2), "version 2"),
        (lambda b: set_weights(b, shape=[9, 1, 1, 8]), "64 bytes for a int8 tensor"),
        (lambda b: set_weights(b, shape=[2**30, 2**30, 2**30]), "64 bytes for a int8 tensor"),
        (lambda b: set_weights(b, shape=[-8, 1, 1, -8]), "shape"),
        (lambda b: set_weights(b, buffer=77), "a tensor in buffer 77 of 3"),
        (lambda b: set_weights(b, type=99), "a tensor of type 99"),
        (lambda b: set_scales(b, [0.1] * 8, [0] * 8, axis=9), "8 scales along axis 9"),
        (lambda b: set_scales(b, [0.1] * 3, [0] * 3), "3 scales along axis 0"),
        (lambda b: set_scales(b, [0.1] * 8, [0] * 3), "3 zero points for 8 scales"),
        (lambda b: setattr(b.graph.operators[0], "inputs", [0, 99, 2]), "an operator of tensor 99"),
        (lambda b: setattr(b.graph.operators[0], "opcodeIndex", 5), "an operator of kind 5"),
        (lambda b: setattr(b.graph, "inputs", [-1]), "an input or output of tensor -1"),
        (lambda b: b.signature({"x": 0}, {"y": 50}), "a signature of tensor 50"),
    ],
)  # fmt: skip
def test_damage_is_told_in_one_line(change, told):
    with pytest.raises(ModelError, match="damaged") as caught:
        read_model(damaged(change))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_scale_for_each_channel_is_read_with_its_axis():
    content = damaged(lambda b: set_scales(b, [0.5] * 8, [0] * 8, axis=3))
    weights = read_model(content).main.tensors[1]
    assert (weights.axis, weights.scales, weights.zero_points) == (3, (0.5,) * 8, (0,) * 8)


def test_scales_without_zero_points_have_zeros():
    content = damaged(lambda b: set_scales(b, [0.5] * 8, None))
    assert read_model(content).main.tensors[1].zero_points == (0,) * 8


def test_data_behind_the_flatbuffer_is_found_and_its_end_is_checked():
    builder, output = dense()
    weights = bytes(np.asarray(builder.model.buffers[1].data))
    buffer = tables.BufferT()
    # A vector of its own size, so that the offset does not move when it is filled in.
    buffer.offset, buffer.size = 2, len(weights)
    builder.model.buffers[1] = buffer
    size = len(builder.content(output))
    buffer.offset = size
    content = builder.content(output)
    assert len(content) == size
    (first, _) = read_model(content + weights).constants
    assert bytes(first.data) == weights
    with pytest.raises(ModelError, match=f"a buffer that ends at {size + 64}"):
        read_model(content + weights[:-1])


def test_custom_operators_are_named_also_where_the_text_is_none():
    builder, output = dense()
    end = builder.op("Odd\udcff".encode("utf-8", "surrogateescape").decode("latin-1"), [output],
                     builder.tensor(SHAPE))  # fmt: skip
    model = read_model(builder.content(end))
    assert model.custom_ops == (model.main.operators[-1].custom,)
    assert not model.compiled


def test_a_folder_in_place_of_a_file_is_told(tmp_path):
    with pytest.raises(ModelError, match=r"received a folder\. Name the file in it"):
        read_model(tmp_path)


@pytest.mark.parametrize("part", shared_tables.PARTS)
def test_entries_that_share_one_table_cost_no_square_of_the_file(part):
    content = shared_tables.hog(part)
    started = time.monotonic()
    with pytest.raises(ModelError, match="share more than 8 times"):
        read_model(content)
    assert time.monotonic() - started < seconds(5)
    assert read_model(shared_tables.thrifty(part))


def test_more_entries_and_numbers_than_any_model_has_are_refused(monkeypatch):
    builder = TfliteBuilder()
    given = builder.input((1, 4))
    for _ in range(20):
        given = builder.op("RELU", [given], builder.tensor((1, 4)))
    content = builder.content(given)
    read_model(content)
    for limit in ("_MAX_ENTRIES", "_MAX_NUMBERS"):
        with monkeypatch.context() as change:
            change.setattr(reading, limit, 30)
            with pytest.raises(ModelError, match="more than 30"):
                read_model(content)
