"""Windows that decisions found to be broken, and their release, read from ML Metadata.

A window stays in quarantine until a person releases it, or until it was monitored again and found
sound: the newest word on a window counts. Nothing of it is kept but the decisions themselves and
one execution `loop.Release` for each release.
"""

from dataclasses import replace

from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.contracts.measured_loss import FaultyWindow
from tfx_loop.contracts.retrain_decision import (
    RETRAIN_DECISION,
    DecisionProperties,
)
from tfx_loop.core import type_names
from tfx_loop.core.custom_properties import from_properties
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.ledger import Store


def quarantine(store: Store, model_name: str, being_judged: str = "") -> tuple[FaultyWindow, ...]:
    """Returns the windows of a model whose rows are to be left out, in order of time.

    Args:
        store: The metadata store.
        model_name: The served model.
        being_judged: A window that is monitored now: what an earlier decision on it found may have
            been fixed, and is looked for anew.

    Raises:
        DataError: The file of a decision that found a window broken is gone: which rows it meant
            is not known.
    """
    released = _released(store, model_name)
    features: dict[str, tuple[int, FaultyWindow | None]] = {}
    labels: dict[str, tuple[int, FaultyWindow | None]] = {}
    for artifact in ledger.artifacts_of_type(store, type_names.RETRAIN_DECISION):
        said = from_properties(DecisionProperties, ledger.properties(artifact))
        if said.model_name != model_name or said.window == being_judged:
            continue
        found = _found(artifact) if said.faulty_windows else {}
        features[said.window] = (int(artifact.id), found.get(said.window))
        if said.label_window:
            labels[said.label_window] = (int(artifact.id), found.get(said.label_window))
    kept: dict[str, FaultyWindow] = {}
    for decision_id, window in (*features.values(), *labels.values()):
        if window is None or decision_id <= released.get(window.window, 0):
            continue
        before = kept.get(window.window)
        faults = (*(before.faults if before else ()), *window.faults)
        kept[window.window] = replace(window, faults=tuple(dict.fromkeys(faults)))
    return tuple(sorted(kept.values(), key=lambda window: window.start_ms))


def release(store: Store, model_name: str, window: str, reason: str, now_ms: int) -> FaultyWindow:
    """Records that a person lets the rows of a window be used again; returns the window.

    Raises:
        ConfigError: The window is not in quarantine, or no reason was given.
        DataError: As `quarantine`.
    """
    if not reason.strip():
        raise ConfigError("Expected a reason for the release, received none. Give --reason.")
    held = quarantine(store, model_name)
    found = next((each for each in held if each.window == window), None)
    if found is None:
        names = ", ".join(each.window for each in held) or "none"
        raise ConfigError(
            f"Expected a window of {model_name!r} in quarantine ({names}), received {window!r}."
        )
    newest = max(
        int(artifact.id)
        for artifact in ledger.artifacts_of_type(store, type_names.RETRAIN_DECISION)
    )
    execution = pb.Execution(
        type_id=ledger.register_types(store)[ledger.RELEASE],
        name=f"{model_name}/{window}/{newest}",
        last_known_state=pb.Execution.COMPLETE,
    )
    ledger.set_properties(
        execution,
        {
            "model_name": model_name,
            "window": window,
            "reason": reason,
            "faults": ", ".join(found.faults),
            # A fault that a later decision finds is another one.
            "decision_id": newest,
            "at_ms": now_ms,
        },
    )
    ledger.put_once(store, execution, [])
    return found


def _released(store: Store, model_name: str) -> dict[str, int]:
    """Returns by window up to which decision its faults are released."""
    found: dict[str, int] = {}
    for execution in store.get_executions_by_type(ledger.RELEASE):
        said = ledger.properties(execution)
        if said["model_name"] == model_name:
            window = str(said["window"])
            found[window] = max(found.get(window, 0), int(said["decision_id"]))
    return found


def _found(artifact: pb.Artifact) -> dict[str, FaultyWindow]:
    record = RETRAIN_DECISION.find(str(artifact.uri))
    if record is None:
        raise DataError(
            f"Expected the decision {artifact.id} at {RETRAIN_DECISION.path(str(artifact.uri))}, "
            "which found a window broken, received none. Put the file back, or monitor its window "
            "again with `loop retry`."
        )
    return {window.window: window for window in record.evidence.faulty_windows or ()}
