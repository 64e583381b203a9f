"""Executor of PredictionLogGen."""

import logging
from dataclasses import asdict

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from tfx_loop.core.artifacts import Artifacts, Scalars, set_properties
from tfx_loop.core.inputs import single_or_none
from tfx_loop.core.key_file import read_keys
from tfx_loop.data.prediction_log.importers.capture_window import read_captures
from tfx_loop.data.prediction_log.inference_result import read_inference
from tfx_loop.data.prediction_log.losses import LogLosses
from tfx_loop.data.prediction_log.reader import WindowRows, read_window
from tfx_loop.data.prediction_log.settings import PredictionLogGenSettings
from tfx_loop.data.prediction_log.window_files import LogWindow, write_window

_LOG = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Reads a window of the log that model servers write."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Writes the `prediction_log` artifact."""
        settings = PredictionLogGenSettings.from_properties(exec_properties)
        inference = single_or_none(input_dict, "inference_result")
        read = _read(settings, inference.uri if inference else "")
        window = LogWindow(
            window=settings.window,
            start_ms=settings.start_ms,
            end_ms=settings.end_ms,
            model_name=settings.model_name,
            rows=len(read.table),
            losses=read.losses,
            sampling_rate=read.sampling_rate,
        )
        log = artifact_utils.get_single_instance(output_dict["prediction_log"])
        write_window(log.uri, window, read.table)
        set_properties(
            log, {"window": window.window, "model_name": window.model_name, "rows": window.rows}
        )
        _LOG.info(
            "prediction_log window=%s model_name=%s rows=%d losses=%s artifact=%s",
            window.window,
            window.model_name,
            window.rows,
            asdict(window.losses),
            log.uri,
        )


def _read(settings: PredictionLogGenSettings, inference_uri: str) -> WindowRows:
    if inference_uri:
        table = read_inference(inference_uri, settings.model_name, settings.start_ms)
        return WindowRows(table=table, losses=LogLosses())
    if settings.capture:
        return read_captures(
            settings.capture, settings.model_name, settings.start_ms, settings.end_ms
        )
    return read_window(
        settings.log_dir,
        settings.model_name,
        settings.start_ms,
        settings.end_ms,
        keys=read_keys(settings.log_key),
    )
