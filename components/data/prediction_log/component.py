"""The TFX node that brings a window of the prediction log into a pipeline."""

from typing import ClassVar

from tfx.dsl.components.base import executor_spec

from tfx_loop.core.artifacts import PredictionLog
from tfx_loop.core.node import Node
from tfx_loop.data.prediction_log.executor import Executor
from tfx_loop.data.prediction_log.settings import PredictionLogGenSettings


class PredictionLogGen(Node):
    """Reads what model servers logged in a window, each answered instance once.

    What could not be read is counted. A window without rows is an artifact with 0 rows; what
    follows decides what that means. The log grows while a window is open, so caching is only safe
    for windows that are over.

    Outputs:
        prediction_log: `PredictionLog` with `rows.parquet`, `window.json` (with the losses) and
            the custom properties `window`, `model_name` and `rows`.

    Example:
        log = PredictionLogGen(
            log_dir="/srv/prediction_log",
            model_name="taxi",
            window="2013-03",
            start_ms=1_362_096_000_000,
            end_ms=1_364_774_400_000,
        )
    """

    SETTINGS = PredictionLogGenSettings
    OUTPUTS: ClassVar = {"prediction_log": PredictionLog}
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
