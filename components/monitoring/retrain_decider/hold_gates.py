"""Gates that hold a retraining back before anything is measured: data, rows, labels.

They come in a fixed order, and the first that holds names the reason.
"""

from dataclasses import dataclass, field

from tfx_loop.contracts.measured_loss import FaultyWindow
from tfx_loop.contracts.quality_report import PromiseTest
from tfx_loop.contracts.retrain_decision import (
    CHAMPION_IS_NEW,
    DATA_FAULT,
    LABEL_FAULT,
    LABELS_OF_ONE_CLASS,
    LOG_DISAGREES,
    QUARANTINED,
    TOO_FEW_LABELS,
    TOO_FEW_ROWS,
)
from tfx_loop.monitoring.retrain_decider.settings import DecisionSettings

Held = tuple[str, str] | None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a decision rests on.

    Attributes:
        model_name: Name that the model is served under.
        model_version: The champion's version.
        window: The window that just ended.
        label_window: The newest window whose labels have arrived.
        rows: Rows of the window.
        labelled_rows: Labelled rows of the label window.
        one_class: Whether those labels are all of one class.
        drifted: Features that drifted.
        faults: Features that are broken, or `feature: fault`.
        quality: Metrics of the champion on the label window, for the record.
        answered_by: Versions that answered in the window.
        newly_stable: Whether the decision before was about another champion.
        label_faults: What is broken about those labels.
        left_out: Windows whose rows are kept from the measurement and from a retraining.
        faulty_windows: Windows that were found to be broken now.
        promise: How the champion did beside its promise on the label window; None where unknown.
    """

    model_name: str
    model_version: int
    window: str
    label_window: str
    rows: int
    labelled_rows: int
    one_class: bool = False
    drifted: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    quality: dict[str, float] = field(default_factory=dict)
    answered_by: tuple[int, ...] = ()
    newly_stable: bool = False
    label_faults: tuple[str, ...] = ()
    left_out: tuple[FaultyWindow, ...] = ()
    faulty_windows: tuple[FaultyWindow, ...] = ()
    promise: PromiseTest | None = None


def first_hold(evidence: Evidence, settings: DecisionSettings) -> Held:
    """Returns reason code and sentence of the first gate that holds; None when all are passed."""
    return next((held for gate in _GATES if (held := gate(evidence, settings))), None)


def _hold_broken_data(evidence: Evidence, settings: DecisionSettings) -> Held:
    if not evidence.faults:
        return None
    return DATA_FAULT, (
        f"Hold: the data of window {evidence.window} is broken ({', '.join(evidence.faults)}); "
        "a model trained on it would learn the fault. Its rows are quarantined: no measurement and "
        f"no training uses them until `loop release {evidence.window}`, or until the window was "
        "fixed and monitored again."
    )


def _hold_quarantined_labels(evidence: Evidence, settings: DecisionSettings) -> Held:
    newest = next((w for w in evidence.left_out if w.window == evidence.label_window), None)
    if newest is None:
        return None
    return QUARANTINED, (
        f"Hold: the newest labels are of window {newest.told}, which is quarantined; what a "
        "retraining saves is measured on the next window's."
    )


def _hold_broken_labels(evidence: Evidence, settings: DecisionSettings) -> Held:
    if not evidence.label_faults:
        return None
    return LABEL_FAULT, (
        f"Hold: the labels of window {evidence.label_window} are broken "
        f"({', '.join(evidence.label_faults)}); its rows are quarantined: no measurement and no "
        f"training uses them until `loop release {evidence.label_window}`."
    )


def _hold_other_versions(evidence: Evidence, settings: DecisionSettings) -> Held:
    # One answer of the champion is enough: after a push within the window both versions answered.
    if not evidence.answered_by or evidence.model_version in evidence.answered_by:
        return None
    versions = ", ".join(map(str, evidence.answered_by))
    # Between a push and its first full window this is what is expected, and no disagreement.
    if evidence.newly_stable:
        return CHAMPION_IS_NEW, (
            f"Hold: version {evidence.model_version} became stable since the decision before, and "
            f"window {evidence.window} was answered by version {versions} alone. The next window "
            "is the first of its own."
        )
    return LOG_DISAGREES, (
        f"Hold: version {evidence.model_version} is stable by the deployment record, but window "
        f"{evidence.window} was answered by version {versions} alone. The server does not serve "
        "what the record says: see its status and its log."
    )


def _hold_few_rows(evidence: Evidence, settings: DecisionSettings) -> Held:
    if evidence.rows >= settings.min_rows:
        return None
    return TOO_FEW_ROWS, (
        f"Hold: window {evidence.window} has {evidence.rows:,} rows, "
        f"fewer than the {settings.min_rows:,} needed to judge it."
    )


def _hold_few_labels(evidence: Evidence, settings: DecisionSettings) -> Held:
    if evidence.labelled_rows >= settings.min_labelled_rows:
        return None
    return TOO_FEW_LABELS, (
        f"Hold: {evidence.labelled_rows:,} rows of window {evidence.label_window} have labels, "
        f"fewer than the {settings.min_labelled_rows:,} needed to measure what a retraining saves."
    )


def _hold_one_class(evidence: Evidence, settings: DecisionSettings) -> Held:
    if not evidence.one_class:
        return None
    return LABELS_OF_ONE_CLASS, (
        f"Hold: all {evidence.labelled_rows:,} labels of window {evidence.label_window} are of "
        "one class; check where the labels come from."
    )


# Broken data first: a fault also costs rows and labels, and is what someone has to fix.
_GATES = (
    _hold_broken_data,
    _hold_few_rows,
    _hold_other_versions,
    _hold_quarantined_labels,
    _hold_few_labels,
    _hold_one_class,
    _hold_broken_labels,
)
