"""Functions that the tests have done in child processes."""

import os
import subprocess
import sys
import time
from pathlib import Path

from time_limits import seconds

from tfx_loop.core.child_process.child import report_progress
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import DataError


class SpecialDataError(DataError):
    """A subclass that the parent need not know."""


def echo(payload):
    return payload


def pid(_):
    return os.getpid()


def surroundings(_):
    descriptors = []
    for name in os.listdir("/proc/self/fd"):
        try:
            descriptors.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            continue
    return {
        "environment": dict(os.environ),
        "descriptors": descriptors,
        "stdin": sys.stdin.read(),
        "oom_score_adj": Path("/proc/self/oom_score_adj").read_text().strip(),
    }


def chatter(lines):
    for number in range(lines):
        print(f"out {number}")
        print(f"err {number}", file=sys.stderr)
        os.write(1, b"raw\n")
    return lines


def abort(_):
    print("loc: error: cannot quantise op 'tfl.foo'", file=sys.stderr, flush=True)
    os.abort()


def leave(code):
    os._exit(code)


def hang(seconds):
    time.sleep(seconds)


def hang_with_grandchild(pid_file):
    grandchild = subprocess.Popen(["sleep", "600"], start_new_session=True)
    Path(pid_file).write_text(str(grandchild.pid))
    time.sleep(600)


def hog(megabytes):
    kept = []
    for _ in range(megabytes // 16):
        kept.append(b"x" * (16 << 20))
        time.sleep(0.01)
    time.sleep(600)


def keep(megabytes):
    globals().setdefault("KEPT", []).append(b"x" * (megabytes << 20))


def data_error(message):
    raise DataError(message)


def special_data_error(message):
    raise SpecialDataError(message)


def type_error(_):
    return 1 + "a"


def memory_error(_):
    raise MemoryError


def not_json(_):
    return {1, 2}


def progress(steps):
    for step in range(steps):
        report_progress(f"step {step}")
    return steps


def nested(function):
    with Worker(timeout_seconds=seconds(20)) as worker:
        return worker.call(function, None, doing="the inner work")
