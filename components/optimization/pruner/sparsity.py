"""Zeros of a kernel, counted on its weights and compared with what was asked for. Pure."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tfx_loop.optimization.pruner.settings import Pattern, PruningSettings

Array: TypeAlias = npt.NDArray[Any]

# Share of a kernel's units by which its zeros may miss what was asked for.
TOLERANCE = 0.005
# 2:4: of four weights in a row at most two are not zero, as sparse matrix units want them.
GROUP = 4
KEPT_IN_GROUP = 2


class SparsityOutcome(str, Enum):
    """How a kernel's zeros compare with what was asked for."""

    AS_ASKED = "as_asked"
    # More zeros than asked for: the kernel had them already.
    SPARSER = "sparser"
    DENSER = "denser"
    NOT_PRUNED = "not_pruned"


@dataclass(frozen=True, kw_only=True)
class KernelSparsity:
    """What the weights of one kernel show.

    Attributes:
        layer: Name of the layer, `outer/inner` within a nested model.
        weight: Name of the weight in its layer, such as `kernel`.
        shape: Its shape.
        zeros: Weights that are exactly zero.
        units: What the pattern counts: weights, groups of four or blocks.
        zero_units: How many of them are zero; with 2:4 those with at most two weights.
        reached: Whether that is what was asked for.
        values: Different values, the zero included.
    """

    layer: str
    weight: str
    shape: tuple[int, ...]
    zeros: int
    units: int
    zero_units: int
    reached: SparsityOutcome
    values: int

    @property
    def size(self) -> int:
        """Returns how many weights there are."""
        return int(np.prod(self.shape))

    @property
    def sparsity(self) -> float:
        """Returns the fraction of zeros."""
        return self.zeros / self.size


def measure(
    layer: str, weight: str, values: Array, settings: PruningSettings, *, pruned: bool = True
) -> KernelSparsity:
    """Returns what the values of one kernel show.

    Args:
        layer: Name of the layer.
        weight: Name of the weight.
        values: The kernel as tf_keras keeps it: [inputs, outputs] or [..., inputs, outputs].
        settings: The pattern and the sparsity that were asked for.
        pruned: False where the layer was to be left alone.
    """
    pattern = settings.pattern if pruned else Pattern.NONE
    units, zero_units = count_units(values, pattern, settings.block)
    return KernelSparsity(
        layer=layer,
        weight=weight,
        shape=tuple(int(size) for size in values.shape),
        zeros=int(np.sum(values == 0)),
        units=units,
        zero_units=zero_units,
        reached=_reached(pattern, units, zero_units, settings.sparsity),
        values=len(np.unique(values)),
    )


def count_units(values: Array, pattern: Pattern, block: tuple[int, int]) -> tuple[int, int]:
    """Returns how many units a pattern counts in a kernel, and how many of them are as wanted."""
    if pattern is Pattern.TWO_OF_FOUR:
        groups = groups_of_four(values)
        return len(groups), int(np.sum(np.count_nonzero(groups, axis=1) <= KEPT_IN_GROUP))
    if pattern is Pattern.BLOCK:
        filled = blocks_of(values, block)
        return filled.size, int(np.sum(filled == 0))
    return values.size, int(np.sum(values == 0))


def groups_of_four(kernel: Array) -> Array:
    """Returns the groups of 2:4 sparsity, of shape [groups, 4].

    Four consecutive input channels of one output (and one place of the filter): the last axis in
    the layout of TFLite and of sparse matrix units. tf_keras keeps inputs on the last axis but one
    (TFMOT, pruning_utils.weights_rearrange). A last group of fewer channels is filled with zeros.

    Args:
        kernel: [inputs, outputs] or [height, width, inputs, outputs].
    """
    # Along the input channels, which is the direction that sparse matrix units reduce over.
    rows = np.moveaxis(kernel, -2, -1)
    rows = rows.reshape(-1, rows.shape[-1])
    # Zeros: channels that are not there weigh nothing, so a group of one or two always fits 2:4.
    missing = -rows.shape[1] % GROUP
    return np.pad(rows, ((0, 0), (0, missing))).reshape(-1, GROUP)


def blocks_of(kernel: Array, block: tuple[int, int]) -> Array:
    """Returns the largest absolute weight of each block, of shape [blocks down, blocks across].

    Blocks at the edges may be cut.
    """
    height, width = block
    # Zeros beside the edge do not change the largest absolute weight of a block that is cut there.
    missing = ((0, -kernel.shape[0] % height), (0, -kernel.shape[1] % width))
    padded = np.pad(np.abs(kernel), missing)
    down, across = padded.shape[0] // height, padded.shape[1] // width
    return np.asarray(padded.reshape(down, height, across, width).max(axis=(1, 3)))


def _reached(pattern: Pattern, units: int, zero_units: int, sparsity: float) -> SparsityOutcome:
    if pattern is Pattern.NONE:
        return SparsityOutcome.NOT_PRUNED
    if pattern is Pattern.TWO_OF_FOUR:
        return SparsityOutcome.AS_ASKED if zero_units == units else SparsityOutcome.DENSER
    # One unit always stays, and no kernel has half a unit: small ones cannot be nearer.
    tolerance = max(TOLERANCE * units, 0.5 + 1e-6 * units)
    asked = min(sparsity * units, units - 1)
    if zero_units < asked - tolerance:
        return SparsityOutcome.DENSER
    return SparsityOutcome.SPARSER if zero_units > asked + tolerance else SparsityOutcome.AS_ASKED
