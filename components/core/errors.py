"""The errors that tfx-loop raises, by who catches them.

    LoopError
    ├── ConfigError         a setting is wrong; the caller corrects it and starts again
    ├── DataError           rows, files or labels are not what was expected
    ├── ModelError          a model file is not what was expected
    │   └── ModelUnsafe         opening it would read, write or run what it should not
    ├── ChildFailed         work in a child process aborted, timed out or ran out of memory
    ├── ServingError        the model server did not do what it was asked
    │   ├── ServerUnavailable   it does not answer
    │   └── ModelRejected       it answers, and will not serve this version
    ├── WriteConflict       another writer was faster; what was to be written rests on old content
    └── PipelineFailed      a node of a pipeline run failed

Every message says what was expected, what came, and what to do; what others raised stands in it as
one line (`first_line`).
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "ChildFailed",
    "ConfigError",
    "DataError",
    "LoopError",
    "ModelError",
    "ModelRejected",
    "ModelUnsafe",
    "PipelineFailed",
    "ServerUnavailable",
    "ServingError",
    "WriteConflict",
    "did_you_mean",
    "first_line",
]


class LoopError(Exception):
    """Base of every error that tfx-loop raises on purpose."""


class ConfigError(LoopError, ValueError):
    """A setting has a value that cannot work."""


class DataError(LoopError, ValueError):
    """Rows, files or labels are not what was expected."""


class ModelError(LoopError, ValueError):
    """A model file is not what was expected."""


class ModelUnsafe(ModelError):
    """Opening a model file would read, write or run what it should not."""


class ChildFailed(LoopError):
    """Work in a child process aborted, timed out or ran out of memory.

    Attributes:
        cause: `aborted`, `timed_out`, `out_of_memory` or `failed`.
        log_tail: Last lines that the child wrote.
    """

    def __init__(self, message: str, *, cause: str = "failed", log_tail: str = "") -> None:
        super().__init__(message)
        self.cause = cause
        self.log_tail = log_tail


class ServingError(LoopError):
    """The model server did not do what it was asked."""


class ServerUnavailable(ServingError):
    """The model server does not answer."""


class ModelRejected(ServingError):
    """The model server answers, and will not serve this version."""


class WriteConflict(LoopError):
    """Another writer was faster; what was to be written rests on old content."""


class PipelineFailed(LoopError):
    """A node of a pipeline run failed."""


def first_line(error: BaseException) -> str:
    """Returns the first line of what an error says, as a sentence."""
    text = str(getattr(error, "message", "") or error).strip()
    # What others raise may hold a whole protocol message; 300 characters are three lines of a log.
    line = text.splitlines()[0][:300].rstrip(". ") if text else type(error).__name__
    return line if line.endswith(("?", "!")) else f"{line}."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns a sentence with the known name that is closest; empty where none is close."""
    # Columns are renamed from `TripMiles` to `trip_miles`: only letters and digits are compared.
    plain = {_letters(other): other for other in known}
    closest = difflib.get_close_matches(_letters(name), plain, n=1)
    return f" Did you mean {plain[closest[0]]!r}?" if closest else ""


def check_columns(names: Iterable[str], known: Iterable[str], use: str) -> None:
    """Raises ConfigError where a name is none of the columns.

    Args:
        names: What somebody wrote.
        known: The columns.
        use: What the columns are for, such as "to ignore".
    """
    columns = list(dict.fromkeys(known))
    if unknown := sorted(set(names) - set(columns)):
        raise ConfigError(
            f"Expected columns {use} out of {sorted(columns)}, received {unknown}."
            f"{did_you_mean(unknown[0], columns) or ' Correct the names.'}"
        )


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower() or name
