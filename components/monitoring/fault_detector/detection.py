"""All faults of a training, from rows of both splits and what the model answered."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from tfx_loop.contracts.fault_report import (
    FIT_KINDS,
    GROUPS_OVERLAP,
    ONE_CLASS,
    SOUND,
    TOO_FEW_ROWS,
    FaultFinding,
    FaultResult,
    FaultVerdict,
    FitMeasures,
)
from tfx_loop.core.errors import DataError
from tfx_loop.core.texts import listed
from tfx_loop.monitoring.fault_detector.fit import FitLosses, judge, measure
from tfx_loop.monitoring.fault_detector.leaks.columns import Column, columns_of
from tfx_loop.monitoring.fault_detector.leaks.copies import copy_findings
from tfx_loop.monitoring.fault_detector.leaks.group_optimism import optimism_of_rows
from tfx_loop.monitoring.fault_detector.leaks.own_label import own_label_findings
from tfx_loop.monitoring.fault_detector.leaks.single_feature import feature_findings
from tfx_loop.monitoring.fault_detector.leaks.split import (
    analysis_findings,
    group_findings,
    order_findings,
    preprocessing_findings,
    time_findings,
)
from tfx_loop.monitoring.fault_detector.reference_losses import reference_losses
from tfx_loop.monitoring.fault_detector.rescaled_answers import rescaled_loss
from tfx_loop.monitoring.fault_detector.rows import SplitRows, Task, TrainingContext, no_rows
from tfx_loop.monitoring.fault_detector.settings import DetectionSettings
from tfx_loop.monitoring.reference_models.feature_matrix import feature_matrices
from tfx_loop.monitoring.reference_models.row_losses import FloatArray, row_losses

# Below it the standard errors are beyond what is looked for.
_FEWEST_ROWS = 100
# A fold needs some of each of two classes, and of one class alone any constant is right.
_FEWEST_OF_A_CLASS = 10
# Forests on more rows take minutes and say the same.
_OPTIMISM_ROWS = 2_000
# Standard errors, and share of the constant's loss, from which the optimism is told: at 2 errors
# one column of groups in forty would show it by chance.
_OPTIMISM_Z, _OPTIMISM_SHARE = 3.0, 0.02


_NOTHING_KNOWN = TrainingContext()


@dataclass(frozen=True)
class _Sides:
    """Both splits, read once for all rules."""

    training: SplitRows
    held_out: SplitRows
    task: Task
    losses: tuple[FloatArray, FloatArray]
    columns: Sequence[Column]
    matrices: tuple[FloatArray, FloatArray]


def detect_faults(
    training: SplitRows,
    held_out: SplitRows,
    settings: DetectionSettings,
    context: TrainingContext = _NOTHING_KNOWN,
) -> FaultResult:
    """Returns what is wrong with a training.

    Args:
        training: Rows that the model was trained on; none where they are not at hand, and then
            the kind of a bad fit and all that compares the splits can't be told.
        held_out: Rows that it was not trained on.
        settings: What counts as a fault.
        context: What else is known of the training.

    Raises:
        DataError: The outputs do not go with the labels, or there are no features in common.
    """
    known = FaultResult(
        verdict=FaultVerdict.SOUND,
        reason=SOUND,
        explanation="",
        training_rows=len(training),
        held_out_rows=len(held_out),
        settings=asdict(settings),
        curve=context.curve,
    )
    # Without training rows the held-out ones take their place, so that features can be judged at
    # all.
    alone = not len(training)
    sides = _sides(held_out if alone else training, held_out)
    findings = order_findings(no_rows(held_out) if alone else training, held_out)
    findings += [] if alone else _split_findings(sides, settings, context)
    untested = _untested(sides, alone)
    if lacking := _lacking(sides.training, held_out, sides.task):
        # Too few rows for losses still show a row, a group or a time that stands on both sides.
        untested = (f"the fit and the features: {lacking[1]}", *untested)
        return _judged(replace(known, untested=untested), findings, settings, lacking)
    fit, faults = _fit(sides, settings, alone, context)
    findings = [*faults, *findings, *_feature_findings(sides, settings, alone)]
    return _judged(replace(known, fit=fit, untested=untested), findings, settings, None)


def _sides(training: SplitRows, held_out: SplitRows) -> _Sides:
    if not len(held_out):
        raise DataError("Expected held-out rows with a label, received none. Name another split.")
    losses, classes = row_losses(
        (training.outputs, held_out.outputs), (training.labels, held_out.labels)
    )
    # A column of one side alone (a label's source that serving lacks) cannot be compared.
    names = {*training.features} & {*held_out.features}
    matrices = feature_matrices(
        *({name: side.features[name] for name in names} for side in (training, held_out))
    )
    columns = tuple(columns_of(training, held_out))
    return _Sides(training, held_out, Task(classes), (losses[0], losses[1]), columns, matrices)


def _lacking(training: SplitRows, held_out: SplitRows, task: Task) -> tuple[str, str] | None:
    """Returns a reason and a sentence where there is too little to judge by."""
    for side, title in ((training, "training"), (held_out, "held-out")):
        if len(side) < _FEWEST_ROWS:
            return TOO_FEW_ROWS, f"{len(side):,} {title} rows, {_FEWEST_ROWS} are needed"
    for side, title in ((training, "training"), (held_out, "held-out")):
        values, counts = np.unique(side.labels, return_counts=True)
        if task.classes and np.sum(counts >= _FEWEST_OF_A_CLASS) < 2:
            return ONE_CLASS, (
                f"the {title} rows have fewer than {_FEWEST_OF_A_CLASS} rows of a second class"
            )
        if not task.classes and len(values) < 2:
            return ONE_CLASS, f"all labels of the {title} rows are the same number"
    return None


def _fit(
    sides: _Sides, settings: DetectionSettings, alone: bool, context: TrainingContext
) -> tuple[FitMeasures, list[FaultFinding]]:
    training, held_out, task = sides.training, sides.held_out, sides.task
    widest = max(
        (int(np.prod(np.shape(values)[1:])) for values in training.features.values()), default=1
    )
    reference = reference_losses(
        (sides.matrices[0], training.labels),
        None if alone else (sides.matrices[1], held_out.labels),
        task,
        widest=widest,
        seed=settings.seed,
    )
    constant = task.constant(training.labels, len(held_out))
    constant_training = None if alone else _constant_loss(training, task)
    own = sides.losses[0]
    worse = constant_training is not None and float(own.mean()) > constant_training
    losses = FitLosses(
        training=None if alone else own,
        held_out=sides.losses[1],
        constant=task.losses(constant, held_out.labels),
        reference=reference,
        constant_training=constant_training,
        training_groups=training.groups,
        held_out_groups=held_out.groups,
        rescaled_training=rescaled_loss(training.outputs, training.labels, task) if worse else None,
    )
    measured = measure(losses, task)
    return measured, judge(losses, measured, settings.tolerance, context.curve)


def _constant_loss(rows: SplitRows, task: Task) -> float:
    """Returns what the best constant of some rows loses on them."""
    return float(task.losses(task.constant(rows.labels, len(rows)), rows.labels).mean())


def _split_findings(
    sides: _Sides, settings: DetectionSettings, context: TrainingContext
) -> list[FaultFinding]:
    training, held_out = sides.training, sides.held_out
    groups = [
        _with_optimism(finding, sides, settings) for finding in group_findings(training, held_out)
    ]
    return [
        *groups,
        *time_findings(training, held_out),
        *copy_findings(sides.columns, sides.losses[1], training.drawn),
        *_preprocessing_findings(sides, context),
    ]


def _preprocessing_findings(sides: _Sides, context: TrainingContext) -> list[FaultFinding]:
    """Returns whether preprocessing saw held-out rows: as declared, else by what it made."""
    made = [
        replace(side, features=own)
        for side, own in zip((sides.training, sides.held_out), context.transformed, strict=True)
    ]
    return (
        analysis_findings(context.analyzed)
        or preprocessing_findings(sides.columns, sides.training, sides.held_out)
        or preprocessing_findings(tuple(columns_of(*made)), sides.training, sides.held_out)
    )


def _with_optimism(
    finding: FaultFinding, sides: _Sides, settings: DetectionSettings
) -> FaultFinding:
    """Adds what splitting groups hides, where the training rows tell."""
    rows = sides.training
    if finding.kind != GROUPS_OVERLAP or rows.groups is None or len(rows) < _FEWEST_ROWS:
        return finding
    # The same rows for each seed, so that a report can be made again.
    drawn = np.random.default_rng(settings.seed).permutation(len(rows))[:_OPTIMISM_ROWS]
    hidden, error = optimism_of_rows(
        sides.matrices[0][drawn], rows.labels[drawn], rows.groups[drawn], sides.task, settings.seed
    )
    constant = _constant_loss(rows, sides.task)
    share = hidden / constant if constant else 0.0
    if hidden <= _OPTIMISM_Z * error or share <= _OPTIMISM_SHARE:
        return finding
    return replace(
        finding,
        evidence={**finding.evidence, "hidden_share": share},
        explanation=f"{finding.explanation} A forest's loss on new groups is {share:.0%} of a "
        "constant's above what a split by rows shows.",
    )


def _feature_findings(
    sides: _Sides, settings: DetectionSettings, alone: bool
) -> list[FaultFinding]:
    labels = sides.training.labels, sides.held_out.labels
    given = sides.columns, *labels, sides.task, settings.seed
    found = [] if alone else own_label_findings(*given)
    return [*found, *feature_findings(*given)]


def _untested(sides: _Sides, alone: bool) -> tuple[str, ...]:
    said = []
    if alone:
        said.append("copies and whether it is over- or under-fitted: no training rows were given")
    if unread := sorted({*sides.training.unread} | {*sides.held_out.unread}):
        said.append(f"what the model does not read: {listed(unread)}")
    if not alone and (lost := sides.training.unlabelled + sides.held_out.unlabelled):
        said.append(f"{lost:,} rows: their label is missing or not finite")
    if sides.training.groups is None:
        said.append("groups that stand on both sides: no column of groups is named")
    if sides.training.times is None:
        said.append("held-out rows from before training rows: no column of times is named")
    if min(sides.training.drawn, sides.held_out.drawn) < 1:
        said.append("preprocessing fitted on all rows: only a part of the rows was read")
    return tuple(said)


def _judged(
    known: FaultResult,
    findings: Sequence[FaultFinding],
    settings: DetectionSettings,
    lacking: tuple[str, str] | None,
) -> FaultResult:
    """Returns the result with acknowledgements, verdict and sentence."""
    accepted = [_accepted(finding, settings) for finding in findings]
    names = {name for finding in findings for name in (finding.name, finding.kind)}
    if idle := sorted({*settings.acknowledged} - names):
        said = f"{listed(idle)}: acknowledged, and not found"
        known = replace(known, untested=(*known.untested, said))
    # What stops comes first; of that the fit, as leakage often explains it.
    ordered = sorted(
        # False sorts first: what stops, then what nobody acknowledged, then leakage before the fit.
        accepted,
        key=lambda f: (not f.stops, bool(f.acknowledged), f.kind in FIT_KINDS),
    )
    worst = ordered[0] if ordered else None
    known = replace(known, findings=tuple(ordered))
    if worst and worst.stops:
        return replace(
            known, verdict=FaultVerdict.BLOCK, reason=worst.kind, explanation=worst.explanation
        )
    if lacking:
        said = f"Whether the model is sound can't be told: {lacking[1]}. Give more rows."
        return replace(
            known, verdict=FaultVerdict.NOT_ENOUGH_DATA, reason=lacking[0], explanation=said
        )
    if worst:
        said = worst.explanation
        if worst.acknowledged:
            said = f"{said} Acknowledged: {worst.acknowledged}."
        return replace(known, verdict=FaultVerdict.WARN, reason=worst.kind, explanation=said)
    assert known.fit
    fit = known.fit
    return replace(
        known,
        explanation=f"No fault found: on held-out rows the model loses {fit.held_out:.4g}, not "
        f"surely more than a cheap reference ({fit.reference}: {fit.reference_held_out:.4g}; a "
        f"constant: {fit.constant_held_out:.4g}).",
    )


def _accepted(finding: FaultFinding, settings: DetectionSettings) -> FaultFinding:
    who = settings.acknowledged.get(finding.name) or settings.acknowledged.get(finding.kind, "")
    blocks = finding.blocks or finding.kind in settings.blocking
    return replace(finding, acknowledged=who, blocks=blocks)
