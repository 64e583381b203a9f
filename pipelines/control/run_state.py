"""The state of a pipeline run, from what TFX and the leases recorded in ML Metadata alone."""

import json
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.pipelines.control import leases, ledger
from tfx_loop.pipelines.control.launcher import RunState, RunStatus
from tfx_loop.pipelines.control.leases import LeaseEnd
from tfx_loop.pipelines.control.ledger import Store

_DONE = (pb.Execution.COMPLETE, pb.Execution.CACHED)
# The custom property in which TFX keeps the error of a node.
EXECUTION_RESULT = "__execution_result__"
_RESOLVER = "tfx.dsl.components.common.resolver.Resolver"
# What TFX writes of a Resolver that found nothing, as codes of gRPC: UNKNOWN where its strategy
# returned None, FAILED_PRECONDITION where its inputs could not be filled.
_FOUND_NOTHING = (2, 9)


def mlmd_run_state(store: Store, run_id: str) -> RunStatus:
    """Derives the state of a run from its last lease and its executions.

    The lease speaks first, because executions alone cannot tell a run that ended from one that was
    killed between two nodes. A run without any lease was made by a runner that knows none: it
    SUCCEEDED when all its nodes have, and counts as RUNNING while one is not done, as nobody can
    say that it is dead.
    """
    lease = leases.latest(store, run_id)
    nodes = last_executions(store, run_id)
    if lease is not None and lease.end is LeaseEnd.SUCCEEDED:
        return RunStatus(state=RunState.SUCCEEDED)
    failed = next((node for node, execution in nodes.items() if has_failed(execution)), "")
    if lease is not None and lease.end is LeaseEnd.FAILED:
        return _failure(nodes, lease.node or failed, lease.reason)
    if lease is not None and leases.is_held(store, lease):
        return RunStatus(state=RunState.RUNNING)
    if failed:
        return _failure(nodes, failed, "")
    if not nodes:
        return RunStatus(state=RunState.ABSENT)
    if lease is not None:
        return RunStatus(state=RunState.INTERRUPTED)
    # A run of a foreign runner: its nodes are all that there is to go by.
    done = all(e.last_known_state in _DONE or found_nothing(e) for e in nodes.values())
    return RunStatus(state=RunState.SUCCEEDED if done else RunState.RUNNING)


def last_executions(store: Store, run_id: str) -> dict[str, pb.Execution]:
    """Returns the newest execution of each node of a run, in order of first appearance.

    TFX reuses the execution of a node when a run is resumed, except that of an Importer, of which
    each start leaves one more: only the newest tells where the node stands.
    """
    newest: dict[str, pb.Execution] = {}
    for execution in ledger.executions_of_run(store, run_id):
        newest[node_name(store, execution)] = execution
    return newest


def node_name(store: Store, execution: pb.Execution) -> str:
    """Returns the node's id: its `node` context is named `PIPELINE.NODE`."""
    for context in store.get_contexts_by_execution(execution.id):
        if context.type == ledger.NODE:
            return str(context.name).rsplit(".", 1)[-1]
    return ledger.short_type(execution.type)


def has_failed(execution: pb.Execution) -> bool:
    """Says whether an execution ends its run."""
    failed = execution.last_known_state == pb.Execution.FAILED
    return failed and not found_nothing(execution)


def found_nothing(execution: pb.Execution) -> bool:
    """Says whether this is a Resolver that found nothing, which TFX records as FAILED.

    In the first run of a pipeline that is the rule. Optional inputs then stay empty, and the run
    goes on; a node that cannot do without fails by itself.
    """
    if execution.type != _RESOLVER or execution.last_known_state != pb.Execution.FAILED:
        return False
    return _execution_result(execution).get("code") in _FOUND_NOTHING


def execution_message(execution: pb.Execution) -> str:
    """Returns the error message that TFX stored with an execution; empty where there is none."""
    return message_of(execution.custom_properties[EXECUTION_RESULT].string_value)


def message_of(text: str) -> str:
    """Returns the message in what TFX stored of an execution's end; empty where there is none."""
    return str(_result(text).get("resultMessage", ""))


def _execution_result(execution: pb.Execution) -> dict[str, Any]:
    return _result(execution.custom_properties[EXECUTION_RESULT].string_value)


def _result(text: str) -> dict[str, Any]:
    """Returns what TFX stored of an execution's end; text that is no JSON counts as its message."""
    try:
        return dict(json.loads(text)) if text else {}
    except ValueError:
        return {"resultMessage": text}


def _failure(nodes: dict[str, pb.Execution], node: str, reason: str) -> RunStatus:
    told = reason or (execution_message(nodes[node]) if node in nodes else "")
    return RunStatus(state=RunState.FAILED, node=node, reason=told or "no reason was recorded")
