"""Facts about the loop in ML Metadata, each written once.

A fact is an artifact or an execution with a unique name of its type: MLMD refuses the second of a
name, in one transaction, whoever writes it. Facts are appended, not changed, so a process that
dies between two facts leaves nothing half-written, and its successor sees where to go on.
"""

import contextlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.core.custom_properties import MOST_INT, Scalar
from tfx_loop.core.type_names import known_type_names

CLAIM = "loop.RetrainClaim"
LEASE = "loop.RunLease"
HEARTBEAT = "loop.Heartbeat"
ADMISSION = "loop.Admission"
APPROVAL = "loop.Approval"
RETRAINING = "loop.Retraining"
ROLLOUT = "loop.Rollout"
RELEASE = "loop.Release"
RETRY = "loop.Retry"
RETURN = "loop.VersionReturn"
WINDOW = "loop.Window"
SKIP = "loop.Skip"
PERSON_HOLD = "loop.Hold"

ARTIFACT_TYPES = (CLAIM, LEASE, HEARTBEAT)
EXECUTION_TYPES = (
    ADMISSION,
    APPROVAL,
    RETRAINING,
    ROLLOUT,
    RELEASE,
    RETRY,
    RETURN,
    WINDOW,
    SKIP,
    PERSON_HOLD,
)

MODEL = "Model"
PUSHED_MODEL = "PushedModel"
ENDPOINT_PUSHER = "SageMakerPusher"
# Nodes that bring a version into service.
PUSHERS = ("ServingPusher", ENDPOINT_PUSHER)
PIPELINE_RUN = "pipeline_run"
PIPELINE = "pipeline"
NODE = "node"

# What `ml_metadata` hands out; it has no types of its own to check against.
Store = Any


def register_types(store: Store) -> dict[str, int]:
    """Registers the loop's types, whoever else does so at the same time; returns their ids."""
    ids = {}
    for name in ARTIFACT_TYPES:
        made = pb.ArtifactType(name=name, external_id=_type_key(name))
        ids[name] = _register(store.get_artifact_type, store.put_artifact_type, made)
    for name in EXECUTION_TYPES:
        kind = pb.ExecutionType(name=name, external_id=_type_key(name))
        ids[name] = _register(store.get_execution_type, store.put_execution_type, kind)
    return ids


def _type_key(name: str) -> str:
    return f"tfx_loop/type/{name}"


def _register(get: Any, put: Any, kind: Any) -> int:
    """Returns the id of a type, made here unless it is there.

    MLMD's tables let a type's name stand twice: on PostgreSQL and MySQL two processes that register
    it at once each make one, and no longer see each other's facts. An external id is unique.
    """
    with contextlib.suppress(errors.NotFoundError):
        return int(get(kind.name).id)
    try:
        return int(put(kind))
    # Another process was first; the databases tell that differently.
    except (errors.AlreadyExistsError, errors.InternalError, errors.AbortedError):
        return int(get(kind.name).id)


def properties(record: Any) -> dict[str, Scalar]:
    """Returns properties and custom properties of an artifact or execution as plain scalars."""
    found: dict[str, Scalar] = {}
    for source in (record.properties, record.custom_properties):
        for name, value in source.items():
            kind = value.WhichOneof("value")
            if kind in ("int_value", "string_value"):
                found[name] = getattr(value, kind)
            elif kind == "double_value":
                found[name] = exact(value.double_value)
    return found


def exact(held: float) -> int | float:
    """Returns a double as it was written: whole numbers beyond 32 bits are kept as doubles."""
    return int(held) if abs(held) > MOST_INT and held.is_integer() else held


def set_properties(record: Any, values: Mapping[str, Scalar]) -> None:
    """Writes custom properties; booleans are refused, as in `tfx_loop.core.artifacts`."""
    for name, value in values.items():
        if isinstance(value, bool):
            raise TypeError(f"Property {name!r} must be int, float or str, got bool; write 0 or 1.")
        # A double holds what 32 bits do not, such as milliseconds since epoch, exactly.
        if isinstance(value, int) and abs(value) <= MOST_INT:
            record.custom_properties[name].int_value = value
        elif isinstance(value, (int, float)):
            record.custom_properties[name].double_value = value
        else:
            record.custom_properties[name].string_value = value


def event(kind: int, key: str) -> pb.Event:
    """Returns an event as TFX writes it: a path of the channel's key and an index."""
    made = pb.Event(type=kind)
    made.path.steps.add().key = key
    made.path.steps.add().index = 0
    return made


def inputs(artifacts: Mapping[str, pb.Artifact]) -> list[tuple[pb.Artifact, pb.Event]]:
    """Pairs artifacts with the event of being read."""
    return [(artifact, event(pb.Event.INPUT, key)) for key, artifact in artifacts.items()]


def put_once(
    store: Store, execution: pb.Execution, edges: Iterable[tuple[pb.Artifact, pb.Event]]
) -> int | None:
    """Writes an execution with its artifacts and events in one transaction.

    Returns:
        Its id, or None where a unique name (its own or an artifact's) is taken; then nothing of it
        was written.
    """
    try:
        execution_id, _, _ = store.put_execution(execution, list(edges), [])
    except errors.AlreadyExistsError:
        return None
    return int(execution_id)


def executions_of_run(store: Store, run_id: str) -> list[pb.Execution]:
    """Returns the executions that TFX recorded for a pipeline run, oldest first."""
    context = store.get_context_by_type_and_name(PIPELINE_RUN, run_id)
    if context is None:
        return []
    # Ids rise in the order of writing; times of different machines need not.
    return sorted(store.get_executions_by_context(context.id), key=lambda found: int(found.id))


def newest_by_window(
    executions: Iterable[pb.Execution], model_name: str
) -> dict[str, dict[str, Scalar]]:
    """Returns the properties of the newest fact about each window of a model."""
    # Ids rise in the order of writing, whatever order they are handed over in.
    said = [properties(one) for one in sorted(executions, key=lambda found: int(found.id))]
    return {str(one["window"]): one for one in said if one["model_name"] == model_name}


def short_type(type_name: str) -> str:
    """Returns the class of a node type: `tfx.components.trainer.component.Trainer` → `Trainer`."""
    return type_name.rsplit(".", 1)[-1]


def artifact_type_ids(store: Store, type_name: str) -> set[int]:
    """Returns the ids of an artifact type, under each name that it has had; none in a new store."""
    ids = set()
    for name in known_type_names(type_name):
        with contextlib.suppress(errors.NotFoundError):
            ids.add(int(store.get_artifact_type(name).id))
    return ids


def artifacts_of_type(store: Store, type_name: str) -> list[pb.Artifact]:
    """Returns the artifacts of a type, under each name that it has had, oldest first."""
    names = known_type_names(type_name)
    found = [one for name in names for one in store.get_artifacts_by_type(name)]
    return sorted(found, key=lambda artifact: int(artifact.id))


def outputs_of_run(
    store: Store, run_id: str, node_types: Collection[str], artifact_type: str
) -> list[pb.Artifact]:
    """Returns the artifacts of one type that some kinds of node made in a run, oldest first."""
    type_ids = artifact_type_ids(store, artifact_type)
    makers = [
        execution.id
        for execution in executions_of_run(store, run_id)
        if short_type(execution.type) in node_types
        # A node that failed may have registered its outputs before.
        and execution.last_known_state in (pb.Execution.COMPLETE, pb.Execution.CACHED)
    ]
    events = store.get_events_by_execution_ids(makers) if makers else []
    made = sorted({one.artifact_id for one in events if one.type == pb.Event.OUTPUT})
    artifacts = store.get_artifacts_by_id(made) if made else []
    found = [artifact for artifact in artifacts if artifact.type_id in type_ids]
    return sorted(found, key=lambda artifact: int(artifact.id))
