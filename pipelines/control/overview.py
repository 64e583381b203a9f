"""One screen about a loop: versions, windows, label coverage, decisions, and what is waited for.

Read from ML Metadata in a few bulk queries, however many windows there are, from the deployment
record, and from what the loop saw when it looked last.
"""

from dataclasses import dataclass

from tfx_loop.contracts.deployment_record import Deployment, DeploymentRecord
from tfx_loop.contracts.retrain_decision import DecisionProperties
from tfx_loop.core import type_names
from tfx_loop.core.custom_properties import Scalar, from_properties
from tfx_loop.data.prediction_log.label_coverage import CoverageAtAge
from tfx_loop.pipelines.control import holds, ledger
from tfx_loop.pipelines.control.admission import AdmissionReason
from tfx_loop.pipelines.control.decisions import window_order
from tfx_loop.pipelines.control.holds import PersonHold
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.control.watch_state import CoverageAt, WatchState


@dataclass(frozen=True, kw_only=True)
class WindowOverview:
    """What became of a window.

    Attributes:
        window: Its name.
        verdict: What was decided; empty where it is not decided yet.
        reason: Why; of a window that is skipped the person's reason.
        decision_id: MLMD id of the decision; 0 for none.
        admission: The gates' answer to a decision that asks; empty for none.
        outcome: What came of the training: `pushed`, `not_pushed`, or why it failed; `running`.
        version: The version that came of it; 0 for none.
        rows: Rows of the window, as last measured; None where they were not.
        labelled: Share of them that had a label then.
        corrected: How many labels had been corrected then.
        by_age: Which share had a label at an age.
        measured_at_ms: When that was, milliseconds UTC.
    """

    window: str
    verdict: str = ""
    reason: str = ""
    decision_id: int = 0
    admission: str = ""
    outcome: str = ""
    version: int = 0
    rows: int | None = None
    labelled: float | None = None
    corrected: int = 0
    by_age: tuple[CoverageAtAge, ...] = ()
    measured_at_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class LoopOverview:
    """One loop.

    Attributes:
        model_name: The served model.
        mode: What the loop may do by itself.
        versions: Versions that serve or served, newest first.
        windows: The newest windows, oldest first.
        waits_for: What the loop waits for.
        approvals: Ids of decisions that wait for a person.
        held: Who holds launches back and why; None where nobody does.
        trouble: What was in the way at the last look; empty for nothing.
        looked_at_ms: When the loop looked last, milliseconds UTC; 0 for never.
        windows_decided: How many windows were decided in all.
    """

    model_name: str
    mode: str
    versions: tuple[Deployment, ...]
    windows: tuple[WindowOverview, ...]
    waits_for: str
    approvals: tuple[int, ...]
    held: PersonHold | None
    trouble: str
    looked_at_ms: int
    windows_decided: int


def overview(
    store: Store,
    model_name: str,
    mode: str,
    record: DeploymentRecord,
    seen: WatchState,
    most_windows: int = 10,
) -> LoopOverview:
    """Returns one screen about a loop.

    Args:
        store: The metadata store.
        model_name: The served model.
        mode: What the loop may do by itself.
        record: The deployment record.
        seen: What the loop saw when it looked last.
        most_windows: How many of the newest windows are shown.
    """
    decided = _decided(store, model_name)
    skips = holds.skipped(store, model_name)
    # A window that waits for labels has no decision yet, and stands in what was seen alone.
    names = sorted({*decided, *skips, *seen.coverage}, key=window_order)[-most_windows:]
    admissions = ledger.newest_by_window(store.get_executions_by_type(ledger.ADMISSION), model_name)
    outcomes = ledger.newest_by_window(store.get_executions_by_type(ledger.RETRAINING), model_name)
    windows = tuple(
        _window(name, decided.get(name), skips.get(name), admissions, outcomes, seen)
        for name in names
    )
    word = holds.latest_hold(store, model_name)
    waiting = tuple(
        one.decision_id
        for one in windows
        if one.admission == AdmissionReason.APPROVAL_NEEDED.value and not one.outcome
    )
    return LoopOverview(
        model_name=model_name,
        mode=mode,
        versions=tuple(reversed(record.versions)),
        windows=windows,
        waits_for=seen.waits_for,
        approvals=waiting,
        held=word if word is not None and word.held else None,
        trouble=seen.trouble,
        looked_at_ms=seen.looked_at_ms,
        windows_decided=len(decided),
    )


def _decided(store: Store, model_name: str) -> dict[str, tuple[int, DecisionProperties]]:
    """Returns the newest decision of each window."""
    found = {}
    for artifact in ledger.artifacts_of_type(store, type_names.RETRAIN_DECISION):
        said = from_properties(DecisionProperties, ledger.properties(artifact))
        if said.model_name == model_name:
            found[said.window] = (int(artifact.id), said)
    return found


def _window(
    name: str,
    decided: tuple[int, DecisionProperties] | None,
    skip: str | None,
    admissions: dict[str, dict[str, Scalar]],
    outcomes: dict[str, dict[str, Scalar]],
    seen: WatchState,
) -> WindowOverview:
    measured: CoverageAt | None = seen.coverage.get(name)
    coverage = measured.coverage if measured else None
    decision_id, said = decided if decided else (0, None)
    asked = str(admissions[name]["reason"]) if name in admissions else ""
    launched, end = asked == AdmissionReason.ADMITTED.value, outcomes.get(name)
    return WindowOverview(
        window=name,
        verdict=said.verdict if said else ("SKIPPED" if skip is not None else ""),
        reason=said.reason if said else (skip or ""),
        decision_id=decision_id,
        admission=asked,
        outcome=str(end["reason"]) if end else ("running" if launched else ""),
        version=int(end["pushed_version"]) if end else 0,
        rows=coverage.rows if coverage else None,
        labelled=coverage.share if coverage else None,
        corrected=coverage.corrected if coverage else 0,
        by_age=coverage.by_age if coverage else (),
        measured_at_ms=measured.at_ms if measured else 0,
    )
