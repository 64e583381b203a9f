"""Remote runs written into the loop's own ML Metadata, as TFX's local runner records its own.

What is written comes of the compiled spec (order, importers), of the records that the containers
left (node_recording.py) and of what the service says of nodes that left none. Artifacts are known
by type and URI, never by ids of the service. A run may be recorded again, and by several processes
at once: executions have unique names.
"""

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.contracts.node_record import NodeEnd, NodeRecord, RecordedArtifact
from tfx_loop.core.bucket.trees import open_tree
from tfx_loop.core.errors import LoopError
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.control.rollouts import record_endpoint_pushes
from tfx_loop.pipelines.control.run_state import EXECUTION_RESULT
from tfx_loop.pipelines.runners.remote.node_recording import (
    BASE_PATH,
    node_type_of,
    read_records,
    type_name_of,
)
from tfx_loop.pipelines.runners.remote.services import RemoteRun
from tfx_loop.pipelines.runners.remote.spec_check import SpecCheck, constant, task_constants

_LOG = logging.getLogger(__name__)
_IMPORTER = "tfx.dsl.components.common.importer.Importer"
_FAILED = "FAILED"
# UNKNOWN of gRPC, which TFX's own runner writes for an executor that raised.
_UNKNOWN = 2
_STATES = {NodeEnd.COMPLETE: pb.Execution.COMPLETE, NodeEnd.FAILED: pb.Execution.FAILED}


@dataclass(frozen=True, kw_only=True)
class RunToRecord:
    """A run that has ended.

    Attributes:
        run_id: The run as the loop calls it.
        check: The spec that ran, and its root.
        remote: What the service says of it; its id is that of this start of the run.
    """

    run_id: str
    check: SpecCheck
    remote: RemoteRun


def record_run(store: Store, ended: RunToRecord) -> list[NodeRecord]:
    """Writes what is not yet written of a run; returns what its nodes did, in their order.

    The steps of its pushes to endpoints are written, too: no container reaches the store.

    Raises:
        DataError: A record cannot be read.
    """
    left = {record.node: record for record in read_records(ended.check.root, ended.remote.run_id)}
    nodes = list(_nodes(ended, left))
    for record in nodes:
        _put(store, ended, record)
    record_endpoint_pushes(store, ended.run_id)
    _LOG.info(
        "recorded run=%s service_run=%s nodes=%d state=%s",
        ended.run_id,
        ended.remote.name,
        len(nodes),
        ended.remote.state.value,
    )
    return nodes


def _nodes(ended: RunToRecord, left: Mapping[str, NodeRecord]) -> Iterator[NodeRecord]:
    """Yields the nodes of a run that did something, those that others read from first."""
    for name in _ordered(ended.check.tasks):
        if name in left:
            yield left[name]
            continue
        executor = ended.check.executor(ended.check.tasks[name])
        state = ended.remote.tasks.get(name, "")
        if "importer" in executor:
            yield _imported(ended, name, executor["importer"])
        elif state == _FAILED or name == ended.remote.node:
            # Killed before it could leave a record: out of memory, no image, evicted.
            yield NodeRecord(
                run_id=ended.run_id,
                node=name,
                node_type=node_type_of(executor.get("container", {}).get("args", ())) or name,
                end=NodeEnd.FAILED,
                reason=ended.remote.reason if name == ended.remote.node else "no record was left",
                started_ms=0,
                ended_ms=0,
                # A push that was killed took steps, too.
                base_path=str(dict(task_constants(ended.check.tasks[name])).get(BASE_PATH) or ""),
            )


def _ordered(tasks: Mapping[str, Any]) -> list[str]:
    """Returns the tasks, each behind those that it reads from or waits for."""
    ordered: list[str] = []
    waiting = dict(tasks)
    while waiting:
        ready = [name for name, task in waiting.items() if not _needs(task) & waiting.keys()]
        # The service would have run no cycle; what is left is taken as it comes.
        for name in ready or list(waiting):
            ordered.append(name)
            del waiting[name]
    return ordered


def _needs(task: Mapping[str, Any]) -> set[str]:
    read = task.get("inputs", {}).get("artifacts", {}).values()
    # "" is an input that is no task's output, a constant; nothing waits under that name.
    makers = {one.get("taskOutputArtifact", {}).get("producerTask", "") for one in read}
    return makers | set(task.get("dependentTasks", ()))


def _imported(ended: RunToRecord, name: str, importer: Mapping[str, Any]) -> NodeRecord:
    artifact = RecordedArtifact(
        type_name=type_name_of(importer.get("typeSchema", {})),
        uri=str(constant(importer.get("artifactUri", {})) or ""),
    )
    return NodeRecord(
        run_id=ended.run_id,
        node=name,
        node_type=_IMPORTER,
        end=NodeEnd.COMPLETE,
        started_ms=0,
        ended_ms=0,
        outputs={"result": (artifact,)},
    )


def _put(store: Store, ended: RunToRecord, record: NodeRecord) -> None:
    kind = pb.ExecutionType(name=record.node_type or record.node)
    execution = pb.Execution(
        type_id=store.put_execution_type(kind, can_add_fields=True, can_omit_fields=True),
        name=f"{ended.remote.run_id}/{record.node}",
        last_known_state=_STATES[record.end],
    )
    if record.ended_ms:
        times = {"started_ms": record.started_ms, "ended_ms": record.ended_ms}
        ledger.set_properties(execution, times)
    if record.base_path:
        ledger.set_properties(execution, {BASE_PATH: record.base_path})
    if record.reason:
        result = {"code": _UNKNOWN, "resultMessage": record.reason}
        execution.custom_properties[EXECUTION_RESULT].string_value = json.dumps(result)
    edges = [
        (_artifact(store, artifact), _event(kind, key, index))
        for kind, side in ((pb.Event.INPUT, record.inputs), (pb.Event.OUTPUT, record.outputs))
        for key, artifacts in side.items()
        for index, artifact in enumerate(artifacts)
    ]
    contexts = _contexts(store, ended, record.node)
    # Recorded before, by this process or another.
    with contextlib.suppress(errors.AlreadyExistsError):
        store.put_execution(
            execution,
            edges,
            contexts,
            reuse_context_if_already_exist=True,
            force_reuse_context=True,
        )


def _contexts(store: Store, ended: RunToRecord, node: str) -> list[pb.Context]:
    pipeline = str(ended.check.spec["pipelineInfo"]["name"])
    names = {
        ledger.PIPELINE: pipeline,
        ledger.PIPELINE_RUN: ended.run_id,
        ledger.NODE: f"{pipeline}.{node}",
    }
    contexts = []
    for kind, name in names.items():
        found = store.get_context_by_type_and_name(kind, name)
        type_id = store.put_context_type(
            pb.ContextType(name=kind), can_add_fields=True, can_omit_fields=True
        )
        contexts.append(found or pb.Context(type_id=type_id, name=name))
    return contexts


def _artifact(store: Store, told: RecordedArtifact) -> pb.Artifact:
    """Returns the artifact of a type and URI, with what is newly known of it."""
    type_id = store.put_artifact_type(
        pb.ArtifactType(name=told.type_name), can_add_fields=True, can_omit_fields=True
    )
    known = [one for one in store.get_artifacts_by_uri(told.uri) if one.type_id == type_id]
    if known:
        # The newest of those that are told apart by id alone: it is the one that later runs found.
        return known[-1]
    artifact = pb.Artifact(type_id=type_id, uri=told.uri, state=pb.Artifact.LIVE)
    content = dict(told.properties)
    if tag := _content_tag(told.uri):
        content["content_tag"] = tag
    # Those that the type declares are kept where TFX's own runner keeps them.
    declared = {name for name in store.get_artifact_type(told.type_name).properties}
    plain = pb.Artifact()
    ledger.set_properties(plain, content)
    for name, value in plain.custom_properties.items():
        side = artifact.properties if name in declared else artifact.custom_properties
        side[name].CopyFrom(value)
    return artifact


def _content_tag(uri: str) -> str:
    """Returns what changes with the content of a folder in a bucket: a hash of names and tags."""
    try:
        tree = open_tree(uri.replace("minio://", "s3://", 1))
        listed = [f"{name}\0{tag}\n" for name, tag in tree.below("")]
    except (LoopError, OSError) as error:
        _LOG.warning("content_tag uri=%s unknown=%s", uri, error)
        return ""
    return hashlib.sha256("".join(listed).encode()).hexdigest() if listed else ""


def _event(kind: int, key: str, index: int) -> pb.Event:
    event = ledger.event(kind, key)
    # Steps are key and index in turn (ledger.event writes index 0).
    event.path.steps[1].index = index
    return event
