"""The analyser on whole graphs: where the break is, what comes after it, what is uncertain."""

import contextlib
import itertools
import time

import hypothesis.strategies as st
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tables
from edgetpu_pairs import FOLDER, needs_pairs, source, twin
from example_counts import scaled
from hypothesis import given, settings
from tflite_builder import TfliteBuilder

from tfx_loop.contracts.edgetpu_report import (
    EDGETPU_REPORT,
    EdgeTpuReason,
    EdgeTpuResult,
    EdgeTpuSpeaker,
    EdgeTpuVerdict,
    ExecutableType,
    MappingCode,
    MappingStatus,
)
from tfx_loop.core.errors import DataError, ModelError
from tfx_loop.core.json_codec import to_json
from tfx_loop.edge.edgetpu_compiler.graph.partition import (
    PartitionRun,
    count_subgraphs,
    on_edge_tpu,
    partition,
)
from tfx_loop.edge.edgetpu_compiler.rules.analyser import analyse, mapped_share, parameter_bytes
from tfx_loop.edge.edgetpu_compiler.rules.analysis_report import (
    mapping_analysis,
    report_of_analysis,
)
from tfx_loop.models.tflite.model import Operator, Subgraph, Tensor
from tfx_loop.models.tflite.reading import read_model

SHAPE = [1, 4, 4, 8]


def chain(*ops: str) -> bytes:
    """A chain of operators of one input and one output."""
    builder = TfliteBuilder()
    tensor = builder.input(SHAPE)
    for op in ops:
        if op == "CONV_2D":
            tensor = builder.conv(tensor, SHAPE, filters=8)
            continue
        # DOUBT is a version that nobody has seen the compiler take or leave.
        name, version = ("RELU", 9) if op == "DOUBT" else (op, 1)
        tensor = builder.op(name, [tensor], builder.tensor(SHAPE), version=version)
    return builder.content(tensor)


def statuses(content: bytes, **keywords: bool) -> str:
    """One letter an operator: m(apped), n(ot), u(nknown)."""
    analysis = analyse(content, **keywords)
    return "".join(operator.status.value[0] for operator in analysis.operators)


def test_what_comes_after_the_break_stays_on_the_cpu() -> None:
    content = chain("CONV_2D", "RELU", "ELU", "CONV_2D", "RELU")
    analysis = analyse(content)
    assert statuses(content) == "mmnnn"
    assert [operator.code for operator in analysis.operators[2:]] == [
        MappingCode.OPERATION,
        MappingCode.AFTER_THE_FIRST_SUBGRAPH,
        MappingCode.AFTER_THE_FIRST_SUBGRAPH,
    ]
    assert analysis.subgraphs == 1


def test_with_multiple_subgraphs_only_the_break_stays() -> None:
    content = chain("CONV_2D", "ELU", "CONV_2D", "ELU", "CONV_2D")
    assert statuses(content, multiple_subgraphs=True) == "mnmnm"
    assert analyse(content, multiple_subgraphs=True).subgraphs == 3


def test_the_first_run_counts_not_the_longest() -> None:
    assert statuses(chain("RELU", "ELU", "CONV_2D", "CONV_2D", "CONV_2D")) == "mnnnn"


def test_a_model_may_begin_on_the_cpu() -> None:
    assert statuses(chain("ELU", "CONV_2D", "RELU", "ELU")) == "nmmn"


def test_a_branch_beside_the_break_still_maps() -> None:
    builder = TfliteBuilder()
    source_tensor = builder.conv(builder.input(SHAPE), SHAPE, filters=8)
    broken = builder.op("ELU", [source_tensor], builder.tensor(SHAPE))
    kept = builder.conv(source_tensor, SHAPE, filters=8)
    joined = builder.op(
        "ADD", [broken, kept], builder.tensor(SHAPE), version=2, options=tables.AddOptionsT()
    )
    assert statuses(builder.content(joined)) == "mnmn"


@pytest.mark.parametrize(
    ("shape", "joins", "expected"),
    [
        ([1, 16, 8], "ADD", "mmnnn"),
        ([1, 4, 4, 8], "ADD", "mmnmn"),
        ([1, 16, 8], "DEQUANTIZE", "mmnmn"),
    ],
)
def test_a_row_requantised_for_what_was_left_stays(
    shape: list[int], joins: str, expected: str
) -> None:
    builder = TfliteBuilder()
    start = builder.conv(builder.input(SHAPE), SHAPE, filters=8)
    row = builder.op("RESHAPE", [start, builder.constant(shape)], builder.tensor(shape))
    broken = builder.op("ELU", [row], builder.tensor(shape))
    rescaled = builder.op("QUANTIZE", [row], builder.tensor(shape, scale=0.2))
    if joins == "ADD":
        end = builder.op("ADD", [rescaled, broken], builder.tensor(shape))
    else:
        end = builder.op("DEQUANTIZE", [rescaled], builder.tensor(shape, "FLOAT32"))
    assert statuses(builder.content(end)) == expected


def test_what_depends_on_an_unknown_operator_is_unknown() -> None:
    content = chain("CONV_2D", "DOUBT", "CONV_2D", "ELU", "CONV_2D", "DOUBT")
    assert statuses(content) == "muunnn"
    analysis = analyse(content)
    assert analysis.operators[2].code is MappingCode.UNCERTAIN_NEIGHBOUR
    assert analysis.operators[4].code is MappingCode.AFTER_THE_FIRST_SUBGRAPH
    assert analysis.operators[5].code is MappingCode.AFTER_THE_FIRST_SUBGRAPH


def test_a_model_that_begins_with_doubt() -> None:
    content = chain("DOUBT", "CONV_2D", "DOUBT", "CONV_2D")
    # The second CONV_2D maps when both doubts do, and not when only the second does not.
    assert statuses(content) == "umuu"
    analysis = analyse(content)
    assert (analysis.subgraphs, analysis.subgraphs_at_most) == (1, 1)


def test_a_shape_computed_at_run_time_ends_the_compilation() -> None:
    builder = TfliteBuilder()
    start = builder.conv(builder.input(SHAPE), SHAPE, filters=8)
    size = builder.input([2], "INT32")
    output = builder.op(
        "RESHAPE", [start, size], builder.tensor([1, 128]), options=tables.ReshapeOptionsT()
    )
    analysis = analyse(builder.content(output))
    assert analysis.mapped_share == 0
    assert analysis.operators[0].code is MappingCode.MODEL_REFUSED
    assert "computed at run time" in analysis.refused


def test_parameter_bytes_count_what_maps_once() -> None:
    builder = TfliteBuilder()
    start = builder.input(SHAPE)
    weights = builder.constant(np.ones((8, 1, 1, 8)), np.int8, scales=[0.1])
    bias = builder.constant(np.zeros(8))
    for _ in range(2):
        start = builder.op(
            "CONV_2D",
            [start, weights, bias],
            builder.tensor(SHAPE),
            version=3,
            options=tables.Conv2DOptionsT(),
        )
    shaped = builder.op("RESHAPE", [start, builder.constant([1, 128])], builder.tensor([1, 128]))
    broken = builder.op("ELU", [shaped], builder.tensor([1, 128]))
    slopes = builder.constant(np.ones((1, 128)), np.int8, scales=[0.1])
    output = builder.op("PRELU", [broken, slopes], builder.tensor([1, 128]))
    analysis = analyse(builder.content(output))
    assert analysis.parameter_bytes == 8 * 8 + 8 * 4
    assert parameter_bytes(read_model(builder.content(output)).main, [4]) == 128
    assert analysis.fits_on_chip == "yes"


@pytest.mark.parametrize(("megabytes", "expected"), [(4, "yes"), (7, "unknown"), (9, "no")])
def test_parameters_against_the_memory_on_the_chip(megabytes: int, expected: str) -> None:
    builder = TfliteBuilder()
    weights = builder.constant(np.zeros((megabytes * 1024, 1024)), np.int8, scales=[0.1])
    output = builder.tensor([1, megabytes * 1024])
    builder.op(
        "FULLY_CONNECTED",
        [builder.input([1, 1024]), weights, -1],
        output,
        version=4,
        options=tables.FullyConnectedOptionsT(),
    )
    analysis = analyse(builder.content(output))
    assert analysis.parameter_bytes == megabytes * 2**20
    assert analysis.fits_on_chip == expected


def graph_of(edges: list[set[int]]) -> Subgraph:
    """A graph whose operator i reads the outputs of the operators in `edges[i]`, all before it."""
    tensors = tuple(
        Tensor(index=index, name=f"t{index}", shape=(1,), type="INT8")
        for index in range(len(edges) + 1)
    )
    operators = tuple(
        Operator(
            index=index,
            op="RELU",
            version=1,
            inputs=tuple(sorted(each + 1 for each in sources)) or (0,),
            outputs=(index + 1,),
        )
        for index, sources in enumerate(edges)
    )
    return Subgraph(tensors=tensors, operators=operators, inputs=(0,), outputs=(len(edges),))


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Subgraph, list[bool]]:
    size = draw(st.integers(1, 12))
    edges = [
        draw(st.sets(st.integers(0, index - 1), max_size=3)) if index else set()
        for index in range(size)
    ]
    return graph_of(edges), draw(st.lists(st.booleans(), min_size=size, max_size=size))


@given(graphs())
def test_a_partition_is_one_and_respects_the_order(drawn: tuple[Subgraph, list[bool]]) -> None:
    graph, taken = drawn
    runs = partition(graph, taken)
    assert sorted(index for run in runs for index in run.operators) == list(range(len(taken)))
    place = {index: at for at, run in enumerate(runs) for index in run.operators}
    for run, following in itertools.pairwise(runs):
        assert run.taken != following.taken, "runs alternate"
    for index, operator in enumerate(graph.operators):
        assert runs[place[index]].taken == taken[index]
        for tensor in operator.inputs:
            assert tensor == 0 or place[tensor - 1] <= place[index]
        # Greedy: an operator waits only for an input of a later run, or for its kind's turn.
        ready = max((place[tensor - 1] for tensor in operator.inputs if tensor), default=0)
        assert place[index] - ready <= 1


@given(graphs())
def test_one_subgraph_is_the_first_of_several(drawn: tuple[Subgraph, list[bool]]) -> None:
    graph, taken = drawn
    first = on_edge_tpu(graph, taken, multiple_subgraphs=False)
    every = on_edge_tpu(graph, taken, multiple_subgraphs=True)
    assert first <= every == {index for index, each in enumerate(taken) if each}
    assert bool(first) == any(taken)
    assert count_subgraphs(graph, taken, multiple_subgraphs=False) == int(any(taken))


def test_the_partition_of_a_known_graph() -> None:
    graph = graph_of([set(), {0}, {0}, {1, 2}, {2}])
    assert partition(graph, [True, False, True, True, True]) == [
        PartitionRun(True, (0, 2, 4)),
        PartitionRun(False, (1,)),
        PartitionRun(True, (3,)),
    ]


@pytest.mark.slow
@given(st.data())
@settings(max_examples=scaled(150))
def test_a_broken_file_is_one_error_or_a_model(data: st.DataObject) -> None:
    content = bytearray(chain("CONV_2D", "RELU", "DOUBT", "ELU"))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0, 4)) if len(content) > 12 else 0):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.integers(0, 255))
    started = time.process_time()
    with contextlib.suppress(ModelError):
        analyse(bytes(content))
    assert time.process_time() - started < 5


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\x00" * 64, b"{}", b"\x1c\x00\x00\x00TFL3"])
def test_what_is_no_model_is_said(content: bytes) -> None:
    with pytest.raises(ModelError, match="Expected a") as caught:
        read_model(content)
    assert "\n" not in str(caught.value)


def test_report_round_trip(tmp_path) -> None:  # type: ignore[no-untyped-def]
    analysis = analyse(chain("CONV_2D", "ELU"))
    report = report_of_analysis(analysis, minimum_share=0.5, rewrites=("one",), settings={"a": 1})
    EDGETPU_REPORT.write(report, tmp_path)
    assert EDGETPU_REPORT.read(tmp_path) == report
    assert report.verdict is EdgeTpuVerdict.PARTLY_MAPPED
    assert report.speaker is EdgeTpuSpeaker.ANALYSER


def test_a_report_of_another_version_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "edgetpu_report.json").write_text('{"schema_version": 99}')
    with pytest.raises(DataError, match="schema_version 1"):
        EDGETPU_REPORT.read(tmp_path)
    (tmp_path / "edgetpu_report.json").write_text('{"schema_version": 1, "verdict": "FINE"}')
    with pytest.raises(DataError, match=r"Expected one of MAPPED.*Run EdgeTPUCompiler"):
        EDGETPU_REPORT.read(tmp_path)


@pytest.mark.parametrize(
    ("ops", "share", "verdict", "reason"),
    [
        (("CONV_2D", "RELU"), 1.0, EdgeTpuVerdict.MAPPED, EdgeTpuReason.ALL_OPERATORS),
        (("ELU", "ELU"), 0.0, EdgeTpuVerdict.NOT_MAPPED, EdgeTpuReason.NOTHING_MAPS),
        (("CONV_2D", "ELU"), 0.5, EdgeTpuVerdict.PARTLY_MAPPED, EdgeTpuReason.SHARE_REACHED),
        (("CONV_2D", "ELU"), 0.6, EdgeTpuVerdict.PARTLY_MAPPED, EdgeTpuReason.SHARE_TOO_LOW),
        (("CONV_2D", "DOUBT"), 0.5, EdgeTpuVerdict.PARTLY_MAPPED, EdgeTpuReason.SHARE_REACHED),
        (("CONV_2D", "DOUBT"), 0.6, EdgeTpuVerdict.UNKNOWN, EdgeTpuReason.SHARE_UNCERTAIN),
        (("DOUBT", "ELU"), 0.0, EdgeTpuVerdict.UNKNOWN, EdgeTpuReason.SHARE_UNCERTAIN),
    ],
)
def test_verdicts(
    ops: tuple[str, ...], share: float, verdict: EdgeTpuVerdict, reason: EdgeTpuReason
) -> None:
    report: EdgeTpuResult = report_of_analysis(analyse(chain(*ops)), minimum_share=share)
    assert (report.verdict, report.reason) == (verdict, reason)


@needs_pairs
def test_a_compiled_model_says_what_it_holds() -> None:
    analysis = analyse(twin())
    assert analysis.compiled is not None
    (executables,) = analysis.compiled.executables_by_subgraph
    assert [executable.type for executable in executables] == [
        ExecutableType.EXECUTION_ONLY,
        ExecutableType.PARAMETER_CACHING,
    ]
    assert {executable.chip for executable in executables} == {"beagle"}
    assert len({executable.caching_token for executable in executables}) == 1
    assert analysis.compiled.cached_parameter_bytes == 192
    assert analysis.compiled.streamed_parameter_bytes == 0
    assert analysis.compiled.minimum_runtime == 13
    assert analysis.compiled.compiler_label == "cl/343520747"
    content = to_json(mapping_analysis(analysis))
    assert content["compiled"] is True
    assert content["operators"][0]["op"] == "edgetpu-custom-op"


@needs_pairs
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9, 0.999])
def test_a_truncated_compiled_model_is_one_error(keep: float) -> None:
    content = twin().read_bytes()
    with pytest.raises(ModelError, match="a damaged file"):
        analyse(content[: int(len(content) * keep)])


def test_a_custom_operator_without_a_package_is_one_error() -> None:
    for options in (None, b"\x00", b"\x01\x02\x03\x04\x05\x06\x07\x08", b"DWN1" * 20):
        builder = TfliteBuilder()
        start = builder.input([1, 8])
        output = builder.op(
            "edgetpu-custom-op", [start], builder.tensor([1, 8]), custom_options=options
        )
        with pytest.raises(ModelError, match="Edge TPU package"):
            analyse(builder.content(output))


@needs_pairs
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*_edgetpu.tflite")), ids=lambda p: p.stem[:40])
def test_no_pair_is_falsely_mapped_and_all_but_one_in_a_hundred_agree(path) -> None:  # type: ignore[no-untyped-def]
    left = {
        name
        for operator in analyse(path).operators
        if operator.status is MappingStatus.NOT_MAPPED
        for name in operator.outputs
    }
    operators = analyse(source(path.stem.removesuffix("_edgetpu"))).operators
    wrong = [
        operator
        for operator in operators
        if (operator.status is MappingStatus.MAPPED) == bool(left & set(operator.outputs))
    ]
    assert not [operator for operator in wrong if operator.status is MappingStatus.MAPPED]
    assert len(wrong) <= len(operators) / 100


@needs_pairs
def test_mapped_share_is_what_the_quantizer_asks_for() -> None:
    assert mapped_share(source()) == 1.0
    assert mapped_share(source("deeplabv3_mnv2_dm05_pascal_quant")) == pytest.approx(64 / 72)
