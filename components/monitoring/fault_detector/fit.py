"""Over-fitting and under-fitting of a model: its losses beside those of a reference.

A gap between training and held-out loss alone is no fault: sound networks and every forest have
one. What harms is a held-out loss that is clearly above what a cheap honest model reaches on the
same rows; the training loss then says on which side the model went wrong.
"""

from dataclasses import dataclass

import numpy as np

from tfx_loop.contracts.fault_report import (
    NO_SIGNAL,
    OVER_FITTED,
    SPLITS_SWAPPED,
    UNDER_FITTED,
    WORSE_THAN_REFERENCE,
    FaultFinding,
    FitMeasures,
    LearningCurve,
)
from tfx_loop.monitoring.fault_detector.reference_losses import ReferenceLosses
from tfx_loop.monitoring.fault_detector.rescaled_answers import tells_on_another_scale
from tfx_loop.monitoring.fault_detector.rows import AnyArray, Task, mean_and_error
from tfx_loop.monitoring.reference_models.row_losses import FloatArray

# Two standard errors: 2.3 % of sound models by chance, and fewer with the share below.
_CERTAIN = 2.0
# Standard errors by which a model must know the held-out rows better than its own.
_SWAPPED = 4.0
# A reference that gains less of the constant's loss than this has found nothing to learn.
_LEAST_SIGNAL = 0.01
# A halving that costs so much of what there is to learn says that more rows would pay.
_ROWS_PAY = 0.05


@dataclass(frozen=True, kw_only=True)
class FitLosses:
    """Row losses of the model, of the reference and of a constant.

    Attributes:
        training: Of the model on rows that it was trained on; None where there are none.
        held_out: Of the model on held-out rows.
        constant: Of the training rows' best constant, on held-out rows.
        reference: Of the reference on both.
        constant_training: Mean of the constant on training rows; None where there are none.
        training_groups: What the training rows belong to; None where nobody said.
        held_out_groups: The same of the held-out rows.
        rescaled_training: Mean of the model on training rows once its answers are put on the scale
            of the labels (rescaled_answers.py); None where it does no worse than a constant.
    """

    training: FloatArray | None
    held_out: FloatArray
    constant: FloatArray
    reference: ReferenceLosses
    constant_training: float | None = None
    training_groups: AnyArray | None = None
    held_out_groups: AnyArray | None = None
    rescaled_training: float | None = None


def measure(losses: FitLosses, task: Task) -> FitMeasures:
    """Returns the mean losses, and how far the model falls short of the reference."""
    # The difference row by row: what makes a row hard for both models cancels out of the error.
    short, error = mean_and_error(
        losses.held_out - losses.reference.held_out, losses.held_out_groups
    )
    return FitMeasures(
        loss=task.loss,
        reference=losses.reference.name,
        training=None if losses.training is None else float(losses.training.mean()),
        held_out=float(losses.held_out.mean()),
        reference_training=float(losses.reference.training.mean()),
        reference_held_out=float(losses.reference.held_out.mean()),
        constant_held_out=float(losses.constant.mean()),
        constant_training=losses.constant_training,
        shortfall=short,
        shortfall_error=error,
        learnable=float((losses.constant - losses.reference.held_out).mean()),
        half_rows=losses.reference.half,
    )


def judge(
    losses: FitLosses,
    measured: FitMeasures,
    tolerance: float,
    curve: LearningCurve | None = None,
) -> list[FaultFinding]:
    """Returns what is wrong with the fit: nothing, or one finding.

    Args:
        losses: By row.
        measured: What `measure` made of them.
        tolerance: The share of what there is to learn that a model may lose.
        curve: What the Trainer left, for the advice.
    """
    if found := _swapped(losses, measured, tolerance):
        return [found]
    gained, error = mean_and_error(
        losses.constant - losses.reference.held_out, losses.held_out_groups
    )
    constant = measured.constant_held_out
    # Below it a shortfall is divided by next to nothing, and any model would lose "all there is".
    if gained - _CERTAIN * error <= _LEAST_SIGNAL * constant:
        return _without_signal(losses, measured, tolerance, curve)
    # The lower end has to pass the tolerance: an alarm holds a push back, a miss is seen in
    # serving.
    if measured.shortfall - _CERTAIN * measured.shortfall_error <= tolerance * gained:
        return []
    kind = _kind(losses)
    share = measured.shortfall / gained
    evidence = {"lost_share": share}
    advice = _advice(kind, measured, curve)
    if _on_another_scale(losses) and losses.rescaled_training is not None:
        evidence["rescaled_loss"] = losses.rescaled_training
        advice = _scale_advice(losses.rescaled_training, measured)
    said = (
        f"On held-out rows the model loses {measured.held_out:.4g} where a cheap reference "
        f"({measured.reference}) loses {measured.reference_held_out:.4g} and a constant "
        f"{constant:.4g}: {_lost(share)} there is to learn is lost. {advice}"
    )
    return [FaultFinding(kind=kind, blocks=True, explanation=said, evidence=evidence)]


def _swapped(losses: FitLosses, measured: FitMeasures, tolerance: float) -> FaultFinding | None:
    """Returns whether the model knows the held-out rows better than those it was trained on."""
    if losses.training is None or measured.training is None:
        return None
    trained, own_error = mean_and_error(
        losses.training - losses.reference.training, losses.training_groups
    )
    # A reference that had the same rows takes off what makes one side harder than the other.
    known = trained - measured.shortfall
    # The sides share no rows, so the variances of their means add up.
    error = float(np.hypot(own_error, measured.shortfall_error))
    # Floored as above, where the reference has learnt nothing.
    scale = max(measured.learnable, _LEAST_SIGNAL * measured.constant_held_out)
    if known - _SWAPPED * error <= tolerance * scale:
        return None
    said = (
        f"On the rows that it is said to be trained on the model loses {measured.training:.4g} "
        f"and on held-out rows {measured.held_out:.4g}, where a reference loses "
        f"{measured.reference_training:.4g} and {measured.reference_held_out:.4g}: it knows the "
        "held-out rows better. Were both sides interchanged, or was it trained on held-out rows?"
    )
    return FaultFinding(
        kind=SPLITS_SWAPPED, blocks=True, explanation=said, evidence={"known_share": known / scale}
    )


def _lost(share: float) -> str:
    return f"{share:.0%} of what" if share < 1 else "all that"


def _without_signal(
    losses: FitLosses, measured: FitMeasures, tolerance: float, curve: LearningCurve | None
) -> list[FaultFinding]:
    """Judges a model by the constant, where a reference finds nothing beyond it."""
    worse, error = mean_and_error(losses.held_out - losses.constant, losses.held_out_groups)
    constant = measured.constant_held_out
    if worse - _CERTAIN * error > tolerance * constant:
        kind = _kind(losses)
        said = (
            f"On held-out rows the model loses {measured.held_out:.4g}, more than a constant "
            f"({constant:.4g}), and a cheap reference finds nothing to learn. "
            f"{_advice(kind, measured, curve)}"
        )
        return [
            FaultFinding(
                kind=kind, blocks=True, explanation=said, evidence={"worse_share": worse / constant}
            )
        ]
    if _CERTAIN * error + worse < 0:
        return []  # The model itself shows that there is something to learn.
    said = (
        f"Neither the model ({measured.held_out:.4g}) nor a cheap reference "
        f"({measured.reference_held_out:.4g}) clearly beats a constant ({constant:.4g}) on "
        "held-out rows, so whether it is well fitted can't be told. Look for better features, or "
        "give more rows."
    )
    return [FaultFinding(kind=NO_SIGNAL, blocks=False, explanation=said)]


def _kind(losses: FitLosses) -> str:
    if losses.training is None or _on_another_scale(losses):
        return WORSE_THAN_REFERENCE
    beyond, error = mean_and_error(
        losses.training - losses.reference.training, losses.training_groups
    )
    # Surely below a reference that never saw these rows: they were memorised.
    if beyond + _CERTAIN * error < 0:
        return OVER_FITTED
    return UNDER_FITTED if beyond - _CERTAIN * error > 0 else WORSE_THAN_REFERENCE


def _on_another_scale(losses: FitLosses) -> bool:
    """Says whether the answers tell the label, as another output or unit would."""
    rescaled, constant = losses.rescaled_training, losses.constant_training
    if rescaled is None or constant is None:
        return False
    return tells_on_another_scale(rescaled, constant, float(losses.reference.training.mean()))


def _scale_advice(rescaled: float, measured: FitMeasures) -> str:
    return (
        f"On the rows that it was trained on it loses {measured.training:.4g}, more than a "
        f"constant ({measured.constant_training:.4g}), and only {rescaled:.4g} once its answers "
        "are put on the scale of the labels: it learnt, and is asked for another thing. Check "
        "which output is judged, its unit, how the classes are numbered, and the order and the "
        "scale of its inputs."
    )


def _advice(kind: str, measured: FitMeasures, curve: LearningCurve | None) -> str:
    if measured.training is None:
        return "Whether it is over- or under-fitted only the rows it was trained on can tell."
    own = f"On the rows that it was trained on it loses {measured.training:.4g}"
    constant = measured.constant_training
    if constant is not None and measured.training > constant:
        return (
            f"{own}, more than a constant ({constant:.4g}): check the order and the scale of its "
            "inputs and the numbers of its classes first; then whether it was trained at all."
        )
    if kind == OVER_FITTED:
        return (
            f"{own}: it is over-fitted. Train fewer epochs, with more regularisation or a smaller "
            f"model.{_best_epoch(curve)}{_more_rows(measured)}"
        )
    if kind == UNDER_FITTED:
        return (
            f"{own}, more than the reference out of fold ({measured.reference_training:.4g}): it "
            "is under-fitted. Train longer, with a higher learning rate, less regularisation or a "
            f"larger model.{_still_falling(curve)}"
        )
    return (
        f"{own}, which can't be told from the reference's out of fold "
        f"({measured.reference_training:.4g}), nor, then, whether to train more or less. Look at "
        "the learning curve, at the inputs and the labels, and whether the model suits the data."
    )


def _best_epoch(curve: LearningCurve | None) -> str:
    if curve is None or not curve.validation or curve.best_epoch == curve.last_epoch:
        return ""
    best, last = curve.validation[curve.best_epoch - 1], curve.validation[-1]
    return (
        f" Its own validation loss was lowest after epoch {curve.best_epoch} of "
        f"{curve.last_epoch} ({best:.4g}, at the last {last:.4g}): stop there."
    )


def _still_falling(curve: LearningCurve | None) -> str:
    if curve is None or curve.last_epoch < 2 or curve.best_epoch < curve.last_epoch:
        return ""
    losses = curve.validation or curve.training
    return (
        f" Its loss was still falling at the last of {curve.last_epoch} epochs ({losses[-2]:.4g} "
        f"to {losses[-1]:.4g})."
    )


def _more_rows(measured: FitMeasures) -> str:
    if measured.half_rows is None or measured.learnable <= 0:
        return ""
    lost = (measured.half_rows - measured.reference_held_out) / measured.learnable
    if lost <= _ROWS_PAY:
        return ""
    return f" More rows would help: with half of them the reference loses {lost:.0%} of the same."
