"""The judgement of one operator by itself: would the Edge TPU compiler take it, were it alone.

First what holds for every operation (it is in the table, its version, its data types, its rank),
then the limits of its own. The reason is the first one that fails.
"""

import math
from dataclasses import dataclass

from tfx_loop.contracts.edgetpu_report import MappingCode, MappingStatus
from tfx_loop.edge.edgetpu_compiler.graph.operator_in_graph import OperatorInGraph
from tfx_loop.edge.edgetpu_compiler.rules.checks import CHECKS
from tfx_loop.edge.edgetpu_compiler.rules.rule_table import EdgeTpuRules
from tfx_loop.edge.edgetpu_compiler.rules.size_checks import CHECKS as SIZE_CHECKS
from tfx_loop.models.tflite.model import Operator, Subgraph, Tensor

# Inputs that say how, not what: int32 constants beside the activations (axes, shapes, sizes),
# by their positions in tensorflow/lite/kernels.
_HOW = {
    "EXPAND_DIMS": (1,),
    "MEAN": (1,),
    "PAD": (1,),
    "REDUCE_MAX": (1,),
    "REDUCE_MIN": (1,),
    "RESHAPE": (1,),
    "RESIZE_BILINEAR": (1,),
    "RESIZE_NEAREST_NEIGHBOR": (1,),
    "SLICE": (1, 2),
    "SPLIT": (0,),
    "STRIDED_SLICE": (1, 2, 3),
    "SUM": (1,),
    "TRANSPOSE": (1,),
    "TRANSPOSE_CONV": (0,),
}
# Inputs that decide the shape of the output: computed ones make it dynamic.
_SHAPING = {
    **_HOW,
    "BROADCAST_TO": (1,),
    "FILL": (0,),
    "MIRROR_PAD": (1,),
    "PADV2": (1,),
    "RANGE": (0, 1, 2),
    "SPLIT_V": (1, 2),
    "TILE": (1,),
}
# Where the bias stands, an int32 that the 8-bit rule does not cover; input 1 is the weights.
_BIAS = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}


@dataclass(frozen=True, kw_only=True)
class OperatorJudgement:
    """What is expected of an operator, and on whose word."""

    status: MappingStatus
    code: MappingCode
    reason: str
    sources: tuple[str, ...] = ()

    @classmethod
    def not_mapped(
        cls, code: MappingCode, reason: str, sources: tuple[str, ...] = ()
    ) -> "OperatorJudgement":
        """Returns the judgement of an operator that stays on the CPU."""
        return cls(status=MappingStatus.NOT_MAPPED, code=code, reason=reason, sources=sources)


def refusal(graph: Subgraph, rules: EdgeTpuRules) -> OperatorJudgement | None:
    """Says why the compiler refuses the whole model; None when it reads it.

    An operator version that the compiler's TensorFlow Lite does not register, or a tensor whose
    shape is computed at run time, ends the compilation.
    """
    for operator in graph.operators:
        first = rules.unreadable.get(operator.op)
        if first is not None and operator.version >= first:
            return OperatorJudgement.not_mapped(
                MappingCode.OPERATION_VERSION,
                f"compiler {rules.compiler} cannot read a model with {operator.op} version "
                f"{operator.version} (operator {operator.index}); it knows up to {first - 1}",
                rules.unreadable_sources[operator.op],
            )
        for position in _SHAPING.get(operator.op, ()):
            tensor = graph.input(operator, position)
            if tensor is not None and not tensor.is_constant:
                return OperatorJudgement.not_mapped(
                    MappingCode.DYNAMIC_SHAPE,
                    f"the shape of {operator.op} (operator {operator.index}) is computed at "
                    f"run time, and the compiler refuses models with dynamic tensors",
                    rules.general["dynamic_shape"],
                )
    return None


def judge(graph: Subgraph, operator: Operator, rules: EdgeTpuRules) -> OperatorJudgement:
    """Judges one operator by itself."""
    operation = rules.operations.get(operator.op)
    if operation is None:
        return OperatorJudgement.not_mapped(
            MappingCode.OPERATION,
            f"the Edge TPU has no {operator.name}",
            rules.general["operation"],
        )
    if not operator.outputs:
        return OperatorJudgement.not_mapped(MappingCode.LIMITATION, "it has no output")
    subject = OperatorInGraph(graph, operator)
    # From the surest to the least sure: a float operator stays on the CPU whatever its version.
    for general in (_judge_types, _judge_shapes, _judge_rank, _judge_version):
        if (judgement := general(subject, rules)) is not None:
            return judgement
    doubt: OperatorJudgement | None = None
    for check in operation.checks:
        problem = CHECKS[check.check](subject, check.settings)
        if problem is None:
            continue
        judgement = OperatorJudgement(
            status=check.then, code=_code(check.check), reason=problem, sources=check.sources
        )
        if check.then is MappingStatus.NOT_MAPPED:
            return judgement
        # A later check may still be certain that it stays on the CPU.
        doubt = doubt or judgement
    return doubt or OperatorJudgement(
        status=MappingStatus.MAPPED,
        code=MappingCode.SUPPORTED,
        reason="supported",
        sources=operation.sources,
    )


def activations(graph: Subgraph, operator: Operator) -> list[Tensor]:
    """Returns the tensors that hold values: no axes and shapes, no biases, no weights, no state."""
    how = _HOW.get(operator.op, ())
    skipped = {*how, _BIAS.get(operator.op, -1)}
    if operator.op in _BIAS:
        skipped.add(1)
    tensors = []
    for position, index in enumerate(operator.inputs):
        if index == -1 or position in skipped or graph.tensors[index].is_variable:
            continue
        # All inputs of an LSTM but the first are weights, biases and state.
        if operator.op.endswith("LSTM") and position > 0:
            continue
        tensors.append(graph.tensors[index])
    return tensors + graph.tensors_at(operator.outputs)


def _judge_types(subject: OperatorInGraph, rules: EdgeTpuRules) -> OperatorJudgement | None:
    for tensor in activations(subject.graph, subject.operator):
        if tensor.type not in rules.allowed_types:
            problem = f"works on {tensor.type.lower()} ({tensor.name})"
        elif not tensor.scales:
            problem = f"works on {tensor.type.lower()} that is not quantised ({tensor.name})"
        else:
            continue
        return OperatorJudgement.not_mapped(
            MappingCode.DATA_TYPE,
            f"{problem}; the Edge TPU computes on quantised int8 and uint8",
            rules.general["data_types"],
        )
    weights = subject.input(1) if subject.operator.op in _BIAS else None
    if weights is not None and weights.type not in rules.allowed_types:
        return OperatorJudgement.not_mapped(
            MappingCode.DATA_TYPE,
            f"has {weights.type.lower()} weights ({weights.name}); 8 bits are needed",
            rules.general["data_types"],
        )
    return None


def _judge_shapes(subject: OperatorInGraph, rules: EdgeTpuRules) -> OperatorJudgement | None:
    for tensor in activations(subject.graph, subject.operator):
        # An open batch stands as 1 in the shape, which is what the compiler compiles.
        opened = any(size < 0 for size in tensor.signature[1:])
        if opened or any(size < 0 for size in tensor.shape):
            shown = list(tensor.signature or tensor.shape)
            return OperatorJudgement.not_mapped(
                MappingCode.DYNAMIC_SHAPE,
                f"{tensor.name} has the open shape {shown}; sizes have to be constant",
                rules.general["dynamic_shape"],
            )
    return None


def _judge_rank(subject: OperatorInGraph, rules: EdgeTpuRules) -> OperatorJudgement | None:
    for tensor in activations(subject.graph, subject.operator):
        # Further dimensions of size 1 are no dimensions to the chip.
        if math.prod(tensor.shape[: -rules.innermost]) > 1:
            return OperatorJudgement.not_mapped(
                MappingCode.RANK,
                f"{tensor.name} has the shape {list(tensor.shape)}; only the "
                f"{rules.innermost} innermost dimensions may be above 1",
                rules.general["rank"],
            )
    return None


def _judge_version(subject: OperatorInGraph, rules: EdgeTpuRules) -> OperatorJudgement | None:
    known = rules.operations[subject.operator.op].max_version
    if subject.operator.version <= known:
        return None
    return OperatorJudgement(
        status=MappingStatus.UNKNOWN,
        code=MappingCode.OPERATION_VERSION,
        reason=f"has version {subject.operator.version}; the compiler is known to read up to "
        f"{known}",
        sources=rules.general["operation_version"],
    )


def _code(check: str) -> MappingCode:
    if check == "constant_parameters":
        return MappingCode.CONSTANT_PARAMETERS
    if check == "version_below":
        return MappingCode.OPERATION_VERSION
    return MappingCode.SIZE if check in SIZE_CHECKS else MappingCode.LIMITATION
