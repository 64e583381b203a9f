"""One model of each kind on one table, and what each rule says of it."""

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from tests.benchmarks.package_tables import read_table
from tests.benchmarks.privacy.models import MODELS, NULL_MODELS, answers
from tfx_loop.contracts.privacy_report import PrivacyResult, Separation
from tfx_loop.monitoring.privacy_report.membership import (
    MembershipSettings,
    infer_membership,
    separation,
)
from tfx_loop.monitoring.privacy_report.reference_losses import reference_losses
from tfx_loop.monitoring.reference_models.evaluated_rows import EvaluatedRows
from tfx_loop.monitoring.reference_models.models import pooled_losses, reference_models
from tfx_loop.monitoring.reference_models.row_losses import row_losses

_MOST_ROWS = 1_000


@dataclass(frozen=True)
class Finding:
    """One model on one table: whether each rule warns, and the numbers of ours."""

    model: str
    ours: bool
    loss_alone: bool
    one_side: bool
    calibrated: Separation
    control: Separation


def warns(found: Separation) -> bool:
    """Says whether an AUC less two standard errors is beyond the default threshold."""
    return found.auc - 2 * found.standard_error > MembershipSettings().threshold


def findings_of(task: tuple[str, int]) -> list[Finding]:
    """Returns what is found of all models on one table with one seed."""
    # OpenMP's threads spin while they wait: on two busy cores a fit took a hundred times as long.
    with threadpool_limits(limits=1):
        return _findings(*task)


def _findings(name: str, seed: int) -> list[Finding]:
    table = read_table(name)
    order = np.random.default_rng(400 + seed).permutation(len(table.labels))
    rows = min(_MOST_ROWS, len(order) // 3)
    sides = [order[:rows], order[rows : 2 * rows], order[2 * rows : 3 * rows]]
    center, scale = table.features[sides[0]].mean(0), table.features[sides[0]].std(0)
    features = np.clip((table.features - center) / np.where(scale > 0, scale, 1), -8, 8)
    both = [features[side] for side in sides[:2]], [table.labels[side] for side in sides[:2]]
    out_of_fold = reference_losses(*both, table.classes, folds=5, seed=seed)
    # Others by models of all members: better on those, and not as good on others.
    models = [m.fit(both[0][0], both[1][0]) for m in reference_models(table.classes, seed)]
    full = pooled_losses(models, both[0][1], both[1][1], table.classes)
    findings = []
    for model in MODELS:
        for null in (False, True) if model in NULL_MODELS else (False,):
            learnt = sides[2 if null else 0]
            ask = answers(
                MODELS[model], features[learnt], table.labels[learnt], table.classes, seed
            )
            members, others = (
                EvaluatedRows(features=x, labels=y, outputs=ask(x))
                for x, y in zip(*both, strict=True)
            )
            found = infer_membership(members, others, MembershipSettings(seed=seed), out_of_fold)
            losses, _ = row_losses((members.outputs, others.outputs), both[1])
            one_side = separation(losses[0] - out_of_fold[0], losses[1] - full)
            findings.append(_finding(f"null: {model}" if null else model, found, one_side))
    return findings


def _finding(title: str, found: PrivacyResult, one_side: Separation) -> Finding:
    assert found.plain is not None
    assert found.calibrated is not None
    assert found.control is not None
    return Finding(
        model=title,
        ours=warns(found.calibrated),
        loss_alone=warns(found.plain),
        one_side=warns(one_side),
        calibrated=found.calibrated,
        control=found.control,
    )
