"""Progress of long work: lines in a pipe, bars in a terminal, seconds by kind of work."""

import io

import pytest

from tfx_loop.presentation import progress
from tfx_loop.presentation.progress import Progress


class Terminal(io.StringIO):
    """A terminal as far as rich asks: it says that it is one."""

    def isatty(self) -> bool:
        return True


def test_lines_carry_the_time_since_the_start() -> None:
    out = io.StringIO()
    Progress(out).say("TFX imported")
    assert out.getvalue() == "[   0.0 s] TFX imported\n"


def test_seconds_add_up_by_kind_of_work() -> None:
    told = Progress(io.StringIO())
    told.add("replay", 1.5)
    told.add("training", 2.0)
    told.add("replay", 0.5)
    with told.timed("training"):
        pass
    (replay, training) = told.timings
    assert replay == ("replay", 2.0)
    assert training[0] == "training"
    assert 2.0 <= training[1] < 3.0


def test_a_pipe_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    told = Progress(out)
    with told.counted("2013-03", 5_437, "flights") as on_count:
        on_count(10)
        monkeypatch.setattr(progress, "_LINE_EVERY_SECONDS", -1.0)
        on_count(1_200)
    assert out.getvalue() == "[   0.0 s]   2013-03: 1200 of 5437 flights\n"


def test_work_of_unknown_length_writes_nothing_into_a_pipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_SECONDS", -1.0)
    out = io.StringIO()
    with Progress(out).counted("compressing") as on_count:
        on_count(1)
    assert out.getvalue() == ""


def test_a_terminal_gets_bars_that_go_and_lines_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    out = Terminal()
    told = Progress(out)
    with told.counted("months", 10) as on_month:
        on_month(1)
        with told.counted("2013-04", 500, "flights") as on_count:
            on_count(77)
            told.say("[bold] is no markup")
    told.say("after the bars")
    written = out.getvalue()
    assert "77 of 500 flights" in written
    assert "1 of 10" in written
    assert "s] [bold] is no markup" in written
    assert written.rstrip().endswith("after the bars")


def test_an_error_inside_ends_the_bars() -> None:
    out = Terminal()
    told = Progress(out)
    with pytest.raises(ValueError, match="lost"), told.counted("months", 10):
        raise ValueError("lost")
    told.say("plain again")
    assert out.getvalue().endswith("plain again\n")
