"""The TFX node that decides, after each window, whether a retraining would pay."""

from typing import Any, ClassVar, TypeAlias

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.orchestration import data_types
from tfx.types import channel_utils, component_spec, standard_artifacts

from tfx_loop.core.artifacts import DriftReport, PredictionLog, ReferenceProfile, RetrainDecision
from tfx_loop.monitoring.retrain_decider import executor

_Text: TypeAlias = str | data_types.RuntimeParameter
_Number: TypeAlias = int | data_types.RuntimeParameter


class RetrainDeciderSpec(component_spec.ComponentSpec):
    """Inputs, output and execution properties of RetrainDecider."""

    PARAMETERS: ClassVar[dict[str, Any]] = {
        "model_name": component_spec.ExecutionParameter(type=str),
        "window": component_spec.ExecutionParameter(type=str),
        "label_window": component_spec.ExecutionParameter(type=str),
        "label_start_ms": component_spec.ExecutionParameter(type=int),
        "label_end_ms": component_spec.ExecutionParameter(type=int),
        "training_start_ms": component_spec.ExecutionParameter(type=int, optional=True),
        "settings": component_spec.ExecutionParameter(type=str, optional=True),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "drift_report": component_spec.ChannelParameter(type=DriftReport),
        "labelled_log": component_spec.ChannelParameter(type=PredictionLog),
        "reference_profile": component_spec.ChannelParameter(type=ReferenceProfile),
        "evaluation": component_spec.ChannelParameter(
            type=standard_artifacts.ModelEvaluation, optional=True
        ),
        "previous_decision": component_spec.ChannelParameter(type=RetrainDecision, optional=True),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "decision": component_spec.ChannelParameter(type=RetrainDecision)
    }


class RetrainDecider(base_component.BaseComponent):
    """Measures what a retraining would save, and says RETRAIN when that pays for one.

    Broken data, too few rows and too few labels hold a retraining back before anything is measured.

    Outputs:
        decision: `RetrainDecision` with `retrain_decision.json` and the custom properties
            `verdict`, `reason`, `window`, `model_version`, `retrain` (1 or 0), `avoidable_loss` (in
            units of one window's loss) and `accumulated`.
    """

    SPEC_CLASS = RetrainDeciderSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        *,
        drift_report: types.BaseChannel,
        labelled_log: types.BaseChannel,
        reference_profile: types.BaseChannel,
        model_name: _Text,
        window: _Text,
        label_window: _Text,
        label_start_ms: _Number,
        label_end_ms: _Number,
        evaluation: types.BaseChannel | None = None,
        previous_decision: types.BaseChannel | None = None,
        training_start_ms: _Number | None = None,
        settings: _Text | None = None,
    ) -> None:
        """Builds the node.

        Args:
            drift_report: What moved in the window that just ended.
            labelled_log: Labelled predictions of all windows since the champion's training data
                ended, the newest labelled window among them.
            reference_profile: The champion's, with the sample of its training rows.
            model_name: The name that the model is served under.
            window: Name of the window that just ended, such as "2013-05".
            label_window: Name of the newest window whose labels have arrived, such as "2013-04".
            label_start_ms: Begin of the label window, milliseconds UTC.
            label_end_ms: End of the label window, exclusive.
            evaluation: The champion's quality on the labelled rows: evidence in the lineage.
            previous_decision: The decision of the window before, on whatever champion: savings add
                up while the champion stays the same.
            training_start_ms: A retraining would use rows from this time on, milliseconds UTC; not
                given, all there are.
            settings: JSON object of `DecisionSettings`, such as '{"training_cost": 0.02}'.
        """
        super().__init__(
            spec=RetrainDeciderSpec(
                drift_report=drift_report,
                labelled_log=labelled_log,
                reference_profile=reference_profile,
                evaluation=evaluation,
                previous_decision=previous_decision,
                model_name=model_name,
                window=window,
                label_window=label_window,
                label_start_ms=label_start_ms,
                label_end_ms=label_end_ms,
                training_start_ms=training_start_ms,
                settings=settings,
                decision=channel_utils.as_channel([RetrainDecision()]),
            )
        )
