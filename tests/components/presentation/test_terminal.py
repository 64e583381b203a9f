"""Tables and texts of the commands: plain in a pipe, drawn in a terminal."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.presentation.terminal import TextTable, show

TABLE = TextTable(
    headings=("window", "rows", "verdict"),
    rows=[("2013-03", "5,437", "STABLE"), ("2013-04", "12", "DRIFT")],
    numbers=("rows",),
    below="… and 3 more",
)


class Terminal(io.StringIO):
    """A terminal as far as rich asks: it says that it is one."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    return Terminal()


def test_a_pipe_gets_columns_in_plain_text() -> None:
    assert str(TABLE).splitlines() == [
        "window    rows  verdict",
        "-------  -----  -------",
        "2013-03  5,437  STABLE",
        "2013-04     12  DRIFT",
        "… and 3 more",
    ]


def test_a_table_without_headings_has_no_rule() -> None:
    assert str(TextTable(rows=[("size", "12"), ("zeros", "0")])) == "size   12\nzeros  0"


def test_parts_stand_apart_and_empty_ones_are_left_out() -> None:
    out = io.StringIO()
    show("STABLE: nothing moved.", "", TextTable(rows=[("a", "b")]), TextTable(rows=[]), out=out)
    assert out.getvalue() == "STABLE: nothing moved.\n\na  b\n"


def test_long_lines_stay_whole_in_a_pipe() -> None:
    out = io.StringIO()
    show(TextTable(rows=[("x" * 300, "y")]), out=out)
    assert out.getvalue() == "x" * 300 + "  y\n"


def test_a_terminal_gets_colour_and_its_own_width(terminal: Terminal) -> None:
    show("DRIFT: " + "word " * 20, TABLE, out=terminal)
    written = terminal.getvalue()
    assert "\x1b[31mDRIFT\x1b[0m" in written
    assert "\x1b[32mSTABLE\x1b[0m" in written
    assert "… and 3 more" in written
    assert len(written.splitlines()[0]) <= 40 + len("\x1b[31m\x1b[0m")


def rows_of(terminal: Terminal) -> list[str]:
    return [
        line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    ]


def test_the_widest_column_gives_way_and_the_others_stay_whole(terminal: Terminal) -> None:
    told = "moved far away from the reference in all of its quantiles"
    show(TextTable(headings=("feature", "why"), rows=[("temperature", told)]), out=terminal)
    lines = rows_of(terminal)
    assert lines[2].startswith("temperature   moved far")
    assert all(len(line) <= 40 for line in lines)
    assert " ".join(line[14:] for line in lines[2:]) == told


def test_a_window_too_narrow_for_the_columns_gets_a_block_a_row(terminal: Terminal) -> None:
    table = TextTable(
        headings=("feature", "b" * 20, "c" * 20, "why"),
        rows=[("x", "2", "", "moved " * 9), ("y", "3", "4", "")],
        below="… and 3 more",
    )
    show(table, out=terminal)
    lines = rows_of(terminal)
    assert lines[:2] == ["x", f"  {'b' * 20} 2"]
    assert lines[-4:] == ["y", f"  {'b' * 20} 3", f"  {'c' * 20} 4", "… and 3 more"]
    assert all(len(line) <= 40 for line in lines)


def test_brackets_of_a_name_are_no_markup(terminal: Terminal) -> None:
    show("slice [bold]x[/bold]", TextTable(rows=[("[red]y", "z")]), out=terminal)
    assert "[bold]x[/bold]" in terminal.getvalue()
    assert "[red]y" in terminal.getvalue()


CELLS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=9)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=6))
def test_columns_start_and_end_at_the_same_place(rows: list[tuple[str, ...]]) -> None:
    table = TextTable(headings=("first", "count", "last"), rows=rows, numbers=("count",))
    lines = str(table).splitlines()
    start = lines[0].index("count") + len("count")
    for line, (first, number, last) in zip(lines[2:], rows, strict=True):
        assert line.startswith(first)
        assert line[:start].endswith(number)
        assert line[start:] == f"  {last}"
