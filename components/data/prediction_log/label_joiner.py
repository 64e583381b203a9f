"""The TFX node that joins late labels to logged predictions."""

from typing import Any, ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.orchestration import data_types
from tfx.types import channel_utils, component_spec

from tfx_loop.core.artifacts import PredictionLog
from tfx_loop.data.prediction_log import label_joiner_executor


class LabelJoinerSpec(component_spec.ComponentSpec):
    """Inputs, outputs and execution properties of LabelJoiner."""

    PARAMETERS: ClassVar[dict[str, Any]] = {
        "labels_dir": component_spec.ExecutionParameter(type=str),
        "as_of_ms": component_spec.ExecutionParameter(type=int, optional=True),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "prediction_log": component_spec.ChannelParameter(type=PredictionLog)
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "labelled_log": component_spec.ChannelParameter(type=PredictionLog)
    }


class LabelJoiner(base_component.BaseComponent):
    """Adds the labels that have arrived to the rows of a window.

    Inputs:
        prediction_log: The `PredictionLog` of PredictionLogGen.

    Outputs:
        labelled_log: `PredictionLog` with the rows that have a label, and the columns `label` and
            `label_time_ms`; `window.json` counts what matched and what did not.
    """

    SPEC_CLASS = LabelJoinerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(label_joiner_executor.Executor)

    def __init__(
        self,
        *,
        prediction_log: types.BaseChannel,
        labels_dir: str | data_types.RuntimeParameter,
        as_of_ms: int | data_types.RuntimeParameter | None = None,
    ) -> None:
        """Builds the node.

        Args:
            prediction_log: The rows to label.
            labels_dir: Folder or URI with Parquet files of request_id, instance_index, label and
                label_time_ms.
            as_of_ms: Only labels that had arrived by then are seen; all of them by default.
        """
        super().__init__(
            spec=LabelJoinerSpec(
                prediction_log=prediction_log,
                labels_dir=labels_dir,
                as_of_ms=as_of_ms,
                labelled_log=channel_utils.as_channel([PredictionLog()]),
            )
        )
