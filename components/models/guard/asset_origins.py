"""Origins of the file names that operations read: an asset of the model, or elsewhere.

A vocabulary is read by an operation whose file name is the asset's tensor, often handed through
functions. The name is followed back to where it is made; whatever is no asset is foreign: a
literal path, a value of a request, or a computed one.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from tfx_loop.models.guard.graph import MAIN, ModelGraph, called_by, node_of, text

# Operations that hand their first inputs on; a list may hold several file names.
_PASSING = {b"Identity": 1, b"Reshape": 1, b"ExpandDims": 1, b"Pack": None, b"Squeeze": 1}
# Inputs of a calling node that stand before the function's arguments.
_INPUTS_BEFORE = {
    b"PartitionedCall": 0, b"StatefulPartitionedCall": 0, b"While": 0, b"StatelessWhile": 0,
    b"If": 1, b"StatelessIf": 1, b"Case": 1, b"StatelessCase": 1,
}  # fmt: skip

_ASSIGN = b"AssignVariableOp"
# Steps from file names to their origins, of all names together: a model of a thousand tables takes
# some ten thousand, a crooked one the square of its size.
_MAX_STEPS = 1_000_000
# What may be done with a variable that holds the path of an asset, as TensorFlow's saver writes it.
_USES = (_ASSIGN, b"ReadVariableOp", b"VarIsInitializedOp")


class Origins:
    """File names of one graph, followed to where they come from."""

    def __init__(self, graph: ModelGraph, asset_tensors: Iterable[str]) -> None:
        """Indexes who calls which function.

        Args:
            graph: The graph.
            asset_tensors: Tensors of the main graph that TensorFlow sets to an asset's path.
        """
        self._graph = graph
        self._assets = {node_of(name.encode()) for name in asset_tensors}
        self._nodes = {
            scope: {node.name: node for node in nodes} for scope, nodes in graph.scopes()
        }
        # Positions by name: a list would be searched for each name, the square of a crooked file.
        self._arguments = {
            text(name): {
                argument.name: position
                for position, argument in reversed(list(enumerate(function.signature.input)))
            }
            for name, function in graph.functions.items()
        }
        self._counts = {
            text(name): len(function.signature.input) for name, function in graph.functions.items()
        }
        self._calls: dict[str, list[tuple[str, Any]]] = defaultdict(list)
        for scope, nodes in graph.scopes():
            for node in nodes:
                for name in {*called_by(node), node.op}:
                    if name in graph.functions:
                        self._calls[text(name)].append((scope, node))
        self._bindings: dict[str, list[Any]] = defaultdict(list)
        for entry in graph.meta_graph.objects.functions:
            self._bindings[text(entry.key)].append(entry.value.bound_inputs)
        self._steps_left = _MAX_STEPS
        self._handles: Counter[bytes] = Counter()
        self._users: dict[bytes, list[Any]] = defaultdict(list)
        for _, nodes in graph.scopes():
            self._handles.update(_shared_name(n) for n in nodes if n.op == b"VarHandleOp")
        for node in self._nodes[MAIN].values():
            for given in {node_of(each) for each in node.input if not each.startswith(b"^")}:
                self._users[given].append(node)

    def foreign(self, scope: str, node: Any, position: int) -> set[str]:
        """Returns what the file names of an operation come from, beside assets."""
        if position >= len(node.input):
            return {"nothing"}
        found: set[str] = set()
        pending, seen = [(scope, node.input[position])], set[tuple[str, bytes]]()
        while pending:
            place = pending.pop()
            if place in seen:
                continue
            seen.add(place)
            next_places, others = self._step(*place)
            self._steps_left -= 1 + len(next_places)
            if self._steps_left < 0:
                return {"too far away"}
            pending += next_places
            found |= others
        return found

    def _step(self, scope: str, reference: bytes) -> tuple[list[tuple[str, bytes]], set[str]]:
        name = node_of(reference)
        position = self._arguments.get(scope, {}).get(name)
        if position is not None:
            return self._callers(scope, position, self._counts[scope])
        node = self._nodes[scope].get(name)
        if node is None:
            return [], {"nothing"}
        if scope == MAIN and name in self._assets:
            return [], set()
        if node.op == b"ReadVariableOp" and scope == MAIN and node.input:
            return self._assigned(node_of(node.input[0]))
        if node.op in _PASSING:
            return [(scope, given) for given in node.input[: _PASSING[node.op]]], set()
        return [], {"a literal path" if node.op == b"Const" else f"a result of {text(node.op)}"}

    def _assigned(self, name: bytes) -> tuple[list[tuple[str, bytes]], set[str]]:
        """Returns what a variable of the main graph is given; it must not be had another way."""
        variable = self._nodes[MAIN].get(name)
        others = {"a variable"}
        if variable is None or variable.op != b"VarHandleOp":
            return [], others
        users = self._users[name]
        self._steps_left -= len(users)
        alike = self._handles[_shared_name(variable)]
        if alike > 1 or any(user.op not in _USES for user in users):
            return [], others
        given = [(MAIN, u.input[1]) for u in users if u.op == _ASSIGN and len(u.input) > 1]
        return given, set() if given else others

    def _callers(
        self, function: str, position: int, count: int
    ) -> tuple[list[tuple[str, bytes]], set[str]]:
        places: list[tuple[str, bytes]] = []
        others = self._bound(function, position, count)
        for scope, node in self._calls[function]:
            before = 0 if text(node.op) == function else _INPUTS_BEFORE.get(node.op)
            if before is None or before + position >= len(node.input):
                others.add(f"an input of {text(node.op)}")
            else:
                places.append((scope, node.input[before + position]))
        return places, others

    def _bound(self, function: str, position: int, count: int) -> set[str]:
        """Returns what an object hands to a function when it is called by itself."""
        objects = self._graph.meta_graph.objects
        found: set[str] = set()
        for bound in self._bindings[function]:
            index = position - (count - len(bound))
            if index < 0:
                found.add("a value of a request")
            elif not (
                0 <= bound[index] < len(objects.nodes)
                and objects.nodes[bound[index]].HasField("asset")
            ):
                found.add("a captured value")
        return found


def _shared_name(variable: Any) -> bytes:
    return next((bytes(e.value.s) for e in variable.attr if e.key == b"shared_name"), b"")
