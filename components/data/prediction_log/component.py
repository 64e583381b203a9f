"""The TFX node that brings a window of the prediction log into a pipeline."""

from collections.abc import Collection, Iterable
from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import PredictionLog, Scalars
from tfx_loop.core.errors import ConfigError
from tfx_loop.core.node import Input
from tfx_loop.core.source_node import SourceDriver, SourceNode
from tfx_loop.data.prediction_log.executor import Executor
from tfx_loop.data.prediction_log.reader import window_files
from tfx_loop.data.prediction_log.settings import PredictionLogGenSettings


class LogDriver(SourceDriver):
    """Driver of PredictionLogGen."""

    def files(self, properties: Scalars) -> Iterable[str]:
        """Returns the segments that may hold rows of the window."""
        settings = PredictionLogGenSettings.from_properties(properties)
        if not settings.log_dir:
            return ()
        return window_files(
            settings.log_dir, settings.model_name, settings.start_ms, settings.end_ms
        )


class PredictionLogGen(SourceNode):
    """Reads what model servers logged in a window, each answered instance once.

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
        if bool(settings.log_dir) == ("inference_result" in inputs):
            received = "both" if settings.log_dir else "neither"
            raise ConfigError(
                "Expected log_dir or an inference_result of PredictionLogGen, received "
                f"{received}. Give one."
            )
