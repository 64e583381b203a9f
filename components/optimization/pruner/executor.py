"""Runs Pruner: a model and examples in, a pruned model and its report out."""

import logging
from pathlib import Path

from tfx.dsl.components.base import base_executor
from tfx.utils import path_utils

from tfx_loop.core.artifacts import Artifacts, Scalars
from tfx_loop.core.errors import ModelError
from tfx_loop.models.formats import keras_model_of
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
        with execution.opened("parent", _files, input_dict, output_dict, settings) as opened:
            job, worker = opened
            report = pruner.run(job, settings.part(PruningSettings), worker, _LOG.info)
        execution.publish(report, output_dict, settings.variant, "prune")


def _files(folder: Path) -> tuple[Path, Path]:
    """Returns the Keras file whose layers are pruned, and what is deployed of that model.

    Raises:
        ModelError: The Trainer left no Keras file.
    """
    keras = keras_model_of(folder)
    if keras is None:
        raise ModelError(
            f"Expected Format-Keras/model.keras beside the SavedModel in {folder}, received none. "
            "Let the Trainer save its tf_keras model there: training-time techniques need its "
            "layers."
        )
    return keras, Path(path_utils.serving_model_path(str(folder)))
