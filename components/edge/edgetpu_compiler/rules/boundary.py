"""Operators that stay on the CPU at the end of the Edge TPU subgraph although they could map.

One case is known: a row of positions that is requantised only for an operator of the Edge TPU that
was left on the CPU. In front of DEQUANTIZE, which it never has, the compiler takes it.
"""

from collections.abc import Sequence

from tfx_loop.contracts.edgetpu_report import MappingCode, MappingStatus
from tfx_loop.edge.edgetpu_compiler.rules.operator_rules import OperatorJudgement
from tfx_loop.edge.edgetpu_compiler.rules.rule_table import EdgeTpuRules
from tfx_loop.edge.edgetpu_compiler.rules.size_checks import is_row
from tfx_loop.models.tflite.model import Operator, Subgraph


def leave_requantised_rows(
    graph: Subgraph, placed: Sequence[OperatorJudgement], rules: EdgeTpuRules
) -> list[OperatorJudgement]:
    """Takes QUANTIZE operators of rows out whose results only the CPU uses.

    Args:
        graph: The graph.
        placed: Per operator what became of it when the graph was cut.
        rules: What the compiler maps.
    """
    final = list(placed)
    for operator, judgement in zip(graph.operators, placed, strict=True):
        if judgement.status is not MappingStatus.MAPPED or not _requantises_a_row(graph, operator):
            continue
        users = [user for user in graph.operators if operator.outputs[0] in user.inputs]
        # Without users it is an output of the model, and in front of DEQUANTIZE it is taken.
        if users and all(
            user.op in rules.operations and placed[user.index].status is MappingStatus.NOT_MAPPED
            for user in users
        ):
            final[operator.index] = OperatorJudgement.not_mapped(
                MappingCode.LIMITATION,
                "requantises a row of positions for the CPU alone, which then does it",
                rules.general["requantised_for_the_cpu"],
            )
    return final


def _requantises_a_row(graph: Subgraph, operator: Operator) -> bool:
    if operator.op != "QUANTIZE":
        return False
    source, output = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    return source.type == output.type and is_row(output)
