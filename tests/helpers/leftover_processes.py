"""Pytest plugin that ends what a failed test or fixture started: servers, pipelines, workers.

A test that runs out of time kills at most the child that it waits for, never that child's own
children; they would hold their memory, ports and a core for the rest of the run. Each pytest
process marks its environment, which all its descendants inherit, orphans too.
"""

import os
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

_VARIABLE = "LOOP_TEST_PROCESS"
_MARK = f"{os.getpid()}-{time.time_ns()}"
os.environ[_VARIABLE] = _MARK

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Moment:
    """When a fixture or a test began.

    Attributes:
        seconds: Time from boot, in the kernel's ticks.
        running: Descendants that were there: one shared since before may be of the same tick.
    """

    seconds: float
    running: frozenset[int]


def now() -> Moment:
    """Returns the present; asked at every test and fixture, so it must cost next to nothing."""
    # Rounded down as the kernel rounds the start of a process.
    ticks = int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS_A_SECOND)
    return Moment(ticks / _TICKS_A_SECOND, frozenset(_family(os.getpid())))


def _family(pid: int) -> Iterator[int]:
    # What psutil finds by reading every process of the machine, in a hundredth of the time; a
    # kernel without these files leaves the ticks alone to tell.
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in map(int, children):
        yield child
        yield from _family(child)


def kill_descendants(since: Moment) -> list[int]:
    """Kills what this process started since a moment, however indirectly."""
    killed = []
    for process in _descendants():
        try:
            if _started(process.pid) >= since.seconds and process.pid not in since.running:
                process.kill()
                killed.append(process.pid)
        except (psutil.Error, FileNotFoundError, ProcessLookupError):
            continue
    return killed


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


def _end_what_failed(outcome: Any, started: Moment) -> None:
    error = outcome.excinfo
    if error and not issubclass(error[0], pytest.skip.Exception | pytest.xfail.Exception):
        kill_descendants(started)


@pytest.hookimpl(hookwrapper=True)
def pytest_fixture_setup() -> Generator[None, Any, None]:
    """Ends what a fixture started before it failed; nobody else knows of it."""
    started = now()
    outcome = yield
    _end_what_failed(outcome, started)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call() -> Generator[None, Any, None]:
    """Ends what the body of a failed test started; fixtures end what is theirs."""
    started = now()
    outcome = yield
    _end_what_failed(outcome, started)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Ends what is left when all fixtures have been torn down."""
    kill_descendants(Moment(0.0, frozenset()))
