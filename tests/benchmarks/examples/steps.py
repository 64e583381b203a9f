"""A pipeline of which each node is run by itself, so that one which fails ends nothing else."""

import time
from typing import Any

from tests.benchmarks.examples.workbench import Outcome, sentence

RUN_ID = "stock"


class Run:
    """A pipeline of which each node is run by itself, so that one which fails ends nothing else."""

    def __init__(self, pipeline: Any) -> None:
        from tfx.dsl.compiler import compiler, constants
        from tfx.orchestration.local import runner_utils
        from tfx.orchestration.portable import runtime_parameter_utils

        self.compiled = compiler.Compiler().compile(pipeline)
        runtime_parameter_utils.substitute_runtime_parameter(
            self.compiled, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: RUN_ID}
        )
        self.deployment = runner_utils.extract_local_deployment_config(self.compiled)
        config = self.deployment.metadata_connection_config
        self.connection = getattr(config, config.WhichOneof("connection_config"))
        self.nodes = {n.pipeline_node.node_info.id: n.pipeline_node for n in self.compiled.nodes}
        self.done: set[str] = set()

    def node(self, name: str) -> None:
        """Runs a node; one that an earlier start of this run completed is not run again."""
        from tfx_loop.pipelines.runners import local

        node = self.nodes[name]
        local._run_node(self.compiled, node, self.deployment, self.connection, RUN_ID)
        self.done.add(name)

    def outcome(self, name: str, nodes: list[Any]) -> Outcome:
        """Runs what a node's lines made, and says what became of it."""
        from tfx_loop.core.errors import LoopError

        made = {node.id for node in nodes}
        given = {channel.producer_component_id for n in nodes for channel in n.inputs.values()}
        if lacking := sorted(given - made - self.done):
            return Outcome(name, "needs", said=", ".join(lacking))
        started = time.monotonic()
        try:
            for node in nodes:
                self.node(node.id)
        except Exception as error:
            cause = causes(error)[-1]
            state = "refused" if isinstance(cause, LoopError) else "failed"
            return Outcome(name, state, time.monotonic() - started, sentence(cause))
        return Outcome(name, "ran", time.monotonic() - started)


def causes(error: BaseException) -> list[BaseException]:
    """Returns an error and what it was raised from, down to the node's own sentence."""
    from tfx_loop.core.errors import LoopError

    found = [error]
    while found[-1].__cause__ is not None and (
        "NodeFailed" in type(found[-1]).__name__ or not isinstance(found[-1], LoopError)
    ):
        found.append(found[-1].__cause__)
    return found
