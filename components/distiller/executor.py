"""Runs Distiller: a teacher and examples in, a student and its report out."""

import json
import logging
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.child_process.worker import Worker
from components.distiller import job
from components.distiller.settings import DistillationSettings
from components.fine_tuning import artifacts
from components.fine_tuning.node import Judged, splits
from components.model_formats.formats import detect, keras_model_of

VARIANT = "distilled"
_LOG = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Executor of Distiller."""

    def Do(  # noqa: N802 - the name is TFX's
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Teaches a student; see Distiller."""
        teacher = artifact_utils.get_single_instance(input_dict["teacher"])
        student = artifact_utils.get_single_instance(output_dict["model"])
        settings = DistillationSettings.from_json(json.loads(exec_properties["settings"]))
        examples = input_dict["examples"]
        training = artifacts.rows_of(examples, splits(exec_properties, "training_splits"))
        reporting = artifacts.rows_of(examples, splits(exec_properties, "reporting_splits"))
        worker = Worker(
            timeout_seconds=float(exec_properties["timeout_seconds"]),
            memory_mb=float(exec_properties["memory_mb"]),
        )
        with (
            worker,
            artifacts.on_this_machine(teacher.uri) as source,
            artifacts.published(student.uri) as out,
        ):
            served = detect(path_utils.serving_model_path(str(source)))
            request = job.DistillationJob(
                teacher=keras_model_of(source) or served.path,
                teacher_deployed=served.path,
                settings=settings,
                judged=Judged.from_properties(exec_properties),
                export_fn=exec_properties.get("export_fn") or "",
                transform_output=artifacts.optional_uri(input_dict.get("transform_graph")),
                shown_teacher=teacher.uri,
                shown_student=student.uri,
            )
            report = job.run(request, training, reporting, worker, out, _LOG.info)
        report_artifact = artifact_utils.get_single_instance(output_dict["optimization_report"])
        artifacts.publish_report(report, report_artifact, student, VARIANT)
        _LOG.info(
            "distill verdict=%s reason=%s model=%s",
            report.verdict.value,
            report.reason.value,
            student.uri,
        )
