"""Runs QualityMonitor: labelled rows in, TFMA's metrics and the test of their errors out."""

from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tensorflow_model_analysis.proto import config_pb2
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from tfx_loop.contracts.model_evaluation import metrics_by_slice
from tfx_loop.contracts.quality_report import QUALITY_REPORT, QualityResult
from tfx_loop.core.artifacts import Artifacts, Scalars, publish
from tfx_loop.core.custom_properties import to_properties
from tfx_loop.core.inputs import single, single_or_none
from tfx_loop.data.prediction_log.window_files import LOG_WINDOW, read_rows
from tfx_loop.monitoring.profile.profile_files import load_profile
from tfx_loop.monitoring.quality_monitor import error_stream, quality
from tfx_loop.monitoring.quality_monitor.label_arrivals import label_arrivals
from tfx_loop.monitoring.quality_monitor.settings import QualityMonitorSettings


class Executor(base_beam_executor.BaseBeamExecutor):
    """Executor of QualityMonitor."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Writes TFMA's result and `quality.json`; a window without labels has no metrics."""
        log = single(input_dict, "labelled_log")
        evaluation = artifact_utils.get_single_instance(output_dict["evaluation"])
        settings = QualityMonitorSettings.from_properties(exec_properties)
        config = json_format.Parse(settings.eval_config, config_pb2.EvalConfig())
        spec = config.model_specs[0]
        spec.example_weight_key = quality.WEIGHT
        window = quality.JudgedWindow(
            start_ms=settings.start_ms, end_ms=settings.end_ms, score=spec.prediction_key
        )
        table = read_rows(log.uri)
        rows = quality.judged_rows(
            table,
            window,
            label=spec.label_key,
            slice_features=sorted({key for s in config.slicing_specs for key in s.feature_keys}),
        )
        metrics = self._metrics(rows, config, evaluation.uri)
        labelled = quality.labelled_rows(table, window)
        arrivals = label_arrivals(
            labelled.event_times_ms,
            labelled.label_times_ms,
            _answered_rows(single_or_none(input_dict, "prediction_log"), window),
        )
        stream = _error_stream(input_dict, labelled, settings)
        report = QualityResult(
            window=settings.window,
            rows=quality.row_count(rows),
            slices=quality.finite_metrics(metrics),
            labels=arrivals,
            sequential=stream.summary() if stream else None,
        )
        QUALITY_REPORT.write(report, evaluation.uri)
        if stream:
            error_stream.SEQUENTIAL_STATE.write(stream, evaluation.uri)
        publish(evaluation, "quality", to_properties(report.properties))

    def _metrics(self, rows: pa.RecordBatch, config: Any, uri: str) -> dict[str, dict[str, float]]:
        """Runs TFMA over the rows; returns its metrics by slice, none without rows."""
        if not rows.num_rows:
            return {}
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | beam.Create([rows])
                | tfma.ExtractEvaluateAndWriteResults(eval_config=config, output_path=uri)
            )
        return metrics_by_slice(tfma.load_eval_result(uri))


def _answered_rows(given: types.Artifact | None, window: quality.JudgedWindow) -> int | None:
    """Returns the window's rows with a score, labelled or not; None without the log."""
    if not given:
        return None
    uri = given.uri
    if not LOG_WINDOW.read(uri).rows:
        return 0
    log = read_rows(uri, ["event_time_ms", f"output.{window.score}"])
    return int(quality.scored_rows(log, window).num_rows)


def _error_stream(
    input_dict: Artifacts,
    rows: quality.LabelledRows,
    settings: QualityMonitorSettings,
) -> error_stream.ErrorStream | None:
    """Returns the error stream after this window; None without a reference."""
    given = single_or_none(input_dict, "reference_profile")
    if not given:
        return None
    profile = load_profile(given.uri)
    previous = _previous_stream(single_or_none(input_dict, "previous_evaluation"))
    return error_stream.follow_window(profile, previous, rows, settings)


def _previous_stream(given: types.Artifact | None) -> error_stream.ErrorStream | None:
    """Returns the state of the window before; None where that window had none."""
    file = error_stream.SEQUENTIAL_STATE
    return file.find(given.uri) if given else None
