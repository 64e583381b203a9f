"""Runs Pruner: a model and examples in, a pruned model and its report out."""

import json
import logging
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.utils import path_utils

from tfx_loop.optimization.fine_tuning import execution
from tfx_loop.optimization.fine_tuning.node import required_keras
from tfx_loop.optimization.pruner import job
from tfx_loop.optimization.pruner.settings import PruningSettings

_LOG = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Executor of Pruner."""

    def Do(  # noqa: N802 - the name is TFX's
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Prunes the model given; see Pruner."""
        settings = PruningSettings.from_json(json.loads(exec_properties["settings"]))
        with execution.opened("parent", _files, input_dict, output_dict, exec_properties) as given:
            report = job.run(given.job, settings, given.worker, given.out, _LOG.info)
        execution.publish(report, output_dict, settings.variant, "prune")


def _files(folder: Path) -> tuple[Path, Path]:
    """Returns the Keras file whose layers are pruned, and what is deployed of that model."""
    return Path(required_keras(str(folder))), Path(path_utils.serving_model_path(str(folder)))
