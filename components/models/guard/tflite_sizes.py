"""Memory of a .tflite graph's tensors, by the constants that a runtime computes shapes from.

A runtime does not take the shapes that stand in a file: TILE makes what its multiples say, however
small the file calls its output. So the rules of such operators are applied here, and what they make
larger than the file says stays larger in what is computed from it.
"""

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from tfx_loop.models.tflite.model import Operator, Subgraph, Tensor

# No machine has as many elements.
_MOST = 1 << 60
# Elements that an operator's output has by its inputs; None where no constant says.
_Rule = Callable[[Operator, "list[Tensor | None]"], "int | None"]


def computed_bytes(graph: Subgraph) -> tuple[int, int]:
    """Returns the bytes of all computed tensors, and the operator whose output is the largest.

    An upper bound where a tensor is larger than the file says, else the file's own sizes.

    Args:
        graph: The graph; its operators stand in the order in which they run.
    """
    # How many times larger than in the file a tensor is.
    growth: dict[int, int] = {}
    for operator in graph.operators:
        given = [graph.tensors[i] if i >= 0 else None for i in operator.inputs]
        grown = _capped(growth.get(i, 1) for i in {*operator.inputs})
        rule = _RULES.get(operator.op)
        elements = (rule(operator, given) if rule else None) or 0
        for index in operator.outputs:
            said = max(graph.tensors[index].elements, 1)
            # Rounded up; whole numbers, as floats would end at 1e308.
            growth[index] = _capped((grown, max(1, -(-elements // said))))
    total, largest = 0, (0, 0)
    for operator in graph.operators:
        for index in operator.outputs:
            size = graph.tensors[index].size_bytes * growth[index]
            total += size
            largest = max(largest, (size, operator.index))
    makers = growth.keys()
    total += sum(t.size_bytes for t in graph.tensors if not t.is_constant and t.index not in makers)
    return total, largest[1]


def _capped(factors: Iterable[int]) -> int:
    """Returns a product, or the cap: a long chain's would have as many digits as operators."""
    product = 1
    for factor in factors:
        product = min(product * factor, _MOST)
    return product


def _broadcast(_: Operator, given: "list[Tensor | None]") -> int | None:
    """Returns the elements of all inputs broadcast together, where they fit."""
    shapes = [tensor.shape for tensor in given if tensor is not None]
    try:
        return math.prod(np.broadcast_shapes(*shapes))
    except ValueError:
        return None


def _product_of(position: int) -> _Rule:
    """Returns the rule of operators one of whose inputs is the output's shape."""

    def rule(_: Operator, given: "list[Tensor | None]") -> int | None:
        sizes = _constant(given, position)
        return None if sizes is None else math.prod(max(size, 0) for size in sizes)

    return rule


def _tile(_: Operator, given: "list[Tensor | None]") -> int | None:
    multiples = _constant(given, 1)
    if multiples is None or given[0] is None:
        return None
    return given[0].elements * math.prod(max(each, 0) for each in multiples)


def _pad(_: Operator, given: "list[Tensor | None]") -> int | None:
    paddings = _constant(given, 1)
    if paddings is None or given[0] is None:
        return None
    pairs = zip(paddings[::2], paddings[1::2], strict=False)
    return math.prod(
        size + max(before, 0) + max(after, 0)
        for size, (before, after) in zip(given[0].shape, pairs, strict=False)
    )


def _space_to_batch(_: Operator, given: "list[Tensor | None]") -> int | None:
    paddings = _constant(given, 2)
    if paddings is None or given[0] is None:
        return None
    # The first dimension is the batch; blocks only move what is there.
    sizes, space = given[0].shape, given[0].shape[1:]
    pairs = list(zip(paddings[::2], paddings[1::2], strict=False))
    padded = [s + max(b, 0) + max(a, 0) for s, (b, a) in zip(space, pairs, strict=False)]
    return math.prod((*sizes[:1], *padded, *space[len(pairs) :]))


def _range(_: Operator, given: "list[Tensor | None]") -> int | None:
    values = [None if t is None else t.values() for t in given[:3]]
    if len(values) < 3 or any(value is None or value.size != 1 for value in values):
        return None
    start, limit, delta = (float(value.item()) for value in values if value is not None)
    steps = (limit - start) / delta if delta else 0.0
    return math.ceil(steps) if math.isfinite(steps) and steps > 0 else 0


def _one_hot(_: Operator, given: "list[Tensor | None]") -> int | None:
    depth = _constant(given, 1)
    if not depth or given[0] is None:
        return None
    return given[0].elements * max(depth[0], 0)


def _resize(_: Operator, given: "list[Tensor | None]") -> int | None:
    size = _constant(given, 1)
    if size is None or given[0] is None or len(given[0].shape) != 4:
        return None
    return given[0].shape[0] * math.prod(max(each, 0) for each in size) * given[0].shape[3]


def _matrices(operator: Operator, given: "list[Tensor | None]") -> int | None:
    left, right = (tensor.shape if tensor is not None else () for tensor in given[:2])
    if len(left) < 2 or len(right) < 2:
        return None
    try:
        batch = math.prod(np.broadcast_shapes(left[:-2], right[:-2]))
    except ValueError:
        return None
    # Transposed where the attribute says so.
    rows = left[-1] if operator.attributes.get("adjX") else left[-2]
    return batch * rows * (right[-2] if operator.attributes.get("adjY") else right[-1])


def _gather(operator: Operator, given: "list[Tensor | None]") -> int | None:
    if len(given) < 2 or given[0] is None or given[1] is None:
        return None
    axis, shared = (int(operator.attributes.get(name) or 0) for name in ("axis", "batchDims"))
    sizes, indices = given[0].shape, given[1].shape
    axis += len(sizes) if axis < 0 else 0
    return math.prod((*sizes[:axis], *indices[shared:], *sizes[axis + 1 :]))


def _joined(_: Operator, given: "list[Tensor | None]") -> int | None:
    return sum(tensor.elements for tensor in given if tensor is not None)


def _constant(given: "list[Tensor | None]", position: int) -> tuple[int, ...] | None:
    tensor = given[position] if position < len(given) else None
    return None if tensor is None else tensor.integers()


_ELEMENTWISE = (
    "ADD", "ATAN2", "BITWISE_XOR", "DIV", "EQUAL", "FLOOR_DIV", "FLOOR_MOD", "GREATER",
    "GREATER_EQUAL", "LESS", "LESS_EQUAL", "LOGICAL_AND", "LOGICAL_OR", "MAXIMUM", "MINIMUM", "MUL",
    "NOT_EQUAL", "POW", "PRELU", "RIGHT_SHIFT", "SELECT_V2", "SQUARED_DIFFERENCE", "SUB",
)  # fmt: skip
# By tensorflow/lite/kernels: which input says the size, and how.
_RULES: Mapping[str, _Rule] = {
    "TILE": _tile,
    "PAD": _pad,
    "PADV2": _pad,
    "MIRROR_PAD": _pad,
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "FILL": _product_of(0),
    "BROADCAST_TO": _product_of(1),
    "TRANSPOSE_CONV": _product_of(0),
    "CONV_3D_TRANSPOSE": _product_of(0),
    "RANDOM_UNIFORM": _product_of(0),
    "RANDOM_STANDARD_NORMAL": _product_of(0),
    "SCATTER_ND": _product_of(2),
    "SPARSE_TO_DENSE": _product_of(1),
    "RANGE": _range,
    "ONE_HOT": _one_hot,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "BATCH_MATMUL": _matrices,
    "GATHER": _gather,
    "CONCATENATION": _joined,
    "PACK": _joined,
    **dict.fromkeys(_ELEMENTWISE, _broadcast),
}
