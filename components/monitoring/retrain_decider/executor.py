"""Runs RetrainDecider: a drift report, labels and a reference in, a decision out."""

import logging

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from tfx_loop.contracts.retrain_decision import RETRAIN_DECISION, DecisionRecord, RetrainVerdict
from tfx_loop.core.artifacts import Artifacts, Scalars, set_properties
from tfx_loop.monitoring.retrain_decider.decision import decide
from tfx_loop.monitoring.retrain_decider.inputs import DeciderInputs, read_inputs
from tfx_loop.monitoring.retrain_decider.settings import (
    DecisionSettings,
    RetrainDeciderSettings,
)

_LOG = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Decides from files."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Writes the `decision` artifact."""
        previous = input_dict.get("previous_decision") or []
        settings = RetrainDeciderSettings.from_properties(exec_properties)
        inputs: DeciderInputs = read_inputs(
            drift_report_uri=artifact_utils.get_single_uri(input_dict["drift_report"]),
            labelled_log_uris=[log.uri for log in input_dict["labelled_log"]],
            reference_profile_uri=artifact_utils.get_single_uri(input_dict["reference_profile"]),
            previous_decision_uri=previous[-1].uri if previous else None,
            model_name=settings.model_name,
            window=settings.window,
            label_window=settings.label_window,
            label_start_ms=settings.label_start_ms,
            label_end_ms=settings.label_end_ms,
            training_start_ms=settings.training_start_ms or 0,
        )
        decision = decide(
            inputs.evidence,
            lambda: inputs.measure(settings.measure),
            inputs.previous,
            settings.part(DecisionSettings),
        )
        _write(decision, artifact_utils.get_single_instance(output_dict["decision"]))


def _write(decision: DecisionRecord, output: types.Artifact) -> None:
    RETRAIN_DECISION.write(decision, output.uri)
    avoidable = decision.evidence.avoidable_loss
    properties: dict[str, int | float | str] = {
        "verdict": decision.verdict.value,
        "reason": decision.reason,
        "window": decision.window,
        "model_version": decision.model_version,
        "retrain": int(decision.verdict is RetrainVerdict.RETRAIN),
        "avoidable_loss": avoidable.relative if avoidable else 0.0,
        "accumulated": decision.evidence.accumulated,
    }
    set_properties(output, properties)
    _LOG.info(
        "decision window=%s model_version=%d verdict=%s reason=%s avoidable_loss=%.4f artifact=%s",
        decision.window,
        decision.model_version,
        decision.verdict.value,
        decision.reason,
        properties["avoidable_loss"],
        output.uri,
    )
