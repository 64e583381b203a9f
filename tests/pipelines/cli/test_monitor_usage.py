"""Wrong arguments of `loop monitor` and `loop schema` end with status 2, and write nothing."""

import os
from pathlib import Path

import pytest
from monitored_files import frame, save

from tfx_loop.pipelines.cli import main


@pytest.fixture
def table(tmp_path):
    return save(frame(0, 200), tmp_path, "a", "csv")


def refused(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main.main([*map(str, words)])
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("flag", ["--page", "--prometheus", "--write-config"])
@pytest.mark.parametrize("given", ["itself", "link", "folder", "query", "other output"])
def test_a_file_that_is_read_is_not_written(capsys, tmp_path, table, flag, given):
    before, link = Path(table).read_bytes(), tmp_path / "link.csv"
    os.link(table, link)
    read = {"folder": tmp_path, "query": f"duckdb:FROM '{link}'"}.get(given, table)
    written = table if given == "itself" else link
    flags = [flag, written, "--force"]
    if given == "other output":
        flags += ["--page" if flag != "--page" else "--prometheus", written]
    said = refused(capsys, "monitor", "--reference", read, "--current", read, *flags)
    assert "a file of its own to write" in said
    assert Path(table).read_bytes() == before


def test_a_schema_does_not_replace_its_file(capsys, table):
    before = Path(table).read_bytes()
    assert "argument --out" in refused(capsys, "schema", table, "--out", table)
    assert Path(table).read_bytes() == before


def test_a_configuration_is_replaced_with_force_alone(capsys, tmp_path, table):
    config = tmp_path / "monitor.toml"
    config.write_text("q = 0.01")
    words = ["monitor", "--reference", table, "--write-config", str(config)]
    assert "add --force" in refused(capsys, *words)
    assert config.read_text() == "q = 0.01"
    assert main.main([*words, "--force"]) == 0
    assert "psi_floor" in config.read_text()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--every", "0"], "argument --every"),
        (["--every", "month"], "argument --every"),
        (["--every", "day", "--k-of-n", "4/3"], "argument --k-of-n"),
        (["--every", "day", "--k-of-n", "0/3"], "argument --k-of-n"),
        (["--k-of-n", "1/3"], "--every"),
        (None, "--current"),
    ],
)
def test_wrong_arguments_are_told_by_their_flags(capsys, table, words, named):
    current = [] if words is None else ["--current", table]
    assert named in refused(capsys, "monitor", "--reference", table, *current, *(words or []))


@pytest.mark.parametrize(
    "query",
    [
        "",
        " ",
        "-- nothing",
        "SELECT 1; SELECT 2",
        "COPY (SELECT 1) TO 'OUT'",
        "CREATE TABLE t AS SELECT 1",
    ],
)
def test_a_query_is_one_select(capsys, tmp_path, table, query):
    pytest.importorskip("duckdb")
    out = tmp_path / "out.csv"
    query = f"duckdb:{query.replace('OUT', str(out))}"
    assert main.main(["monitor", "--reference", query, "--current", table]) == 1
    error = capsys.readouterr().err
    assert error.startswith("loop: Expected ")
    assert len(error.splitlines()) == 1
    assert not out.exists()
