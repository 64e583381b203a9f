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
# Under which key a node that makes a model from a model reads that one.
MODEL_SOURCES = ("model", "parent", "teacher", "infra_blessing")
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
        return [given for k, given in self.keyed_inputs(execution) if not key or k == key]

    def keyed_inputs(self, execution: Execution) -> list[tuple[str, Artifact]]:
        """Returns what an execution read, with the keys of its inputs."""
        return [(key, self.artifacts[a]) for key, a in self._inputs.get(execution.id, [])]

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
                        behind.append(self._maker_behind(given, key, maker))
            makers = behind
            yield from reached

    def _maker_behind(self, artifact: Artifact, key: str, reader: Execution) -> Execution | None:
        """Returns who made an input of an execution, as far as `upstream` follows it."""
        carries = artifact.type == "Examples" or (artifact.type == "Model" and key in MODEL_SOURCES)
        within = self.maker_in(artifact, reader.run_id)
        return within or (self.maker(artifact) if carries else None)

    def maker_in(self, artifact: Artifact, run_id: str) -> Execution | None:
        """Returns who made an artifact in one run, be it by taking it from the cache."""
        made = [self.executions[execution_id] for execution_id in self._makers.get(artifact.id, [])]
        return next((e for e in made if e.run_id == run_id and e.type != IMPORTER), None)


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
