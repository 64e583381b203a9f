"""Layers that can be pruned in a pattern or clustered, and why the others cannot. Pure.

TFMOT refuses a whole model for one layer that it does not know, and prunes some along the wrong
axis; so layers are chosen here, one by one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

from tfx_loop.core.errors import ConfigError
from tfx_loop.optimization.pruner.settings import Pattern, PruningSettings
from tfx_loop.optimization.pruner.sparsity import GROUP


class SkipReason(str, Enum):
    """Why a layer with weights is left alone."""

    EXCLUDED = "excluded_by_name"
    UNSUPPORTED = "unsupported_layer"
    # TFMOT prunes and clusters no depthwise kernels: they are small and lose too much.
    DEPTHWISE = "depthwise_kernel"
    # TFMOT would group the output channels of a transposed kernel, the ids of an embedding.
    OTHER_AXES = "axes_are_not_inputs_and_outputs"
    NOT_A_MATRIX = "kernel_is_no_matrix"
    NO_WHOLE_GROUP = "fewer_than_4_input_channels"
    TOO_SMALL = "too_small"


@dataclass(frozen=True)
class Kernel:
    """A weight that could be pruned or clustered.

    Attributes:
        layer: Name of the layer, `outer/inner` within a nested model.
        kind: Class of the layer, such as `Conv2D`.
        weight: Name of the weight in its layer, such as `kernel`.
        shape: Its shape.
    """

    layer: str
    kind: str
    weight: str
    shape: tuple[int, ...]


# What TFMOT prunes, by layer (prune_registry.py). MultiHeadAttention keeps its kernels in layers.
PRUNABLE = {
    "Conv1D": ("kernel",),
    "Conv2D": ("kernel",),
    "Conv2DTranspose": ("kernel",),
    "Conv3D": ("kernel",),
    "Conv3DTranspose": ("kernel",),
    "Dense": ("kernel",),
    "Embedding": ("embeddings",),
    "GRU": ("cell.kernel", "cell.recurrent_kernel"),
    "LSTM": ("cell.kernel", "cell.recurrent_kernel"),
    "LocallyConnected1D": ("kernel",),
    "LocallyConnected2D": ("kernel",),
    "MultiHeadAttention": (
        "_query_dense.kernel",
        "_key_dense.kernel",
        "_value_dense.kernel",
        "_output_dense.kernel",
    ),
    "SeparableConv1D": ("pointwise_kernel",),
    "SeparableConv2D": ("pointwise_kernel",),
    "SimpleRNN": ("cell.kernel", "cell.recurrent_kernel"),
}
# What TFMOT clusters and strips again without loss (clustering_registry.py): stripping rebuilds
# layers from their settings, which keeps no state of recurrent ones.
CLUSTERABLE = (
    "Conv1D",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "Dense",
    "Embedding",
    "SeparableConv1D",
    "SeparableConv2D",
)
_DEPTHWISE = ("DepthwiseConv1D", "DepthwiseConv2D")
# Kernels whose last axes are inputs and outputs, as 2:4 counts them.
_INPUTS_THEN_OUTPUTS = ("Conv2D", "Dense", "SeparableConv2D", "GRU", "LSTM", "SimpleRNN")
_MATRICES = ("Dense", "Embedding", "GRU", "LSTM", "SimpleRNN")


@dataclass(frozen=True)
class LayerSelection:
    """Which layers are worked on.

    Attributes:
        chosen: Names of layers.
        skipped: Why each of the others is left alone.
    """

    chosen: tuple[str, ...]
    skipped: dict[str, SkipReason]


def to_prune(kernels: Sequence[Kernel], settings: PruningSettings) -> LayerSelection:
    """Returns the layers that a pattern prunes.

    Raises:
        ConfigError: A glob of `exclude` matches no layer, or none is left to prune.
    """
    return _select(kernels, settings, _why_not_pruned, f"pattern {settings.pattern.value}")


def to_cluster(kernels: Sequence[Kernel], settings: PruningSettings) -> LayerSelection:
    """Returns the layers that are clustered.

    Raises:
        ConfigError: A glob of `exclude` matches no layer, or none is left to cluster.
    """
    return _select(kernels, settings, _why_not_clustered, f"{settings.clusters} clusters")


def _why_not_pruned(kernel: Kernel, settings: PruningSettings) -> SkipReason | None:
    if reason := _why_not_at_all(kernel, settings.exclude, tuple(PRUNABLE)):
        return reason
    if settings.pattern is Pattern.TWO_OF_FOUR:
        if kernel.kind not in _INPUTS_THEN_OUTPUTS:
            return SkipReason.OTHER_AXES
        return SkipReason.NO_WHOLE_GROUP if kernel.shape[-2] < GROUP else None
    if settings.pattern is Pattern.BLOCK:
        if kernel.kind not in _MATRICES:
            return SkipReason.NOT_A_MATRIX
        # TFMOT squeezes a single row or column of blocks away, and then fails on its rank.
        sizes = zip(kernel.shape, settings.block, strict=True)
        return SkipReason.TOO_SMALL if any(size <= block for size, block in sizes) else None
    return None


def _why_not_clustered(kernel: Kernel, settings: PruningSettings) -> SkipReason | None:
    if reason := _why_not_at_all(kernel, settings.exclude, CLUSTERABLE):
        return reason
    size = 1
    for length in kernel.shape:
        size *= length
    # As many values as weights share nothing.
    return SkipReason.TOO_SMALL if size <= settings.clusters else None


def _why_not_at_all(
    kernel: Kernel, exclude: Iterable[str], supported: tuple[str, ...]
) -> SkipReason | None:
    if any(fnmatchcase(kernel.layer, glob) for glob in exclude):
        return SkipReason.EXCLUDED
    if kernel.kind in _DEPTHWISE:
        return SkipReason.DEPTHWISE
    return None if kernel.kind in supported else SkipReason.UNSUPPORTED


def _select(
    kernels: Sequence[Kernel],
    settings: PruningSettings,
    why_not: Callable[[Kernel, PruningSettings], SkipReason | None],
    wanted: str,
) -> LayerSelection:
    """A layer is taken with all of its kernels or not at all: TFMOT wraps layers."""
    _require_matches(kernels, settings.exclude)
    skipped: dict[str, SkipReason] = {}
    for kernel in kernels:
        reason = why_not(kernel, settings)
        if reason is not None:
            # The first reason: of a layer with several kernels one is enough to leave it alone.
            skipped.setdefault(kernel.layer, reason)
    chosen = tuple(dict.fromkeys(k.layer for k in kernels if k.layer not in skipped))
    if not chosen:
        reasons = {layer: reason.value for layer, reason in skipped.items()}
        raise ConfigError(
            f"Expected a layer for {wanted}, received none that fits: {reasons or 'no weights'}. "
            "Choose another pattern, or exclude less."
        )
    return LayerSelection(chosen, skipped)


def _require_matches(kernels: Sequence[Kernel], exclude: Iterable[str]) -> None:
    layers = sorted({kernel.layer for kernel in kernels})
    for glob in exclude:
        if not any(fnmatchcase(layer, glob) for layer in layers):
            raise ConfigError(
                f"Expected exclude to name layers among {layers}, received {glob!r}. Correct it."
            )
