"""Membership inference by the losses of rows, calibrated by reference models.

An over-fitted model errs less on rows that it was trained on: who knows a row and its label learns
from the model's answer whether it was among them (Yeom et al. 2018, "Privacy risk in machine
learning"). Some rows are easy for any model, so the loss of a model that saw neither side is taken
off (Watson et al. 2022, "On the importance of difficulty calibration in membership inference
attacks"). Here that model is one of five folds of the trained rows, and both sides are scored by
models that saw none of them: a reference fitted on all trained rows, or on one side's folds alone,
is itself better on the trained ones, and the difference biased.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from tfx_loop.contracts.privacy_report import (
    MEMBERS_RECOGNISED,
    NOT_RECOGNISED,
    TOO_FEW_ROWS,
    PrivacyResult,
    PrivacyVerdict,
    Separation,
)
from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.drift.statistics.rank_area import error_of_area, ordered_pairs
from tfx_loop.monitoring.privacy_report.reference_losses import reference_losses
from tfx_loop.monitoring.reference_models.evaluated_rows import EvaluatedRows
from tfx_loop.monitoring.reference_models.row_losses import FloatArray, row_losses

# Below it the AUC's standard error is beyond 0.024, and two of them half of what is looked for.
_FEWEST_ROWS = 300
# Carlini et al. 2022 ("Membership inference attacks from first principles"): an attack counts by
# what it finds at few false alarms, which the AUC does not show.
_FALSE_POSITIVE_RATE = 0.01
# Of a normal deviate, for an interval of 95 %.
_Z95 = 1.96
# From where on the sides differ by themselves, whatever the model.
_SIDES_DIFFER = 0.05


@dataclass(frozen=True, kw_only=True)
class MembershipSettings:
    """How membership is inferred, and from where on it is worth a warning.

    Attributes:
        threshold: The calibrated AUC less two standard errors that is worth a warning, from 0.5.
        max_rows: Most rows of each side.
        folds: Folds of the reference models, at least 2.
        seed: Of rows, folds and reference models.
    """

    threshold: float = 0.55
    # The AUC's standard error is below 0.01 then, and five folds of references take seconds.
    max_rows: int = 2_000
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.5 <= self.threshold < 1:
            raise ConfigError(
                f"threshold must be from 0.5 to below 1, got {self.threshold}. 0.55 is usual."
            )
        if self.max_rows < _FEWEST_ROWS or self.folds < 2:
            raise ConfigError(
                f"Expected max_rows of at least {_FEWEST_ROWS} and folds of at least 2, received "
                f"{self.max_rows} and {self.folds}."
            )


def infer_membership(
    members: EvaluatedRows,
    others: EvaluatedRows,
    settings: MembershipSettings,
    references: Sequence[FloatArray] | None = None,
) -> PrivacyResult:
    """Returns how well rows that the model was trained on are told from others.

    Args:
        members: Rows that it was trained on.
        others: Rows of the same kind that it was not trained on.
        settings: How to infer.
        references: What `reference_losses` gave for another model on the same rows.

    Raises:
        DataError: The outputs do not go with the labels.
    """
    counts = len(members.labels), len(others.labels)
    if min(counts) < _FEWEST_ROWS:
        return PrivacyResult(
            verdict=PrivacyVerdict.NOT_ENOUGH_DATA,
            reason=TOO_FEW_ROWS,
            explanation=f"{counts[0]:,} rows that were trained on and {counts[1]:,} others; "
            f"{_FEWEST_ROWS} of each are needed. Give more rows.",
            members=counts[0],
            others=counts[1],
            settings=asdict(settings),
        )
    losses, classes = row_losses((members.outputs, others.outputs), (members.labels, others.labels))
    if references is None:
        references = reference_losses(
            (members.features, others.features),
            (members.labels, others.labels),
            classes,
            folds=settings.folds,
            seed=settings.seed,
        )
    calibrated = [own - reference for own, reference in zip(losses, references, strict=True)]
    found = PrivacyResult(
        verdict=PrivacyVerdict.NO_SIGN,
        reason=NOT_RECOGNISED,
        explanation="",
        members=counts[0],
        others=counts[1],
        plain=separation(*losses),
        calibrated=separation(*calibrated),
        control=separation(*references),
        settings=asdict(settings),
    )
    return _judged(found, settings.threshold)


def separation(members: FloatArray, others: FloatArray) -> Separation:
    """Returns how well lower losses tell members from others.

    Args:
        members: Losses of rows that were trained on, of shape (rows,).
        others: Losses of other rows.
    """
    auc = ordered_pairs(-members, -others)
    error = error_of_area(auc, len(members), len(others))
    # The loss that one in a hundred of the others is below.
    limit = np.quantile(-others, 1 - _FALSE_POSITIVE_RATE)
    return Separation(
        auc=auc,
        standard_error=error,
        # A normal interval leaves [0, 1] at its ends.
        low=max(auc - _Z95 * error, 0.0),
        high=min(auc + _Z95 * error, 1.0),
        true_positive_rate=float(np.mean(-members > limit)),
    )


def _judged(found: PrivacyResult, threshold: float) -> PrivacyResult:
    assert found.calibrated is not None
    assert found.control is not None
    at, control = found.calibrated, found.control
    # Surely beyond: a sound model of a small table has an AUC of 0.55 by chance.
    warns = at.auc - 2 * at.standard_error > threshold
    said = (
        f"Rows that were trained on are told from others with an AUC of {at.auc:.3f} "
        f"(95 %: {at.low:.3f} to {at.high:.3f}), {at.true_positive_rate:.1%} of them at one false "
        "alarm in a hundred"
    )
    if warns:
        said += ": the model gives away whom it learnt from. Train shorter or with more "
        said += "regularisation, and see docs/privacy.md."
    else:
        said += f": no sign beyond {threshold:g} of what it learnt from."
    if abs(control.auc - 0.5) - 2 * control.standard_error > _SIDES_DIFFER:
        said += (
            f" The sides differ by themselves (reference models that saw neither row: "
            f"{control.auc:.3f}), so draw them from one population by chance."
        )
    if not warns:
        return replace(found, explanation=said)
    return replace(found, verdict=PrivacyVerdict.WARN, reason=MEMBERS_RECOGNISED, explanation=said)
