"""Runs QualityMonitor: labelled rows in, TFMA's metrics and the test of their errors out."""

import os
from dataclasses import replace
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
from tfx_loop.contracts.quality_report import QUALITY_REPORT, PromiseTest, QualityResult
from tfx_loop.contracts.task import ModelTask, TaskKind
from tfx_loop.core.artifacts import Artifacts, Scalars, publish
from tfx_loop.core.custom_properties import to_properties
from tfx_loop.core.errors import ConfigError, first_line
from tfx_loop.core.inputs import single, single_or_none
from tfx_loop.core.storage import write_bytes
from tfx_loop.data.prediction_log.window_files import LOG_WINDOW, read_rows
from tfx_loop.monitoring.profile.profile_files import has_sample, load_profile
from tfx_loop.monitoring.profile.redacted import redaction_for
from tfx_loop.monitoring.quality_monitor import error_stream, judged_rows, page
from tfx_loop.monitoring.quality_monitor.intervals import metric_intervals
from tfx_loop.monitoring.quality_monitor.judged_groups import LABEL_SLICE
from tfx_loop.monitoring.quality_monitor.label_arrivals import label_arrivals
from tfx_loop.monitoring.quality_monitor.promise_check import FEWEST_ROWS, check_promise
from tfx_loop.monitoring.quality_monitor.settings import QualityMonitorSettings
from tfx_loop.monitoring.retrain_decider.labelled_rows import TIME, read_labelled_log
from tfx_loop.monitoring.retrain_decider.version_reference import promised_loss, read_reference


class Executor(base_beam_executor.BaseBeamExecutor):
    """Executor of QualityMonitor."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Writes TFMA's result and `quality.json`; a window without labels has no metrics."""
        log = single(input_dict, "labelled_log")
        evaluation = artifact_utils.get_single_instance(output_dict["evaluation"])
        settings = QualityMonitorSettings.from_properties(exec_properties)
        config = _eval_config(settings.eval_config)
        spec = config.model_specs[0]
        # Like rows are judged as one (judged_groups.py), which weighs as many as they are.
        spec.example_weight_key = judged_rows.WEIGHT
        window = judged_rows.JudgedWindow(
            start_ms=settings.start_ms, end_ms=settings.end_ms, score=spec.prediction_key
        )
        table = read_rows(log.uri)
        reference = single_or_none(input_dict, "reference_profile")
        profile = load_profile(reference.uri) if reference else None
        named = settings.task or (profile.task if profile else None)
        task = named or judged_rows.shown_task(table, window)
        window = replace(window, task=task)
        redaction = settings.redaction()
        if profile:
            redaction = redaction_for(profile, redaction)
        rows = judged_rows.judged_rows(
            table,
            window,
            label=spec.label_key,
            slice_features=_slice_features(config, task),
            redaction=redaction,
        )
        metrics = self._metrics(rows, config, evaluation.uri)
        labelled = judged_rows.labelled_rows(table, window)
        arrivals = label_arrivals(
            labelled.event_times_ms,
            labelled.label_times_ms,
            _answered_rows(single_or_none(input_dict, "prediction_log"), window),
        )
        stream = None
        if profile:
            previous = _previous_stream(single_or_none(input_dict, "previous_evaluation"))
            stream = error_stream.follow_window(profile, previous, labelled, settings, task)
        measured = {}
        if labelled.scores is not None:
            measured = metric_intervals(
                labelled.labels, labelled.scores, labelled.event_times_ms, task
            )
        report = QualityResult(
            window=settings.window,
            rows=len(labelled.labels),
            slices=judged_rows.finite_metrics(metrics),
            labels=arrivals,
            sequential=stream.summary() if stream else None,
            promise=_promise(log.uri, reference.uri, settings, window)
            if reference and labelled.scores is not None and len(labelled.scores) >= FEWEST_ROWS
            else None,
            task=None if labelled.scores is None else task,
            intervals=measured,
            unknown_labels=labelled.unknown,
        )
        QUALITY_REPORT.write(report, evaluation.uri)
        write_bytes(os.path.join(evaluation.uri, page.PAGE_FILE), page.render(report).encode())
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


def _slice_features(config: Any, task: ModelTask) -> list[str]:
    """Returns the features that are sliced by; a set of labels is sliced by label of itself."""
    keys = {key for spec in config.slicing_specs for key in spec.feature_keys}
    return sorted(keys - ({LABEL_SLICE} if task.kind is TaskKind.LABELS else set()))


def _eval_config(text: str) -> Any:
    """Returns the `tfma.EvalConfig`, with all that is needed of it."""
    try:
        config = json_format.Parse(text, config_pb2.EvalConfig())
    except json_format.ParseError as error:
        raise ConfigError(
            f"Expected a tfma.EvalConfig or its JSON as eval_config, received another text: "
            f"{first_line(error)}"
        ) from error
    specs = list(config.model_specs)
    if len(specs) != 1 or not (specs[0].label_key and specs[0].prediction_key):
        told = [f"label_key={s.label_key!r}, prediction_key={s.prediction_key!r}" for s in specs]
        raise ConfigError(
            "Expected one model spec with label_key and prediction_key in eval_config, received "
            f"{'; '.join(told) or 'none'}. Name the label and the output that is judged."
        )
    if not any(spec.metrics for spec in config.metrics_specs):
        raise ConfigError(
            "Expected a metric in eval_config's metrics_specs, received none. Name one, such as "
            "AUC, or MeanSquaredError where labels are numbers."
        )
    return config


def _promise(
    log_uri: str,
    profile_uri: str,
    settings: QualityMonitorSettings,
    window: judged_rows.JudgedWindow,
) -> PromiseTest | None:
    """Returns how the model did beside its promise; None without its training sample."""
    if promised_loss(load_profile(profile_uri)) is None or not has_sample(profile_uri):
        return None
    # The rule was measured on two classes only (tests/benchmarks/faults).
    if window.task.kind is not TaskKind.BINARY:
        return None
    known = read_reference(profile_uri)
    score = f"output.{window.score}"
    rows = read_labelled_log([log_uri], known.profile.label, score, 1.0, task=window.task).rows
    inside = (rows[TIME] >= settings.start_ms) & (rows[TIME] < settings.end_ms)
    inside &= rows[known.profile.label].notna()
    return check_promise(known.profile, known.sample, rows[inside], settings)


def _answered_rows(given: types.Artifact | None, window: judged_rows.JudgedWindow) -> int | None:
    """Returns the window's rows with a score, labelled or not; None without the log."""
    if not given:
        return None
    uri = given.uri
    # A log of no rows has no features and no outputs, so its columns are not asked for.
    if not LOG_WINDOW.read(uri).rows:
        return 0
    log = read_rows(uri, ["event_time_ms", f"output.{window.score}"])
    return int(judged_rows.scored_rows(log, window).num_rows)


def _previous_stream(given: types.Artifact | None) -> error_stream.ErrorStream | None:
    """Returns the state of the window before; None where that window had none."""
    file = error_stream.SEQUENTIAL_STATE
    return file.find(given.uri) if given else None
