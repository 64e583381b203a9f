"""Evaluator of a variant: the same judgement, blessed so that no resolver makes it a baseline.

`blessed` stays 0 and `variant_blessed` says what came of it. VariantChooser and ServingPusher read
both; a stock Pusher reads `blessed`, which the blessing of VariantChooser has.

It takes the pipeline's own eval_config: where the variant is a TFLite file, its model spec says so
here, and the extractors are those that judge one beside a SavedModel.
"""

import os

import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.utils import config_util
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.utils import path_utils

from tfx_loop.contracts.model_properties import BlessingProperties
from tfx_loop.core.artifacts import Artifacts, Scalars, set_properties
from tfx_loop.core.custom_properties import to_properties
from tfx_loop.core.inputs import single
from tfx_loop.models.formats import SAVED_MODEL_FILE
from tfx_loop.pipelines.evaluation import recording_evaluator

_EXTRACTORS = "tfx_loop.pipelines.evaluation.variant_extractors"
_UDFS = ("module_file", "module_path", "custom_extractors")


class VariantExecutor(recording_evaluator.Executor):
    """Executor of the recording Evaluator, whose blessing is a variant's."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Evaluates, then moves the verdict from `blessed` to `variant_blessed`."""
        model = single(input_dict, "model")
        folder = path_utils.serving_model_path(model.uri)
        # Told by what the folder holds: one node judges variants of either form.
        if not fileio.exists(os.path.join(folder, SAVED_MODEL_FILE)):
            has_baseline = bool(input_dict.get("baseline_model"))
            exec_properties = _for_tflite(exec_properties, has_baseline)
        super().Do(input_dict, output_dict, exec_properties)
        for blessing in output_dict.get("blessing", ()):
            passed = blessing.get_int_custom_property("blessed") == 1
            properties = BlessingProperties(blessed=False, variant_blessed=passed)
            set_properties(blessing, to_properties(properties))


class VariantEvaluator(recording_evaluator.Evaluator):
    """Evaluator for a model that was made from a trained one.

    It judges as stock Evaluator does, by the same eval_config, and blesses a variant so that no
    LatestBlessedModel resolver takes it for the next baseline. A TFLite variant is judged beside
    the float SavedModel, behind its preprocessing where it has one.

    Example:
        from tfx_loop.pipelines.evaluation.variant_evaluator import VariantEvaluator
        judge = VariantEvaluator(
            examples=example_gen.outputs["examples"], model=quantizer.outputs["model"],
            baseline_model=trainer.outputs["model"], eval_config=eval_config,
        )
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(VariantExecutor)


def _for_tflite(exec_properties: Scalars, has_baseline: bool) -> Scalars:
    """Returns the properties of an evaluation whose candidate is a TFLite file."""
    given = json_format.Parse(str(exec_properties["eval_config"]), config_pb2.EvalConfig())
    # As the Evaluator does it, which then finds nothing left to do.
    config = config_util.update_eval_config_with_defaults(
        given, has_baseline=has_baseline, rubber_stamp=True
    )
    for spec in config.model_specs:
        if not spec.is_baseline:
            spec.model_type = tfma.TF_LITE
            # A TFLite file has the one signature, which TFMA does not ask by name.
            spec.signature_name = ""
    told = {**exec_properties, "eval_config": json_format.MessageToJson(config)}
    if not any(exec_properties.get(name) for name in _UDFS):
        told["module_path"] = _EXTRACTORS
    return told
