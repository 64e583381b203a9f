"""Windows and trainings that are to be tried again, by a person's word, as facts in ML Metadata.

A monitoring run has one id and one answer. Where its attempts are spent, or where the data of its
window were fixed, a retry gives the window a run of a new id; the old one stays in the record. A
training that failed is tried again under a new claim, which the gates of admission are asked for.
"""

from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.core.custom_properties import Scalar
from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.launcher import RunState
from tfx_loop.pipelines.control.ledger import Store

_MONITORING, _TRAINING = "monitoring", "training"


def monitoring_run_id(store: Store, model_name: str, window: str) -> str:
    """Returns the id of the run that monitors a window of a model, the newest after retries."""
    return _run_id(model_name, window, _count(store, model_name, window))


def retry_window(store: Store, model_name: str, window: str, reason: str, now_ms: int) -> str:
    """Records that a window is to be monitored again; returns the id of the run to come.

    Raises:
        ConfigError: The window was never monitored, or a retry of it has not begun yet.
    """
    count = _count(store, model_name, window)
    run_id = _run_id(model_name, window, count)
    if not ledger.executions_of_run(store, run_id):
        state = "asked for again already" if count else "monitored under this name"
        raise ConfigError(
            f"Expected a window of {model_name!r} that was monitored, received {window!r}: "
            f"{'it was' if count else 'none was'} {state}. Step the loop on it."
        )
    _record(store, model_name, window, reason, now_ms, "", count + 1, _MONITORING)
    return _run_id(model_name, window, count + 1)


def training_retries(store: Store, model_name: str, window: str) -> int:
    """Returns how often the training that a window asked for was to be tried again."""
    return _count(store, model_name, window, _TRAINING)


def retry_training(store: Store, model_name: str, window: str, reason: str, now_ms: int) -> None:
    """Records that the training of a window, which failed, is to be tried again.

    Raises:
        ConfigError: No training of the window failed, or a retry of it has not ended yet.
    """
    count = training_retries(store, model_name, window)
    ends = [
        said
        for said in map(ledger.properties, store.get_executions_by_type(ledger.RETRAINING))
        if said["model_name"] == model_name and said["window"] == window
    ]
    state = str(ends[-1]["state"]) if ends else "none"
    if len(ends) <= count or state != RunState.FAILED.value:
        pending = "its retry has not ended" if len(ends) <= count and count else f"it is {state}"
        if state == RunState.SUCCEEDED.value and len(ends) > count:
            came_of_it = str(ends[-1].get("reason", "")) or "its end is on record"
            pending = f"its training ended ({came_of_it}), and the next window that asks starts one"
        raise ConfigError(
            f"Expected a window of {model_name!r} whose training failed, received {window!r}: "
            f"{pending}. `loop timeline` shows what came of each."
        )
    _record(store, model_name, window, reason, now_ms, f"{_TRAINING}/", count + 1, _TRAINING)


def _count(store: Store, model_name: str, window: str, kind: str = _MONITORING) -> int:
    said = map(ledger.properties, store.get_executions_by_type(ledger.RETRY))
    return sum(
        one["model_name"] == model_name
        and one["window"] == window
        # Earlier releases knew one kind, and did not write it.
        and one.get("kind", _MONITORING) == kind
        for one in said
    )


def _record(
    store: Store,
    model_name: str,
    window: str,
    reason: str,
    now_ms: int,
    prefix: str,
    number: int,
    kind: str,
) -> None:
    execution = pb.Execution(
        type_id=ledger.register_types(store)[ledger.RETRY],
        name=f"{prefix}{model_name}/{window}/{number}",
        last_known_state=pb.Execution.COMPLETE,
    )
    values: dict[str, Scalar] = {
        "model_name": model_name,
        "window": window,
        "reason": reason,
        "kind": kind,
        "at_ms": now_ms,
    }
    ledger.set_properties(execution, values)
    # Of two that ask at once, one writes it; both have asked for the same run.
    ledger.put_once(store, execution, [])


def _run_id(model_name: str, window: str, retries: int) -> str:
    return f"monitor-{model_name}-{window}" + (f"-retry-{retries}" if retries else "")
