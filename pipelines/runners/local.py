"""Runs of a pipeline in this process, under an id of the caller's, so that they can be resumed.

TFX's LocalDagRunner names each run by the clock and returns normally when a node could not resolve
its inputs. Here the caller names the run: started again under the same id, nodes that are complete
are skipped and the one that was cut off runs again. A run with a failed execution raises; a
Resolver that found nothing is none, as it is for TFX's runner.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfx.dsl.compiler import compiler, constants
from tfx.dsl.io import fileio
from tfx.orchestration import metadata
from tfx.orchestration import pipeline as tfx_pipeline
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils
from tfx.orchestration.portable.mlmd import execution_lib

from tfx_loop.core.bucket import tfx_filesystem
from tfx_loop.core.errors import PipelineFailed
from tfx_loop.pipelines.control.rollouts import record_endpoint_pushes
from tfx_loop.pipelines.control.run_state import (
    execution_message,
    found_nothing,
    last_executions,
)

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class NodeTime:
    """How long one node of a run took.

    Attributes:
        node: Node id.
        seconds: Wall time.
    """

    node: str
    seconds: float


class NodeFailed(PipelineFailed):
    """A node of a local run failed.

    Attributes:
        node: Node id.
        reason: What the node said.
    """

    def __init__(self, run_id: str, node: str, reason: str) -> None:
        """Says which node failed and why."""
        super().__init__(f"Node {node} of run {run_id} failed: {reason}")
        self.node = node
        self.reason = reason


def run_pipeline(
    pipeline: tfx_pipeline.Pipeline,
    run_id: str,
    on_node: Callable[[NodeTime], None] = lambda _: None,
) -> list[NodeTime]:
    """Runs the nodes in order; returns what each cost.

    Args:
        pipeline: A pipeline with a local metadata connection.
        run_id: Name of the run in ML Metadata. A run that was cut off continues under its id.
        on_node: Is told of each node as it ends.

    Raises:
        NodeFailed: A node failed; the nodes after it did not start.
    """
    tfx_filesystem.register()
    compiled = compiler.Compiler().compile(pipeline)
    runtime_parameter_utils.substitute_runtime_parameter(
        compiled, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
    )
    deployment = runner_utils.extract_local_deployment_config(compiled)
    connection = getattr(
        deployment.metadata_connection_config,
        deployment.metadata_connection_config.WhichOneof("connection_config"),
    )
    with metadata.Metadata(connection) as handle:
        recorded = last_executions(handle.store, run_id)
    times = []
    try:
        for node in compiled.nodes:
            node_id = node.pipeline_node.node_info.id
            # Complete in an earlier start of this run. Its outputs are found through ML Metadata.
            if node_id in recorded and execution_lib.is_execution_successful(recorded[node_id]):
                continue
            if node_id in recorded:
                _remove_outputs(compiled, node_id, recorded[node_id].id)
            started = time.monotonic()
            _run_node(compiled, node.pipeline_node, deployment, connection, run_id)
            times.append(NodeTime(node_id, time.monotonic() - started))
            on_node(times[-1])
    finally:
        # Executors have no handle on ML Metadata; a push that failed took steps, too.
        with metadata.Metadata(connection) as handle:
            record_endpoint_pushes(handle.store, run_id)
    return times


def _remove_outputs(compiled: Any, node_id: str, execution_id: int) -> None:
    """Removes what a node wrote before it was cut off: TFX would write the new files among it."""
    root = compiled.runtime_spec.pipeline_root.field_value.string_value
    for folder in fileio.glob(os.path.join(root, node_id, "*", str(execution_id))):
        fileio.rmtree(folder)


def _run_node(compiled: Any, node: Any, deployment: Any, connection: Any, run_id: str) -> None:
    node_id = node.node_info.id
    node_launcher = launcher.Launcher(
        pipeline_node=node,
        mlmd_connection=metadata.Metadata(connection),
        pipeline_info=compiled.pipeline_info,
        pipeline_runtime_spec=compiled.runtime_spec,
        executor_spec=runner_utils.extract_executor_spec(deployment, node_id),
        custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, node_id),
    )
    try:
        execution = node_launcher.launch()
    except Exception as error:
        _LOG.debug("node %s of run %s failed", node_id, run_id, exc_info=True)
        raise NodeFailed(run_id, node_id, f"{type(error).__name__}: {error}") from error
    # No execution is recorded of a node that a condition skipped.
    if execution is None or not execution.execution_id:
        return
    with metadata.Metadata(connection) as handle:
        [written] = handle.store.get_executions_by_id([execution.execution_id])
    if found_nothing(written):
        _LOG.info("resolver found=nothing node=%s run=%s", node_id, run_id)
    elif not execution_lib.is_execution_successful(written):
        state = written.State.Name(written.last_known_state)
        reason = execution_message(written) or f"its execution is {state}"
        raise NodeFailed(run_id, node_id, reason)
