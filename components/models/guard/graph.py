"""Operations of a SavedModel by when they run: when it is loaded, restored or asked.

What only saving and restoring reach is kept apart: reading and writing checkpoints is its task.
So is what nothing reaches or names, such as the savers of models that this one was built from.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from tfx_loop.models.guard.object_graph import functions_of_objects

MAIN = "the main graph"
# Collections whose nodes run once after loading.
_INITIALIZERS = (b"saved_model_main_op", b"legacy_init_op", b"table_initializer")
_STEPS = (b"saved_model_main_op", b"saved_model_train_op")


def text(value: bytes) -> str:
    """Returns a name for people and for comparison."""
    return value.decode("utf-8", "replace")


def node_of(reference: bytes) -> bytes:
    """Returns the node of `node`, `node:0`, `node:output:0` or the control input `^node`."""
    return reference.removeprefix(b"^").split(b":")[0]


def called_by(node: Any) -> Iterator[bytes]:
    """Yields the functions that a node names in its attributes, whatever for."""
    pending = [entry.value for entry in node.attr]
    while pending:
        attribute = pending.pop()
        for called in (attribute.func, *attribute.list.func):
            if called.name:
                yield called.name
                pending += [entry.value for entry in called.attr]


class ModelGraph:
    """One graph of a SavedModel with its functions.

    Attributes:
        meta_graph: The message.
        nodes: Those of the main graph by name.
        functions: Those of the library by name.
    """

    def __init__(self, meta_graph: Any) -> None:
        """Indexes it."""
        self.meta_graph = meta_graph
        self.nodes = {node.name: node for node in meta_graph.graph.node}
        library = meta_graph.graph.library
        self.functions = {function.signature.name: function for function in library.function}
        self._running_nodes = self._closure(self._roots())
        named, idle = functions_of_objects(meta_graph)
        self._running_functions = self._functions_of(self._running_nodes) | self._called_from(named)
        self._adapting_functions = self._called_from(idle) - self._running_functions
        # Loading runs what restores, feeding one tensor; nothing here saves.
        self._restoring_nodes = self._closure([meta_graph.saver.restore_op])
        self._restoring_functions = self._functions_of(self._restoring_nodes)
        self._saving_nodes = self._closure(
            [meta_graph.saver.filename_tensor, meta_graph.saver.save_tensor]
        )

    def nodes_that_run(self) -> Iterator[tuple[str, Any]]:
        """Yields the operations outside saving and restoring, each with where it stands."""
        for name in sorted(self._running_nodes):
            yield MAIN, self.nodes[name]
        for name, function in self.functions.items():
            if name in self._running_functions:
                yield from ((text(name), node) for node in function.node)

    def nodes_that_restore(self) -> Iterator[tuple[str, Any]]:
        """Yields the operations that restoring reaches, and nothing else that runs."""
        for each in sorted(self._restoring_nodes - self._running_nodes):
            yield MAIN, self.nodes[each]
        restoring = self._restoring_functions - self._running_functions
        for name, function in self.functions.items():
            if name in restoring:
                yield from ((text(name), node) for node in function.node)

    def nodes_that_save(self) -> Iterator[tuple[str, Any]]:
        """Yields the operations that saving reaches, or nothing does that is run here."""
        for each in sorted(self._saving_nodes - self._restoring_nodes - self._running_nodes):
            yield MAIN, self.nodes[each]
        elsewhere = self._running_functions | self._restoring_functions
        for name, function in self.functions.items():
            if name not in elsewhere:
                yield from ((text(name), node) for node in function.node)

    def only_adapts(self, scope: str) -> bool:
        """Says whether a function runs only where a layer of Keras adapts to new data."""
        return scope.encode() in self._adapting_functions

    def names_twice(self) -> Iterator[tuple[str, bytes]]:
        """Yields names that stand for two things, each with where: readers take either."""
        library = self.meta_graph.graph.library.function
        objects = self.meta_graph.objects.functions
        yield from _twice("the function library", (f.signature.name for f in library))
        yield from _twice("the object graph", (entry.key for entry in objects))
        yield from _twice("the signatures", (entry.key for entry in self.meta_graph.signatures))
        for scope, nodes in self.scopes():
            yield from _twice(scope, (node.name for node in nodes))
            for node in nodes:
                pending = [node]
                while pending:
                    owner = pending.pop()
                    where = f"operation {text(node.name)!r} of {scope}"
                    yield from _twice(where, (entry.key for entry in owner.attr))
                    for entry in owner.attr:
                        pending += [entry.value.func, *entry.value.list.func]

    def scopes(self) -> Iterator[tuple[str, Iterable[Any]]]:
        """Yields the nodes of the main graph and of each function."""
        yield MAIN, self.meta_graph.graph.node
        for name, function in self.functions.items():
            yield text(name), function.node

    def _roots(self) -> Iterator[bytes]:
        for entry in self.meta_graph.signatures:
            for side in (entry.value.inputs, entry.value.outputs):
                for info in side:
                    yield from _names(info.value)
        for entry in self.meta_graph.collections:
            if entry.key in _INITIALIZERS or entry.key in _STEPS:
                yield from entry.value.node_list.value
        # Objects that are constants of the main graph.
        for thing in self.meta_graph.objects.nodes:
            if thing.constant.operation:
                yield thing.constant.operation

    def _closure(self, roots: Iterable[bytes]) -> set[bytes]:
        pending, found = [node_of(root) for root in roots], set[bytes]()
        while pending:
            name = pending.pop()
            if name not in found and name in self.nodes:
                found.add(name)
                pending += [node_of(reference) for reference in self.nodes[name].input]
        return found

    def _functions_of(self, nodes: Iterable[bytes]) -> set[bytes]:
        return self._called_from(name for each in nodes for name in self._calls(self.nodes[each]))

    def _called_from(self, names: Iterable[bytes]) -> set[bytes]:
        pending, found = list(names), set[bytes]()
        while pending:
            name = pending.pop()
            if name not in found and name in self.functions:
                found.add(name)
                for node in self.functions[name].node:
                    pending += self._calls(node)
        return found

    def _calls(self, node: Any) -> list[bytes]:
        return [*called_by(node), node.op]


def _twice(where: str, names: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    yield from ((where, name) for name, count in Counter(names).items() if count > 1)


def _names(info: Any) -> Iterator[bytes]:
    """Yields the tensors that an input or output of a signature consists of."""
    pending = [info]
    while pending:
        each = pending.pop()
        yield from (each.name, each.sparse.values, each.sparse.indices, each.sparse.shape)
        pending += each.composite.components
