"""Pytest plugin that ends what a failed test or fixture started: servers, pipelines, workers.

A test that runs out of time kills at most the child that it waits for, never that child's own
children; they would hold their memory, ports and a core for the rest of the run. Each pytest
process marks its environment, which all its descendants inherit, orphans too.
"""

import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil
import pytest

_VARIABLE = "LOOP_TEST_PROCESS"
_MARK = f"{os.getpid()}-{time.time_ns()}"
os.environ[_VARIABLE] = _MARK

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def kill_descendants(since: float) -> list[int]:
    """Kills what this process started, however indirectly, since a time in seconds from boot."""
    killed = []
    for process in _descendants():
        try:
            # Not in the same tick: that may be a server shared since before. What is missed here
            # ends with the session.
            if _started(process.pid) > since:
                process.kill()
                killed.append(process.pid)
        except (psutil.Error, FileNotFoundError, ProcessLookupError):
            continue
    return killed


def _now() -> float:
    # In the kernel's ticks, rounded down as it rounds the start of a process.
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS_A_SECOND) / _TICKS_A_SECOND


def _started(pid: int) -> float:
    # proc(5): starttime is field 22, the 20th after the name in brackets, which may hold blanks.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / _TICKS_A_SECOND


def _descendants() -> list[psutil.Process]:
    own = psutil.Process()
    found = {process.pid: process for process in own.children(recursive=True)}
    for process in psutil.process_iter():
        try:
            if process.pid != own.pid and process.environ().get(_VARIABLE) == _MARK:
                found[process.pid] = process
        except psutil.Error:
            continue
    return list(found.values())


def _end_what_failed(outcome: Any, started: float) -> None:
    error = outcome.excinfo
    if error and not issubclass(error[0], pytest.skip.Exception | pytest.xfail.Exception):
        kill_descendants(started)


@pytest.hookimpl(hookwrapper=True)
def pytest_fixture_setup() -> Generator[None, Any, None]:
    """Ends what a fixture started before it failed; nobody else knows of it."""
    started = _now()
    outcome = yield
    _end_what_failed(outcome, started)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call() -> Generator[None, Any, None]:
    """Ends what the body of a failed test started; fixtures end what is theirs."""
    started = _now()
    outcome = yield
    _end_what_failed(outcome, started)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Ends what is left when all fixtures have been torn down."""
    kill_descendants(since=-1.0)
