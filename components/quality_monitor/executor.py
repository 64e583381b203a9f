"""Runs TFMA over the labelled rows of a window."""

import logging
import os
from typing import Any

import apache_beam as beam
import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from components import storage
from components.artifacts import Scalar, set_properties
from components.prediction_log.window_files import read_rows
from components.quality_monitor import quality
from components.tfma_results import OVERALL, metrics_by_slice

_KEPT = ("auc", "calibration")


class Executor(base_beam_executor.BaseBeamExecutor):
    """Executor of QualityMonitor."""

    def Do(  # noqa: N802 - the name is TFX's
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes TFMA's result and `quality.json`; a window without labels has no metrics."""
        log = artifact_utils.get_single_instance(input_dict["labelled_log"])
        evaluation = artifact_utils.get_single_instance(output_dict["evaluation"])
        config = json_format.Parse(exec_properties["eval_config"], tfma.EvalConfig())
        spec = config.model_specs[0]
        spec.example_weight_key = quality.WEIGHT
        rows = quality.judged_rows(
            read_rows(log.uri),
            start_ms=int(exec_properties["start_ms"] or 0),
            end_ms=int(exec_properties["end_ms"] or 0),
            score=spec.prediction_key,
            label=spec.label_key,
            slice_features=sorted({key for s in config.slicing_specs for key in s.feature_keys}),
        )
        metrics: dict[str, dict[str, float]] = {}
        if rows.num_rows:
            with self._make_beam_pipeline() as pipeline:
                _ = (
                    pipeline
                    | beam.Create([rows])
                    | tfma.ExtractEvaluateAndWriteResults(
                        eval_config=config, output_path=evaluation.uri
                    )
                )
            metrics = metrics_by_slice(tfma.load_eval_result(evaluation.uri))
        judged = quality.row_count(rows)
        report = quality.summary(metrics, judged)
        storage.write_json(os.path.join(evaluation.uri, quality.FILE_NAME), report)
        overall = report["slices"].get(OVERALL, {})
        kept: dict[str, Scalar] = {name: overall[name] for name in _KEPT if name in overall}
        window = exec_properties["window"]
        set_properties(evaluation, {"window": window, "labelled_rows": judged, **kept})
        logging.info("quality window=%s rows=%d auc=%s", window, judged, kept.get("auc"))
