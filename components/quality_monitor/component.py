"""The TFX node that judges served predictions by their labels, with TFMA."""

from typing import Any, ClassVar, TypeAlias

from google.protobuf import json_format
from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.orchestration import data_types
from tfx.types import channel_utils, component_spec, standard_artifacts

from components.artifacts import PredictionLog
from components.quality_monitor import executor

_Text: TypeAlias = str | data_types.RuntimeParameter
_Number: TypeAlias = int | data_types.RuntimeParameter


class QualityMonitorSpec(component_spec.ComponentSpec):
    """Inputs, output and execution properties of QualityMonitor."""

    PARAMETERS: ClassVar[dict[str, Any]] = {
        "eval_config": component_spec.ExecutionParameter(type=str),
        "window": component_spec.ExecutionParameter(type=str),
        "start_ms": component_spec.ExecutionParameter(type=int),
        "end_ms": component_spec.ExecutionParameter(type=int),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "labelled_log": component_spec.ChannelParameter(type=PredictionLog)
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation)
    }


class QualityMonitor(base_beam_component.BaseBeamComponent):
    """Measures the served predictions of a window against their labels; no model runs again.

    Inputs:
        labelled_log: `PredictionLog` of LabelJoiner.

    Outputs:
        evaluation: `ModelEvaluation` as Evaluator writes it, `quality.json` (metrics by slice), and
            the custom properties `window`, `labelled_rows`, and where measured `auc` and
            `calibration`. A window without labels has 0 rows and no metrics.
    """

    SPEC_CLASS = QualityMonitorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        *,
        labelled_log: types.BaseChannel,
        eval_config: Any,
        window: _Text,
        start_ms: _Number,
        end_ms: _Number,
    ) -> None:
        """Builds the node.

        Args:
            labelled_log: The labelled rows.
            eval_config: `tfma.EvalConfig` with one model spec that names label_key and
                prediction_key, the output that is judged.
            window: Name of the window that is judged, such as "2013-03".
            start_ms: Begin of that window, milliseconds UTC.
            end_ms: End of that window, exclusive.
        """
        super().__init__(
            spec=QualityMonitorSpec(
                labelled_log=labelled_log,
                eval_config=json_format.MessageToJson(eval_config, sort_keys=True),
                window=window,
                start_ms=start_ms,
                end_ms=end_ms,
                evaluation=channel_utils.as_channel([standard_artifacts.ModelEvaluation()]),
            )
        )
