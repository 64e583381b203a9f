"""The analyser: which operators of a .tflite will run on the Edge TPU, and why not the others.

Each operator is judged alone (`operator_rules.py`); then TensorFlow Lite's partition says which of
those that could map come to stand in the one subgraph that the compiler makes. Where an operator's
own status is unknown, both scenarios are looked at: what they agree on is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tfx_loop.contracts.edgetpu_report import MappingCode, MappingStatus, OperatorStatus
from tfx_loop.edge.edgetpu_compiler.graph.compiled_packages import CompiledSummary, summarise
from tfx_loop.edge.edgetpu_compiler.graph.partition import count_subgraphs, on_edge_tpu
from tfx_loop.edge.edgetpu_compiler.rules.boundary import leave_requantised_rows
from tfx_loop.edge.edgetpu_compiler.rules.operator_rules import OperatorJudgement, judge, refusal
from tfx_loop.edge.edgetpu_compiler.rules.rule_table import EdgeTpuRules, RuleSource, edge_tpu_rules
from tfx_loop.models.tflite.model import EDGETPU_CUSTOM_OP, Operator, Subgraph, TFLiteModel
from tfx_loop.models.tflite.reading import read_model

# SRAM of the Edge TPU, "roughly 8 MB" (coral.ai/docs/edgetpu/compiler).
ON_CHIP_BYTES = 8 * 2**20
# The compiler's logs show 6.4 to 7.9 MiB for parameters; the rest goes to the executable.
# The compiler stores 1.1 to 1.3 times what the source holds (the pairs in tests/benchmarks).
_CACHED_FOR_SURE_BYTES = 5 * 2**20
# Beyond so many doubtful operators only all of them at once and none are tried.
_MAX_DOUBTFUL = 32


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What is expected of a model.

    Attributes:
        operators: In graph order of the main subgraph.
        subgraphs: Edge TPU subgraphs that are expected, or that a compiled model has.
        subgraphs_at_most: Were every unknown operator taken: an upper bound.
        parameter_bytes: Constants of the mapped operators; of a compiled model what it stores.
        fits_on_chip: Whether these parameters stay in the 8 MiB on the chip: yes, no or unknown.
        compiled: Package of a model that is compiled already; None for a source.
        compiler: Version of the compiler that the rules describe.
        open_batch: Whether an input leaves its batch size open.
        refused: Why the compiler would refuse the whole model; empty when it reads it.
        sources: Who stands behind the keys that the operators name.
    """

    operators: tuple[OperatorStatus, ...]
    subgraphs: int
    subgraphs_at_most: int
    parameter_bytes: int
    fits_on_chip: str
    compiler: str
    compiled: CompiledSummary | None = None
    open_batch: bool = False
    refused: str = ""
    sources: Mapping[str, RuleSource] = field(default_factory=dict)

    def count(self, status: MappingStatus) -> int:
        """Returns how many operators have a status."""
        return sum(operator.status is status for operator in self.operators)

    @property
    def mapped_share(self) -> float:
        """Share of the operators that are expected to map; what is unknown does not count."""
        return self.count(MappingStatus.MAPPED) / len(self.operators) if self.operators else 0.0


def analyse(
    source: str | Path | bytes,
    *,
    rules: EdgeTpuRules | None = None,
    multiple_subgraphs: bool = False,
) -> Analysis:
    """Analyses a model, compiled or not.

    Args:
        source: Path or bytes of a .tflite file.
        rules: What the compiler maps; the ones of this release by default.
        multiple_subgraphs: Whether the compiler will run with `--enable_multiple_subgraphs`.

    Raises:
        ModelError: The file is absent, no TensorFlow Lite model, or corrupt.
    """
    model = read_model(source)
    used = rules if rules is not None else edge_tpu_rules()
    if model.compiled:
        return _analyse_compiled(model, used)
    return _analyse_source(model.main, used, multiple_subgraphs)


def mapped_share(path: str | Path) -> float:
    """Returns the share of a model's operators that are expected on the Edge TPU: 0 to 1.

    Raises:
        ModelError: The file is absent, no TensorFlow Lite model, or corrupt.
    """
    return analyse(path).mapped_share


def _analyse_source(graph: Subgraph, rules: EdgeTpuRules, multiple_subgraphs: bool) -> Analysis:
    own = [judge(graph, operator, rules) for operator in graph.operators]
    refused = refusal(graph, rules)
    if refused is not None:
        final = [_refused(judgement, refused) for judgement in own]
        least = most = 0
    else:
        # After the cut: what the boundary rule looks at is who stayed on the CPU.
        final = leave_requantised_rows(graph, _place(graph, own, rules, multiple_subgraphs), rules)
        sure = [judgement.status is MappingStatus.MAPPED for judgement in own]
        hoped = [judgement.status is not MappingStatus.NOT_MAPPED for judgement in own]
        least = count_subgraphs(graph, sure, multiple_subgraphs=multiple_subgraphs)
        most = count_subgraphs(graph, hoped, multiple_subgraphs=multiple_subgraphs)
    operators = tuple(
        _status(graph, operator, judgement)
        for operator, judgement in zip(graph.operators, final, strict=True)
    )
    parameters = parameter_bytes(
        graph, [status.index for status in operators if status.status is MappingStatus.MAPPED]
    )
    return Analysis(
        operators=operators,
        subgraphs=least,
        subgraphs_at_most=max(least, most),
        parameter_bytes=parameters,
        fits_on_chip=_fits(parameters),
        compiler=rules.compiler,
        refused=refused.reason if refused is not None else "",
        sources={
            key: rules.sources[key] for key in sorted({k for each in final for k in each.sources})
        },
        open_batch=any(tensor.signature[:1] == (-1,) for tensor in graph.tensors_at(graph.inputs)),
    )


def _place(
    graph: Subgraph, own: Sequence[OperatorJudgement], rules: EdgeTpuRules, multiple_subgraphs: bool
) -> list[OperatorJudgement]:
    """Says what becomes of each operator once the graph is cut."""
    scenarios = [
        on_edge_tpu(graph, taken, multiple_subgraphs=multiple_subgraphs)
        for taken in _scenarios(own)
    ]
    final = []
    for index, judgement in enumerate(own):
        if judgement.status is not MappingStatus.MAPPED:
            placed = any(index in scenario for scenario in scenarios)
            # A doubtful operator behind the break stays on the CPU whatever the doubt is about.
            certain = judgement.status is MappingStatus.UNKNOWN and not placed
            final.append(_after_break(rules) if certain else judgement)
        # Whatever the doubts turn out to be, it maps.
        elif all(index in scenario for scenario in scenarios):
            final.append(judgement)
        elif not any(index in scenario for scenario in scenarios):
            final.append(_after_break(rules))
        else:
            final.append(
                OperatorJudgement(
                    status=MappingStatus.UNKNOWN,
                    code=MappingCode.UNCERTAIN_NEIGHBOUR,
                    reason="is supported, but comes after an operator whose status is unknown",
                    sources=rules.general["after_the_first_subgraph"],
                )
            )
    return final


def _scenarios(own: Sequence[OperatorJudgement]) -> list[list[bool]]:
    """Returns what the compiler may take: all doubtful operators, none, each alone or left."""
    statuses = [judgement.status for judgement in own]
    doubtful = [i for i, status in enumerate(statuses) if status is MappingStatus.UNKNOWN]
    none = [status is MappingStatus.MAPPED for status in statuses]
    every = [status is not MappingStatus.NOT_MAPPED for status in statuses]
    # Both ends, and each doubt alone against them: all combinations would be 2^n partitions.
    scenarios = [none]
    if doubtful:
        scenarios.append(every)
    if 1 < len(doubtful) <= _MAX_DOUBTFUL:
        for index in doubtful:
            scenarios += [
                [taken or at == index for at, taken in enumerate(none)],
                [taken and at != index for at, taken in enumerate(every)],
            ]
    return scenarios


def _after_break(rules: EdgeTpuRules) -> OperatorJudgement:
    return OperatorJudgement.not_mapped(
        MappingCode.AFTER_THE_FIRST_SUBGRAPH,
        "is supported, but needs a result of the CPU: the compiler makes one subgraph",
        rules.general["after_the_first_subgraph"],
    )


def _refused(judgement: OperatorJudgement, refused: OperatorJudgement) -> OperatorJudgement:
    if judgement.status is MappingStatus.NOT_MAPPED:
        return judgement
    return OperatorJudgement.not_mapped(MappingCode.MODEL_REFUSED, refused.reason, refused.sources)


def _status(graph: Subgraph, operator: Operator, judgement: OperatorJudgement) -> OperatorStatus:
    return OperatorStatus(
        index=operator.index,
        op=operator.name,
        version=operator.version,
        outputs=tuple(graph.output_names(operator)),
        status=judgement.status,
        code=judgement.code,
        reason=judgement.reason,
        sources=judgement.sources,
    )


def parameter_bytes(graph: Subgraph, operators: Sequence[int]) -> int:
    """Returns the bytes of the constants that these operators compute with; each counts once.

    Axes, shapes and paddings are not parameters. An estimate: the compiler pads and reorders.
    """
    # Their constants say shapes and axes, which the compiler turns into instructions.
    shaping = {"RESHAPE", "TRANSPOSE", "PAD", "MEAN", "SUM", "SLICE", "STRIDED_SLICE", "SPLIT"}
    shaping |= {"RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REDUCE_MAX", "REDUCE_MIN"}
    shaping |= {"EXPAND_DIMS", "SQUEEZE"}
    used: dict[int, int] = {}
    for index in operators:
        operator = graph.operators[index]
        if operator.op in shaping:
            continue
        # Its input 0 is the shape of the output, not a parameter.
        skipped = operator.inputs[0] if operator.op == "TRANSPOSE_CONV" else None
        for tensor in graph.tensors_at(operator.inputs):
            if tensor.data is not None and tensor.index != skipped:
                # By index: weights that two operators share are stored once.
                used[tensor.index] = len(tensor.data)
    return sum(used.values())


def _fits(parameters: int) -> str:
    if parameters <= _CACHED_FOR_SURE_BYTES:
        return "yes"
    return "no" if parameters > ON_CHIP_BYTES else "unknown"


def _analyse_compiled(model: TFLiteModel, rules: EdgeTpuRules) -> Analysis:
    graph = model.main
    summary = summarise(graph)
    operators = []
    for operator in graph.operators:
        compiled = operator.custom == EDGETPU_CUSTOM_OP
        operators.append(
            OperatorStatus(
                index=operator.index,
                op=operator.name,
                version=operator.version,
                outputs=tuple(graph.output_names(operator)),
                status=MappingStatus.MAPPED if compiled else MappingStatus.NOT_MAPPED,
                code=MappingCode.COMPILED if compiled else MappingCode.LEFT_BY_COMPILER,
                reason="compiled for the Edge TPU" if compiled else "left on the CPU",
            )
        )
    return Analysis(
        operators=tuple(operators),
        subgraphs=len(summary.executables_by_subgraph),
        subgraphs_at_most=len(summary.executables_by_subgraph),
        parameter_bytes=summary.cached_parameter_bytes + summary.streamed_parameter_bytes,
        # What does not fit is streamed from the host at every inference.
        fits_on_chip="yes" if not summary.streamed_parameter_bytes else "no",
        compiler=rules.compiler,
        compiled=summary,
    )
