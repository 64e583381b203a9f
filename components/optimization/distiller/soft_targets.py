"""A teacher's answers as logits, which can be softened. Pure.

Teachers answer with probabilities or with logits; softening needs logits. Log-probabilities are
logits up to a constant that softmax does not see; of one probability the logit is log(p / (1 - p)).
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tfx_loop.optimization.metrics.scoring import PredictionKind, Scoring

Array: TypeAlias = npt.NDArray[Any]

# Quantised teachers answer with exact zeros, whose logarithm nobody can learn.
EPSILON = 1e-7


def teacher_logits(outputs: Array, scoring: Scoring) -> Array:
    """Returns what the student learns from: logits, or numbers for a regression.

    Args:
        outputs: [rows], [rows, 1] or [rows, classes] as the teacher gives them, of maps and
            sequences [rows, …, classes].
        scoring: Whether they are classes, yes or no, or numbers; logits or probabilities.

    Returns:
        float32 of shape [rows, outputs] or [rows, …, outputs].
    """
    values = np.asarray(outputs, dtype=np.float64)
    values = values.reshape(len(values), -1) if values.ndim < 2 else values
    if scoring.kind is PredictionKind.NUMBER or scoring.from_logits:
        return values.astype(np.float32)
    values = np.clip(values, EPSILON, 1 - EPSILON)
    logits = np.log(values)
    if scoring.kind is PredictionKind.BINARY:
        logits -= np.log1p(-values)
    return logits.astype(np.float32)
