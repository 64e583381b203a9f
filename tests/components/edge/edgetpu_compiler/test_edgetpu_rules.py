"""The rules one by one, on models put together here; and the rules file itself."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from one_operator import MAPPED, NOT_MAPPED, UNKNOWN, judged, one, options
from tflite_builder import TfliteBuilder

from tfx_loop.contracts.edgetpu_report import MappingCode, MappingStatus
from tfx_loop.edge.edgetpu_compiler.rules import rule_table as rules_module
from tfx_loop.edge.edgetpu_compiler.rules.analyser import analyse
from tfx_loop.edge.edgetpu_compiler.rules.checks import CHECKS
from tfx_loop.edge.edgetpu_compiler.rules.rule_table import edge_tpu_rules, rules_from
from tfx_loop.models.tflite.schema import enum_names

RULES_FILE = Path(rules_module.__file__).with_name("rules.json")


def conv(
    kind: str = "CONV_2D", *, bias: bool = True, **changes: Any
) -> tuple[MappingStatus, MappingCode]:
    builder = TfliteBuilder()
    data = builder.input(changes.pop("shape", [1, 8, 8, 4]))
    weights_shape = changes.pop("weights", (6, 3, 3, 4) if kind == "CONV_2D" else (1, 3, 3, 4))
    weights = (
        builder.input(weights_shape)
        if changes.pop("computed", False)
        else builder.constant(
            np.ones(weights_shape),
            changes.pop("dtype", np.int8),
            scales=changes.pop("scales", [0.1]),
        )
    )
    inputs = [data, weights] + ([builder.constant(np.zeros(6))] if bias else [])
    output = builder.tensor(changes.pop("out", [1, 8, 8, 6]))
    version = changes.pop("version", 3)
    name = {"CONV_2D": "Conv2D", "DEPTHWISE_CONV_2D": "DepthwiseConv2D"}[kind]
    fields = {"dilationWFactor": 1, "dilationHFactor": 1, "strideW": 1, "strideH": 1, **changes}
    builder.op(kind, inputs, output, version=version, options=options(name, **fields))
    return judged(builder, output)


def test_convolutions() -> None:
    assert conv() == (MAPPED, MappingCode.SUPPORTED)
    assert conv(bias=False) == (MAPPED, MappingCode.SUPPORTED)
    assert conv(fusedActivationFunction=3) == (MAPPED, MappingCode.SUPPORTED)
    assert conv(scales=[0.1] * 6) == (MAPPED, MappingCode.SUPPORTED), "a scale a channel"
    assert conv(dilationWFactor=2, dilationHFactor=2) == (MAPPED, MappingCode.SUPPORTED)
    assert conv(dilationWFactor=2) == (NOT_MAPPED, MappingCode.LIMITATION)
    assert conv("DEPTHWISE_CONV_2D") == (MAPPED, MappingCode.SUPPORTED)
    assert conv("DEPTHWISE_CONV_2D", dilationHFactor=4) == (NOT_MAPPED, MappingCode.LIMITATION)
    assert conv(computed=True) == (NOT_MAPPED, MappingCode.CONSTANT_PARAMETERS)
    assert conv(weights=(6, 3, 3, 2)) == (UNKNOWN, MappingCode.LIMITATION), "grouped"
    assert conv(shape=[4, 8, 8, 4], out=[4, 8, 8, 6]) == (NOT_MAPPED, MappingCode.RANK), (
        "a batch of 4"
    )
    assert conv(dtype=np.float32, scales=()) == (NOT_MAPPED, MappingCode.DATA_TYPE)


def test_versions() -> None:
    assert conv(version=5) == (MAPPED, MappingCode.SUPPORTED)
    assert conv(version=6) == (NOT_MAPPED, MappingCode.MODEL_REFUSED)
    assert conv("DEPTHWISE_CONV_2D", version=9) == (UNKNOWN, MappingCode.OPERATION_VERSION)
    assert one("RELU", [1, 4], [1, 4], version=2) == (MAPPED, MappingCode.SUPPORTED)
    assert one("RELU", [1, 4], [1, 4], version=9) == (UNKNOWN, MappingCode.OPERATION_VERSION)


@pytest.mark.parametrize(("op", "version"), [("EXP", 2), ("QUANTIZE", 3), ("TRANSPOSE_CONV", 4)])
def test_a_version_that_the_compiler_cannot_read_takes_the_whole_model_down(
    op: str, version: int
) -> None:
    for trap in (version, version - 1):
        builder = TfliteBuilder()
        middle = builder.conv(builder.input([1, 4, 4, 8]), [1, 4, 4, 8], filters=4)
        if op == "TRANSPOSE_CONV":
            weights = builder.constant(np.ones((4, 2, 2, 4)), np.int8, scales=[0.1])
            inputs = [builder.constant([1, 4, 4, 4]), weights, middle]
        else:
            inputs = [middle]
        output = builder.op(op, inputs, builder.tensor([1, 4, 4, 4]), version=trap)
        analysis = analyse(builder.content(output))
        if trap == version:
            assert analysis.mapped_share == 0
            assert analysis.subgraphs == 0
            assert f"{op} version {version}" in analysis.refused
        else:
            assert analysis.operators[0].status is MAPPED
            assert not analysis.refused


@pytest.mark.parametrize(
    ("type_name", "expected"),
    [("INT8", MAPPED), ("UINT8", MAPPED), ("INT16", NOT_MAPPED), ("FLOAT32", NOT_MAPPED)],
)
def test_data_types(type_name: str, expected: MappingStatus) -> None:
    assert one("LOGISTIC", [1, 4], [1, 4], type_name=type_name)[0] is expected


@pytest.mark.parametrize(
    ("positions", "depth", "expected"),
    # 188,416 bytes are 47,104 positions of a word; a depth of 3 is padded to a word.
    [(47_104, 4, MAPPED), (47_105, 4, NOT_MAPPED), (47_104, 3, MAPPED), (47_105, 3, NOT_MAPPED)],
)
def test_one_row_maps_up_to_the_largest_that_is_known(
    positions: int, depth: int, expected: MappingStatus
) -> None:
    assert one("LOGISTIC", [1, 1, positions, depth], [1, 1, positions, depth])[0] is expected


def test_a_byte_without_a_scale_is_not_quantised() -> None:
    builder = TfliteBuilder()
    source = builder.input([1, 4], scale=None)
    output = builder.op("RELU", [source], builder.tensor([1, 4]))
    assert judged(builder, output) == (NOT_MAPPED, MappingCode.DATA_TYPE)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [("INT8", "UINT8", MAPPED), ("FLOAT32", "INT8", NOT_MAPPED), ("INT8", "INT16", NOT_MAPPED)],
)
def test_quantize_needs_eight_bits_on_both_sides(
    before: str, after: str, expected: MappingStatus
) -> None:
    result = one("QUANTIZE", [1, 4], [1, 4], type_name=before, out_type=after)
    assert result[0] is expected


def test_only_three_innermost_dimensions_may_be_above_one() -> None:
    assert one("RELU", [1, 1, 2, 3, 4], [1, 1, 2, 3, 4])[0] is MAPPED
    assert one("RELU", [1, 2, 2, 3, 4], [1, 2, 2, 3, 4]) == (NOT_MAPPED, MappingCode.RANK)
    assert one("RESHAPE", [1, 4, 4, 8], [1, 4, 1, 4, 1, 8], [1, 4, 1, 4, 1, 8]) == (
        NOT_MAPPED,
        MappingCode.RANK,
    )
    assert one("RELU", [4, 4, 8], [4, 4, 8])[0] is MAPPED


@pytest.mark.parametrize("signature", [[1, -1, -1, 3], [-1, -1, 8, 3]])
def test_an_open_shape_does_not_map(signature: list[int]) -> None:
    builder = TfliteBuilder()
    source = builder.input([1, 1, 1, 3], signature=signature)
    output = builder.op("RELU", [source], builder.tensor([1, 1, 1, 3]))
    assert judged(builder, output) == (NOT_MAPPED, MappingCode.DYNAMIC_SHAPE)


def test_an_open_batch_is_read_as_one_and_said() -> None:
    builder = TfliteBuilder()
    source = builder.input([1, 8, 8, 3], signature=[-1, 8, 8, 3])
    output = builder.op("RELU", [source], builder.tensor([1, 8, 8, 3], signature=[-1, 8, 8, 3]))
    analysis = analyse(builder.content(output))
    assert analysis.open_batch
    assert analysis.mapped_share == 1


@pytest.mark.parametrize(
    "op", ["LEAKY_RELU", "HARD_SWISH", "ELU", "DEPTH_TO_SPACE", "ARG_MAX", "CAST", "GATHER_ND"]
)
def test_operations_that_are_not_in_the_table_do_not_map(op: str) -> None:
    assert one(op, [1, 4, 4, 8], [1, 4, 4, 8]) == (NOT_MAPPED, MappingCode.OPERATION)


def test_a_custom_operator_does_not_map_and_keeps_its_name() -> None:
    builder = TfliteBuilder()
    source = builder.input([1, 8])
    output = builder.op("TFLite_Detection_PostProcess", [source], builder.tensor([1, 8]))
    (operator,) = analyse(builder.content(output)).operators
    assert (operator.op, operator.status) == ("TFLite_Detection_PostProcess", NOT_MAPPED)


@pytest.mark.parametrize("op", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_pools_take_no_activation(op: str) -> None:
    for activation, expected in ((0, MAPPED), (1, NOT_MAPPED)):
        table = options("Pool2D", fusedActivationFunction=activation)
        assert one(op, [1, 4, 4, 8], [1, 2, 2, 8], table=table)[0] is expected


def concatenation(*constants: Sequence[float]) -> tuple[MappingStatus, MappingCode]:
    builder = TfliteBuilder()
    inputs = [builder.input([1, 4])]
    inputs += [
        builder.constant([values], np.int8, scales=[0.1], zero_points=[5]) for values in constants
    ]
    output = builder.tensor([1, 4 * len(inputs)])
    builder.op("CONCATENATION", inputs, output, options=options("Concatenation", axis=1))
    return judged(builder, output)


def test_a_concatenated_constant_is_zero_padding() -> None:
    assert concatenation()[0] is MAPPED
    assert concatenation([5, 5, 5, 5])[0] is MAPPED, "zero in its own scale"
    assert concatenation([5, 5, 5, 0]) == (NOT_MAPPED, MappingCode.LIMITATION)
    assert concatenation([5] * 4, [5] * 4) == (NOT_MAPPED, MappingCode.LIMITATION)


def fully_connected(shape: Sequence[int], rows: Sequence[int], **fields: Any) -> MappingStatus:
    builder = TfliteBuilder()
    weights = builder.constant(np.ones((5, shape[-1])), np.int8, scales=[0.1])
    output = builder.tensor([*rows, 5])
    version = fields.pop("version", 4)
    builder.op(
        "FULLY_CONNECTED",
        [builder.input(shape), weights, -1],
        output,
        version=version,
        options=options("FullyConnected", **fields),
    )
    return judged(builder, output)[0]


def test_a_fully_connected_layer_may_have_rows_but_no_new_version() -> None:
    assert fully_connected([1, 8], [1]) is MAPPED
    assert fully_connected([1, 1, 8], [1, 1]) is MAPPED
    assert fully_connected([300, 8], [300]) is MAPPED, "a batch, which is rows to this operation"
    assert fully_connected([1, 1001, 8], [1, 1001]) is UNKNOWN
    assert fully_connected([1, 8], [1], weightsFormat=1) is NOT_MAPPED
    assert fully_connected([1, 8], [1], version=4) is MAPPED
    assert fully_connected([1, 8], [1], version=5) is NOT_MAPPED, "keeps dimensions"


def test_softmax() -> None:
    table = options("Softmax", beta=1.0)
    assert one("SOFTMAX", [1, 1001], [1, 1001], version=2, table=table)[0] is MAPPED
    assert one("SOFTMAX", [1, 16000], [1, 16000], table=table)[0] is MAPPED
    assert one("SOFTMAX", [1, 16001], [1, 16001], table=table)[0] is NOT_MAPPED
    assert one("SOFTMAX", [1, 4, 756, 16], [1, 4, 756, 16], table=table)[0] is MAPPED, "rows"
    assert one("SOFTMAX", [1, 4, 8401, 16], [1, 4, 8401, 16], table=table)[0] is UNKNOWN


def test_reductions() -> None:
    mean = options("Reducer", keepDims=False)
    shape = [1, 7, 7, 10]
    assert one("MEAN", shape, [1, 10], [1, 2], version=2, table=mean)[0] is MAPPED
    assert one("MEAN", shape, [7, 7, 10], [0], table=mean)[0] is NOT_MAPPED
    assert one("MEAN", shape, [7, 7, 10], [-4], table=mean)[0] is NOT_MAPPED
    assert one("MEAN", shape, [1, 7, 7], [3], table=mean)[0] is NOT_MAPPED, "10 channels"
    assert one("MEAN", [1, 7, 7, 12], [1, 7, 7], [-1], table=mean)[0] is MAPPED
    assert one("MEAN", [1, 64, 128, 3], [1, 3], [1, 2], table=mean)[0] is MAPPED
    assert one("MEAN", [1, 112, 112, 32], [1, 32], [1, 2], table=mean)[0] is MAPPED
    assert one("MEAN", [1, 128, 128, 3], [1, 3], [1, 2], table=mean)[0] is UNKNOWN
    assert one("MEAN", [1, 256, 128, 3], [1, 3], [1, 2], table=mean) == (
        NOT_MAPPED,
        MappingCode.SIZE,
    )
    for op in ("SUM", "REDUCE_MAX", "REDUCE_MIN"):
        assert one(op, shape, [1, 10], [1, 2], table=mean)[0] is MAPPED
        assert one(op, shape, [7, 7, 10], [0], table=mean)[0] is NOT_MAPPED


def test_slices_splits_and_pads() -> None:
    shape = [1, 8, 8, 4]
    ends = ([0, 0, 0, 0], [1, 4, 4, 4])
    plain = options("StridedSlice")
    assert one("STRIDED_SLICE", shape, [1, 4, 4, 4], *ends, [1] * 4, table=plain)[0] is MAPPED
    assert one("STRIDED_SLICE", shape, [1, 2, 4, 4], *ends, [1, 2, 1, 1], table=plain)[0] is (
        NOT_MAPPED
    )
    new_axis = options("StridedSlice", newAxisMask=1)
    assert one("STRIDED_SLICE", shape, [1, 4, 4, 4], *ends, [1] * 4, table=new_axis)[0] is (
        NOT_MAPPED
    )
    assert one("SLICE", shape, [1, 4, 4, 4], *ends)[0] is MAPPED
    cut = ([0, 0, 0], [1, 64, 2100], [1, 1, 1])
    assert one("STRIDED_SLICE", [1, 144, 2100], [1, 64, 2100], *cut, table=plain)[0] is NOT_MAPPED
    assert one("STRIDED_SLICE", [1, 80, 2100], [1, 64, 2100], *cut, table=plain)[0] is MAPPED
    split = options("Split", numSplits=1)
    assert one("SPLIT", shape, shape, 3, table=split, data_first=False)[0] is MAPPED
    assert one("SPLIT", shape, shape, 0, table=split, data_first=False)[0] is NOT_MAPPED
    assert one("SPLIT", shape, shape, -4, table=split, data_first=False)[0] is NOT_MAPPED
    inner = [[0, 0], [1, 1], [0, 1], [0, 4]]
    assert one("PAD", shape, [1, 10, 9, 8], inner, version=2)[0] is MAPPED
    assert one("PAD", shape, [2, 8, 8, 4], [[0, 1], [0, 0], [0, 0], [0, 0]])[0] is NOT_MAPPED
    assert one("PACK", [4], [1, 4], table=options("Pack", axis=0))[0] is NOT_MAPPED
    pack = options("Pack", axis=2)
    assert one("PACK", [1, 4], [1, 4, 1], table=pack)[0] is MAPPED
    assert one("PACK", [1, 10, 10, 8], [1, 10, 2, 10, 8], table=pack)[1] is MappingCode.RANK
    assert one("PACK", [1, 64, 1025], [1, 64, 1, 1025], table=pack)[0] is UNKNOWN


def prelu(slopes: Sequence[int]) -> MappingStatus:
    builder = TfliteBuilder()
    alpha = builder.constant(np.ones(slopes), np.int8, scales=[0.1])
    output = builder.tensor([1, 4, 4, 8])
    builder.op("PRELU", [builder.input([1, 4, 4, 8]), alpha], output)
    return judged(builder, output)[0]


def test_a_prelu_has_one_slope_a_channel() -> None:
    assert prelu([1, 1, 8]) is MAPPED
    assert prelu([4, 4, 8]) is NOT_MAPPED


def lstm(*, missing: int | None = None, time_major: bool = False) -> MappingStatus:
    builder = TfliteBuilder()
    data = builder.input([1, 28, 28])
    weights = [
        builder.constant(np.ones((20, 28 if gate < 4 else 20)), np.int8, scales=[0.1])
        for gate in range(8)
    ]
    biases = [builder.constant(np.zeros(20)) for _ in range(4)]
    inputs = [data, *weights, -1, -1, -1, *biases, -1, -1]
    for type_name in ("INT8", "INT16"):
        state = builder.tensor([1, 20], type_name)
        builder.graph.tensors[state].isVariable = True
        inputs.append(state)
    inputs += [-1] * 4
    if missing is not None:
        inputs[missing] = -1
    output = builder.tensor([1, 28, 20])
    table = options("UnidirectionalSequenceLSTM", timeMajor=time_major)
    builder.op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, output, options=table)
    return judged(builder, output)[0]


def test_a_plain_lstm_maps_though_its_state_has_16_bits() -> None:
    assert lstm() is MAPPED
    assert lstm(missing=1) is UNKNOWN
    assert lstm(time_major=True) is UNKNOWN


def test_every_rule_names_a_check_a_source_and_an_operation_that_exist() -> None:
    rules = edge_tpu_rules()
    assert set(rules.operations) <= set(enum_names("BuiltinOperator").values())
    used = {check.check for each in rules.operations.values() for check in each.checks}
    assert used == set(CHECKS)
    named = {key for each in rules.operations.values() for key in each.sources}
    named |= {key for each in rules.operations.values() for c in each.checks for key in c.sources}
    named |= {key for keys in rules.general.values() for key in keys}
    named |= {key for keys in rules.unreadable_sources.values() for key in keys}
    assert named == set(rules.sources), "a source that nobody names, or a name without a source"


def test_a_family_of_models_can_be_left_out() -> None:
    rules = edge_tpu_rules()
    without = rules.without_families({"deeplab"})
    changed = {
        name
        for name, operation in rules.operations.items()
        if operation != without.operations.get(name)
    }
    assert changed == {"RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"}
    assert rules.without_families({"nobody"}) == rules


@pytest.mark.parametrize("breakage", ["version", "source", "empty"])
def test_a_broken_rules_file_is_refused(breakage: str) -> None:
    content = copy.deepcopy(json.loads(RULES_FILE.read_text()))
    if breakage == "version":
        content["schema_version"] = 99
    elif breakage == "source":
        content["operations"]["ADD"]["sources"] = ["hearsay"]
    else:
        content["operations"]["ADD"]["sources"] = []
    with pytest.raises(ValueError, match="Expected"):
        rules_from(content)
