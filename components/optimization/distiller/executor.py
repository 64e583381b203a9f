"""Runs Distiller: a teacher and examples in, a student and its report out."""

import logging

from tfx.dsl.components.base import base_executor

from tfx_loop.core.artifacts import Artifacts, Scalars
from tfx_loop.models.guard.settings import allowing
from tfx_loop.optimization.distiller import distiller
from tfx_loop.optimization.distiller.settings import DistillationSettings, DistillerSettings
from tfx_loop.optimization.fine_tuning import execution

_LOG = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Executor of Distiller."""

    @allowing
    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Teaches a student; see Distiller."""
        settings = DistillerSettings.from_properties(exec_properties)
        opened = execution.opened(
            "teacher",
            input_dict,
            output_dict,
            settings,
            # Layers are matched on the teacher's own Keras file.
            trainable=bool(settings.features),
            custom_objects=settings.fine_tuning.custom_objects,
        )
        with opened as (job, worker):
            report = distiller.run(job, settings.part(DistillationSettings), worker, _LOG.info)
        execution.publish(report, output_dict, distiller.VARIANT, "distill")
