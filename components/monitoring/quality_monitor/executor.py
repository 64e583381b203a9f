"""Runs TFMA over the labelled rows of a window."""

import logging
import os
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tensorflow_model_analysis.proto import config_pb2
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from tfx_loop.contracts.model_evaluation import OVERALL, metrics_by_slice
from tfx_loop.core import storage
from tfx_loop.core.artifacts import Scalar, set_properties
from tfx_loop.data.prediction_log.window_files import read_rows, read_window_json
from tfx_loop.monitoring.profile import reference
from tfx_loop.monitoring.quality_monitor import error_stream, quality
from tfx_loop.monitoring.quality_monitor.label_arrivals import LabelArrivals, label_arrivals
from tfx_loop.monitoring.quality_monitor.settings import QualityMonitorSettings

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
        settings = QualityMonitorSettings.from_properties(exec_properties)
        config = json_format.Parse(settings.eval_config, config_pb2.EvalConfig())
        spec = config.model_specs[0]
        spec.example_weight_key = quality.WEIGHT
        window = _Window(settings.window, settings.start_ms, settings.end_ms, spec.prediction_key)
        table = read_rows(log.uri)
        rows = quality.judged_rows(
            table,
            start_ms=window.start_ms,
            end_ms=window.end_ms,
            score=window.score,
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
        labelled = _columns(table, window)
        arrivals = _arrivals(labelled, _answered(input_dict.get("prediction_log"), window))
        stream = _stream(input_dict, settings, labelled, window)
        report = quality.summary(
            metrics,
            quality.row_count(rows),
            window.name,
            arrivals.to_json(),
            stream.summary() if stream else None,
        )
        storage.write_json(os.path.join(evaluation.uri, quality.FILE_NAME), report)
        if stream:
            path = os.path.join(evaluation.uri, error_stream.FILE_NAME)
            storage.write_json(path, error_stream.to_json(stream))
        kept = _properties(report, arrivals, stream)
        set_properties(evaluation, kept)
        facts = " ".join(f"{name}={value}" for name, value in kept.items())
        logging.info("quality %s uri=%s", facts, evaluation.uri)


@dataclass(frozen=True)
class _Window:
    """Which rows are judged, and by which output."""

    name: str
    start_ms: int
    end_ms: int
    score: str


def _columns(table: Any, window: _Window) -> dict[str, Any]:
    """Returns scores, labels and times of the window's rows, in order of time and identity."""
    if not table.num_rows:
        return {name: np.zeros(0) for name in ("score", "label", "event", "arrived")}
    rows = quality.scored_rows(
        table, start_ms=window.start_ms, end_ms=window.end_ms, score=window.score
    )
    order = ("event_time_ms", "request_id", "instance_index")
    rows = rows.sort_by([(name, "ascending") for name in order if name in rows.column_names])
    return {
        "score": rows[f"output.{window.score}"].to_numpy().astype(np.float64),
        "label": rows["label"].to_numpy().astype(np.float64),
        "event": rows["event_time_ms"].to_numpy(),
        "arrived": rows["label_time_ms"].to_numpy(),
    }


def _answered(given: list[types.Artifact] | None, window: _Window) -> int | None:
    """Returns the window's rows with a score, labelled or not; None without the log."""
    if not given:
        return None
    uri = artifact_utils.get_single_uri(given)
    if not read_window_json(uri).rows:
        return 0
    log = read_rows(uri, ["event_time_ms", f"output.{window.score}"])
    limits = {"start_ms": window.start_ms, "end_ms": window.end_ms}
    return int(quality.scored_rows(log, score=window.score, **limits).num_rows)


def _arrivals(labelled: dict[str, Any], answered: int | None) -> LabelArrivals:
    return label_arrivals(labelled["event"], labelled["arrived"], answered)


def _stream(
    input_dict: dict[str, list[types.Artifact]],
    settings: QualityMonitorSettings,
    labelled: dict[str, Any],
    window: _Window,
) -> error_stream.ErrorStream | None:
    """Returns the error stream after this window; None without a model's promise."""
    given = input_dict.get("reference_profile")
    if not given:
        return None
    uri = artifact_utils.get_single_uri(given)
    profile = reference.from_json(storage.read_json(os.path.join(uri, reference.PROFILE_FILE)))
    begun = error_stream.started(
        profile, settings.tolerated_rise, settings.rows_between_false_alarms
    )
    if begun is None:
        return None
    stream = error_stream.continued(begun, _previous(input_dict.get("previous_evaluation")))
    return error_stream.followed(
        stream, labelled["score"], labelled["label"], labelled["event"], window.end_ms
    )


def _previous(given: list[types.Artifact] | None) -> error_stream.ErrorStream | None:
    """Returns the state of the window before; None where that window had none."""
    if not given:
        return None
    path = os.path.join(artifact_utils.get_single_uri(given), error_stream.FILE_NAME)
    return error_stream.from_json(storage.read_json(path)) if fileio.exists(path) else None


def _properties(
    report: dict[str, Any], arrivals: LabelArrivals, stream: error_stream.ErrorStream | None
) -> dict[str, Scalar]:
    overall = report["slices"].get(OVERALL, {})
    kept: dict[str, Scalar] = {"window": report["window"], "labelled_rows": report["rows"]}
    kept |= {name: overall[name] for name in _KEPT if name in overall}
    if arrivals.coverage is not None:
        kept["label_coverage"] = arrivals.coverage
    if "p50" in arrivals.delay_hours:
        kept["label_delay_hours_p50"] = arrivals.delay_hours["p50"]
    if stream:
        kept["error_rise_evidence"] = stream.state.evidence
        kept["error_rise_alarm"] = int(stream.state.alarm_at_row is not None)
    return kept
