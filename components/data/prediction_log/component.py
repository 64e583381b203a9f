"""The TFX node that brings a window of the prediction log into a pipeline."""

from collections.abc import Collection, Iterable
from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import PredictionLog, Scalars
from tfx_loop.core.errors import ConfigError
from tfx_loop.core.node import Input
from tfx_loop.core.source_node import SourceDriver, SourceNode, digest_of
from tfx_loop.data.prediction_log.executor import Executor
from tfx_loop.data.prediction_log.importers.capture_window import list_captures
from tfx_loop.data.prediction_log.reader import window_files
from tfx_loop.data.prediction_log.settings import PredictionLogGenSettings


class LogDriver(SourceDriver):
    """Driver of PredictionLogGen."""

    def fingerprint(self, properties: Scalars) -> str:
        """Returns that of the captures, whose stores TensorFlow may not know, or of the log."""
        settings = PredictionLogGenSettings.from_properties(properties)
        if settings.capture is None:
            return super().fingerprint(properties)
        found = list_captures(settings.capture, settings.start_ms, settings.end_ms)
        return digest_of((each.path, each.tag) for each in found)

    def files(self, properties: Scalars) -> Iterable[str]:
        """Returns the segments that may hold rows of the window."""
        settings = PredictionLogGenSettings.from_properties(properties)
        if not settings.log_dir:
            return ()
        return window_files(
            settings.log_dir, settings.model_name, settings.start_ms, settings.end_ms
        )


class PredictionLogGen(SourceNode):
    """Reads what model servers logged, or SageMaker captured, in a window, each instance once.

    What could not be read is counted. A window without rows is an artifact with 0 rows; what
    follows decides what that means. The log grows while a window is open, and repeats may come
    later: with a cache, a log that has changed is read again.

    Inputs:
        inference_result: `InferenceResult` of TFX's BulkInferrer in place of a log of servers: its
            rows are one request, in the order of its files, at the begin of the window.

    Outputs:
        prediction_log: `PredictionLog` with `rows.parquet`, `window.json` (with the losses) and
            the custom properties `window`, `model_name` and `rows`.

    Example:
        log = PredictionLogGen(
            log_dir="/srv/prediction_log", model_name="taxi",
            window="2013-03", start_ms=start_ms, end_ms=end_ms,
        )
    """

    SETTINGS = PredictionLogGenSettings
    INPUTS: ClassVar = {
        "inference_result": Input(standard_artifacts.InferenceResult, optional=True)
    }
    OUTPUTS: ClassVar = {"prediction_log": PredictionLog}
    DRIVER_CLASS = LogDriver
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    @classmethod
    def check(cls, settings: PredictionLogGenSettings, inputs: Collection[str]) -> None:
        """Checks that there is one source of rows."""
        given = {
            "log_dir": bool(settings.log_dir),
            "capture": settings.capture is not None,
            "inference_result": "inference_result" in inputs,
        }
        if sum(given.values()) != 1:
            received = " and ".join(name for name, is_given in given.items() if is_given)
            raise ConfigError(
                "Expected log_dir, capture or an inference_result of PredictionLogGen, received "
                f"{received or 'none of them'}. Give one."
            )
