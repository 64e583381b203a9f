"""The message about work in a child process that did not come to its end."""

from typing import Protocol

from tfx_loop.core.errors import ChildFailed

# Lines of the log that the error carries, and those that its one-line message shows.
TAIL_LINES = 20
# TensorFlow ends a failure with the error and up to three lines of where; more would push the
# remedy off the screen. Chosen, not measured.
_SHOWN_LINES = 4
_SHOWN_CHARACTERS = 600


class ChildLimits(Protocol):
    """What a child may take."""

    timeout_seconds: float
    memory_mb: float


class Failure(Exception):
    """The work ended without a reply that counts.

    Attributes:
        cause: `aborted`, `timed_out`, `out_of_memory` or `failed`.
        detail: The signal, the memory used, or the error.
    """

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause} {detail}")
        self.cause = cause
        self.detail = detail


def child_failed(
    failure: Failure, doing: str, seconds: float, log: str, limits: ChildLimits
) -> ChildFailed:
    """Returns the error: what was done, how it ended, the last lines of its log, what to do."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    what, remedy = _what_and_remedy(failure, seconds, limits)
    message = f"Expected {doing} to finish, received {what}. {remedy}"
    if shown := _shown(lines):
        message += f" Last lines of its log: {shown}"
    return ChildFailed(message, cause=failure.cause, log_tail="\n".join(lines[-TAIL_LINES:]))


def _what_and_remedy(failure: Failure, seconds: float, limits: ChildLimits) -> tuple[str, str]:
    if failure.cause == "timed_out":
        what = f"no answer in {seconds:.0f} s"
        return what, "Raise timeout_seconds, or give it less to do."
    if failure.cause == "out_of_memory":
        what = f"{failure.detail} of memory where {limits.memory_mb:.0f} MiB are allowed"
        return what, "Raise memory_mb, or give it fewer rows or smaller batches."
    if failure.cause == "aborted":
        what = f"an abort of its process ({failure.detail}) after {seconds:.1f} s"
        killed = "Was memory short? The kernel kills then. "
        return what, (killed if failure.detail == "SIGKILL" else "") + "Try another mode."
    return failure.detail.rstrip("."), "Fix what it names."


def _shown(lines: list[str]) -> str:
    text = " | ".join(lines[-_SHOWN_LINES:])
    return text if len(text) <= _SHOWN_CHARACTERS else f"…{text[-_SHOWN_CHARACTERS:]}"
