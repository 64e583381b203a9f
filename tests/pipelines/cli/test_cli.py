"""The `loop` command as a process: quick help, one line for bad input, exit codes that say so."""

import os
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from time_limits import seconds

from tfx_loop.pipelines.cli.main import main

ROOT = Path(__file__).resolve().parents[3]


def loop(*arguments, cwd=ROOT, **environment):
    return subprocess.run(
        [sys.executable, "-m", "tfx_loop.pipelines.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=seconds(120),
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def lines(text):
    return text.strip().splitlines()


def test_help_takes_less_than_half_a_second_of_work():
    """Processor time: how long it takes by the clock says how busy the machine is."""

    def spent():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = spent()
    assert loop("--help").returncode == 0
    assert spent() - before < 0.5


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom tfx_loop.pipelines.cli import main\n"
        "try:\n    main.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = ('tensorflow', 'tfx', 'ml_metadata', 'pandas', 'numpy', 'pyarrow', 'rich')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert lines(result.stdout)[-1] == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("command", ["demo", "explain", "timeline"])
def test_every_command_is_in_the_help_and_has_its_own(command):
    assert command in loop("--help").stdout
    result = loop(command, "--help")
    assert result.returncode == 0
    assert "usage: loop" in result.stdout


def test_without_a_command_the_usage_is_shown():
    result = loop()
    assert result.returncode == 2
    assert "usage: loop" in result.stderr
    assert "COMMAND" in lines(result.stderr)[-1]


@pytest.mark.parametrize("version", ["three", "", "1.5"])
def test_a_version_that_is_no_number_is_told(version):
    result = loop("explain", version)
    assert result.returncode == 2
    assert f"invalid int value: '{version}'" in lines(result.stderr)[-1]


@pytest.mark.slow
@pytest.mark.parametrize("command", [("explain", "1"), ("timeline",)])
def test_without_a_store_one_line_says_what_to_do(tmp_path, command):
    result = loop(*command, "--metadata", tmp_path / "none.sqlite")
    assert result.returncode == 1
    assert result.stdout == ""
    [line] = lines(result.stderr)
    assert f"Expected the SQLite file of ML Metadata at {tmp_path}/none.sqlite" in line
    assert "--metadata" in line


@pytest.mark.parametrize(
    "command",
    [
        ("timeline",),
        ("explain", "1"),
        ("provenance", "1"),
        ("retry", "w"),
        ("approve", "1", "--by", "ada"),
        ("why-not",),
        ("release", "w", "--reason", "r"),
        ("promote", "base"),
        ("rollback", "base", "--to", "1", "--reason", "r"),
        ("forget", "{folder}", "--request-id", "r"),
    ],
)
@pytest.mark.parametrize("content", ["", "other"])
def test_no_command_writes_to_a_file_that_is_no_store(tmp_path, capsys, command, content):
    path = tmp_path / "other.sqlite"
    path.touch()
    if content:
        with sqlite3.connect(path) as connection:
            connection.execute("create table x (y)")
    before = path.read_bytes()
    words = [word.format(folder=tmp_path) for word in command]
    assert main([*words, "--metadata", str(path)]) == 1
    assert "without the tables of ML Metadata" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("content", ["rubbish", "empty", "other"])
def test_a_file_that_is_no_store_is_one_line(tmp_path, content):
    path = tmp_path / "metadata.sqlite"
    if content == "other":
        with sqlite3.connect(path) as connection:
            connection.execute("create table x (y)")
    else:
        path.write_text("rubbish" * 100 if content == "rubbish" else "")
    before = path.read_bytes()
    result = loop("timeline", "--metadata", path)
    assert result.returncode == 1, result.stderr
    [told] = [line for line in lines(result.stderr) if line.startswith("loop: Expected")]
    tables = "a database without the tables of ML Metadata"
    received = "a file that is no SQLite database" if content == "rubbish" else tables
    assert f"at {path}, received {received}. Name the file" in told
    assert not any(word in result.stderr for word in ("Traceback", "query", "CREATE"))
    assert path.read_bytes() == before


@pytest.mark.slow
def test_a_version_that_was_never_pushed_is_one_line(tmp_path):
    from recorder import RecordedRun, open_store, training_nodes

    store = open_store(tmp_path / "metadata.sqlite")
    RecordedRun(store, "flights-training", "run-1", tmp_path / "artifacts").run(training_nodes(1))
    del store
    metadata = tmp_path / "metadata.sqlite"
    found = loop("explain", "1", "--metadata", metadata)
    assert found.returncode == 0, found.stderr
    assert "flights" in found.stdout
    missing = loop("explain", "9", "--metadata", metadata)
    assert missing.returncode == 1
    [line] = lines(missing.stderr)
    assert "9" in line
    other = loop("explain", "1", "--metadata", metadata, "--model", "taxi")
    assert other.returncode == 1
    assert "taxi" in lines(other.stderr)[-1]


@pytest.mark.slow
def test_the_default_store_is_below_the_output_folder(tmp_path):
    result = loop("explain", "1", cwd=tmp_path)
    assert f"{tmp_path}/out/demo/metadata.sqlite" in result.stderr
    result = loop("timeline", cwd=tmp_path, TFX_LOOP_OUT=str(tmp_path / "elsewhere"))
    assert f"{tmp_path}/elsewhere/demo/metadata.sqlite" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_seed_that_is_no_number_is_told():
    result = loop("demo", "--seed", "x")
    assert result.returncode == 2
    assert "--seed: expected a whole number, received 'x'" in lines(result.stderr)[-1]
