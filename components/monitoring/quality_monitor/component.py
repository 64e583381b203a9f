"""The TFX node that judges served predictions by their labels, with TFMA."""

from typing import Any, ClassVar, TypeAlias

from google.protobuf import json_format
from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.orchestration import data_types
from tfx.types import channel_utils, component_spec, standard_artifacts

from tfx_loop.core.artifacts import PredictionLog, ReferenceProfile
from tfx_loop.monitoring.quality_monitor import executor

_Text: TypeAlias = str | data_types.RuntimeParameter
_Number: TypeAlias = int | data_types.RuntimeParameter


class QualityMonitorSpec(component_spec.ComponentSpec):
    """Inputs, output and execution properties of QualityMonitor."""

    PARAMETERS: ClassVar[dict[str, Any]] = {
        "eval_config": component_spec.ExecutionParameter(type=str),
        "window": component_spec.ExecutionParameter(type=str),
        "start_ms": component_spec.ExecutionParameter(type=int),
        "end_ms": component_spec.ExecutionParameter(type=int),
        "tolerated_rise": component_spec.ExecutionParameter(type=float),
        "rows_between_false_alarms": component_spec.ExecutionParameter(type=float),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "labelled_log": component_spec.ChannelParameter(type=PredictionLog),
        "prediction_log": component_spec.ChannelParameter(type=PredictionLog, optional=True),
        "reference_profile": component_spec.ChannelParameter(type=ReferenceProfile, optional=True),
        "previous_evaluation": component_spec.ChannelParameter(
            type=standard_artifacts.ModelEvaluation, optional=True
        ),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation)
    }


class QualityMonitor(base_beam_component.BaseBeamComponent):
    """Measures the served predictions of a window against their labels; no model runs again.

    Inputs:
        labelled_log: `PredictionLog` of LabelJoiner.
        prediction_log: The rows it labelled, optional: how many of them have a label.
        reference_profile: Of the model that answered, optional: the errors its held-out rows
            promised. A test follows the stream of errors and says when they have risen.
        previous_evaluation: Of the window before, optional: where that test stood.

    Outputs:
        evaluation: `ModelEvaluation` as Evaluator writes it, `quality.json` (metrics by slice,
            label coverage and delay, the test), `sequential.json` (its state), and the custom
            properties `window`, `labelled_rows`, and where measured `auc`, `calibration`,
            `label_coverage`, `label_delay_hours_p50`, `error_rise_evidence` and `error_rise_alarm`
            (0 or 1). A window without labels has 0 rows and no metrics.
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
        prediction_log: types.BaseChannel | None = None,
        reference_profile: types.BaseChannel | None = None,
        previous_evaluation: types.BaseChannel | None = None,
        tolerated_rise: float = 0.0,
        rows_between_false_alarms: float = 1_000_000.0,
    ) -> None:
        """Builds the node.

        Args:
            labelled_log: The labelled rows.
            eval_config: `tfma.EvalConfig` with one model spec that names label_key and
                prediction_key, the output that is judged.
            window: Name of the window that is judged, such as "2013-03".
            start_ms: Begin of that window, milliseconds UTC.
            end_ms: End of that window, exclusive.
            prediction_log: The same rows, with those that have no label.
            reference_profile: Of the model that answered.
            previous_evaluation: Of the window before.
            tolerated_rise: What the mean squared error may rise above the promise unremarked.
            rows_between_false_alarms: Least mean number of rows to a false alarm of the test.
        """
        given = {
            "prediction_log": prediction_log,
            "reference_profile": reference_profile,
            "previous_evaluation": previous_evaluation,
        }
        super().__init__(
            spec=QualityMonitorSpec(
                labelled_log=labelled_log,
                eval_config=json_format.MessageToJson(eval_config, sort_keys=True),
                window=window,
                start_ms=start_ms,
                end_ms=end_ms,
                tolerated_rise=float(tolerated_rise),
                rows_between_false_alarms=float(rows_between_false_alarms),
                **{name: channel for name, channel in given.items() if channel is not None},
                evaluation=channel_utils.as_channel([standard_artifacts.ModelEvaluation()]),
            )
        )
