"""Text and tables of the commands: drawn by rich in a terminal, plain text everywhere else.

A pipe, a file or a test gets columns in plain text that are the same on every machine: no colour,
no frame, no line broken at the width of somebody's window.
"""

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.table import Table

_GAP = "  "
# Columns between two of a table's columns as rich draws it, and what a text needs to be readable
# when it is broken into lines.
_RICH_GAP = 3
_LEAST_TEXT = 20
# Verdicts and states as the reports spell them; a terminal shows them in colour.
_WORDS = {
    "green": ("STABLE", "MATCHED", "KEPT", "RETRAIN", "PASSED"),
    "red": ("DRIFT", "DATA_FAULT", "MODEL_FAULT", "FAULT", "SKEWED", "FAILED", "NOT KEPT"),
    "yellow": ("NOT_ENOUGH_DATA", "HOLD"),
}


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """A table for the terminal; `str` gives it in plain text.

    Attributes:
        rows: Cells as plain text, all rows of one length.
        headings: One a column; none for columns that need no names.
        numbers: Headings of the columns that are aligned right.
        below: A line under the table, such as how many rows were left out.
    """

    rows: Sequence[Sequence[str]]
    headings: Sequence[str] = ()
    numbers: Collection[str] = ()
    below: str = ""

    def __str__(self) -> str:
        if not self.rows:
            return ""
        lines = [*([self.headings] if self.headings else []), *self.rows]
        widths = _widths(self)
        names = self.headings or [""] * len(widths)
        shown = [
            _GAP.join(
                cell.rjust(width) if name in self.numbers else cell.ljust(width)
                for cell, width, name in zip(line, widths, names, strict=True)
            ).rstrip()
            for line in lines
        ]
        if self.headings:
            shown.insert(1, _GAP.join("-" * width for width in widths))
        return "\n".join([*shown, self.below] if self.below else shown)


def show(*parts: str | TextTable, out: TextIO | None = None) -> None:
    """Prints texts and tables with an empty line between them; empty ones are left out.

    Args:
        parts: What is printed, in order.
        out: Where to; standard output unless given.
    """
    out = sys.stdout if out is None else out
    parts = tuple(part for part in parts if str(part))
    if out.isatty():
        _draw(parts, out)
    else:
        out.write("\n\n".join(map(str, parts)) + "\n")


def _draw(parts: Sequence[str | TextTable], out: TextIO) -> None:
    # Imported late: rich takes 0.1 s, and most output goes to no terminal or is one line.
    from rich.console import Console
    from rich.highlighter import RegexHighlighter

    class Words(RegexHighlighter):
        """Colours the verdicts; rich's own highlighter would colour numbers and paths."""

        highlights = [  # noqa: RUF012 - declared so by rich
            rf"\b(?<![\w-])(?P<{style}>{'|'.join(words)})\b" for style, words in _WORDS.items()
        ]

    console = Console(file=out, highlighter=Words(), markup=False, emoji=False)
    for place, part in enumerate(parts):
        if place:
            console.print()
        if isinstance(part, TextTable) and _fits(part, console.width):
            console.print(_drawn(part))
            if part.below:
                console.print(part.below)
        elif isinstance(part, TextTable):
            # Columns that are broken at every word, or lines wider than the window, are no table.
            console.print(_stacked(part))
        else:
            console.print(part)


def _stacked(table: TextTable) -> str:
    """Returns a table row by row: the first cell, and under it the others with their headings."""
    blocks: list[str] = []
    for first, *others in table.rows:
        cells = zip(table.headings[1:] or [""] * len(others), others, strict=True)
        told = [f"{name} {cell}" if name else cell for name, cell in cells if cell]
        blocks += [first, *(f"{_GAP}{cell}" for cell in told)]
    return "\n".join([*blocks, table.below] if table.below else blocks)


def _widths(table: TextTable) -> list[int]:
    lines = [*([table.headings] if table.headings else []), *table.rows]
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def _fits(table: TextTable, width: int) -> bool:
    """Says whether there is room for all columns, the widest of them broken into lines."""
    widths = _widths(table)
    text = min(max(widths), _LEAST_TEXT)
    return sum(widths) - max(widths) + _RICH_GAP * (len(widths) - 1) + text <= width


def _drawn(table: TextTable) -> "Table":
    """Returns the table as rich draws it: its widest column is broken where it has no room."""
    from rich import box
    from rich.table import Table

    drawn = Table(
        box=box.SIMPLE_HEAD,
        show_header=bool(table.headings),
        header_style="bold",
        show_edge=False,
        pad_edge=False,
        highlight=True,
    )
    widths = _widths(table)
    for place, name in enumerate(table.headings or [""] * len(widths)):
        drawn.add_column(
            name,
            justify="right" if name in table.numbers else "left",
            # rich would else break names and numbers, too.
            no_wrap=place != widths.index(max(widths)),
            overflow="fold",
        )
    for row in table.rows:
        drawn.add_row(*row)
    return drawn
