"""Extractors by which TFMA judges a TFLite variant beside the float SavedModel; its own refuse to.

Evaluator takes this module by `module_path`. SavedModels are run by TFMA's own extractor; a
TFLite variant is run by the same runtime that serves it, on whole batches, its 8-bit inputs rounded
and clipped (TFMA's own truncates and wraps around).
"""

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.extractors import (
    example_weights_extractor,
    extractor,
    features_extractor,
    labels_extractor,
    predictions_extractor,
    slice_key_extractor,
    transformed_features_extractor,
    unbatch_extractor,
)
from tensorflow_model_analysis.proto import config_pb2

from tfx_loop.core.errors import DataError
from tfx_loop.models.predictor import Predictor, TensorSpec, open_predictor

# The name under which TFMA looks for a TFLite file in a model's folder.
_TFLITE_FILE = "tflite"


def custom_extractors(
    eval_shared_model: Any, eval_config: Any, tensor_adapter_config: Any
) -> list[Any]:
    """Returns the extractors of an evaluation in which some models are TFLite files."""
    given = eval_shared_model if isinstance(eval_shared_model, list) else [eval_shared_model]
    files = {
        model.model_name: os.path.join(model.model_path, _TFLITE_FILE)
        for model in given
        if model.model_type == tfma.TF_LITE
    }
    if not files:
        found: list[Any] = tfma.default_extractors(
            eval_shared_model=eval_shared_model,
            eval_config=eval_config,
            tensor_adapter_config=tensor_adapter_config,
        )
        return found
    representations = tensor_adapter_config and tensor_adapter_config.tensor_representations
    others = [model for model in given if model.model_name not in files]
    return [
        features_extractor.FeaturesExtractor(
            eval_config=eval_config, tensor_representations=representations
        ),
        labels_extractor.LabelsExtractor(eval_config=eval_config),
        example_weights_extractor.ExampleWeightsExtractor(eval_config=eval_config),
        *_saved_models(others, eval_config),
        _tflite_models(files, [model.model_name for model in others]),
        unbatch_extractor.UnbatchExtractor(),
        slice_key_extractor.SliceKeyExtractor(eval_config=eval_config, materialize=False),
    ]


def _saved_models(models: Sequence[Any], eval_config: Any) -> list[Any]:
    """TFMA's own extractors, told of the SavedModels alone."""
    if not models:
        return []
    names = {model.model_name for model in models}
    config = config_pb2.EvalConfig()
    config.CopyFrom(eval_config)
    del config.model_specs[:]
    config.model_specs.extend(spec for spec in eval_config.model_specs if spec.name in names)
    known = {"eval_config": config, "eval_shared_model": list(models)}
    return [
        transformed_features_extractor.TransformedFeaturesExtractor(**known),
        predictions_extractor.PredictionsExtractor(**known),
    ]


def _tflite_models(files: Mapping[str, str], others: Sequence[str]) -> Any:
    predict = "PredictTFLite" >> beam.ParDo(_PredictTFLite(dict(files), list(others)))
    return extractor.Extractor(stage_name="ExtractVariantPredictions", ptransform=predict)


class _PredictTFLite(beam.DoFn):  # type: ignore[misc]
    """Adds the answers of TFLite files to extracts that may hold those of SavedModels."""

    def __init__(self, files: dict[str, str], others: list[str]) -> None:
        self._files = files
        self._others = others
        self._predictors: dict[str, Predictor] = {}

    def setup(self) -> None:
        """Opens the files, once a worker."""
        self._predictors = {name: open_predictor(path) for name, path in self._files.items()}

    def process(self, extracts: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yields a copy of a batch of extracts with every model's predictions."""
        features = extracts[tfma.FEATURES_KEY]
        answers = {name: _answers(each, features) for name, each in self._predictors.items()}
        result = copy.copy(extracts)
        if len(self._others) == 1:
            answers[self._others[0]] = extracts[tfma.PREDICTIONS_KEY]
        elif self._others:
            answers.update(extracts[tfma.PREDICTIONS_KEY])
        result[tfma.PREDICTIONS_KEY] = answers if len(answers) > 1 else next(iter(answers.values()))
        yield result


def _answers(predictor: Predictor, features: Mapping[str, Any]) -> Any:
    inputs = {spec.name: _rows(features, spec) for spec in predictor.inputs}
    outputs = predictor.predict(inputs)
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs


def _rows(features: Mapping[str, Any], spec: TensorSpec) -> npt.NDArray[Any]:
    if spec.name not in features:
        raise DataError(
            f"Expected a feature {spec.name!r} for the input of the TFLite model, received "
            f"{', '.join(sorted(features))}. Name the inputs of the model as the features."
        )
    values = np.asarray(features[spec.name])
    return values.reshape(len(values), *(side or -1 for side in spec.shape[1:]))
