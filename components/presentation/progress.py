"""Progress of a long command in the terminal, and the seconds of each kind of its work."""

import logging
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


def quiet_libraries() -> None:
    """Leaves the terminal to the progress: libraries' warnings about each other help nobody."""
    import absl.logging

    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    absl.logging.set_verbosity(absl.logging.ERROR)
    for name in ("tensorflow", "apache_beam"):
        logging.getLogger(name).setLevel(logging.ERROR)


class Progress:
    """Prints a line for each thing that ends, and adds up the seconds of each kind of work."""

    def __init__(self, began: float, out: TextIO = sys.stdout) -> None:
        """Counts from `began`, a reading of time.monotonic."""
        self._began = began
        self._out = out
        self._seconds: dict[str, float] = {}

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    @property
    def timings(self) -> list[tuple[str, float]]:
        """Kinds of work and their seconds, in order of first appearance."""
        return list(self._seconds.items())

    def add(self, part: str, seconds: float) -> None:
        """Counts seconds for a kind of work."""
        self._seconds[part] = self._seconds.get(part, 0.0) + seconds

    def say(self, line: str) -> None:
        """Prints a line with the time since the start."""
        self._out.write(f"[{self.elapsed:6.1f} s] {line}\n")
        self._out.flush()

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Counts the block's seconds for a kind of work."""
        started = time.monotonic()
        yield
        self.add(part, time.monotonic() - started)
