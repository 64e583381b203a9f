"""Preparation: every rewrite computes the same numbers before and after, in LiteRT."""

import contextlib
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tables
from example_counts import scaled
from hypothesis import given, settings
from tflite_builder import TfliteBuilder, random_values, run_tflite

from tfx_loop.contracts.edgetpu_report import MappingCode
from tfx_loop.core.errors import ModelError
from tfx_loop.edge.edgetpu_compiler.rewrite.preparation import (
    InterfaceType,
    PreparedModel,
    RewriteKind,
    prepare,
    prepare_file,
    prepared_share,
)
from tfx_loop.edge.edgetpu_compiler.rules.analyser import analyse, mapped_share
from tfx_loop.models.tflite.reading import read_model

SHAPE = [1, 4, 4, 8]


def kinds(prepared: PreparedModel) -> list[str]:
    return [rewrite.kind.value for rewrite in prepared.rewrites]


def operations(content: bytes) -> list[tuple[str, int]]:
    return [(operator.op, operator.version) for operator in read_model(content).main.operators]


def transpose_conv(version: int, activation: int = 0) -> bytes:
    builder = TfliteBuilder()
    source = builder.input(SHAPE)
    rng = np.random.default_rng(1)
    weights = builder.constant(rng.integers(-90, 90, (6, 2, 2, 8)), np.int8, scales=[0.02])
    bias = builder.constant(rng.integers(-50, 50, 6), np.int32, scales=[0.002])
    size = builder.constant([1, 8, 8, 6])
    options = tables.TransposeConvOptionsT()
    options.strideH = options.strideW = 2
    options.fusedActivationFunction = activation
    output = builder.tensor([1, 8, 8, 6], scale=0.15, zero_point=-20)
    builder.op(
        "TRANSPOSE_CONV", [size, weights, source, bias], output, version=version, options=options
    )
    return builder.content(output)


def test_transpose_conv_4_without_activation_becomes_3() -> None:
    before = transpose_conv(version=4)
    prepared = prepare(before)
    assert kinds(prepared) == ["version_lowered"]
    assert operations(prepared.content) == [("TRANSPOSE_CONV", 3)]
    values = random_values(SHAPE)
    np.testing.assert_array_equal(
        run_tflite(before, values)[0], run_tflite(prepared.content, values)[0]
    )


@pytest.mark.parametrize(("activation", "name"), [(1, "RELU"), (3, "RELU6")])
def test_fused_activation_of_transpose_conv_becomes_an_operator(activation: int, name: str) -> None:
    before = transpose_conv(version=4, activation=activation)
    prepared = prepare(before)
    assert operations(prepared.content) == [("TRANSPOSE_CONV", 3), (name, 2)]
    for seed in range(5):
        values = random_values(SHAPE, seed=seed)
        expected = run_tflite(before, values)[0]
        np.testing.assert_array_equal(expected, run_tflite(prepared.content, values)[0])
        assert expected.min() == -20, "the activation has to bite for the test to say anything"


@pytest.mark.parametrize("op", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
@pytest.mark.parametrize("type_name", ["INT8", "UINT8"])
@pytest.mark.parametrize("activation", [1, 2, 3])
def test_fused_activation_of_a_pool_becomes_an_operator(
    op: str, type_name: str, activation: int
) -> None:
    builder = TfliteBuilder()
    zero = 0 if type_name == "INT8" else 128
    source = builder.input(SHAPE, type_name, zero_point=zero)
    options = tables.Pool2DOptionsT()
    options.strideH = options.strideW = options.filterHeight = options.filterWidth = 2
    options.fusedActivationFunction = activation
    output = builder.tensor([1, 2, 2, 8], type_name, zero_point=zero)
    builder.op(op, [source], output, version=2 if type_name == "INT8" else 1, options=options)
    before = builder.content(output)
    prepared = prepare(before)
    assert kinds(prepared) == ["activation_separated"]
    assert analyse(before).mapped_share == 0
    assert analyse(prepared.content).mapped_share == 1
    values = random_values(SHAPE, type_name)
    expected = run_tflite(before, values)[0]
    np.testing.assert_array_equal(expected, run_tflite(prepared.content, values)[0])
    assert expected.min() >= zero - 10 * (activation == 2)


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.2, 0.30000001192092896])
@pytest.mark.parametrize("type_name", ["INT8", "UINT8"])
@pytest.mark.parametrize(("scale_in", "scale_out"), [(0.1, 0.1), (0.037, 0.061), (0.2, 0.05)])
def test_leaky_relu_is_a_prelu(
    alpha: float, type_name: str, scale_in: float, scale_out: float
) -> None:
    builder = TfliteBuilder()
    zero = 3 if type_name == "INT8" else 131
    # All 256 values, so that nothing is left to chance.
    source = builder.input([1, 8, 8, 4], type_name, scale=scale_in, zero_point=zero)
    options = tables.LeakyReluOptionsT()
    options.alpha = alpha
    output = builder.tensor([1, 8, 8, 4], type_name, scale=scale_out, zero_point=zero - 7)
    builder.op("LEAKY_RELU", [source], output, version=2, options=options)
    before = builder.content(output)
    prepared = prepare(before)
    assert operations(prepared.content) == [("PRELU", 1)]
    assert analyse(before).operators[0].code is MappingCode.OPERATION
    assert analyse(prepared.content).mapped_share == 1
    dtype = np.int8 if type_name == "INT8" else np.uint8
    values = np.arange(256).astype(np.uint8).view(dtype).reshape(1, 8, 8, 4)
    np.testing.assert_array_equal(
        run_tflite(before, values)[0], run_tflite(prepared.content, values)[0]
    )


def test_split_v_into_equal_parts_is_a_split() -> None:
    builder = TfliteBuilder()
    source = builder.input(SHAPE)
    sizes, axis = builder.constant([4, 4]), builder.constant(3)
    options = tables.SplitVOptionsT()
    options.numSplits = 2
    outputs = [builder.tensor([1, 4, 4, 4]) for _ in range(2)]
    builder.op("SPLIT_V", [source, sizes, axis], outputs, version=2, options=options)
    before = builder.content(*outputs)
    prepared = prepare(before)
    assert operations(prepared.content) == [("SPLIT", 2)]
    assert analyse(prepared.content).mapped_share == 1
    values = random_values(SHAPE)
    for old, new in zip(
        run_tflite(before, values), run_tflite(prepared.content, values), strict=True
    ):
        np.testing.assert_array_equal(old, new)


def test_unequal_split_v_is_left_alone() -> None:
    builder = TfliteBuilder()
    source = builder.input(SHAPE)
    sizes, axis = builder.constant([5, 3]), builder.constant(3)
    options = tables.SplitVOptionsT()
    options.numSplits = 2
    outputs = [builder.tensor([1, 4, 4, 5]), builder.tensor([1, 4, 4, 3])]
    builder.op("SPLIT_V", [source, sizes, axis], outputs, options=options)
    content = builder.content(*outputs)
    assert prepare(content).content == content


def float_interface(inner: str = "INT8") -> bytes:
    builder = TfliteBuilder()
    zero = -5 if inner == "INT8" else 123
    source = builder.input(SHAPE, "FLOAT32", name="image")
    quantised = builder.tensor(SHAPE, inner, scale=0.05, zero_point=zero)
    builder.op("QUANTIZE", [source], quantised, options=tables.QuantizeOptionsT())
    middle = builder.tensor(SHAPE, inner, scale=1 / 256, zero_point=-128 if inner == "INT8" else 0)
    builder.op("LOGISTIC", [quantised], middle, version=2 if inner == "INT8" else 1)
    output = builder.tensor(SHAPE, "FLOAT32", name="probability")
    builder.op("DEQUANTIZE", [middle], output, version=2, options=tables.DequantizeOptionsT())
    builder.signature({"image": source}, {"probability": output})
    return builder.content(output)


@pytest.mark.parametrize("inner", ["INT8", "UINT8"])
@pytest.mark.parametrize("interface", list(InterfaceType))
def test_float_interface_become_eight_bit_and_the_numbers_stay(
    inner: str, interface: InterfaceType
) -> None:
    before = float_interface(inner)
    prepared = prepare(before, interface=interface)
    assert kinds(prepared) == ["eight_bit_input", "eight_bit_output"]
    graph = read_model(prepared.content).main
    source, output = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    wanted = inner if interface is InterfaceType.AS_INSIDE else interface.value.upper()
    assert (source.type, output.type) == (wanted, wanted)
    assert (source.name, output.name) == ("image", "probability")
    assert analyse(prepared.content).mapped_share == 1
    values = random_values(SHAPE, "FLOAT32")
    info = np.iinfo(wanted.lower())
    quantised = np.round(values / np.float32(source.scales[0])) + source.zero_points[0]
    answer = run_tflite(prepared.content, np.clip(quantised, info.min, info.max))[0]
    back = (answer.astype(np.int32) - output.zero_points[0]) * np.float32(output.scales[0])
    np.testing.assert_allclose(back, run_tflite(before, values)[0], atol=1e-6)


def test_the_signature_follows_the_interface() -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=prepare(float_interface()).content)
    runner = interpreter.get_signature_runner("serving_default")
    answer = runner(image=random_values(SHAPE))
    assert answer["probability"].dtype == np.int8


@pytest.mark.parametrize(
    ("have", "want"), [("INT8", InterfaceType.UINT8), ("UINT8", InterfaceType.INT8)]
)
def test_eight_bit_inputs_and_outputs_change_their_sign_on_request(
    have: str, want: InterfaceType
) -> None:
    builder = TfliteBuilder()
    zero = 0 if have == "INT8" else 128
    source = builder.input(SHAPE, have, zero_point=zero)
    output = builder.tensor(SHAPE, have, zero_point=zero)
    builder.op("RELU", [source], output, version=2)
    before = builder.content(output)
    assert prepare(before).content == before
    prepared = prepare(before, interface=want)
    values = random_values(SHAPE, have)
    shifted = (values.view(np.uint8) ^ 128).view(want.value)
    expected = (run_tflite(before, values)[0].view(np.uint8) ^ 128).view(want.value)
    np.testing.assert_array_equal(run_tflite(prepared.content, shifted)[0], expected)


def open_batch() -> bytes:
    """What a converter makes of a Reshape layer whose batch size it was not told."""
    builder = TfliteBuilder()
    source = builder.input(SHAPE, signature=[-1, 4, 4, 8])
    shape = builder.tensor([4], "INT32")
    integers = tables.ShapeOptionsT()
    integers.outType = tables.TensorType.INT32
    builder.op("SHAPE", [source], shape, options=integers)
    ends = [builder.constant([value]) for value in (0, 1, 1)]
    options = tables.StridedSliceOptionsT()
    options.shrinkAxisMask = 1
    batch = builder.tensor([], "INT32")
    builder.op("STRIDED_SLICE", [shape, *ends], batch, options=options)
    packed = builder.tensor([2], "INT32")
    pack = tables.PackOptionsT()
    pack.valuesCount = 2
    builder.op("PACK", [batch, builder.constant(128)], packed, options=pack)
    output = builder.tensor([1, 128], signature=[-1, 128])
    builder.op("RESHAPE", [source, packed], output, options=tables.ReshapeOptionsT())
    return builder.content(output)


def test_a_fixed_batch_folds_the_shapes_that_were_computed() -> None:
    before = open_batch()
    refused = analyse(before)
    assert refused.open_batch
    assert refused.mapped_share == 0
    assert {operator.code for operator in refused.operators} <= {
        MappingCode.OPERATION,
        MappingCode.DATA_TYPE,
        MappingCode.MODEL_REFUSED,
    }
    prepared = prepare(before)
    assert kinds(prepared) == ["batch_fixed"] + ["shape_folded"] * 3
    assert operations(prepared.content) == [("RESHAPE", 1)]
    analysis = analyse(prepared.content)
    assert analysis.mapped_share == 1
    assert not analysis.open_batch
    values = random_values(SHAPE)
    np.testing.assert_array_equal(
        run_tflite(before, values)[0], run_tflite(prepared.content, values)[0]
    )


@pytest.mark.parametrize(
    "make", [float_interface, open_batch, lambda: transpose_conv(4, 1), lambda: transpose_conv(4)]
)
def test_a_prepared_model_needs_no_preparation(make) -> None:  # type: ignore[no-untyped-def]
    once = prepare(make())
    twice = prepare(once.content)
    assert once.rewrites
    assert not twice.rewrites
    assert twice.content == once.content


def test_what_cannot_be_changed_exactly_is_left_and_said() -> None:
    builder = TfliteBuilder()
    source = builder.input([2, 4])
    output = builder.tensor([2, 4], scale=0.5)
    builder.op("EXP", [source], output, version=2, options=tables.ExpOptionsT())
    content = builder.content(output)
    prepared = prepare(content)
    assert prepared.content == content
    assert [line.split(" ")[0] for line in prepared.obstacles] == ["EXP", "t0"]
    assert "batch of 2" in prepared.obstacles[1]


def test_exp_of_floats_written_as_2_is_1() -> None:
    builder = TfliteBuilder()
    source = builder.input([1, 4], "FLOAT32")
    output = builder.tensor([1, 4], "FLOAT32")
    builder.op("EXP", [source], output, version=2, options=tables.ExpOptionsT())
    before = builder.content(output)
    prepared = prepare(before)
    assert operations(prepared.content) == [("EXP", 1)]
    assert len(prepared.obstacles) == 2
    values = random_values([1, 4], "FLOAT32")
    np.testing.assert_array_equal(
        run_tflite(before, values)[0], run_tflite(prepared.content, values)[0]
    )


@pytest.mark.parametrize("version", [3, 4])
def test_quantize_with_one_scale_written_as_3_is_1(version: int) -> None:
    builder = TfliteBuilder()
    source = builder.input(SHAPE)
    output = builder.tensor(SHAPE, "UINT8", scale=0.2, zero_point=100)
    builder.op("QUANTIZE", [source], output, version=version, options=tables.QuantizeOptionsT())
    before = builder.content(output)
    assert analyse(before).mapped_share == 0
    prepared = prepare(before)
    assert operations(prepared.content) == [("QUANTIZE", 1)]
    assert prepared.rewrites[0].kind is RewriteKind.VERSION_LOWERED
    assert analyse(prepared.content).mapped_share == 1
    if version == 3:
        values = random_values(SHAPE)
        np.testing.assert_array_equal(
            run_tflite(before, values)[0], run_tflite(prepared.content, values)[0]
        )


def test_a_code_that_nothing_uses_any_more_is_gone() -> None:
    """The compiler resolves every operator code of the file, used or not."""
    content = prepare(transpose_conv(version=4)).content
    root = tables.ModelT.InitFromObj(tables.Model.GetRootAs(content, 0))
    assert [code.version for code in root.operatorCodes] == [3]


def test_a_file_is_prepared_into_another(tmp_path: Path) -> None:
    source, target = tmp_path / "before.tflite", tmp_path / "after" / "model.tflite"
    source.write_bytes(transpose_conv(4, 1))
    prepared = prepare_file(source, target)
    assert target.read_bytes() == prepared.content
    assert mapped_share(source) == 0
    assert prepared_share(source) == mapped_share(target) == 1
    with pytest.raises(ModelError, match="No such file"):
        prepare_file(tmp_path / "absent.tflite", target)
    assert target.read_bytes() == prepared.content


def test_prepare_refuses_what_is_no_model() -> None:
    with pytest.raises(ModelError, match="TFL3"):
        prepare(b"not a model at all")


def test_an_operator_without_its_options_is_one_error() -> None:
    builder = TfliteBuilder()
    output = builder.op("LEAKY_RELU", [builder.input(SHAPE)], builder.tensor(SHAPE))
    with pytest.raises(ModelError, match="inputs and options"):
        prepare(builder.content(output))


@given(st.data())
@settings(max_examples=scaled(100))
def test_a_broken_file_is_one_error_or_is_prepared(data: st.DataObject) -> None:
    content = bytearray(float_interface())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ModelError):
        prepare(bytes(content))
