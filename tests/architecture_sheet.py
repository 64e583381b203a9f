"""Rooms, floors and arrows of the code base, computed from its imports.

`python -m tests.architecture_sheet` prints the sheet that docs/architecture.md shows; with
`--rooms` it prints the finer one, of every folder. A room is a folder; a module that lies beside
folders is a room of its own. An arrow says that a room imports another, at the top of a module or
inside a function. Floors are counted from below: a room stands one above the highest that it
imports, so no arrow runs back unless rooms import each other in a circle.
"""

import ast
import functools
import sys
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "tfx_loop"

# `components/pipelines` is a link: pipelines/ is read under its own name.
SOURCES = sorted(
    path.relative_to(ROOT)
    for top in ("components", "pipelines")
    for path in ROOT.glob(f"{top}/**/*.py")
    if not path.is_relative_to(ROOT / "components/pipelines")
)

# Folders that hold folders.
_PARENTS = {path.parent.parent for path in SOURCES}

Graph = Mapping[str, Set[str]]


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """Returns the syntax tree of a source file, named relative to the root."""
    return ast.parse((ROOT / path).read_text(), str(path))


@functools.cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Returns all nodes of a file's syntax tree: a dozen rules look at them."""
    return tuple(ast.walk(tree_of(path)))


@functools.cache
def imports_of(path: Path) -> frozenset[str]:
    """Returns what a file imports, wherever in the file, as dotted names."""
    return frozenset(_names(_statements(tree_of(path))))


@functools.cache
def imports_at_start(path: Path) -> frozenset[str]:
    """Returns what a file imports when it is imported itself: nothing inside functions."""
    return frozenset(_names(_executed(tree_of(path))))


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    # An import is a statement: expressions, most of a tree, are not looked into.
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield child
            yield from _statements(child)


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _executed(child)


def _names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield from (f"{start}.{alias.name}" for alias in node.names)


def module_of(path: Path) -> str:
    """Returns the name under which a source file is imported."""
    parts = path.with_suffix("").parts
    parts = (PACKAGE, *parts[1:]) if parts[0] == "components" else (PACKAGE, *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def _paths() -> dict[str, Path]:
    return {module_of(path): path for path in SOURCES}


def file_of(name: str) -> Path | None:
    """Returns the source file that an imported name is in; None for what isn't ours."""
    while name:
        if name in _paths():
            return _paths()[name]
        name = name.rpartition(".")[0]
    return None


def coarse_room(path: Path) -> str | None:
    """Returns the room of components/ that a file is in, or the room or module of pipelines/."""
    if len(path.parts) == 2 and path.stem == "__init__":
        return None  # the public names; everybody may import them, and they import everybody
    if path.parts[0] == "components":
        return path.parts[1] if len(path.parts) > 2 else path.stem
    return "/".join(path.with_suffix("").parts[:2])


@functools.cache
def fine_room(path: Path) -> str | None:
    """Returns the folder that a file is in, or the file itself where it lies beside folders."""
    folder = path.parent
    beside_folders = folder in _PARENTS
    if coarse_room(path) is None or (beside_folders and path.stem == "__init__"):
        return None
    return str(path.with_suffix("") if beside_folders else folder).removeprefix("components/")


@functools.cache
def graph_of(fine: bool = False) -> Graph:
    """Returns for each room the rooms that it imports."""
    room_of = fine_room if fine else coarse_room
    graph: dict[str, set[str]] = {}
    for path in SOURCES:
        if (room := room_of(path)) is None:
            continue
        files = (file_of(name) for name in imports_of(path))
        targets = {target for file in files if file and (target := room_of(file))}
        graph.setdefault(room, set()).update(targets - {room})
    return graph


def circles(graph: Graph) -> list[list[str]]:
    """Returns the sets of rooms that import each other, directly or around."""
    reached = {room: _reachable(graph, room) for room in graph}
    found = {
        frozenset(other for other in reached[room] if room in reached.get(other, ()))
        for room in graph
        if room in reached[room]
    }
    return sorted(sorted(circle) for circle in found)


def _reachable(graph: Graph, start: str) -> set[str]:
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        room = waiting.pop()
        if room not in found:
            found.add(room)
            waiting.extend(graph.get(room, ()))
    return found


def floors(graph: Graph) -> list[list[str]]:
    """Returns the rooms floor by floor, the lowest first.

    Raises:
        ValueError: Rooms import each other in a circle.
    """
    if found := circles(graph):
        raise ValueError(f"Expected no circle of rooms, received {found}.")
    built: list[list[str]] = []
    below: set[str] = set()
    while len(below) < len(graph):
        floor = sorted(room for room in graph if room not in below and graph[room] <= below)
        built.append(floor)
        below |= set(floor)
    return built


def sheet(graph: Graph) -> str:
    """Returns the floors, the highest first, each room with what it imports."""
    built = floors(graph)
    order = {room: (-number, room) for number, floor in enumerate(built) for room in floor}
    width = max(map(len, graph))
    arrows = sum(map(len, graph.values()))
    lines = [f"{len(graph)} rooms, {arrows} arrows, {len(built)} floors, no circle"]
    for number, floor in reversed(list(enumerate(built))):
        lines.append("")
        for room in floor:
            targets = ", ".join(sorted(graph[room], key=order.__getitem__))
            arrow = f"{room:<{width}} -> {targets}" if targets else room
            lines.append(f"{number}  {arrow}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(sheet(graph_of(fine="--rooms" in sys.argv[1:])))
