"""Runs RetrainDecider: a drift report, labels and a reference in, a decision out."""

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from tfx_loop.contracts.retrain_decision import (
    RETRAIN_DECISION,
    DecisionRecord,
)
from tfx_loop.core.artifacts import Artifacts, Scalars, publish
from tfx_loop.core.custom_properties import to_properties
from tfx_loop.core.inputs import single, single_or_none
from tfx_loop.data.prediction_log.record import OUTPUT_PREFIX
from tfx_loop.monitoring.retrain_decider.contest import VersionPool
from tfx_loop.monitoring.retrain_decider.decision import decide
from tfx_loop.monitoring.retrain_decider.inputs import DeciderInputs, read_inputs
from tfx_loop.monitoring.retrain_decider.settings import (
    DecisionSettings,
    RetrainDeciderSettings,
)


class Executor(base_executor.BaseExecutor):
    """Decides from files."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Writes the `decision` artifact."""
        previous = single_or_none(input_dict, "previous_decision")
        evaluation = single_or_none(input_dict, "evaluation")
        settings = RetrainDeciderSettings.from_properties(exec_properties)
        inputs: DeciderInputs = read_inputs(
            drift_report_uri=single(input_dict, "drift_report").uri,
            labelled_log_uris=[log.uri for log in input_dict["labelled_log"]],
            reference_profile_uri=single(input_dict, "reference_profile").uri,
            previous_decision_uri=previous.uri if previous else None,
            model_name=settings.model_name,
            window=settings.window,
            label_window=settings.label_window,
            label_start_ms=settings.label_start_ms,
            label_end_ms=settings.label_end_ms,
            training_start_ms=settings.training_start_ms or 0,
            score_output=settings.score_output,
            quarantined=settings.quarantined,
            champion_version=settings.champion_version,
            parse_fn=settings.parse_fn,
            evaluation_uri=evaluation.uri if evaluation else None,
        )
        policy = settings.part(DecisionSettings)
        pool = VersionPool(
            inputs,
            settings.pool,
            settings.champion_model_uri,
            settings.score_output.removeprefix(OUTPUT_PREFIX),
            policy,
        )
        decision = decide(
            inputs.evidence,
            lambda serving: inputs.measure(settings.measure, serving),
            inputs.previous,
            policy,
            pool.hold,
        )
        _write(decision, artifact_utils.get_single_instance(output_dict["decision"]))


def _write(decision: DecisionRecord, output: types.Artifact) -> None:
    RETRAIN_DECISION.write(decision, output.uri)
    publish(output, "decision", to_properties(decision.properties))
