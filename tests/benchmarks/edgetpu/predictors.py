"""Who says what will map: the analyser, and simpler ways to guess."""

from collections.abc import Callable, Sequence

from tests.benchmarks.edgetpu.pairs import Pair
from tfx_loop.contracts.edgetpu_report import MappingStatus
from tfx_loop.edge.edgetpu_compiler.graph.partition import on_edge_tpu
from tfx_loop.edge.edgetpu_compiler.rules.analyser import analyse
from tfx_loop.edge.edgetpu_compiler.rules.operator_rules import activations
from tfx_loop.edge.edgetpu_compiler.rules.rule_table import edge_tpu_rules
from tfx_loop.models.tflite.model import Subgraph

Predictor = Callable[[Pair], Sequence[MappingStatus]]


def all_mapped(pair: Pair) -> list[MappingStatus]:
    """Everything maps: what a quantised model is hoped to do."""
    return [MappingStatus.MAPPED] * len(pair.left)


def eight_bits(pair: Pair) -> list[MappingStatus]:
    """An operator maps when it works on 8 bits."""
    return [_status(each) for each in _eight_bits(pair.source.main)]


def eight_bits_then_partition(pair: Pair) -> list[MappingStatus]:
    """The same, and everything after the first break stays on the CPU."""
    graph = pair.source.main
    placed = on_edge_tpu(graph, _eight_bits(graph), multiple_subgraphs=False)
    return [_status(index in placed) for index in range(len(pair.left))]


def table_alone(pair: Pair) -> list[MappingStatus]:
    """An operator maps when its operation is in the documented table."""
    operations = edge_tpu_rules().operations
    return [_status(operator.op in operations) for operator in pair.source.main.operators]


def analyser(pair: Pair) -> list[MappingStatus]:
    """The analyser, with all its rules."""
    return [operator.status for operator in analyse(pair.path).operators]


def analyser_without_family(pair: Pair) -> list[MappingStatus]:
    """The analyser without the rules that compiled models of this family had a part in."""
    rules = edge_tpu_rules().without_families({pair.family})
    return [operator.status for operator in analyse(pair.path, rules=rules).operators]


PREDICTORS: dict[str, Predictor] = {
    "all mapped": all_mapped,
    "8-bit check": eight_bits,
    "8-bit check, first run": eight_bits_then_partition,
    "table of operations": table_alone,
    "analyser": analyser,
    "analyser, family left out": analyser_without_family,
}


def _eight_bits(graph: Subgraph) -> list[bool]:
    return [
        all(tensor.type in ("INT8", "UINT8") for tensor in activations(graph, operator))
        for operator in graph.operators
    ]


def _status(mapped: bool) -> MappingStatus:
    return MappingStatus.MAPPED if mapped else MappingStatus.NOT_MAPPED
