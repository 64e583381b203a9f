"""Runs Distiller: a teacher and examples in, a student and its report out."""

import logging
from pathlib import Path

from tfx.dsl.components.base import base_executor
from tfx.utils import path_utils

from tfx_loop.core.artifacts import Artifacts, Scalars
from tfx_loop.models.formats import detect, keras_model_of
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
        with execution.opened("teacher", _files, input_dict, output_dict, settings) as opened:
            job, worker = opened
            report = distiller.run(job, settings.part(DistillationSettings), worker, _LOG.info)
        execution.publish(report, output_dict, distiller.VARIANT, "distill")


def _files(folder: Path) -> tuple[Path, Path]:
    """Returns the teacher's Keras file where there is one, and what is deployed of that model."""
    deployed = detect(path_utils.serving_model_path(str(folder))).path
    return keras_model_of(folder) or deployed, deployed
