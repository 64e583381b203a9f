"""Progress of long work: lines with the time since the start, and bars below them in a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

# Often enough to see that a run is alive, seldom enough to leave a log readable.
_LINE_EVERY_SECONDS = 5.0


class Progress:
    """Tells what a run is doing, and adds up the seconds of each kind of work."""

    def __init__(self, out: TextIO | None = None) -> None:
        """Starts the clock.

        Args:
            out: Where lines and bars go; standard output unless given.
        """
        self._began = time.monotonic()
        self._out = sys.stdout if out is None else out
        self._seconds: dict[str, float] = {}
        self._bars: Bars | None = None

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

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Counts the block's seconds for a kind of work."""
        started = time.monotonic()
        yield
        self.add(part, time.monotonic() - started)

    def say(self, line: str) -> None:
        """Prints a line with the time since the start, above the bars."""
        told = f"[{self.elapsed:6.1f} s] {line}"
        if self._bars is not None:
            self._bars.console.print(told, soft_wrap=True)
        else:
            self._out.write(f"{told}\n")
            self._out.flush()

    @contextmanager
    def counted(
        self, what: str, total: int | None = None, unit: str = ""
    ) -> Iterator[Callable[[int], None]]:
        """Shows how far the block's work is; gives a function that takes how much is done.

        A terminal gets a bar, which goes when the block ends. Elsewhere a line comes every few
        seconds, and none for work of unknown length.

        Args:
            what: The work, such as "2013-03".
            total: How much there is to do; None when nobody knows.
            unit: What is counted, such as "flights".
        """
        if not self._out.isatty():
            yield self._line_counter(what, total, unit)
            return
        with self._running_bars() as bars:
            task = bars.add_task(what, total=total, count="")

            def on_count(done: int) -> None:
                count = "" if total is None else f"{done} of {total} {unit}".rstrip()
                bars.update(task, completed=done, count=count)

            try:
                yield on_count
            finally:
                # Bars are drawn ten times a second; quick work would end before its count is seen.
                bars.refresh()
                bars.remove_task(task)

    def _line_counter(self, what: str, total: int | None, unit: str) -> Callable[[int], None]:
        last = time.monotonic()

        def on_count(done: int) -> None:
            nonlocal last
            if total is not None and time.monotonic() - last > _LINE_EVERY_SECONDS:
                last = time.monotonic()
                self.say(f"  {what}: {done} of {total} {unit}".rstrip())

        return on_count

    @contextmanager
    def _running_bars(self) -> Iterator["Bars"]:
        """Gives the bars on the screen; work inside other work adds a bar to those."""
        if self._bars is not None:
            yield self._bars
            return
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        # Text is no markup: names of windows and models may hold brackets.
        console = Console(file=self._out, highlight=False, markup=False, emoji=False)
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}", markup=False),
            TimeElapsedColumn(),
        )
        with Bars(*columns, console=console, transient=True) as self._bars:
            try:
                yield self._bars
            finally:
                self._bars = None
