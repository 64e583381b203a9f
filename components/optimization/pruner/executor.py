"""Runs Pruner: a model and examples in, a pruned model and its report out."""

import logging

from tfx.dsl.components.base import base_executor

from tfx_loop.core.artifacts import Artifacts, Scalars
from tfx_loop.models.guard.settings import allowing
from tfx_loop.optimization.fine_tuning import execution
from tfx_loop.optimization.pruner import pruner
from tfx_loop.optimization.pruner.settings import PrunerSettings, PruningSettings

_LOG = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Executor of Pruner."""

    @allowing
    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Prunes the model given; see Pruner."""
        settings = PrunerSettings.from_properties(exec_properties)
        opened = execution.opened(
            "parent",
            input_dict,
            output_dict,
            settings,
            trainable=True,
            custom_objects=settings.fine_tuning.custom_objects,
        )
        with opened as (job, worker):
            report = pruner.run(job, settings.part(PruningSettings), worker, _LOG.info)
        execution.publish(report, output_dict, settings.variant, "prune")
