"""Extractors by which TFMA judges a TFLite variant beside the float SavedModel; its own refuse to.

Evaluator takes this module by `module_path`. SavedModels are run by TFMA's own extractor; a
TFLite variant is run by the same runtime that serves it, on whole batches, its 8-bit inputs rounded
and clipped (TFMA's own truncates and wraps around), behind its preprocessing where it has one.
"""

import copy
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis import constants
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
from tfx_loop.models.fetching import local_folder
from tfx_loop.models.predictor import Predictor, TensorSpec, open_predictor
from tfx_loop.models.preprocessing.folder import Preprocessing, opened_preprocessing

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
        # Before the labels, which may be transformed features.
        *_of_saved_models(
            transformed_features_extractor.TransformedFeaturesExtractor, others, eval_config
        ),
        _extractor("TransformFeatures", _TransformFeatures(files, [m.model_name for m in others])),
        labels_extractor.LabelsExtractor(eval_config=eval_config),
        example_weights_extractor.ExampleWeightsExtractor(eval_config=eval_config),
        *_of_saved_models(predictions_extractor.PredictionsExtractor, others, eval_config),
        _extractor("PredictTFLite", _PredictTFLite(files, [m.model_name for m in others])),
        unbatch_extractor.UnbatchExtractor(),
        slice_key_extractor.SliceKeyExtractor(eval_config=eval_config, materialize=False),
    ]


def _of_saved_models(make: Any, models: Sequence[Any], eval_config: Any) -> list[Any]:
    """Returns one of TFMA's own extractors, told of the SavedModels alone."""
    if not models:
        return []
    names = {model.model_name for model in models}
    config = config_pb2.EvalConfig()
    config.CopyFrom(eval_config)
    del config.model_specs[:]
    config.model_specs.extend(spec for spec in eval_config.model_specs if spec.name in names)
    return [make(eval_config=config, eval_shared_model=list(models))]


def _extractor(name: str, work: beam.DoFn) -> Any:
    return extractor.Extractor(stage_name=f"Extract{name}", ptransform=name >> beam.ParDo(work))


class _OfFiles(beam.DoFn):  # type: ignore[misc]
    """Adds what TFLite files give to extracts that may hold what SavedModels give."""

    def __init__(self, files: Mapping[str, str], others: Sequence[str]) -> None:
        self._files = dict(files)
        self._others = list(others)
        self._preprocessing: dict[str, Preprocessing | None] = {}

    def setup(self) -> None:
        """Opens what stands before the files, once a worker."""
        # Runtimes read a disk; what is remote is copied, and stays while it may be asked.
        self._scratch = tempfile.TemporaryDirectory(prefix="loop-variants-")
        self._folders = {
            name: local_folder(os.path.dirname(path), Path(self._scratch.name) / str(number))
            for number, (name, path) in enumerate(self._files.items())
        }
        self._preprocessing = {
            name: opened_preprocessing(folder) for name, folder in self._folders.items()
        }

    def teardown(self) -> None:
        """Removes the copies."""
        self._scratch.cleanup()

    def _added(
        self, extracts: dict[str, Any], key: str, answers: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Yields a copy of a batch of extracts, by model where there are several."""
        result, answers = copy.copy(extracts), dict(answers)
        if key in extracts:
            known = extracts[key]
            answers.update({self._others[0]: known} if len(self._others) == 1 else known)
        several = len(self._files) + len(self._others) > 1
        if answers:
            result[key] = answers if several else next(iter(answers.values()))
        yield result


class _TransformFeatures(_OfFiles):
    """Adds the transformed features of networks behind a Transform graph."""

    def process(self, extracts: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yields a copy of a batch of extracts with the features of every model that has some."""
        made = {}
        for name, preprocessing in self._preprocessing.items():
            if preprocessing is not None and preprocessing.transforms:
                made[name] = preprocessing.transformed(list(extracts[tfma.INPUT_KEY]))
        yield from self._added(extracts, constants.TRANSFORMED_FEATURES_KEY, made)


class _PredictTFLite(_OfFiles):
    """Adds the answers of TFLite files."""

    def setup(self) -> None:
        """Opens the files, once a worker."""
        super().setup()
        self._predictors = {
            name: open_predictor(folder / _TFLITE_FILE) for name, folder in self._folders.items()
        }

    def process(self, extracts: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yields a copy of a batch of extracts with every model's predictions."""
        answers = {}
        for name, predictor in self._predictors.items():
            preprocessing = self._preprocessing[name]
            if preprocessing is None:
                features = extracts[tfma.FEATURES_KEY]
                inputs = {spec.name: _rows(features, spec) for spec in predictor.inputs}
            else:
                inputs = preprocessing.columns(list(extracts[tfma.INPUT_KEY]))
            answers[name] = _answers(predictor, inputs)
        yield from self._added(extracts, tfma.PREDICTIONS_KEY, answers)


def _answers(predictor: Predictor, inputs: Mapping[str, Any]) -> Any:
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
