"""Would the Edge TPU compiler take this operator, were it alone?

First what holds for every operation (it is in the table, its version, its data types, its rank),
then the limits of its own. The reason is the first one that fails.
"""

import math
from dataclasses import dataclass

from tfx_loop.edge.edgetpu_compiler.graph.subject import Subject
from tfx_loop.edge.edgetpu_compiler.rules.checks import CHECKS
from tfx_loop.edge.edgetpu_compiler.rules.rules import Code, Rules, Status
from tfx_loop.edge.edgetpu_compiler.rules.size_checks import CHECKS as SIZE_CHECKS
from tfx_loop.models.tflite.model import Operator, Subgraph, Tensor

# Inputs that say how, not what: int32 constants beside the activations (axes, shapes, sizes).
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
_BIAS = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What is expected of an operator, and on whose word."""

    status: Status
    code: Code
    reason: str
    sources: tuple[str, ...] = ()


def refusal(graph: Subgraph, rules: Rules) -> Judgement | None:
    """Says why the compiler refuses the whole model; None when it reads it.

    An operator version that the compiler's TensorFlow Lite does not register, or a tensor whose
    shape is computed at run time, ends the compilation.
    """
    for operator in graph.operators:
        first = rules.unreadable.get(operator.op)
        if first is not None and operator.version >= first:
            return Judgement(
                status=Status.NOT_MAPPED,
                code=Code.OPERATION_VERSION,
                reason=f"compiler {rules.compiler} cannot read a model with {operator.op} version "
                f"{operator.version} (operator {operator.index}); it knows up to {first - 1}",
                sources=rules.unreadable_sources[operator.op],
            )
        for position in _SHAPING.get(operator.op, ()):
            tensor = graph.input(operator, position)
            if tensor is not None and not tensor.is_constant:
                return Judgement(
                    status=Status.NOT_MAPPED,
                    code=Code.DYNAMIC_SHAPE,
                    reason=f"the shape of {operator.op} (operator {operator.index}) is computed at "
                    f"run time, and the compiler refuses models with dynamic tensors",
                    sources=rules.general["dynamic_shape"],
                )
    return None


def judge(graph: Subgraph, operator: Operator, rules: Rules) -> Judgement:
    """Judges one operator by itself."""
    operation = rules.operations.get(operator.op)
    if operation is None:
        return Judgement(
            status=Status.NOT_MAPPED,
            code=Code.OPERATION,
            reason=f"the Edge TPU has no {operator.name}",
            sources=rules.general["operation"],
        )
    if not operator.outputs:
        return Judgement(status=Status.NOT_MAPPED, code=Code.LIMITATION, reason="it has no output")
    for general in (_judge_types, _judge_shapes, _judge_rank, _judge_version):
        if (judgement := general(graph, operator, rules)) is not None:
            return judgement
    doubt: Judgement | None = None
    subject = Subject(graph, operator)
    for check in operation.checks:
        problem = CHECKS[check.check](subject, check.settings)
        if problem is None:
            continue
        judgement = Judgement(
            status=check.then, code=_code(check.check), reason=problem, sources=check.sources
        )
        if check.then is Status.NOT_MAPPED:
            return judgement
        doubt = doubt or judgement
    return doubt or Judgement(
        status=Status.MAPPED, code=Code.SUPPORTED, reason="supported", sources=operation.sources
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
        if operator.op.endswith("LSTM") and position > 0:
            continue
        tensors.append(graph.tensors[index])
    return tensors + graph.of(operator.outputs)


def _judge_types(graph: Subgraph, operator: Operator, rules: Rules) -> Judgement | None:
    for tensor in activations(graph, operator):
        if tensor.type not in rules.allowed_types:
            problem = f"works on {tensor.type.lower()} ({tensor.name})"
        elif not tensor.scales:
            problem = f"works on {tensor.type.lower()} that is not quantised ({tensor.name})"
        else:
            continue
        return Judgement(
            status=Status.NOT_MAPPED,
            code=Code.DATA_TYPE,
            reason=f"{problem}; the Edge TPU computes on quantised int8 and uint8",
            sources=rules.general["data_types"],
        )
    weights = graph.input(operator, 1) if operator.op in _BIAS else None
    if weights is not None and weights.type not in rules.allowed_types:
        return Judgement(
            status=Status.NOT_MAPPED,
            code=Code.DATA_TYPE,
            reason=f"has {weights.type.lower()} weights ({weights.name}); 8 bits are needed",
            sources=rules.general["data_types"],
        )
    return None


def _judge_shapes(graph: Subgraph, operator: Operator, rules: Rules) -> Judgement | None:
    for tensor in activations(graph, operator):
        # An open batch stands as 1 in the shape, which is what the compiler compiles.
        opened = any(size < 0 for size in tensor.signature[1:])
        if opened or any(size < 0 for size in tensor.shape):
            shown = list(tensor.signature or tensor.shape)
            return Judgement(
                status=Status.NOT_MAPPED,
                code=Code.DYNAMIC_SHAPE,
                reason=f"{tensor.name} has the open shape {shown}; sizes have to be constant",
                sources=rules.general["dynamic_shape"],
            )
    return None


def _judge_rank(graph: Subgraph, operator: Operator, rules: Rules) -> Judgement | None:
    for tensor in activations(graph, operator):
        if math.prod(tensor.shape[: -rules.innermost]) > 1:
            return Judgement(
                status=Status.NOT_MAPPED,
                code=Code.RANK,
                reason=f"{tensor.name} has the shape {list(tensor.shape)}; only the "
                f"{rules.innermost} innermost dimensions may be above 1",
                sources=rules.general["rank"],
            )
    return None


def _judge_version(graph: Subgraph, operator: Operator, rules: Rules) -> Judgement | None:
    known = rules.operations[operator.op].max_version
    if operator.version <= known:
        return None
    return Judgement(
        status=Status.UNKNOWN,
        code=Code.OPERATION_VERSION,
        reason=f"has version {operator.version}; the compiler is known to read up to {known}",
        sources=rules.general["operation_version"],
    )


def _code(check: str) -> Code:
    if check == "constant_parameters":
        return Code.CONSTANT_PARAMETERS
    if check == "version_below":
        return Code.OPERATION_VERSION
    return Code.SIZE if check in SIZE_CHECKS else Code.LIMITATION
