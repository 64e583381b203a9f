"""The TFX node that brings a window of the prediction log into a pipeline."""

from typing import Any, ClassVar, TypeAlias

from tfx.dsl.components.base import base_component, executor_spec
from tfx.orchestration import data_types
from tfx.types import channel_utils, component_spec

from tfx_loop.core.artifacts import PredictionLog
from tfx_loop.data.prediction_log import executor

_Text: TypeAlias = str | data_types.RuntimeParameter
_Number: TypeAlias = int | data_types.RuntimeParameter


class PredictionLogGenSpec(component_spec.ComponentSpec):
    """Outputs and execution properties of PredictionLogGen."""

    PARAMETERS: ClassVar[dict[str, Any]] = {
        "log_dir": component_spec.ExecutionParameter(type=str),
        "model_name": component_spec.ExecutionParameter(type=str),
        "window": component_spec.ExecutionParameter(type=str),
        "start_ms": component_spec.ExecutionParameter(type=int),
        "end_ms": component_spec.ExecutionParameter(type=int),
    }
    INPUTS: ClassVar[dict[str, Any]] = {}
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "prediction_log": component_spec.ChannelParameter(type=PredictionLog)
    }


class PredictionLogGen(base_component.BaseComponent):
    """Reads what model servers logged in a window, each answered instance once.

    A window without rows is an artifact with 0 rows; what follows decides what that means. The log
    grows while a window is open, so caching is only safe for windows that are over.

    Outputs:
        prediction_log: `PredictionLog` with `rows.parquet`, `window.json` and the custom
            properties `window`, `model_name` and `rows`.
    """

    SPEC_CLASS = PredictionLogGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        *,
        log_dir: _Text,
        model_name: _Text,
        window: _Text,
        start_ms: _Number,
        end_ms: _Number,
    ) -> None:
        """Builds the node.

        Args:
            log_dir: The folder or URI that the servers were given as `--prediction_log`.
            model_name: The name that the model is served under.
            window: Name of the window, such as "2013-03".
            start_ms: Begin of the window, milliseconds UTC.
            end_ms: End of the window, exclusive.
        """
        super().__init__(
            spec=PredictionLogGenSpec(
                log_dir=log_dir,
                model_name=model_name,
                window=window,
                start_ms=start_ms,
                end_ms=end_ms,
                prediction_log=channel_utils.as_channel([PredictionLog()]),
            )
        )
