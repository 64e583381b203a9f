"""Walks along the lineage: what something was made from, and what was made from it.

Without `everything` a walk stays with what the thing itself consists of or led to. Upwards that is
`Graph.upstream`. Downwards it ends at a decision, behind which another training begins, and at an
evaluation that took a model as the champion to beat, which is no part of the challenger.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tfx_loop.contracts.push_steps import PUSH_STEPS
from tfx_loop.core.type_names import RETRAIN_DECISION
from tfx_loop.pipelines.control.ledger import PUSHED_MODEL, ROLLOUT
from tfx_loop.pipelines.lineage.graph import Artifact, Execution, Graph
from tfx_loop.pipelines.lineage.raw_files import raw_files

# Inputs by which a node looks at something that what it makes does not consist of.
COMPARED = ("baseline_model", "previous_decision", "previous_report", "champion")
# What the edge of a step of a push to an endpoint is called.
PUSH_STEP = "push_step"
ARTIFACT, EXECUTION, FILE = "artifact", "execution", "file"


@dataclass(frozen=True, kw_only=True)
class WalkNode:
    """One thing on the way.

    Attributes:
        id: `a12` of an artifact, `e7` of an execution, `f` and a path of a raw file.
        kind: `artifact`, `execution` or `file`.
        type: Artifact type, or class of the node.
        label: What people call it: window, spans, version, node.
        uri: Where it is; empty for executions.
        run_id: The pipeline run; empty for files.
        at_ms: When it was recorded, milliseconds since epoch by the store's stamps; 0 for files.
        depth: Steps from the start; negative upwards.
        state: State of an execution.
    """

    id: str
    kind: str
    type: str
    label: str
    uri: str = ""
    run_id: str = ""
    at_ms: int = 0
    depth: int
    state: str = ""


@dataclass(frozen=True, kw_only=True)
class WalkEdge:
    """That `source` went into `target`, under the name of the input or output."""

    source: str
    target: str
    key: str = ""


@dataclass(frozen=True, kw_only=True)
class Walk:
    """What was reached.

    Attributes:
        starts: Ids of the nodes that were asked about.
        nodes: All of them, in the order in which they were reached.
        edges: How they hang together.
        left_out: How many nodes lay beyond the depth or the limit.
    """

    starts: tuple[str, ...]
    nodes: tuple[WalkNode, ...]
    edges: tuple[WalkEdge, ...]
    left_out: int = 0


def walk_up(
    graph: Graph, starts: Sequence[Artifact], *, everything: bool = False, depth: int = 0
) -> Walk:
    """Returns what artifacts were made from, raw files at the end.

    Args:
        graph: The store.
        starts: Where the walk begins.
        everything: Follow each input of each node, into every other training.
        depth: Steps to go, from artifact to artifact; 0 goes to the end.
    """
    walker = _Walker(graph)
    for start in starts:
        run = _run_of(graph, start)
        ahead = deque([(start, graph.maker_in(start, run) or graph.maker(start), 0)])
        walker.start(start)
        while ahead:
            made, maker, steps = ahead.popleft()
            if maker is None or not walker.expand(made, maker):
                continue
            if depth and steps >= depth:
                walker.left_out += 1
                continue
            walker.made(maker, made, "", -steps * 2 - 1)
            for step in _push_steps(graph, made):
                walker.made(step, made, PUSH_STEP, -steps * 2 - 1)
            walker.files(maker, -steps * 2 - 2)
            for key, given in graph.keyed_inputs(maker):
                walker.read(given, maker, key, -steps * 2 - 2)
                behind = graph.maker(given) if everything else graph.maker_behind(given, key, maker)
                ahead.append((given, behind, steps + 1))
    return walker.result(starts)


def walk_down(
    graph: Graph, starts: Sequence[Artifact], *, everything: bool = False, depth: int = 0
) -> Walk:
    """Returns what was made from artifacts; arguments as `walk_up`."""
    walker = _Walker(graph)
    ahead = deque((start, 0) for start in starts)
    for start in starts:
        walker.start(start)
    while ahead:
        given, steps = ahead.popleft()
        for reader in graph.readers(given):
            if not walker.expand(given, reader):
                continue
            if depth and steps >= depth:
                walker.left_out += 1
                continue
            keys = [key for key, one in graph.keyed_inputs(reader) if _same(graph, one, given)]
            walker.read(given, reader, keys[0] if keys else "", steps * 2 + 1, reader_is_new=True)
            if not everything and not _carries(graph, given, keys):
                continue
            for key, made in graph.keyed_outputs(reader):
                walker.made(reader, made, key, steps * 2 + 2, artifact_is_new=True)
                ahead.append((made, steps + 1))
    return walker.result(starts)


def reached(
    graph: Graph, starts: Iterable[Artifact], follow: Callable[[Artifact, Execution, str], bool]
) -> dict[int, Artifact]:
    """Returns what was made from artifacts, themselves included, by id.

    Args:
        graph: The store.
        starts: Where to begin.
        follow: Says of an artifact, its reader and the input's name whether the reader's outputs
            belong to it.
    """
    found = {artifact.id: artifact for artifact in starts}
    ahead = list(found.values())
    while ahead:
        given = ahead.pop()
        for reader in graph.readers(given):
            keys = [key for key, one in graph.keyed_inputs(reader) if _same(graph, one, given)]
            if not any(follow(given, reader, key) for key in keys):
                continue
            for made in graph.outputs(reader):
                if made.id not in found:
                    found[made.id] = made
                    ahead.append(made)
    return found


def _same(graph: Graph, one: Artifact, other: Artifact) -> bool:
    return one.id == other.id or any(node.id == one.id for node in graph.same(other))


def _carries(graph: Graph, given: Artifact, keys: Sequence[str]) -> bool:
    """Says whether what a reader makes consists of what it was given."""
    return given.type != RETRAIN_DECISION and any(key not in COMPARED for key in keys)


def _push_steps(graph: Graph, artifact: Artifact) -> list[Execution]:
    """Returns the steps that brought a pushed version to its endpoint, oldest first.

    The store has them as readers of the version: they were recorded once it was there.
    """
    if artifact.type != PUSHED_MODEL:
        return []
    readers = graph.readers(artifact)
    steps = [one for one in readers if one.type == ROLLOUT and one.text("action") in PUSH_STEPS]
    return sorted(steps, key=lambda one: (int(one.properties.get("revision") or 0), one.id))


def _run_of(graph: Graph, artifact: Artifact) -> str:
    maker = graph.maker(artifact)
    return maker.run_id if maker else ""


class _Walker:
    """Collects nodes and edges, each once."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._nodes: dict[str, WalkNode] = {}
        self._edges: dict[WalkEdge, None] = {}
        self._expanded: set[tuple[int, int]] = set()
        self.left_out = 0

    def start(self, artifact: Artifact) -> None:
        self._artifact(artifact, 0)

    def expand(self, artifact: Artifact, execution: Execution) -> bool:
        """Says whether a way was not gone yet, and marks it."""
        pair = (self._first(artifact).id, execution.id)
        new = pair not in self._expanded
        self._expanded.add(pair)
        return new

    def made(
        self,
        execution: Execution,
        artifact: Artifact,
        key: str,
        depth: int,
        artifact_is_new: bool = False,
    ) -> None:
        source = self._execution(execution, depth - artifact_is_new)
        target = self._artifact(artifact, depth)
        name = key or next(
            (k for k, one in self._graph.keyed_outputs(execution) if one.id == artifact.id), ""
        )
        self._edges[WalkEdge(source=source, target=target, key=name)] = None

    def read(
        self,
        artifact: Artifact,
        execution: Execution,
        key: str,
        depth: int,
        reader_is_new: bool = False,
    ) -> None:
        source = self._artifact(artifact, depth)
        target = self._execution(execution, depth if reader_is_new else depth + 1)
        self._edges[WalkEdge(source=source, target=target, key=key)] = None

    def files(self, execution: Execution, depth: int) -> None:
        for path in raw_files(execution):
            node = WalkNode(id=f"f{path}", kind=FILE, type="file", label=path, uri=path,
                            depth=depth)  # fmt: skip
            self._nodes.setdefault(node.id, node)
            target = self._execution(execution, depth + 1)
            self._edges[WalkEdge(source=node.id, target=target)] = None

    def result(self, starts: Sequence[Artifact]) -> Walk:
        return Walk(
            starts=tuple(dict.fromkeys(f"a{self._first(start).id}" for start in starts)),
            nodes=tuple(self._nodes.values()),
            edges=tuple(self._edges),
            left_out=self.left_out,
        )

    def _first(self, artifact: Artifact) -> Artifact:
        """Returns the one node that stands for all that are the same thing."""
        return min(self._graph.same(artifact), key=lambda one: one.id)

    def _artifact(self, artifact: Artifact, depth: int) -> str:
        first = self._first(artifact)
        number = f"a{first.id}"
        if number not in self._nodes:
            maker = self._graph.maker(first)
            self._nodes[number] = WalkNode(
                id=number,
                kind=ARTIFACT,
                type=first.type.rpartition(".")[2],
                label=label_of(first if first.properties else artifact),
                uri=first.uri,
                run_id=maker.run_id if maker else "",
                at_ms=first.created_at_ms,
                depth=depth,
            )
        return number

    def _execution(self, execution: Execution, depth: int) -> str:
        number = f"e{execution.id}"
        self._nodes.setdefault(
            number,
            WalkNode(
                id=number,
                kind=EXECUTION,
                type=execution.type,
                label=label_of_execution(execution),
                run_id=run_of(execution),
                at_ms=execution.created_at_ms,
                depth=depth,
                state=execution.state,
            ),
        )
        return number


def label_of_execution(execution: Execution) -> str:
    """Returns what people call an execution by: its node, or what was done to a version."""
    if execution.type != ROLLOUT:
        return execution.node
    return f"{execution.text('action')}: {execution.text('detail')}"


def run_of(execution: Execution) -> str:
    """Returns the run of an execution; of what was done to a version, the run that pushed it."""
    return execution.text("run_id") if execution.type == ROLLOUT else execution.run_id


def label_of(artifact: Artifact) -> str:
    """Returns what people call an artifact by: its version, window, spans or verdict."""
    told = []
    if artifact.text("pushed_version"):
        told.append(f"{artifact.text('model_name')} version {artifact.text('pushed_version')}")
    if artifact.text("window"):
        told.append(f"window {artifact.text('window')}")
    if artifact.text("spans"):
        told.append(f"spans {artifact.text('spans')}")
    if artifact.text("variant"):
        told.append(artifact.text("variant"))
    if artifact.text("verdict"):
        told.append(artifact.text("verdict"))
    return ", ".join(told)
