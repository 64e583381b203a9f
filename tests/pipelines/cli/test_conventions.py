"""What all commands share: answers are printed, files written and errors told in one way."""

import argparse
import json
import math
import sqlite3

import pytest

from tfx_loop.core.errors import DataError
from tfx_loop.pipelines.cli import conventions, main, timeline
from tfx_loop.presentation.terminal import TextTable


def printed(capsys, *flags):
    parser = argparse.ArgumentParser()
    conventions.add_json(parser)
    content = {"loss": math.nan, "bounds": (0.5, math.inf), "window": "2013-03"}
    table = TextTable(headings=("window",), rows=[("2013-03",)])
    conventions.answer(parser.parse_args(flags), lambda: content, lambda: ["One window.", table])
    return capsys.readouterr().out


def test_people_get_text_and_tables(capsys):
    assert printed(capsys) == "One window.\n\nwindow\n-------\n2013-03\n"


def test_programs_get_json_in_which_what_is_no_number_is_null(capsys):
    found = json.loads(printed(capsys, "--json"), parse_constant=pytest.fail)
    assert found == {"loss": None, "bounds": [0.5, None], "window": "2013-03"}


def test_a_file_that_cannot_be_written_is_told_with_its_flag(tmp_path):
    (tmp_path / "page").mkdir()
    with pytest.raises(DataError, match=r"can be written for --page, received .*/page:"):
        conventions.write_file(str(tmp_path / "page"), "text", "--page")


def test_what_the_system_refuses_is_one_line(monkeypatch, capsys):
    def refused(args):
        raise PermissionError(13, "Permission denied", "/var/metadata.sqlite")

    monkeypatch.setattr(timeline, "run", refused)
    assert main.main(["timeline"]) == conventions.FAILED
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "loop: [Errno 13] Permission denied: '/var/metadata.sqlite'.\n"


def test_other_errors_are_errors_of_the_code_and_keep_their_traceback(monkeypatch):
    def broken(args):
        raise sqlite3.ProgrammingError("no such column")

    monkeypatch.setattr(timeline, "run", broken)
    with pytest.raises(sqlite3.ProgrammingError):
        main.main(["timeline"])


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit) as ended:
        main.main(["--version"])
    assert ended.value.code == conventions.SUCCESS
    assert capsys.readouterr().out.startswith("tfx-loop 0.")
