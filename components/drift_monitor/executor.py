"""Runs DriftMonitor: a window's log and a reference in, a drift report out."""

import json
import logging
import os
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.artifacts import Scalar, set_properties
from components.drift_monitor import page, realised, report, telemetry
from components.drift_monitor.drift import monitor
from components.drift_monitor.report_parts import RealisedQuality
from components.drift_monitor.settings import ArrivalSettings, DriftSettings, FaultSettings
from components.drift_monitor.window import WindowRows, read_window
from components.drift_monitor.window_parts import with_parts
from components.errors import ConfigError, DataError
from components.prediction_log.window_files import read_rows, read_window_json
from components.profile import reference
from components.storage import read_bytes, read_json, write_bytes, write_json

_LOG = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Reads the log and the profile, writes the report."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Monitors one window; see DriftMonitor."""
        log_uri = artifact_utils.get_single_uri(input_dict["prediction_log"])
        profile_uri = artifact_utils.get_single_uri(input_dict["reference_profile"])
        profile = reference.from_json(read_json(os.path.join(profile_uri, reference.PROFILE_FILE)))
        previous = None
        if given := input_dict.get("previous_report"):
            uri = artifact_utils.get_single_uri(given)
            previous = report.from_json(read_json(os.path.join(uri, report.REPORT_FILE)))
        window = read_log(log_uri, exec_properties)
        sample = None
        if exec_properties.get("multivariate"):
            content = read_bytes(os.path.join(profile_uri, reference.SAMPLE_FILE))
            sample = pq.read_table(pa.BufferReader(content))
        settings = settings_from(exec_properties)
        result = with_parts(
            monitor(profile, window, settings, previous, sample),
            profile,
            window.columns,
            settings,
            previous,
            read_evaluation(input_dict.get("evaluation")),
        )
        output = artifact_utils.get_single_instance(output_dict["drift_report"])
        write_report(output.uri, result)
        properties: dict[str, Scalar] = {
            "verdict": result.verdict.value,
            "reason": result.reason,
            "window": result.window,
            "model_version": result.model_version,
            "drifted_features": len(result.drifted),
            "faulty_features": len(result.faulty),
            "rows": result.current_rows,
        }
        if result.parts.estimated and "auc" in result.parts.estimated.metrics:
            properties["estimated_auc"] = result.parts.estimated.metrics["auc"].value
        set_properties(output, properties)
        facts = " ".join(f"{name}={value}" for name, value in properties.items())
        _LOG.info("drift_report %s uri=%s", facts, output.uri)


def write_report(uri: str, result: report.DriftReport) -> None:
    """Writes the report as JSON, as a page and as Prometheus gauges, and records the gauges."""
    found = telemetry.gauges(result)
    text = telemetry.prometheus_text(found)
    write_bytes(os.path.join(uri, page.PAGE_FILE), page.render(result).encode())
    write_bytes(os.path.join(uri, telemetry.PROMETHEUS_FILE), text.encode())
    write_json(os.path.join(uri, report.REPORT_FILE), report.to_json(result))
    telemetry.record(found)


def read_evaluation(given: list[types.Artifact] | None) -> RealisedQuality | None:
    """Returns the quality that QualityMonitor measured; None where there is none."""
    if not given:
        return None
    uri = artifact_utils.get_single_uri(given)
    return realised.realised_quality(read_json(os.path.join(uri, realised.QUALITY_FILE)))


def settings_from(exec_properties: dict[str, Any]) -> DriftSettings:
    """Returns the settings that the execution properties hold.

    Raises:
        ConfigError: A value cannot work, or fault_settings names an unknown field.
    """
    parts: dict[str, Any] = {}
    for name, kind in (("fault_settings", FaultSettings), ("arrival_settings", ArrivalSettings)):
        try:
            parts[name] = kind(**json.loads(exec_properties.get(name) or "{}"))
        except TypeError as error:
            raise ConfigError(f"{name} must hold numbers by field name: {error}.") from error
    return DriftSettings(
        q=float(exec_properties["q"]),
        psi_floor=float(exec_properties.get("psi_floor") or 0.0),
        min_rows=int(exec_properties["min_rows"]),
        windows_needed=int(exec_properties.get("windows_needed") or 1),
        windows_looked_at=int(exec_properties.get("windows_looked_at") or 1),
        ignore_features=tuple(json.loads(exec_properties.get("ignore_features") or "[]")),
        score_output=exec_properties.get("score_output") or "",
        score_threshold=float(exec_properties.get("score_threshold") or 0.5),
        faults=parts["fault_settings"],
        arrivals=parts["arrival_settings"],
        release=float(exec_properties.get("release") or 0.5),
        season_floors=json.loads(exec_properties.get("season_floors") or "{}"),
    )


def read_log(uri: str, exec_properties: dict[str, Any]) -> WindowRows:
    """Returns the rows of a PredictionLog artifact.

    Raises:
        DataError: The log is cut off, or not of the window and model that were asked for.
    """
    about = read_window_json(uri)
    for name, received in (("window", about.window), ("model_name", about.model_name)):
        wanted = exec_properties.get(name)
        if wanted and received != wanted:
            raise DataError(
                f"Expected the log of {name} {wanted!r}, received that of {received!r} in "
                f"{uri}. Give DriftMonitor the log of its own window."
            )
    try:
        table = read_rows(uri)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"Expected whole Parquet rows in {uri}, received: {error}. "
            "Run PredictionLogGen on the window again."
        ) from error
    return read_window(table, about)
