"""A lock with expiry, kept in a conditional file, that outlives no holder.

The holder renews its note every third of the time that it is good for. Who waits takes the lock
when it has not seen the note change for that time, by its own monotonic clock; so no two machines'
clocks are compared, and a clock that jumps takes nothing from anybody (as Kubernetes' leader
election does it). A holder that could not renew in time has lost the lock and is told so. One that
is known to have ended, as it ran on this machine, is waited for no longer.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tfx_loop.core.conditional_files import ABSENT, ConditionalFiles, TaggedContent
from tfx_loop.core.errors import ServerUnavailable, WriteConflict
from tfx_loop.core.process_identity import has_ended, this_process

# Two renewals may fail before a lock is lost.
_RENEWALS_PER_TERM = 3
# Unseen beside a push of seconds, and five reads a second at most where the lock lies in a bucket.
_POLL_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class LockTerms:
    """Who locks what.

    Attributes:
        name: The file.
        holder: Who holds it, for whoever waits; such as `run 7 on host a`.
        token: What only this holder writes, in 1 to 256 characters.
        seconds: How long a note that nobody renews is good for.
    """

    name: str
    holder: str
    token: str
    # Longer than a pause of a busy machine or a bucket, short enough for whoever waits for one that
    # was killed elsewhere. Chosen, not measured.
    seconds: float = 30.0


class ExpiringLock:
    """The lock of one holder. Usable once."""

    def __init__(
        self,
        files: ConditionalFiles,
        terms: LockTerms,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """Touches nothing yet.

        Args:
            files: Where the note stands.
            terms: Who locks what.
            clock: Seconds that only grow.
            sleep: Waits, in seconds.
        """
        self._files, self._terms = files, terms
        self._clock, self._sleep = clock, sleep
        self._tag = ABSENT
        self._renewals = 0
        self._lost = False
        self._stop = threading.Event()

    @contextlib.contextmanager
    def held(self, wait_seconds: float) -> Iterator["ExpiringLock"]:
        """Holds the lock, renewed by a thread, and gives it back.

        Raises:
            ServerUnavailable: Another holder kept it for all of `wait_seconds`.
        """
        self._acquire(wait_seconds)
        renewer = threading.Thread(target=self._renew_until_stopped, daemon=True, name="lock")
        renewer.start()
        try:
            yield self
        finally:
            self._stop.set()
            renewer.join()
            # Whoever took it over keeps it.
            with contextlib.suppress(WriteConflict, OSError):
                self._files.replace(self._terms.name, None, self._tag)

    def check(self) -> None:
        """Checks that the lock is still this holder's.

        Raises:
            WriteConflict: Another one took it, or may have.
        """
        found = self._files.read(self._terms.name)
        if self._lost or lock_token(found) != self._terms.token:
            raise WriteConflict(
                f"Expected {self._terms.name} to be held by {self._terms.holder}, received "
                f"{lock_holder(found) or 'another holder'}: it was not renewed in time. Run again."
            )

    def _acquire(self, wait_seconds: float) -> None:
        deadline = self._clock() + wait_seconds
        seen, since = self._files.read(self._terms.name), self._clock()
        while True:
            expired = self._clock() - since >= _good_for(seen, self._terms.seconds)
            if seen.content is None or expired or has_ended(_text(seen, "process")):
                # Of several that see it expired, the one whose write comes first has it; the others
                # wait on.
                with contextlib.suppress(WriteConflict):
                    self._write(seen.tag)
                    return
            if self._clock() >= deadline:
                raise ServerUnavailable(
                    f"Expected {self._terms.name} to be free within {wait_seconds:g} s, received: "
                    f"held by {lock_holder(seen) or 'an unknown holder'}. Wait until it has "
                    "ended, then run again."
                )
            self._sleep(_POLL_SECONDS)
            found = self._files.read(self._terms.name)
            # Any new note is a sign of life, whoever wrote it: the wait for its expiry begins anew.
            if found.tag != seen.tag:
                seen, since = found, self._clock()

    def _write(self, expected: str) -> None:
        content = {
            "holder": self._terms.holder,
            "token": self._terms.token,
            "process": this_process(),
            "seconds": self._terms.seconds,
            "renewals": self._renewals,
        }
        text = json.dumps(content, indent=2) + "\n"
        self._tag = self._files.replace(self._terms.name, text.encode(), expected)
        self._renewals += 1

    def _renew_until_stopped(self) -> None:
        while not self._stop.wait(self._terms.seconds / _RENEWALS_PER_TERM):
            try:
                self._write(self._tag)
            except WriteConflict:
                self._lost = True
                return
            except OSError:
                # The disk may come back in time; if not, another holder's note will say so.
                continue


def lock_token(found: TaggedContent) -> str:
    """Returns the token of the holder whose note was read; empty where there is none."""
    return _text(found, "token")


def lock_holder(found: TaggedContent) -> str:
    """Returns who wrote the note that was read; empty where nobody can be told."""
    return _text(found, "holder")


def _good_for(found: TaggedContent, default: float) -> float:
    seconds = _note(found).get("seconds")
    # Another release's note may be good for longer; a damaged one for no more than ours.
    return float(seconds) if isinstance(seconds, int | float) and seconds > 0 else default


def _text(found: TaggedContent, key: str) -> str:
    value = _note(found).get(key)
    return value if isinstance(value, str) else ""


def _note(found: TaggedContent) -> dict[str, object]:
    try:
        content = json.loads(found.content or b"{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
