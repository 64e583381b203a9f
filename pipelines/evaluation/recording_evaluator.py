"""Evaluator whose result stands in ML Metadata, so that lineage can say what a model beat by.

Stock Evaluator leaves its numbers in files. This one is Evaluator, and notes the overall metrics of
challenger and champion as custom properties of its artifact.
"""

from typing import Any

import tensorflow_model_analysis as tfma
from tfx import types
from tfx.components.evaluator import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils

from tfx_loop.contracts.model_evaluation import OVERALL, metrics_by_slice
from tfx_loop.core.artifacts import Artifacts, Scalars, set_properties

# Metrics that `loop explain` shows; a property for each, as MLMD takes numbers and text alone.
_NOTED = (
    "auc",
    "binary_accuracy",
    "sparse_categorical_accuracy",
    "categorical_accuracy",
    "precision",
    "recall",
    "f1_score",
    "calibration",
    "mean_squared_error",
    "mean_absolute_error",
)


class Executor(executor.Executor):
    """Executor of Evaluator that notes what it measured."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Evaluates, then sets properties such as `auc` and `champion_auc`."""
        super().Do(input_dict, output_dict, exec_properties)
        evaluation = artifact_utils.get_single_instance(output_dict["evaluation"])
        if not input_dict.get("baseline_model"):
            _note(evaluation, tfma.load_eval_result(evaluation.uri), "")
            return
        for name, prefix in ((tfma.CANDIDATE_KEY, ""), (tfma.BASELINE_KEY, "champion_")):
            _note(evaluation, tfma.load_eval_result(evaluation.uri, model_name=name), prefix)


class Evaluator(component.Evaluator):
    """Evaluator whose `evaluation` carries its overall metrics as custom properties."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)


def _note(evaluation: types.Artifact, result: Any, prefix: str) -> None:
    overall = metrics_by_slice(result).get(OVERALL, {})
    set_properties(
        evaluation, {f"{prefix}{name}": overall[name] for name in _NOTED if name in overall}
    )
