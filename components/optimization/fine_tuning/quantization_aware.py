"""Quantisation-aware training with TFMOT that keeps the zeros and clusters of a model.

A layer that comes pruned stays pruned (TFMOT calls it
PQAT), a clustered one stays clustered (CQAT), one that is both stays both (PCQAT): what a layer is,
is read from its weights, layer by layer. Runs where TensorFlow may be imported: in a child process.

TFMOT's own schemes share one quantiser among all layers of a kind; the first layer without a zero
switches `preserve_sparsity` off for those after it (cluster_preserve_quantize_registry.py,
`_build_clusters`). Here each layer gets its own.
"""

import logging
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tfx_loop.core.errors import ModelError, first_line
from tfx_loop.optimization.fine_tuning import keras_model, training
from tfx_loop.optimization.fine_tuning.rows_file import Array, TrainingRows
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings

_LOG = logging.getLogger(__name__)
_NAMES: Any = tfmot.quantization.keras
_DEFAULT: Any = _NAMES.default_8bit
_TOGETHER: Any = tfmot.experimental.combine
_Layer: TypeAlias = keras.layers.Layer

# What counts as pruned or clustered. Trained kernels have no exact zeros, and hardly two equal
# values: a tenth of zeros, or four weights to each of at most 256 values, came from a technique.
_MIN_ZEROS = 0.1
_MAX_CLUSTERS = 256
_MIN_WEIGHTS_PER_CLUSTER = 4
# TFMOT names the first layer that it cannot quantise in its error alone.
_UNSUPPORTED = re.compile(r"Layer (\S+?):<class")

_QUANTIZED = "quant_"


class PreservedWeights(str, Enum):
    """What of a layer's weights is kept through the training."""

    NOTHING = "nothing"
    ZEROS = "zeros"
    CLUSTERS = "clusters"
    BOTH = "zeros_and_clusters"


@dataclass(frozen=True)
class QuantizationAware:
    """A model with quantisation emulated in it.

    Attributes:
        model: The tf_keras model for the converter.
        kept: What is kept, by layer of Conv2D and Dense.
        left_float: Layers that TFMOT cannot quantise.
        technique: `QAT`, `PQAT`, `CQAT` or `PCQAT`.
        fitted: The training; None before it.
    """

    model: keras.Model
    kept: dict[str, PreservedWeights]
    left_float: tuple[str, ...]
    fitted: training.TrainingRecord | None = None

    @property
    def technique(self) -> str:
        """Returns what TFMOT calls it."""
        found = set(self.kept.values())
        zeros = bool(found & {PreservedWeights.ZEROS, PreservedWeights.BOTH})
        clusters = bool(found & {PreservedWeights.CLUSTERS, PreservedWeights.BOTH})
        return f"{'P' * zeros}{'C' * clusters}QAT"


def train(path: Path | str, rows: TrainingRows, settings: FineTuningSettings) -> QuantizationAware:
    """Returns the model in a file, trained on with quantisation emulated in it.

    `tf.lite.TFLiteConverter.from_keras_model(result.model)` with Optimize.DEFAULT makes the int8
    model; the ranges are in it, so no calibration is needed.

    Args:
        path: A `.keras` or `.h5` file.
        rows: To train on.
        settings: Epochs, batch, learning rate, seed, the user's compile_fn.

    Raises:
        ModelError: No layer can be quantised, or the file holds no functional tf_keras model.
    """
    training.seed_everything(settings.seed)
    source = keras_model.load(path, settings, rows)
    aware = quantization_aware(source)
    keras_model.compile_like(aware.model, source, settings.learning_rate)
    fitted = training.fit(aware.model, rows, settings)
    _LOG.info(
        "quantization_aware technique=%s layers=%d left_float=%s kept_epoch=%d seconds=%.1f",
        aware.technique,
        len(aware.kept),
        ",".join(aware.left_float) or "none",
        fitted.kept_epoch,
        fitted.seconds,
    )
    return QuantizationAware(aware.model, aware.kept, aware.left_float, fitted)


def quantization_aware(model: keras.Model) -> QuantizationAware:
    """Returns a copy of the model with quantisation emulated in every layer that TFMOT knows.

    Raises:
        ModelError: No layer can be quantised.
    """
    kept = {layer.name: kept_of(layer) for layer in model.layers if _kernel(layer) is not None}
    # TFMOT refuses a model for one layer and names that one; it is left in float, and the rest is
    # tried again, until TFMOT knows all of it.
    left = [layer.name for layer in model.layers if _never(layer)]
    while len(left) < len(model.layers):
        try:
            aware = _NAMES.quantize_apply(_annotated(model, left), _Scheme())
        except (RuntimeError, TypeError, ValueError) as error:
            found = _UNSUPPORTED.search(str(error))
            # No layer named, or one that is in float already: trying again would not end.
            if not found or found[1] in left:
                raise ModelError(
                    f"Expected a model that TFMOT can quantise, received {model.name}: "
                    f"{first_line(error)} Take a post-training mode."
                ) from error
            left.append(found[1])
        else:
            if wrong := _misordered(model, aware):
                # Left in float, its inputs get no layers of TFMOT's behind them and keep their
                # order.
                left.extend(wrong)
                continue
            floats = tuple(n for n in left if not isinstance(model.get_layer(n), _INPUTS))
            kept = {name: what for name, what in kept.items() if name not in left}
            return QuantizationAware(aware, kept, floats)
    raise ModelError(
        f"Expected a layer that TFMOT can quantise in {model.name}, received "
        f"{sorted({type(layer).__name__ for layer in model.layers})}. Take a post-training mode."
    )


def _misordered(model: keras.Model, aware: keras.Model) -> list[str]:
    """Returns the Concatenates whose inputs TFMOT has put into another order.

    It rewires one by the order of the layers in the configuration, where what it adds behind an
    input stands last (model_transformer.py, `_replace_functional`): features change places unsaid.
    """
    wrong = []
    for layer in model.layers:
        if not isinstance(layer, keras.layers.Concatenate):
            continue
        name = f"{_QUANTIZED}{layer.name}"
        if name not in {other.name for other in aware.layers}:
            continue
        before = [_maker(tensor) for tensor in layer.get_input_at(0)]
        after = [_maker(tensor) for tensor in aware.get_layer(name).get_input_at(0)]
        # Layers that were fused have other names; the rest shows the order.
        if [n for n in before if n in after] != [n for n in after if n in before]:
            wrong.append(layer.name)
    return wrong


def _maker(tensor: Any) -> str:
    """Returns the layer that makes a tensor, under its name before TFMOT wrapped it."""
    layer = tensor.node.layer
    if type(layer).__name__ == "QuantizeLayer":  # What TFMOT puts behind an input.
        return _maker(layer.get_input_at(0))
    return str(layer.name).removeprefix(_QUANTIZED)


def kept_of(layer: _Layer) -> PreservedWeights:
    """Returns what a layer's weights show: zeros of pruning, values shared by clustering."""
    kernel = _kernel(layer)
    if kernel is None:
        return PreservedWeights.NOTHING
    zeros = float(np.mean(kernel == 0)) >= _MIN_ZEROS
    values = len(np.unique(kernel))
    clusters = 1 < values <= min(_MAX_CLUSTERS, kernel.size // _MIN_WEIGHTS_PER_CLUSTER)
    if zeros and clusters:
        return PreservedWeights.BOTH
    return (
        PreservedWeights.ZEROS
        if zeros
        else PreservedWeights.CLUSTERS
        if clusters
        else PreservedWeights.NOTHING
    )


_INPUTS = keras.layers.InputLayer


def _kernel(layer: _Layer) -> Array | None:
    """Returns the weights whose zeros and clusters TFMOT can keep: of Conv2D and Dense."""
    # Exactly these: TFMOT's registries go by class, and know no subclass.
    if type(layer) not in (keras.layers.Conv2D, keras.layers.Dense):
        return None
    return np.asarray(layer.kernel.numpy())


def _never(layer: _Layer) -> bool:
    """Says whether a layer cannot even be annotated.

    Its function is unknown, it is a model, or it takes whole numbers, which TFMOT would quantise
    as if they were floats.
    """
    kinds = (_INPUTS, keras.layers.Lambda, keras.Model)
    if isinstance(layer, kinds) or type(layer).__name__ in ("TFOpLambda", "SlicingOpLambda"):
        return True
    # Fake quantisation is of floats alone: an Embedding takes whole numbers.
    return not all(tensor.dtype.is_floating for tensor in tf.nest.flatten(layer.get_input_at(0)))


def _annotated(model: keras.Model, left: list[str]) -> keras.Model:
    def annotate(layer: _Layer) -> _Layer:
        return layer if layer.name in left else _NAMES.quantize_annotate_layer(layer)

    return keras.models.clone_model(model, clone_function=annotate)


class _Registry(_DEFAULT.Default8BitQuantizeRegistry):  # type: ignore[misc,name-defined]
    """Chooses how a layer is quantised by what its weights show."""

    def get_quantize_config(self, layer: _Layer) -> Any:
        """Returns the quantiser of one layer, shared with no other."""
        kept = kept_of(layer)
        if kept is PreservedWeights.NOTHING:
            return super().get_quantize_config(layer)
        if kept is PreservedWeights.ZEROS:
            scheme = _TOGETHER.Default8BitPrunePreserveQuantizeScheme()
        else:
            scheme = _TOGETHER.Default8BitClusterPreserveQuantizeScheme(
                kept is PreservedWeights.BOTH
            )
        return scheme.get_quantize_registry().get_quantize_config(layer)


class _Scheme(_DEFAULT.Default8BitQuantizeScheme):  # type: ignore[misc,name-defined]
    """TFMOT's 8-bit scheme with the registry above."""

    def get_quantize_registry(self) -> _Registry:
        """Returns the registry."""
        return _Registry()
