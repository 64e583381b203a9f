"""The graph of ML Metadata: makers and readers of artifacts, and artifacts that are the same thing.

A snapshot of the store, walked along its events. No `filter_query` and no `get_lineage_subgraph`:
they fail in ml-metadata 1.21. An artifact that was brought in by an Importer may be a node of its
own beside the one that its maker wrote, so artifacts of one type and one URI count as the same.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.core.custom_properties import Scalar
from tfx_loop.core.type_names import current_type_name
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.control.run_state import EXECUTION_RESULT, message_of

IMPORTER = "Importer"
# Under which key a node that makes a model from a model reads that one.
MODEL_SOURCES = ("model", "parent", "teacher", "infra_blessing")
# Ids in one query, so that its text stays far below the 1 MB that SQLite takes.
_CHUNK = 500
READ = (pb.Event.INPUT, pb.Event.DECLARED_INPUT)
MADE = (pb.Event.OUTPUT, pb.Event.DECLARED_OUTPUT)


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """An artifact of the store; times are the machine's, in milliseconds since epoch UTC."""

    id: int
    type: str
    uri: str
    name: str
    created_at_ms: int
    updated_at_ms: int
    properties: dict[str, Scalar]

    def integer(self, name: str) -> int:
        """Returns an integer property; 0 where it is absent."""
        return int(self.properties.get(name) or 0)

    def text(self, name: str) -> str:
        """Returns a property as text; empty where it is absent."""
        return str(self.properties.get(name, ""))


@dataclass(frozen=True, kw_only=True)
class Execution:
    """An execution of the store.

    Attributes:
        id: Id in MLMD.
        type: Class of the node (`Trainer`), or the loop's own type (`loop.Admission`).
        node: Id of the node in its pipeline.
        run_id: Its pipeline run; empty for the loop's own.
        state: `COMPLETE`, `CACHED`, `FAILED`, `RUNNING`, ...
        message: The error message that TFX recorded.
        created_at_ms: When it was registered, by the machine's clock.
        updated_at_ms: When it was written last.
        properties: Execution properties.
    """

    id: int
    type: str
    node: str
    run_id: str
    state: str
    message: str
    created_at_ms: int
    updated_at_ms: int
    properties: dict[str, Scalar]

    @property
    def done(self) -> bool:
        """Whether it has succeeded."""
        return self.state in ("COMPLETE", "CACHED")

    def text(self, name: str) -> str:
        """Returns a property as text; empty where it is absent."""
        return str(self.properties.get(name, ""))


class Edge(NamedTuple):
    """That an execution read or made an artifact.

    Attributes:
        execution: Id of the execution.
        artifact: Id of the artifact.
        key: Name of the input or output.
        read: True where it was read, False where it was made.
        at_ms: When it was recorded, by the machine's clock; 0 where the store does not tell.
    """

    execution: int
    artifact: int
    key: str
    read: bool
    at_ms: int


@dataclass(frozen=True)
class Graph:
    """Executions, artifacts, and who read and made what."""

    executions: dict[int, Execution]
    artifacts: dict[int, Artifact]
    edges: Sequence[Edge] = field(repr=False)
    _inputs: dict[int, list[tuple[str, int]]] = field(repr=False)
    _outputs: dict[int, list[tuple[str, int]]] = field(repr=False)
    _readers: dict[int, list[int]] = field(repr=False)
    _makers: dict[int, list[int]] = field(repr=False)

    @classmethod
    def of(
        cls,
        executions: dict[int, Execution],
        artifacts: dict[int, Artifact],
        edges: Sequence[Edge],
    ) -> "Graph":
        """Returns the graph of nodes and edges; edges to nodes that are not there are left out."""
        kept = [e for e in edges if e.execution in executions and e.artifact in artifacts]
        inputs: dict[int, list[tuple[str, int]]] = defaultdict(list)
        outputs: dict[int, list[tuple[str, int]]] = defaultdict(list)
        readers: dict[int, list[int]] = defaultdict(list)
        makers: dict[int, list[int]] = defaultdict(list)
        for edge in kept:
            (inputs if edge.read else outputs)[edge.execution].append((edge.key, edge.artifact))
            (readers if edge.read else makers)[edge.artifact].append(edge.execution)
        return cls(executions, artifacts, kept, inputs, outputs, readers, makers)

    def as_of(self, at_ms: int) -> "Graph":
        """Returns what was recorded by a time, milliseconds since epoch by the store's stamps.

        An execution that ended later is RUNNING in it. Properties that were written later, as the
        end of a lease is, cannot be told apart: the store keeps no former values.
        """
        edges = [edge for edge in self.edges if edge.at_ms <= at_ms]
        # Outputs are recorded with a node's end, by one call: where they are older than the time,
        # so is the end, whatever was written to the node later.
        ended = {edge.execution for edge in edges if not edge.read}
        executions = {
            number: execution
            if execution.updated_at_ms <= at_ms or number in ended
            else replace(execution, state="RUNNING", message="")
            for number, execution in self.executions.items()
            if execution.created_at_ms <= at_ms
        }
        made = {edge.artifact for edge in edges if not edge.read}
        # An artifact is registered before its node runs; it was made when its event was recorded.
        later = {edge.artifact for edge in self.edges if not edge.read} - made
        artifacts = {
            number: artifact
            for number, artifact in self.artifacts.items()
            if artifact.created_at_ms <= at_ms and number not in later
        }
        return Graph.of(executions, artifacts, edges)

    def of_type(self, type_name: str) -> list[Execution]:
        """Returns the executions of one type, oldest first."""
        return self._executions_by_type.get(type_name, [])

    def artifacts_of_type(self, type_name: str) -> list[Artifact]:
        """Returns the artifacts of one type, oldest first."""
        return self._artifacts_by_type.get(type_name, [])

    @cached_property
    def _executions_by_type(self) -> dict[str, list[Execution]]:
        found: dict[str, list[Execution]] = defaultdict(list)
        for _, execution in sorted(self.executions.items()):
            found[execution.type].append(execution)
        return found

    @cached_property
    def _artifacts_by_type(self) -> dict[str, list[Artifact]]:
        found: dict[str, list[Artifact]] = defaultdict(list)
        for _, artifact in sorted(self.artifacts.items()):
            found[artifact.type].append(artifact)
        return found

    @cached_property
    def _by_place(self) -> dict[tuple[str, str], list[Artifact]]:
        found: dict[tuple[str, str], list[Artifact]] = defaultdict(list)
        for artifact in self.artifacts.values():
            found[artifact.type, place_of(artifact.uri)].append(artifact)
        return found

    @cached_property
    def starts_of_runs(self) -> dict[str, int]:
        """How often each run was started, as its leases count."""
        found: dict[str, int] = defaultdict(int)
        for lease in self.artifacts_of_type(ledger.LEASE):
            found[lease.text("run_id")] += 1
        return found

    def inputs(self, execution: Execution, key: str = "") -> list[Artifact]:
        """Returns what an execution read, of one input key or of all."""
        return [given for k, given in self.keyed_inputs(execution) if not key or k == key]

    def keyed_inputs(self, execution: Execution) -> list[tuple[str, Artifact]]:
        """Returns what an execution read, with the keys of its inputs."""
        return [(key, self.artifacts[a]) for key, a in self._inputs.get(execution.id, [])]

    def outputs(self, execution: Execution, key: str = "") -> list[Artifact]:
        """Returns what an execution made, of one output key or of all."""
        return [made for k, made in self.keyed_outputs(execution) if not key or k == key]

    def keyed_outputs(self, execution: Execution) -> list[tuple[str, Artifact]]:
        """Returns what an execution made, with the keys of its outputs."""
        return [(key, self.artifacts[a]) for key, a in self._outputs.get(execution.id, [])]

    def same(self, artifact: Artifact) -> list[Artifact]:
        """Returns every node that stands for the same thing, itself included."""
        place = place_of(artifact.uri)
        return self._by_place.get((artifact.type, place), [artifact]) if place else [artifact]

    def maker(self, artifact: Artifact) -> Execution | None:
        """Returns the execution that made an artifact; an Importer made nothing."""
        made = [
            self.executions[execution_id]
            for node in self.same(artifact)
            for execution_id in self._makers.get(node.id, [])
        ]
        # The first that was no import: a cached node is recorded as a maker of the same artifact
        # again, and an Importer only brings in what another run made.
        real = [execution for execution in made if execution.type != IMPORTER]
        return min(real, key=lambda execution: execution.id) if real else None

    def readers(self, artifact: Artifact) -> list[Execution]:
        """Returns the executions that read an artifact, under whichever of its nodes."""
        found = {e for node in self.same(artifact) for e in self._readers.get(node.id, [])}
        return [self.executions[execution_id] for execution_id in sorted(found)]

    def upstream(self, artifact: Artifact, run_id: str) -> Iterator[Artifact]:
        """Yields what an artifact was made from, nearest first, in its run and in runs before.

        All that a run made is followed within the run. Into another run, be it of another pipeline,
        lead a model and the examples that something was made from, and nothing else: behind a
        schema, a champion or a decision lies the lineage of another training.
        """
        seen = {artifact.id}
        makers = [self.maker_in(artifact, run_id) or self.maker(artifact)]
        # Breadth first, so that the nearest come first.
        while makers:
            reached: list[Artifact] = []
            behind: list[Execution | None] = []
            for maker in filter(None, makers):
                for key, given in self.keyed_inputs(maker):
                    if given.id not in seen:
                        seen.add(given.id)
                        reached.append(given)
                        behind.append(self.maker_behind(given, key, maker))
            makers = behind
            yield from reached

    def maker_behind(self, artifact: Artifact, key: str, reader: Execution) -> Execution | None:
        """Returns who made an input of an execution, as far as `upstream` follows it."""
        carries = artifact.type == "Examples" or (artifact.type == "Model" and key in MODEL_SOURCES)
        within = self.maker_in(artifact, reader.run_id)
        return within or (self.maker(artifact) if carries else None)

    def maker_in(self, artifact: Artifact, run_id: str) -> Execution | None:
        """Returns who made an artifact in one run, be it by taking it from the cache."""
        made = [self.executions[execution_id] for execution_id in self._makers.get(artifact.id, [])]
        return next((e for e in made if e.run_id == run_id and e.type != IMPORTER), None)


def load(source: Store | Graph) -> Graph:
    """Reads the whole store into a graph, by the calls of ML Metadata's own client.

    What is a graph already is given back: `lineage.sources` reads some faster.
    """
    if isinstance(source, Graph):
        return source
    store = source
    # Stores that earlier releases wrote know our types by their former names.
    types = {t.id: current_type_name(t.name) for t in store.get_artifact_types()}
    kinds = {t.id: t.name for t in store.get_execution_types()}
    runs, nodes = _by_context(store, ledger.PIPELINE_RUN), _by_context(store, ledger.NODE)
    pipelines = {str(c.name) for c in store.get_contexts_by_type(ledger.PIPELINE)}
    executions = {
        int(e.id): execution_of(
            int(e.id),
            kinds[e.type_id],
            run_id=runs.get(e.id, ""),
            node=node_name(
                nodes.get(e.id, ""), _pipeline(store, e.id, nodes.get(e.id, ""), pipelines)
            ),
            state=str(pb.Execution.State.Name(e.last_known_state)),
            created_at_ms=int(e.create_time_since_epoch),
            updated_at_ms=int(e.last_update_time_since_epoch),
            properties=ledger.properties(e),
        )
        for e in store.get_executions()
    }
    artifacts = {int(a.id): _artifact(a, types[a.type_id]) for a in store.get_artifacts()}
    return Graph.of(executions, artifacts, list(_edges(store, executions)))


def _edges(store: Store, execution_ids: Iterable[int]) -> Iterator[Edge]:
    ids = list(execution_ids)
    for start in range(0, len(ids), _CHUNK):
        for event in store.get_events_by_execution_ids(ids[start : start + _CHUNK]):
            if event.type in READ or event.type in MADE:
                key = event.path.steps[0].key if event.path.steps else ""
                at_ms = int(event.milliseconds_since_epoch)
                ends = int(event.execution_id), int(event.artifact_id)
                yield Edge(*ends, key, event.type in READ, at_ms)


def _by_context(store: Store, context_type: str) -> dict[int, str]:
    return {
        execution.id: str(context.name)
        for context in store.get_contexts_by_type(context_type)
        for execution in store.get_executions_by_context(context.id)
    }


def _pipeline(store: Store, execution_id: int, node: str, pipelines: Iterable[str]) -> str:
    """Returns the pipeline of a node: the one whose name begins the node's, asked where several do.

    All executions of a pipeline, one by one, would be most of what a large store holds.
    """
    begin = [name for name in pipelines if node.startswith(f"{name}.")]
    # `taxi` and `taxi.monitor` both begin `taxi.monitor.Trainer`: then the node's contexts tell.
    if len(begin) < 2:
        return begin[0] if begin else ""
    contexts = store.get_contexts_by_execution(execution_id)
    return next((str(c.name) for c in contexts if c.type == ledger.PIPELINE), "")


def node_name(context: str, pipeline: str) -> str:
    """Returns a node's id: TFX names its context `pipeline.node`, and either may hold dots."""
    return context.removeprefix(f"{pipeline}.")


def _artifact(source: Any, type_name: str) -> Artifact:
    return Artifact(
        id=int(source.id),
        type=type_name,
        uri=str(source.uri),
        name=str(source.name),
        created_at_ms=int(source.create_time_since_epoch),
        updated_at_ms=int(source.last_update_time_since_epoch),
        properties=ledger.properties(source),
    )


def execution_of(
    number: int,
    type_name: str,
    *,
    run_id: str,
    node: str,
    state: str,
    created_at_ms: int,
    updated_at_ms: int,
    properties: dict[str, Scalar],
) -> Execution:
    """Returns an execution as the graph holds it."""
    # The loop's own types hold a dot that belongs to their name; TFX's are import paths.
    own = type_name in ledger.EXECUTION_TYPES
    return Execution(
        id=number,
        type=type_name if own else ledger.short_type(type_name),
        node=node or ledger.short_type(type_name),
        run_id=run_id,
        state=state,
        message=message_of(str(properties.get(EXECUTION_RESULT, ""))),
        created_at_ms=created_at_ms,
        updated_at_ms=updated_at_ms,
        properties=properties,
    )


def place_of(uri: str) -> str:
    """Returns a URI without what may be left out: the scheme of a file, a slash at its end."""
    return os.path.normpath(uri.removeprefix("file://")) if uri else ""
