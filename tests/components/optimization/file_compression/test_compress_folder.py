"""The result takes its place whole, and files that are not ours stay."""

from pathlib import Path

import pytest

from tfx_loop.contracts.optimization_report import (
    OPTIMIZATION_REPORT,
    ModelFacts,
    OptimizationReason,
    OptimizationResult,
    OptimizationVerdict,
    Size,
)
from tfx_loop.core.errors import ConfigError
from tfx_loop.optimization.file_compression.folder import check_free, staged

REPORT = OptimizationResult(
    technique="quantization",
    verdict=OptimizationVerdict.KEPT,
    reason=OptimizationReason.WITHIN_BUDGET,
    explanation="x",
    parent=ModelFacts(path="m", format="keras", size=Size(raw_bytes=1, zipped_bytes=1)),
)


def write(out, model=b"new"):
    with staged(out) as stage:
        (stage / "model.tflite").write_bytes(model)
        OPTIMIZATION_REPORT.save(REPORT, stage / "report.json")


def test_a_new_folder_appears_with_its_parents_and_nothing_else(tmp_path):
    write(tmp_path / "a" / "out")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["out"]
    assert (tmp_path / "a" / "out").stat().st_mode & 0o755 == 0o755


def test_an_earlier_result_is_replaced_whole(tmp_path):
    write(tmp_path / "out", b"old")
    (tmp_path / "out" / "report.html").write_text("old page")
    write(tmp_path / "out", b"new")
    assert (tmp_path / "out" / "model.tflite").read_bytes() == b"new"
    assert not (tmp_path / "out" / "report.html").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_the_earlier_result_and_no_rubbish(tmp_path):
    write(tmp_path / "out", b"old")

    def fail():
        with staged(tmp_path / "out") as stage:
            (stage / "model.tflite").write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "out" / "model.tflite").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["notes.txt", "report.json"])
def test_a_folder_with_other_files_is_refused(tmp_path, name):
    (tmp_path / name).write_text("{}")
    with pytest.raises(ConfigError, match=f"Expected a new or empty folder.* with {name}"):
        check_free(tmp_path)
    assert (tmp_path / name).read_text() == "{}"


def test_an_empty_folder_and_a_new_one_are_free_and_a_file_is_not(tmp_path):
    check_free(tmp_path)
    check_free(tmp_path / "new")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="received the file"):
        check_free(tmp_path / "file")


def test_files_that_came_meanwhile_are_not_lost(tmp_path):
    out = tmp_path / "out"

    def meet():
        with staged(out):
            out.mkdir()
            (out / "mine.txt").write_text("mine")

    with pytest.raises(ConfigError, match=r"with mine\.txt"):
        meet()
    assert [p.name for p in out.iterdir()] == ["mine.txt"]


def test_a_link_and_the_working_folder_are_written_through(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "model.tflite").is_file()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write(Path("."))
    assert (tmp_path / "here" / "model.tflite").is_file()
