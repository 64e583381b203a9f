"""Runs Pruner: a model and examples in, a pruned model and its report out."""

import json
import logging
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.child_process.worker import Worker
from components.fine_tuning import artifacts
from components.fine_tuning.node import Judged, required_keras, splits
from components.pruner import job
from components.pruner.settings import PruningSettings

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
        parent = artifact_utils.get_single_instance(input_dict["parent"])
        child = artifact_utils.get_single_instance(output_dict["model"])
        settings = PruningSettings.from_json(json.loads(exec_properties["settings"]))
        examples = input_dict["examples"]
        training = artifacts.rows_of(examples, splits(exec_properties, "training_splits"))
        reporting = artifacts.rows_of(examples, splits(exec_properties, "reporting_splits"))
        worker = Worker(
            timeout_seconds=float(exec_properties["timeout_seconds"]),
            memory_mb=float(exec_properties["memory_mb"]),
        )
        with (
            worker,
            artifacts.on_this_machine(parent.uri) as source,
            artifacts.published(child.uri) as out,
        ):
            request = job.PruningJob(
                keras=Path(required_keras(str(source))),
                saved_model=Path(path_utils.serving_model_path(str(source))),
                settings=settings,
                judged=Judged.from_properties(exec_properties),
                export_fn=exec_properties.get("export_fn") or "",
                transform_output=artifacts.optional_uri(input_dict.get("transform_graph")),
                shown_parent=parent.uri,
                shown_child=child.uri,
            )
            report = job.run(request, training, reporting, worker, out, _LOG.info)
        report_artifact = artifact_utils.get_single_instance(output_dict["optimization_report"])
        artifacts.publish_report(report, report_artifact, child, settings.variant)
        _LOG.info(
            "prune verdict=%s reason=%s model=%s",
            report.verdict.value,
            report.reason.value,
            child.uri,
        )
