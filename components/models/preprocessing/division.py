"""Division of a serving graph: the part that makes a network's inputs, and the network itself.

A Trainer's SavedModel takes serialized tf.Examples: it parses them, applies the Transform graph,
and asks the network. TFLite has no text, no tables and no tf.Examples, and quantisation wants the
numbers that the network sees. So the graph is divided behind the Transform graph's call; where
there is none, behind the last operation that TFLite does not have.

Works on one flat graph (functions inlined, variables frozen), so that it does not matter which
Keras wrote the model.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework import op_def_registry

from tfx_loop.core.errors import ModelError

# Numbers without text in or out that TFLite has no operator for. What else a converter refuses is
# told by the converter, and the graph is divided again.
_REFUSED = re.compile(r"^(?:Sparse(?!Softmax)|Ragged|DenseBincount|Bincount|Unique|ParseExample)")
_NOT_NUMBERS = (types_pb2.DT_STRING, types_pb2.DT_RESOURCE)
# Grappler's inliner leaves these where a function was called.
_CALL_OUTPUT = re.compile(r"^Func/(?P<call>.+)/output/_(?P<number>\d+)$")
_TRANSFORM = re.compile(r"transform", re.IGNORECASE)
# A network multiplies by weights; what has none of these is no network.
_WEIGHTED = re.compile(r"^(?:MatMul|BatchMatMul|Conv|DepthwiseConv|Einsum|Gather|While|Stateless)")


@dataclass(frozen=True, kw_only=True)
class Division:
    """A flat graph divided in two.

    Attributes:
        tensors: What the preprocessing gives and the network takes.
        positions: Of these, the place among the outputs of the Transform graph's call; None for a
            tensor that is none of them.
    """

    tensors: tuple[Any, ...]
    positions: tuple[int | None, ...]


def divide(
    graph: Any, inputs: Sequence[Any], outputs: Sequence[Any], refused: Collection[str] = ()
) -> Division:
    """Returns where to divide.

    Args:
        graph: Flat `tf.Graph`.
        inputs: Tensors that rows come in by.
        outputs: Numeric tensors of the answers.
        refused: Names of further operations that the network must not have.

    Raises:
        ModelError: There is no network behind the preprocessing.
    """
    flow = _Flow(graph, inputs, outputs, refused)
    for call in [*flow.calls(), ()]:
        tensors = flow.border(call)
        if tensors and flow.has_network(call):
            # Copies that the inliner and `tf.identity` make are one tensor.
            places = {_origin(tensor).ref(): _place(tensor) for tensor in call}
            found = tuple(places.get(_origin(tensor).ref()) for tensor in tensors)
            return Division(tensors=tensors, positions=found)
    raise ModelError(
        "Expected a network of numbers behind the preprocessing, received a model that computes "
        "with text or tables to its end. Let the Trainer export a signature that takes the "
        "network's own inputs, such as serving_columns."
    )


class _Flow:
    """What depends on the rows, and what of it TFLite cannot run."""

    def __init__(
        self, graph: Any, inputs: Sequence[Any], outputs: Sequence[Any], refused: Collection[str]
    ) -> None:
        self._outputs = [tensor.op for tensor in outputs]
        self._needed = _ancestors(self._outputs)
        self._functions = {f.signature.name: f for f in graph.as_graph_def().library.function}
        self._refused_names = frozenset(refused)
        self._known: dict[str, bool] = {}
        self._rows: set[Any] = {tensor.op for tensor in inputs}
        # A frozen graph lists an operation after those it reads, so that one pass finds all that
        # depend on rows.
        for op in graph.get_operations():
            if any(tensor.op in self._rows for tensor in op.inputs):
                self._rows.add(op)
        self._order = {op: number for number, op in enumerate(graph.get_operations())}
        self._graph = graph

    def calls(self) -> list[tuple[Any, ...]]:
        """Returns the outputs of calls that may be the Transform graph's, the likeliest first."""
        found: dict[str, dict[int, Any]] = {}
        for op in self._graph.get_operations():
            if (match := _CALL_OUTPUT.match(op.name)) and op.outputs:
                found.setdefault(match["call"], {})[int(match["number"])] = op.outputs[0]
        # A call that parses is the whole serving function, not the Transform graph.
        parsing = [o.name for o in self._graph.get_operations() if o.type.startswith("ParseEx")]
        calls = {
            name: tuple(outputs[number] for number in sorted(outputs))
            for name, outputs in found.items()
            if not any(parse.startswith(f"{name}/") for parse in parsing)
            and any(tensor.op in self._rows for tensor in outputs.values())
        }
        named = {name: bool(_TRANSFORM.search(name.rsplit("/", 2)[-2:][0])) for name in calls}

        def rank(name: str) -> tuple[bool, int, int]:
            first = min(self._order[tensor.op] for tensor in calls[name])
            # What is called "transform" comes first, then the outermost call: nested ones are parts
            # of it.
            return not named[name], name.count("/"), first

        return [calls[name] for name in sorted(calls, key=rank)]

    def border(self, call: Sequence[Any]) -> tuple[Any, ...]:
        """Returns the tensors that cross from the preprocessing into the network."""
        front = self._front(call)
        found: dict[Any, Any] = {}
        for op in self._network(front):
            for tensor in op.inputs:
                if tensor.op in front and tensor.op in self._rows:
                    found.setdefault(_origin(tensor).ref(), tensor)
        # As the graph has them, so that the same model is always divided alike.
        ordered = sorted(found.values(), key=lambda t: (self._order[t.op], t.value_index))
        return tuple(ordered) if not any(op in front for op in self._outputs) else ()

    def has_network(self, call: Sequence[Any]) -> bool:
        """Says whether something multiplies by weights behind the border."""
        return any(_WEIGHTED.match(op.type) for op in self._network(self._front(call)))

    def _front(self, call: Sequence[Any]) -> set[Any]:
        refused = [op for op in self._needed if op in self._rows and self._is_refused(op.node_def)]
        inputs = [op for op in self._rows if op.type == "Placeholder"]
        front = _ancestors([*(tensor.op for tensor in call), *refused, *inputs])
        for op in sorted(self._rows, key=self._order.__getitem__):
            # A list that a loop over text filled has no batch: it is unpacked where it is made.
            if any(t.dtype == tf.variant and t.op in front for t in op.inputs):
                front |= _ancestors([op])
        return front

    def _network(self, front: set[Any]) -> Iterable[Any]:
        return (op for op in self._needed if op in self._rows and op not in front)

    def _is_refused(self, node: Any) -> bool:
        if node.op in self._refused_names or _REFUSED.match(node.op):
            return True
        definition = op_def_registry.get(node.op)
        arguments = (*definition.input_arg, *definition.output_arg) if definition else ()
        if any(argument.type in _NOT_NUMBERS for argument in arguments):
            return True
        for value in node.attr.values():
            if value.type in _NOT_NUMBERS or any(t in _NOT_NUMBERS for t in value.list.type):
                return True
            # Loops and conditions hold their bodies by name.
            if value.func.name and self._function_refused(value.func.name):
                return True
        return False

    def _function_refused(self, name: str) -> bool:
        if name not in self._known:
            # Assumed harmless while it is being looked at, or recursion would not end.
            self._known[name] = False  # A body that calls itself.
            body: Mapping[str, Any] = self._functions
            nodes = body[name].node_def if name in body else ()
            self._known[name] = any(self._is_refused(node) for node in nodes)
        return self._known[name]


def _ancestors(ops: Iterable[Any]) -> set[Any]:
    """Returns the operations and all that they take tensors from."""
    found: set[Any] = set()
    waiting = list(ops)
    while waiting:
        op = waiting.pop()
        if op not in found:
            found.add(op)
            waiting.extend(tensor.op for tensor in op.inputs)
    return found


def _place(tensor: Any) -> int | None:
    """Returns which output of its call a tensor is: a function returns Identity, Identity_1, …

    The inliner's own numbers have gaps where an output is not used.
    """
    last = tensor.op.inputs[0].op.name.rpartition("/")[2]
    match = re.fullmatch(r"Identity(?:_(\d+))?", last)
    return None if match is None else int(match[1] or 0)


def _origin(tensor: Any) -> Any:
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor
