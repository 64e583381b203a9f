"""Functions of a SavedModel that loading runs or hands out by name, told from its object graph."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

# What Keras' layers learn their state by, from new data: no loader calls it, nor does a signature.
_IDLE_NAMES = frozenset({b"_adapt_function"})
# The method, and below it the function that was traced of it.
_IDLE_DEPTH = 2
# TensorFlow may swap functions that name the same interface (grappler's implementation_selector).
_INTERFACE = b"api_implements"


def functions_of_objects(meta_graph: Any) -> tuple[set[bytes], set[bytes]]:
    """Returns the functions that may run, and those that only adapting to new data would.

    Loading calls methods of objects by the names that a file gives them, so whatever is no method
    for adapting may run.
    """
    objects, library = meta_graph.objects, meta_graph.graph.library
    idle_objects = _idle_objects(objects)
    running, idle = set[bytes](), set[bytes]()
    for number, thing in enumerate(objects.nodes):
        named = {*thing.function.concrete_functions, thing.bare_function.concrete_function}
        (idle if number in idle_objects else running).update(named)
    running |= {entry.key for entry in objects.functions} - idle
    running |= {each.gradient_func for each in (*library.gradient, *library.registered)}
    running |= {
        function.signature.name
        for function in library.function
        if any(entry.key == _INTERFACE for entry in function.attr)
    }
    return running, idle - running


def _idle_objects(objects: Any) -> set[int]:
    """Returns the methods for adapting, and what belongs to them alone."""
    holders: dict[int, set[tuple[int, bytes]]] = defaultdict(set)
    for holder, held, name in _edges(objects):
        holders[held].add((holder, name))
    idle = set[int]()
    for _ in range(_IDLE_DEPTH):
        idle = {
            each
            for each, held_by in holders.items()
            if all(name in _IDLE_NAMES or holder in idle for holder, name in held_by)
        }
    return idle


def _edges(objects: Any) -> Iterator[tuple[int, int, bytes]]:
    """Yields which object holds which, under what name."""
    for number, thing in enumerate(objects.nodes):
        for edge in (*thing.children, *thing.dependencies):
            yield number, edge.node, edge.name
        for saveable in thing.saveables:
            yield number, saveable.value.save_function, b"save"
            yield number, saveable.value.restore_function, b"restore"
