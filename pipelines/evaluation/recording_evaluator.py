"""Evaluator whose result stands in ML Metadata, so that lineage can tell how models compare.

Stock Evaluator leaves its numbers in files. This one is Evaluator, notes the overall metrics of
challenger and champion as custom properties of its artifact, and compares both row by row.
"""

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tensorflow_model_analysis.proto import config_pb2
from tfx import types
from tfx.components.evaluator import component, constants, executor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from tfx_loop.contracts.model_evaluation import OVERALL, JudgedProperties, metrics_by_slice
from tfx_loop.contracts.task import ModelTask
from tfx_loop.core.artifacts import Artifacts, Scalars, set_properties
from tfx_loop.core.custom_properties import to_properties
from tfx_loop.core.errors import DataError
from tfx_loop.core.json_codec import from_json, to_json
from tfx_loop.models.fetching import local_folder
from tfx_loop.models.formats import detect
from tfx_loop.models.guard import guard
from tfx_loop.models.paired_losses import ComparisonWord
from tfx_loop.pipelines.evaluation.encoded_examples import with_encoded_labels
from tfx_loop.pipelines.evaluation.held_out_comparison import (
    HELD_OUT_COMPARISON,
    compare_models,
    gain_over_constant,
)

# Execution properties beside those of Evaluator; ALLOWED are exceptions to the guard.
MARGIN, ALLOWED = "max_loss_rise", "allow"
TASK, LEAST_GAIN = "task", "min_gain"
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
    "sparse_categorical_crossentropy",
    "mean_squared_error",
    "mean_absolute_error",
)


class Executor(executor.Executor):
    """Executor of Evaluator that notes what it measured, and refuses what is clearly worse."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Evaluates, then sets properties such as `auc`, `champion_auc` and `compared`."""
        # Taken out: they are no parameters of TFX's own Evaluator.
        margin = exec_properties.pop(MARGIN, None)
        with guard.exceptions(json.loads(str(exec_properties.pop(ALLOWED, "[]")))):
            for key in ("model", "baseline_model"):
                for model in input_dict.get(key, ()):
                    _check(model.uri)
        said = exec_properties.pop(TASK, None)
        task = from_json(ModelTask, json.loads(str(said)), TASK) if said else None
        least_gain = exec_properties.pop(LEAST_GAIN, None)
        with tempfile.TemporaryDirectory(prefix="loop-evaluator-") as scratch:
            given = _judged_by_numbers(input_dict, exec_properties, task, Path(scratch))
            super().Do(given, output_dict, exec_properties)
        evaluation = artifact_utils.get_single_instance(output_dict["evaluation"])
        refusals = _refusals(evaluation.uri)
        judged = JudgedProperties()
        if input_dict.get("baseline_model"):
            for name, prefix in ((tfma.CANDIDATE_KEY, ""), (tfma.BASELINE_KEY, "champion_")):
                _note(evaluation, tfma.load_eval_result(evaluation.uri, model_name=name), prefix)
            if margin is not None:
                judged = _compared(input_dict, exec_properties, float(margin), evaluation.uri, task)
                if judged.compared == ComparisonWord.WORSE.value:
                    refusals.append(judged.comparison)
                    _refuse(output_dict)
        else:
            _note(evaluation, tfma.load_eval_result(evaluation.uri), "")
        if task is not None and least_gain is not None:
            told = _no_gain(input_dict, exec_properties, task, float(least_gain))
            if told:
                refusals.append(told)
                _refuse(output_dict)
        judged = replace(judged, refused_because="; ".join(refusals))
        set_properties(evaluation, to_properties(judged))


class Evaluator(component.Evaluator):
    """Evaluator whose `evaluation` carries its overall metrics as custom properties.

    It takes the place of stock Evaluator, with the same inputs and outputs. `loop explain` shows
    the metrics, and a challenger may be compared with its champion row by row.

    Example:
        from tfx_loop.pipelines.evaluation.recording_evaluator import Evaluator
        recording = Evaluator(
            examples=example_gen.outputs["examples"], model=trainer.outputs["model"],
            eval_config=eval_config,
        ).with_id("RecordingEvaluator")
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        *,
        max_loss_rise: float | None = None,
        task: ModelTask | None = None,
        min_gain: float | None = None,
        allow: Sequence[str] = (),
        **arguments: Any,
    ) -> None:
        """Declares the node.

        Args:
            max_loss_rise: Share of the champion's loss by which a challenger may surely lose more
                on rows held out of both; None compares no rows.
            task: What the model answers; None takes what labels and answers show.
            min_gain: Share of the best constant answer's loss that a challenger must lose less;
                None asks for none. Needs a task.
            allow: Operations that a model may have, named as the guard's refusal names them.
            **arguments: As Evaluator takes them.
        """
        super().__init__(**arguments)
        if allow:
            self.spec.exec_properties[ALLOWED] = json.dumps(list(allow))
        if task is not None:
            self.spec.exec_properties[TASK] = json.dumps(to_json(task))
        if min_gain is not None:
            self.spec.exec_properties[LEAST_GAIN] = min_gain
        if max_loss_rise is not None:
            self.spec.exec_properties[MARGIN] = max_loss_rise


def _check(uri: str) -> None:
    """Refuses a model that TFMA, which opens it, should not: it has no guard of its own."""
    with tempfile.TemporaryDirectory(prefix="loop-evaluated-") as scratch:
        guard.check(detect(local_folder(path_utils.serving_model_path(uri), Path(scratch))))


def _compared(
    inputs: Artifacts,
    properties: Scalars,
    margin: float,
    evaluation_uri: str,
    task: ModelTask | None,
) -> JudgedProperties:
    config, files = _config(properties), _held_out_files(inputs, properties)
    champion, challenger = (
        path_utils.serving_model_path(inputs[key][0].uri) for key in ("baseline_model", "model")
    )
    slices = sorted({key for spec in config.slicing_specs for key in spec.feature_keys})
    label, output = config.model_specs[0].label_key, config.model_specs[0].prediction_key
    try:
        found = compare_models(
            files, champion, challenger, label, slices, margin, task=task, output=output
        )
    except DataError as error:
        # A model of several outputs, say: TFMA's thresholds judge it alone.
        return JudgedProperties(comparison=f"not compared row by row: {error}")
    HELD_OUT_COMPARISON.write(found, evaluation_uri)
    return JudgedProperties(compared=found.overall.word.value, comparison=found.told)


def _judged_by_numbers(
    inputs: Artifacts, properties: Scalars, task: ModelTask | None, folder: Path
) -> Artifacts:
    if task is None:
        return inputs
    label = _config(properties).model_specs[0].label_key
    encoded = with_encoded_labels(inputs["examples"], _splits(properties), label, task, folder)
    return {**inputs, "examples": encoded}


def _splits(properties: Scalars) -> list[str]:
    # Evaluator's own default where none is named.
    return json.loads(str(properties.get("example_splits") or "null")) or ["eval"]


def _no_gain(inputs: Artifacts, properties: Scalars, task: ModelTask, least: float) -> str:
    """Returns why a model that hardly beats a constant answer is refused; empty where it does."""
    spec = _config(properties).model_specs[0]
    files = _held_out_files(inputs, properties)
    folder = path_utils.serving_model_path(inputs["model"][0].uri)
    gain = gain_over_constant(files, folder, spec.label_key, task, spec.prediction_key)
    if gain >= least:
        return ""
    return (
        f"it loses {abs(gain):.1%} {'less' if gain >= 0 else 'more'} than the best constant answer "
        f"to the held-out rows, and {least:.1%} less is asked for"
    )


def _config(properties: Scalars) -> Any:
    config = config_pb2.EvalConfig()
    json_format.Parse(str(properties["eval_config"]), config)
    return config


def _held_out_files(inputs: Artifacts, properties: Scalars) -> list[str]:
    uris = [
        uri
        for split in _splits(properties)
        for uri in artifact_utils.get_split_uris(inputs["examples"], split)
    ]
    return sorted(file for uri in uris for file in fileio.glob(os.path.join(uri, "[!._]*")))


def _refuse(output_dict: Artifacts) -> None:
    """Takes a blessing back that TFMA's thresholds gave."""
    for blessing in output_dict.get("blessing", []):
        blessed = os.path.join(blessing.uri, constants.BLESSED_FILE_NAME)
        if fileio.exists(blessed):
            fileio.remove(blessed)
        io_utils.write_string_file(os.path.join(blessing.uri, constants.NOT_BLESSED_FILE_NAME), "")
        key = constants.ARTIFACT_PROPERTY_BLESSED_KEY
        blessing.set_int_custom_property(key, constants.NOT_BLESSED_VALUE)


def _note(evaluation: types.Artifact, result: Any, prefix: str) -> None:
    overall = metrics_by_slice(result).get(OVERALL, {})
    set_properties(
        evaluation, {f"{prefix}{name}": overall[name] for name in _NOTED if name in overall}
    )


def _refusals(evaluation_uri: str) -> list[str]:
    """Returns what an evaluation fell short of, in words; none where nothing was judged."""
    # Without thresholds TFMA writes no validations.
    if not fileio.glob(os.path.join(evaluation_uri, f"{tfma.constants.VALIDATIONS_KEY}*")):
        return []
    result = tfma.load_validation_result(evaluation_uri)
    told = [
        _refusal(failure)
        for found in result.metric_validations_per_slice
        for failure in found.failures
    ]
    return told or ([] if result.validation_ok else ["it was not measured on the judged rows"])


def _refusal(failure: Any) -> str:
    name, value = failure.metric_key.name, failure.metric_value.double_value.value
    threshold = failure.metric_threshold
    if failure.metric_key.is_diff:
        allowed = abs(threshold.change_threshold.absolute.value)
        return f"{name} is {abs(value):.4g} below the champion's, and {allowed:.4g} is allowed"
    asked = threshold.value_threshold
    low, high = asked.lower_bound.value, asked.upper_bound.value
    between = f"{low:.4g} to {high:.4g}" if asked.HasField("upper_bound") else f"{low:.4g} at least"
    return f"{name} is {value:.4g}, and {between} is asked for"
