"""TFMOT's wrappers for pruning and clustering around chosen layers, and their removal.

Runs where TensorFlow may be imported: in a child process. Known traps of TFMOT 0.8.1, and what is
done about them:
- `prune_low_magnitude(model)` raises for one unknown layer (TFOpLambda, Conv1DTranspose, a layer of
  the user): only chosen layers are wrapped, nested models included.
- `cluster_weights` returns None for what is no Keras 2 object: the result is looked at.
- Clustering sums the gradients of all weights of a centroid; a learning rate that was right for
  single weights is too high for centroids: gradients are averaged.
- Wrapping renames layers, and thereby outputs: see `fine_tuning.keras_model.compile_like`.
"""

from collections.abc import Callable, Collection, Iterator
from operator import attrgetter
from typing import Any, TypeAlias

import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tfx_loop.core.errors import ModelError
from tfx_loop.optimization.fine_tuning.rows_file import Array
from tfx_loop.optimization.pruner.eligible import PRUNABLE, Kernel
from tfx_loop.optimization.pruner.schedule import PruningSchedule
from tfx_loop.optimization.pruner.settings import Pattern, PruningSettings

_CLUSTERING: Any = tfmot.clustering.keras
_PRUNING: Any = tfmot.sparsity.keras
_Layer: TypeAlias = keras.layers.Layer
_Model: TypeAlias = keras.Model
# A member of TFMOT's GradientAggregation, which it does not export; it is a str.
_AVERAGE = "GradientAggregation.AVG"
# Biases and scales have one axis: they are small, and nobody prunes them.
_MATRIX = 2


def kernels_of(model: _Model) -> list[tuple[Kernel, Array]]:
    """Returns the kernels of a model with their values; those of unknown layers are named too."""
    found = []
    for name, layer in _layers(model):
        kind = _kind(layer)
        for weight, variable in _kernels(layer, kind):
            values = variable.numpy()
            found.append((Kernel(name, kind, weight, tuple(values.shape)), values))
    return found


def wrap_to_prune(
    model: _Model, layers: Collection[str], settings: PruningSettings, schedule: PruningSchedule
) -> _Model:
    """Returns a model with the weights of `model` whose chosen layers grow sparse in training."""
    arguments: dict[str, Any] = {
        "pruning_schedule": _PRUNING.PolynomialDecay(
            initial_sparsity=0.0,
            final_sparsity=settings.sparsity,
            begin_step=0,
            end_step=schedule.end_step,
            frequency=schedule.frequency,
        )
    }
    if settings.pattern is Pattern.TWO_OF_FOUR:
        # The pattern of NVIDIA's sparse tensor cores; TFMOT names it m by n.
        arguments["sparsity_m_by_n"] = (2, 4)
    if settings.pattern is Pattern.BLOCK:
        arguments["block_size"] = settings.block
    return _rebuilt(model, layers, lambda layer: _PRUNING.prune_low_magnitude(layer, **arguments))


def pruning_callback() -> Any:
    """Returns the callback that a model of `wrap_to_prune` needs in training."""
    return _PRUNING.UpdatePruningStep()


def strip_pruning(model: _Model) -> _Model:
    """Returns the model without TFMOT's wrappers, layers under their own names."""
    return _PRUNING.strip_pruning(model)


def wrap_to_cluster(model: _Model, layers: Collection[str], clusters: int) -> _Model:
    """Returns a model with the weights of `model` whose chosen layers share values.

    A layer with zeros keeps them, and the zero is one of its values.
    """
    kernels = {kernel.layer: values for kernel, values in kernels_of(model)}
    names = {id(layer): name for name, layer in _layers(model)}

    def wrap(layer: _Layer) -> _Layer:
        return _CLUSTERING.cluster_weights(
            layer,
            number_of_clusters=clusters,
            # Of TFMOT's initialisers the one that follows the weights: evenly spaced centroids have
            # hardly a weight at their ends.
            cluster_centroids_init=_CLUSTERING.CentroidInitialization.KMEANS_PLUS_PLUS,
            preserve_sparsity=bool((kernels[names[id(layer)]] == 0).any()),
            cluster_gradient_aggregation=_AVERAGE,
        )

    return _rebuilt(model, layers, wrap)


def strip_clustering(model: _Model) -> _Model:
    """Returns the model without TFMOT's wrappers, its kernels clustered."""
    return _CLUSTERING.strip_clustering(model)


def _rebuilt(
    model: _Model, layers: Collection[str], wrap: Callable[[_Layer], _Layer], prefix: str = ""
) -> _Model:
    """Returns the model with some layers wrapped; all weights are shared with `model`."""

    def clone(layer: _Layer) -> _Layer:
        if isinstance(layer, keras.Model):
            return _rebuilt(layer, layers, wrap, f"{prefix}{layer.name}/")
        if f"{prefix}{layer.name}" not in layers:
            return layer
        wrapped = wrap(layer)
        if not isinstance(wrapped, keras.layers.Layer):
            raise ModelError(
                f"Expected a tf_keras layer from TFMOT for {layer.name}, received {wrapped!r}. "
                "Save the model with tf_keras (TF_USE_LEGACY_KERAS=1)."
            )
        return wrapped

    return keras.models.clone_model(model, clone_function=clone)


def _layers(model: _Model, prefix: str = "") -> Iterator[tuple[str, _Layer]]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer, f"{prefix}{layer.name}/")
        else:
            yield f"{prefix}{layer.name}", layer


def _kind(layer: _Layer) -> str:
    """Returns the class name; one of the user with a name of Keras' is marked as another."""
    name = type(layer).__name__
    known = getattr(keras.layers, name, None)
    return name if known is None or isinstance(layer, known) else f"custom {name}"


def _kernels(layer: _Layer, kind: str) -> list[tuple[str, Any]]:
    if kind in PRUNABLE:
        return [(weight, attrgetter(weight)(layer)) for weight in PRUNABLE[kind]]
    matrices = [weight for weight in layer.trainable_weights if len(weight.shape) >= _MATRIX]
    return [(weight.name.split(":")[0].split("/")[-1], weight) for weight in matrices]
