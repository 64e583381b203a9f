"""What all commands share: answers are printed, files written and errors told in one way."""

import argparse
import json
import math
import sqlite3
import subprocess
import sys

import pytest
from time_limits import seconds

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.models.rows.splits import MIN_ROWS
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.pipelines.cli import compress, conventions, main, monitor, timeline
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


def told_error(capsys, *arguments):
    """Returns the exit code, the error object of standard output and the line beside it."""
    try:
        code = main.main([*arguments, "--json"])
    except SystemExit as ended:
        code = ended.code
    captured = capsys.readouterr()
    return code, json.loads(captured.out)["error"], captured.err


@pytest.mark.parametrize("command", ["monitor", "skew", "compress", "explain", "report", "edge"])
def test_with_json_every_command_tells_errors_in_one_shape(capsys, tmp_path, command):
    none = str(tmp_path / "none.csv")
    arguments = {
        "monitor": ["--reference", none, "--current", none],
        "skew": ["--training", none, "--served", none, "--key", "id"],
        "compress": [none, "--data", none, "--budget", "0", "--out", str(tmp_path / "out")],
        "explain": ["1", "--metadata", none],
        "report": [none],
        "edge": [none],
    }[command]
    code, error, line = told_error(capsys, command, *arguments)
    assert (code, error["exit_code"]) == (conventions.FAILED, conventions.FAILED)
    assert error["kind"].endswith("Error")
    assert none in error["message"]
    assert line == f"loop: {error['message']}\n"


def test_with_json_wrong_arguments_are_told_in_the_same_shape(capsys):
    code, error, line = told_error(capsys, "monitor", "--reference", "a.csv", "--bogus")
    assert code == conventions.USAGE
    assert error == {
        "kind": "UsageError",
        "message": "unrecognized arguments: --bogus",
        "exit_code": conventions.USAGE,
    }
    assert line.startswith("usage: loop monitor")
    assert line.endswith(f"loop monitor: error: {error['message']}\n")


_MONITOR = ("monitor", "--reference", "a.csv", "--current", "b.csv")
_SKEW = ("skew", "--training", "a.csv", "--served", "b.csv", "--key", "id")
_COMPRESS = ("compress", "m.keras", "--data", "a.csv", "--budget", "0", "--out", "out")


def usage_error(capsys, *arguments):
    """Returns what standard error says of arguments that make no sense."""
    with pytest.raises(SystemExit) as ended:
        main.main(list(arguments))
    assert ended.value.code == conventions.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


@pytest.mark.parametrize("command", [_MONITOR, _SKEW, _COMPRESS, ("timeline",)])
def test_an_unknown_flag_shows_the_usage_of_its_command(capsys, command):
    told = usage_error(capsys, *command, "--bogus", "7")
    assert told.startswith(f"usage: loop {command[0]} ")
    assert told.endswith(f"loop {command[0]}: error: unrecognized arguments: --bogus 7\n")


@pytest.mark.parametrize(
    ("command", "flag", "value", "allowed"),
    [
        (_MONITOR, "--q", "5", "a number between 0 and 1"),
        (_MONITOR, "--min-rows", "-1", "a whole number of at least 50"),
        (_MONITOR, "--psi-floor", "-1", "a number of at least 0"),
        (_MONITOR, "--seed", "-1", "a whole number of at least 0"),
        (_SKEW, "--tolerated", "7", "a share of at least 0 and below 1"),
        (_COMPRESS, "--rows", "5", "a whole number of at least 30"),
    ],
)
def test_a_value_out_of_range_is_told_with_its_flag_and_the_range(
    capsys, command, flag, value, allowed
):
    told = usage_error(capsys, *command, flag, value)
    assert told.endswith(f"argument {flag}: expected {allowed}, received {value}\n")


def test_bounds_of_flags_are_those_of_the_settings():
    DriftSettings(min_rows=monitor.FEWEST_ROWS)
    with pytest.raises(ConfigError, match="min_rows"):
        DriftSettings(min_rows=monitor.FEWEST_ROWS - 1)
    assert compress._FEWEST_ROWS == MIN_ROWS
    assert FineTuningSettings.epochs == compress._EPOCHS


@pytest.mark.parametrize(
    "command", [(*_MONITOR, "--page"), (*_MONITOR, "--prometheus"), ("report", "m.keras", "--page")]
)
def test_a_folder_that_is_absent_is_told_and_not_made(capsys, tmp_path, command):
    told = usage_error(capsys, *command, str(tmp_path / "none" / "page.html"))
    assert told.splitlines()[-1].endswith(f"page.html: make {tmp_path}/none first")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["page.html", "gs://bucket/new/page.html"])
def test_a_file_beside_others_and_a_remote_one_can_be_named(path):
    assert conventions.file_to_write(path) == path


@pytest.mark.slow
def test_a_wrong_model_is_told_before_tensorflow_is_imported(tmp_path):
    code = (
        "import sys\nfrom tfx_loop.pipelines.cli import main\n"
        "codes = [main.main(sys.argv[1:10]), main.main(['report', sys.argv[2]]), "
        "main.main(['edge', sys.argv[2]])]\n"
        "print(codes, 'tensorflow' in sys.modules)"
    )
    model = str(tmp_path / "none")
    command = ["compress", model, *_COMPRESS[2:]]
    result = subprocess.run(
        [sys.executable, "-c", code, *command],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds(120),
    )
    assert result.stdout == "[1, 1, 1] False\n"
    assert [line.count(model) for line in result.stderr.splitlines()] == [1, 1, 1]


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit) as ended:
        main.main(["--version"])
    assert ended.value.code == conventions.SUCCESS
    assert capsys.readouterr().out.startswith("tfx-loop 0.")
