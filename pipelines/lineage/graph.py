"""The graph of ML Metadata: makers and readers of artifacts, and artifacts that are the same thing.

A snapshot of the store, walked along its events. No `filter_query` and no `get_lineage_subgraph`:
they fail in ml-metadata 1.21. An artifact that was brought in by an Importer may be a node of its
own beside the one that its maker wrote, so artifacts of one type and one URI count as the same.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.core.custom_properties import Scalar
from tfx_loop.core.type_names import current_type_name
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.control.run_state import execution_message

IMPORTER = "Importer"
# Ids in one query, so that its text stays far below the 1 MB that SQLite takes.
_CHUNK = 500
_READ = (pb.Event.INPUT, pb.Event.DECLARED_INPUT)
_MADE = (pb.Event.OUTPUT, pb.Event.DECLARED_OUTPUT)


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


@dataclass(frozen=True)
class Graph:
    """Executions, artifacts, and who read and made what."""

    executions: dict[int, Execution]
    artifacts: dict[int, Artifact]
    _inputs: dict[int, list[tuple[str, int]]] = field(repr=False)
    _outputs: dict[int, list[tuple[str, int]]] = field(repr=False)
    _readers: dict[int, list[int]] = field(repr=False)
    _makers: dict[int, list[int]] = field(repr=False)

    def of_type(self, type_name: str) -> list[Execution]:
        """Returns the executions of one type, oldest first."""
        return [e for _, e in sorted(self.executions.items()) if e.type == type_name]

    def artifacts_of_type(self, type_name: str) -> list[Artifact]:
        """Returns the artifacts of one type, oldest first."""
        return [a for _, a in sorted(self.artifacts.items()) if a.type == type_name]

    def inputs(self, execution: Execution, key: str = "") -> list[Artifact]:
        """Returns what an execution read, of one input key or of all."""
        edges = self._inputs.get(execution.id, [])
        return [self.artifacts[a] for k, a in edges if not key or k == key]

    def outputs(self, execution: Execution, key: str = "") -> list[Artifact]:
        """Returns what an execution made, of one output key or of all."""
        edges = self._outputs.get(execution.id, [])
        return [self.artifacts[a] for k, a in edges if not key or k == key]

    def same(self, artifact: Artifact) -> list[Artifact]:
        """Returns every node that stands for the same thing, itself included."""
        place = _place(artifact.uri)
        return [
            other
            for other in self.artifacts.values()
            if other.id == artifact.id
            or (place and other.type == artifact.type and _place(other.uri) == place)
        ]

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
        """Yields what an artifact was made from within one run, nearest first."""
        # Breadth first, so that the nearest come first. Only makers of the same run count: behind
        # an imported champion lies the lineage of another training.
        seen = {artifact.id}
        frontier = [artifact]
        while frontier:
            reached: list[Artifact] = []
            for node in frontier:
                for execution_id in self._makers.get(node.id, []):
                    execution = self.executions[execution_id]
                    if execution.run_id == run_id:
                        reached += [a for a in self.inputs(execution) if a.id not in seen]
            # A dict and no set: the order in which they were reached stays.
            frontier = list({node.id: node for node in reached}.values())
            seen |= {node.id for node in frontier}
            yield from frontier


def load(store: Store) -> Graph:
    """Reads the whole store into a graph."""
    # Stores that earlier releases wrote know our types by their former names.
    types = {t.id: current_type_name(t.name) for t in store.get_artifact_types()}
    kinds = {t.id: t.name for t in store.get_execution_types()}
    runs = _by_context(store, ledger.PIPELINE_RUN)
    nodes = _by_context(store, ledger.NODE)
    pipelines = _by_context(store, ledger.PIPELINE)
    executions = {
        int(e.id): _execution(
            e,
            kinds[e.type_id],
            runs.get(e.id, ""),
            # TFX names the context of a node `pipeline.node`; either may hold dots of its own.
            nodes.get(e.id, "").removeprefix(f"{pipelines.get(e.id, '')}."),
        )
        for e in store.get_executions()
    }
    artifacts = {int(a.id): _artifact(a, types[a.type_id]) for a in store.get_artifacts()}
    inputs: dict[int, list[tuple[str, int]]] = defaultdict(list)
    outputs: dict[int, list[tuple[str, int]]] = defaultdict(list)
    readers: dict[int, list[int]] = defaultdict(list)
    makers: dict[int, list[int]] = defaultdict(list)
    for event in _events(store, executions):
        key = event.path.steps[0].key if event.path.steps else ""
        if event.type in _READ:
            inputs[event.execution_id].append((key, event.artifact_id))
            readers[event.artifact_id].append(event.execution_id)
        elif event.type in _MADE:
            outputs[event.execution_id].append((key, event.artifact_id))
            makers[event.artifact_id].append(event.execution_id)
    return Graph(executions, artifacts, inputs, outputs, readers, makers)


def _events(store: Store, execution_ids: Iterable[int]) -> Iterator[Any]:
    ids = list(execution_ids)
    for start in range(0, len(ids), _CHUNK):
        yield from store.get_events_by_execution_ids(ids[start : start + _CHUNK])


def _by_context(store: Store, context_type: str) -> dict[int, str]:
    return {
        execution.id: str(context.name)
        for context in store.get_contexts_by_type(context_type)
        for execution in store.get_executions_by_context(context.id)
    }


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


def _execution(source: Any, type_name: str, run_id: str, node: str) -> Execution:
    # The loop's own types hold a dot that belongs to their name; TFX's are import paths.
    own = type_name in ledger.EXECUTION_TYPES
    return Execution(
        id=int(source.id),
        type=type_name if own else ledger.short_type(type_name),
        node=node or ledger.short_type(type_name),
        run_id=run_id,
        state=str(pb.Execution.State.Name(source.last_known_state)),
        message=execution_message(source),
        created_at_ms=int(source.create_time_since_epoch),
        updated_at_ms=int(source.last_update_time_since_epoch),
        properties=ledger.properties(source),
    )


def _place(uri: str) -> str:
    # One folder may be written with and without the scheme or a slash at its end.
    return os.path.normpath(uri.removeprefix("file://")) if uri else ""
