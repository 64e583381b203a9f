"""Windows that a person skips, and launches that a person holds back, as facts in ML Metadata."""

from collections.abc import Mapping
from dataclasses import dataclass

from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.core.custom_properties import Scalar
from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.ledger import Store


@dataclass(frozen=True, kw_only=True)
class PersonHold:
    """A person's word on launches.

    Attributes:
        held: Whether launches are held back from then on.
        by: Who said so.
        reason: Why.
        at_ms: When, milliseconds since epoch UTC.
    """

    held: bool
    by: str
    reason: str
    at_ms: int


def latest_hold(store: Store, model_name: str) -> PersonHold | None:
    """Returns the newest word on a model's launches; None where nobody said anything."""
    words = _of_model(store, ledger.PERSON_HOLD, model_name)
    if not words:
        return None
    said = words[-1]
    return PersonHold(
        held=bool(said["held"]),
        by=str(said["by"]),
        reason=str(said["reason"]),
        at_ms=int(said["at_ms"]),
    )


def is_held(store: Store, model_name: str) -> bool:
    """Says whether a person holds a model's launches back."""
    word = latest_hold(store, model_name)
    return word is not None and word.held


def hold(store: Store, model_name: str, word: PersonHold) -> None:
    """Records a person's word on launches.

    Raises:
        ConfigError: Nobody says it, without a reason, or it changes nothing.
    """
    _check_said(word.by, word.reason)
    if is_held(store, model_name) == word.held:
        state = "held back already" if word.held else "not held back"
        raise ConfigError(
            f"Expected launches of {model_name!r} to be {'free' if word.held else 'held back'}, "
            f"received a word that changes nothing: they are {state}. `loop status` shows it."
        )
    number = len(_of_model(store, ledger.PERSON_HOLD, model_name)) + 1
    values: dict[str, Scalar] = {
        "model_name": model_name,
        "held": int(word.held),
        "by": word.by,
        "reason": word.reason,
        "at_ms": word.at_ms,
    }
    _put(store, ledger.PERSON_HOLD, f"{model_name}/{number}", values)


def skip(store: Store, model_name: str, window: str, by: str, reason: str, now_ms: int) -> None:
    """Records that a window is not to be monitored; a second time changes nothing.

    Raises:
        ConfigError: Nobody says so, or without a reason.
    """
    _check_said(by, reason)
    values: dict[str, Scalar] = {
        "model_name": model_name,
        "window": window,
        "by": by,
        "reason": reason,
        "at_ms": now_ms,
    }
    _put(store, ledger.SKIP, f"{model_name}/{window}", values)


def skipped(store: Store, model_name: str) -> dict[str, str]:
    """Returns the windows of a model that are not to be monitored, with the reasons."""
    words = _of_model(store, ledger.SKIP, model_name)
    return {str(said["window"]): str(said["reason"]) for said in words}


def _of_model(store: Store, kind: str, model_name: str) -> list[Mapping[str, Scalar]]:
    found = sorted(store.get_executions_by_type(kind), key=lambda one: int(one.id))
    said = map(ledger.properties, found)
    return [one for one in said if one["model_name"] == model_name]


def _put(store: Store, kind: str, name: str, values: Mapping[str, Scalar]) -> None:
    execution = pb.Execution(
        type_id=ledger.register_types(store)[kind],
        name=name,
        last_known_state=pb.Execution.COMPLETE,
    )
    ledger.set_properties(execution, values)
    ledger.put_once(store, execution, [])


def _check_said(by: str, reason: str) -> None:
    for flag, text in (("--by", by), ("--reason", reason)):
        if not text.strip():
            raise ConfigError(f"Expected who says so and why, received an empty {flag}. Give it.")
