"""Messages that are still to be sent, in a file of the loop's home: none is lost by a kill.

A message goes into the file together with the mark of what was told, and leaves it when its
receiver has taken it. Killed in between, it is sent a second time, under the same id.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tfx_loop.core.durations import MS_PER_SECOND
from tfx_loop.core.errors import LoopError
from tfx_loop.core.json_file import JsonFile
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.control.watch_state import WatchState
from tfx_loop.pipelines.notifications.client import Send
from tfx_loop.pipelines.notifications.messages import (
    Message,
    ToldUntil,
    new_messages,
    trouble_message,
)
from tfx_loop.pipelines.notifications.settings import Receiver

_LOG = logging.getLogger(__name__)
# A minute, and twice as long after each try, up to six hours: three days of one who is away.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, _MOST_TRIES = 60, 6 * 3600, 20
# Years of messages to a receiver that never answers; what is older is left out, and said.
_MOST_PENDING = 1000
_MOST_AT_FIRST = 10


@dataclass(frozen=True, kw_only=True)
class PendingMessage:
    """A message that a receiver has not taken yet.

    Attributes:
        message: It.
        receiver: Whom it is for, by place among the receivers.
        tries: How often it was tried.
        next_at_ms: When it is tried next, milliseconds UTC.
    """

    message: Message
    receiver: int
    tries: int = 0
    next_at_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class Outbox:
    """What is to be sent, and how far facts were told."""

    told: ToldUntil = field(default_factory=ToldUntil)
    pending: tuple[PendingMessage, ...] = ()


OUTBOX = JsonFile(
    name="outbox.json",
    kind=Outbox,
    title="messages to be sent",
    remedy="Remove it: all that happened is told once more.",
    private=True,
)


class Notifier:
    """Tells receivers what changed."""

    def __init__(
        self,
        home: Path,
        model_name: str,
        receivers: Sequence[Receiver],
        send: Send,
        clock: Callable[[], int],
    ) -> None:
        """Sends nothing yet.

        Args:
            home: The loop's home.
            model_name: The served model.
            receivers: Who is told.
            send: Sends a message; raises LoopError where that did not go.
            clock: Returns now, milliseconds UTC.
        """
        self._home, self._model_name = home, model_name
        self._receivers, self._send, self._clock = receivers, send, clock

    def tell(self, store: Store, seen: WatchState) -> int:
        """Sends what changed, and what is due of what did not go before; returns how many went."""
        if not self._receivers:
            return 0
        now_ms, kept = self._clock(), OUTBOX.find(self._home)
        box = kept or Outbox()
        messages, told = new_messages(store, self._model_name, box.told, now_ms)
        if kept is None:
            # Who is to be told of a loop that has run for years wants to know where it stands.
            messages = messages[-_MOST_AT_FIRST:]
        more, told = trouble_message(
            self._model_name, seen.trouble, seen.trouble_kind, told, now_ms
        )
        pending = [*box.pending, *self._addressed([*messages, *more])]
        box = Outbox(told=told, pending=self._bounded(pending))
        if box != kept:
            # Before anything is sent: what is told is in the file, or not told at all.
            OUTBOX.write(box, self._home)
        left = [one for each in box.pending if (one := self._try(each, now_ms)) is not None]
        if tuple(left) != box.pending:
            OUTBOX.write(replace(box, pending=tuple(left)), self._home)
        return len(box.pending) - len(left)

    def _addressed(self, messages: Sequence[Message]) -> list[PendingMessage]:
        return [
            PendingMessage(message=message, receiver=place)
            for message in messages
            for place, receiver in enumerate(self._receivers)
            if not receiver.changes or message.change in receiver.changes
        ]

    def _bounded(self, pending: Sequence[PendingMessage]) -> tuple[PendingMessage, ...]:
        # Receivers are known by their place: what was for one that is no longer stated is dropped.
        known = [one for one in pending if one.receiver < len(self._receivers)]
        if len(known) > _MOST_PENDING:
            _LOG.warning("outbox left_out=%d", len(known) - _MOST_PENDING)
        return tuple(known[-_MOST_PENDING:])

    def _try(self, pending: PendingMessage, now_ms: int) -> PendingMessage | None:
        """Sends a message that is due; returns what is left of it, None where it is done."""
        if now_ms < pending.next_at_ms:
            return pending
        receiver = self._receivers[pending.receiver]
        try:
            self._send(receiver, pending.message)
        except LoopError as error:
            tries = pending.tries + 1
            if tries >= _MOST_TRIES:
                _LOG.error("message=%s given_up tries=%d %s", pending.message.key, tries, error)
                return None
            pause = min(_FIRST_PAUSE_SECONDS * 2 ** (tries - 1), _LONGEST_PAUSE_SECONDS)
            _LOG.warning("message=%s again_in=%ds %s", pending.message.key, pause, error)
            return replace(pending, tries=tries, next_at_ms=now_ms + pause * MS_PER_SECOND)
        _LOG.info("message=%s sent_to=%s", pending.message.key, receiver.told)
        return None
