"""Loss of the served model itself, by its logged answers, beside its stand-in's. Pure.

Avoidable loss compares two stand-ins, so it is blind to whatever is wrong with the served model
alone: bad weights, broken preprocessing, a server that sees other values than it logs. The answers
are in the log and the labels have come, so its own loss is there to be compared.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfx_loop.contracts.measured_loss import ServedLoss
from tfx_loop.contracts.task import ModelTask
from tfx_loop.models.task_losses import answered as has_answer
from tfx_loop.models.task_losses import may_judge, repeated, row_losses
from tfx_loop.models.time_blocks import Floats, blocked_standard_error


@dataclass(frozen=True, kw_only=True)
class ServedAnswers:
    """The champion's logged answers in the label window.

    Attributes:
        scores: Its answers, shape [rows of the window] or [rows, outputs]; NaN where another
            version answered.
        promised: Mean loss of its scores on rows held out of its training; None where unknown.
        promised_error: Standard error of that.
    """

    scores: Floats
    promised: float | None = None
    promised_error: float | None = None


def served_loss(
    answers: ServedAnswers,
    labels: Floats,
    stand_in: Floats,
    constant: Floats,
    block: npt.NDArray[np.int64],
    *,
    task: ModelTask,
    least_rows: int,
) -> ServedLoss | None:
    """Returns the loss of the answers, and that of the stand-in on the rows that they are of.

    Args:
        answers: What the champion answered.
        labels: Of the window's rows, float64 [rows].
        stand_in: Loss of the champion's stand-in, float64 [rows].
        constant: The one answer that loses least on the training sample.
        block: Block of time of each row.
        task: Whose loss it is.
        least_rows: Answers that there must be.

    Returns:
        The losses; None where there are too few answers, or where they are no probabilities though
        the task has such: nothing is known of what they lost.
    """
    scores = answers.scores
    answered = has_answer(scores)
    if answered.sum() < least_rows or not may_judge(scores[answered], task):
        return None
    losses = row_losses(labels[answered], scores[answered], task)
    beside, blocks = stand_in[answered], block[answered]
    flat = row_losses(labels[answered], repeated(constant, len(losses)), task)
    return ServedLoss(
        mean=float(losses.mean()),
        standard_error=blocked_standard_error(losses, blocks),
        stand_in=float(beside.mean()),
        excess_error=blocked_standard_error(losses - beside, blocks),
        constant=float(flat.mean()),
        promised=answers.promised,
        promised_error=answers.promised_error,
        rows=int(answered.sum()),
    )
