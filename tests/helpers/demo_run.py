"""What a finished `loop demo` left, for the tests that look at it."""

from dataclasses import dataclass
from pathlib import Path

WINDOWS = 4


@dataclass(frozen=True)
class DemoRun:
    """A run over the first `WINDOWS` months.

    Attributes:
        folder: Its output.
        printed: What it wrote to the terminal.
    """

    folder: Path
    printed: str
