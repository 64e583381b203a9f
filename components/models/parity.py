"""The difference between the outputs of two models on the same rows."""

from collections.abc import Mapping

import numpy as np

from tfx_loop.contracts.optimization_report import Parity
from tfx_loop.core.errors import ModelError
from tfx_loop.models.tensors import Array

# The threshold of a decision on one probability, as Keras' BinaryAccuracy has it.
_HALF = 0.5
# A model that was written and read back, cut in two or inlined computes the same graph, perhaps
# with operations fused or in another order: float32's seven digits leave room for some hundred
# roundings.
MAX_DIFFERENCE = 1e-4


def compare(parent: Mapping[str, Array], child: Mapping[str, Array]) -> Parity:
    """Returns the differences over all outputs, and how often the decision is the same.

    The decision of a row is the largest entry of an output with two or more, and whether it is
    above a half where an output is one probability; outputs that are neither have none. Outputs
    are paired by name; single ones by being the only ones.

    Args:
        parent: Outputs by name, one row each.
        child: The same of the other model.

    Raises:
        ModelError: The outputs are not the same ones, or of other shapes.
    """
    pairs = pair(parent, child)
    rows = len(pairs[0][0])
    differences = [_differences(a, b) for a, b in pairs]
    agreements = [_same_decision(a, b) for a, b in pairs]
    # An output that is neither a class nor a probability takes no part in the agreement.
    decided = [agreement for agreement in agreements if agreement is not None]
    flat = np.concatenate([difference.reshape(-1) for difference in differences])
    return Parity(
        max_difference=float(flat.max(initial=0.0)),
        mean_difference=float(flat.mean()) if flat.size else 0.0,
        # A row agrees when all its outputs do.
        top_class_agreement=float(np.mean(np.all(decided, axis=0))) if decided else None,
        rows=rows,
    )


def limit_of_rounding(
    outputs: Mapping[str, Array], max_difference: float = MAX_DIFFERENCE
) -> float:
    """Returns how far two computations of one graph may differ in any output.

    Args:
        outputs: What one of them answers.
        max_difference: Absolute, or, where outputs are larger than 1, as a fraction of the largest.
    """
    # float32 has seven digits, wherever they begin. Infinities are compared by being equal.
    sizes = [
        np.abs(values[np.isfinite(values)].astype(np.float64)).max(initial=0)
        for values in outputs.values()
    ]
    return max_difference * max(1.0, *map(float, sizes))


def pair(parent: Mapping[str, Array], child: Mapping[str, Array]) -> list[tuple[Array, Array]]:
    """Returns outputs of parent and child that belong together.

    Raises:
        ModelError: The outputs are not the same ones, or of other shapes.
    """
    if len(parent) == len(child) == 1:
        pairs = [(next(iter(parent.values())), next(iter(child.values())))]
    elif set(parent) == set(child):
        pairs = [(parent[name], child[name]) for name in sorted(parent)]
    else:
        raise ModelError(
            f"Expected the outputs {', '.join(sorted(parent))}, received "
            f"{', '.join(sorted(child))}. Compare models with the same outputs."
        )
    for mine, other in pairs:
        if mine.shape != other.shape:
            raise ModelError(
                f"Expected outputs of shape {mine.shape}, received {other.shape}. "
                "Compare models with the same outputs, on the same rows."
            )
    return pairs


def _differences(parent: Array, child: Array) -> Array:
    """Absolute differences; what is NaN or the same infinity in both does not differ."""
    # In float64: the difference of two float32 or of two integers is then exact.
    mine, other = parent.astype(np.float64), child.astype(np.float64)
    # inf - inf is NaN, so equal values are told apart before they are subtracted.
    same = (mine == other) | (np.isnan(mine) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        differences = np.abs(mine - other)
    # NaN on one side alone is as far as can be: no limit lets it pass.
    return np.where(same, 0.0, np.where(np.isnan(differences), np.inf, differences))


def _same_decision(parent: Array, child: Array) -> Array | None:
    rows = len(parent)
    mine, other = parent.reshape(rows, -1), child.reshape(rows, -1)
    if mine.shape[1] > 1:
        same: Array = mine.argmax(axis=1) == other.argmax(axis=1)
        return same
    # One column within 0 to 1 is taken for a probability; a regression may look the same.
    if mine.size and mine.min() >= 0 and mine.max() <= 1:
        same = (mine[:, 0] > _HALF) == (other[:, 0] > _HALF)
        return same
    return None
