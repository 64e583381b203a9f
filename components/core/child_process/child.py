"""The child process: it calls the functions that it is asked for, until told to stop.

A request is one JSON line on a pipe, a reply another. All that the work itself prints goes to the
log. The child dies with its parent, even while it hangs in C code: the kernel signals the end of
a pipe that only the parent holds open.
"""

import contextlib
import fcntl
import importlib
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from tfx_loop.core import errors
from tfx_loop.core.child_process import inherited, sandbox
from tfx_loop.core.errors import ChildFailed, ConfigError, LoopError

_replies: TextIO | None = None


def report_progress(text: str) -> None:
    """Tells the parent how far the work is; outside a child process it does nothing."""
    if _replies is not None:
        _send({"progress": text})


def main(lifeline: int, folders: Sequence[str]) -> None:
    """Serves requests until the parent closes the pipe.

    Args:
        lifeline: File descriptor of a pipe that ends when the parent does.
        folders: Where the work may write.
    """
    global _replies
    _die_with_parent(lifeline)
    _die_before_parent()
    refused = sandbox.confine(folders)
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    _replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # What the work prints is log, never a reply.
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    _send({"refused": refused})
    for line in requests:
        _send(_answer(json.loads(line)))
    sys.stdout.flush()
    # Taking TensorFlow's threads down in order only costs seconds.
    os._exit(0)


def _die_with_parent(lifeline: int) -> None:
    """Has the kernel kill this process group when the pipe ends, whatever runs in it then."""
    # A negative owner is a process group; SIGKILL reaches threads that hang in C code, too.
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
    try:
        if os.read(lifeline, 1) == b"":  # It ended before the signal was asked for.
            os._exit(1)
    except BlockingIOError:
        return


def _die_before_parent() -> None:
    """Where memory runs out faster than the parent can look, the kernel takes this process."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        # The highest score there is (proc(5)): it goes first, whatever the others hold.
        file.write("1000")


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        inherited.take_over(request["settings"])
        value = _function(request["function"])(request["payload"])
        json.dumps(value)
        return {"value": value}
    except LoopError as error:
        return {"error": _loop_error(error)}
    except MemoryError:
        traceback.print_exc()
        return {"failed": "MemoryError", "cause": "out_of_memory"}
    except BaseException as error:
        traceback.print_exc()
        # The first line says what; TensorFlow's messages go on with whole graphs, which the log
        # has.
        text = (str(error).strip().splitlines() or ["no message"])[0][:500]
        return {"failed": f"{type(error).__name__}: {text}", "cause": "failed"}
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _function(name: str) -> Callable[[Any], Any]:
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"Expected an importable function 'module:name', received {name!r}: {error}. "
            "Check the name, and that its module is on the Python path."
        ) from error
    if not callable(function):
        raise ConfigError(f"Expected a function, received {name!r}, which cannot be called.")
    return function  # type: ignore[no-any-return]


def _loop_error(error: LoopError) -> dict[str, str]:
    """Returns the nearest class of the exception tree, and what the error says."""
    kind = next(c.__name__ for c in type(error).__mro__ if c.__module__ == errors.__name__)
    told = {"class": kind, "message": str(error)}
    if isinstance(error, ChildFailed):
        told |= {"cause": error.cause, "log_tail": error.log_tail}
    return told


def _send(reply: dict[str, Any]) -> None:
    assert _replies is not None
    _replies.write(json.dumps(reply) + "\n")
    _replies.flush()
