"""The tutorial's code on files does what the tutorial shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from documents import README, TUTORIAL, commands, fences, section
from time_limits import seconds

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow]

PARTS = {
    "monitor": section(TUTORIAL, "Compare two files"),
    "python": section(TUTORIAL, "Compare tables in Python"),
    "compress": section(TUTORIAL, "Compress a model"),
    "edge": section(TUTORIAL, "Ask what an Edge TPU would run"),
}
SECONDS = seconds(600)
# Other versions of TensorFlow write other file headers, and train to other weights.
SIZE_TOLERANCE = 0.1
METRIC_TOLERANCE = 0.02


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=SECONDS,
        env=environment,
        check=False,
    )


def prepare(part: str, folder: Path) -> None:
    """Runs the part's Python, in a process of its own: it chooses Keras 2."""
    for block in fences(PARTS[part], "python"):
        done = run(["-c", block], folder)
        assert done.returncode == 0, done.stderr


def command(part: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs the part's one command as it is shown."""
    ((program, *arguments),) = commands(PARTS[part])
    assert [program, *arguments] in commands(section(README, "On files, without a pipeline"))
    assert program == "loop"
    return run(["-m", "tfx_loop.pipelines.cli.main", *arguments], folder)


def shown(part: str) -> str:
    (text,) = fences(PARTS[part], "text")
    return text


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("compress")
    prepare("compress", folder)
    done = command("compress", folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_monitor_finds_the_changed_unit_and_the_drift_that_are_shown(tmp_path: Path) -> None:
    prepare("monitor", tmp_path)
    done = command("monitor", tmp_path)
    assert done.returncode == 3, done.stderr
    printed, told = done.stdout.splitlines(), shown("monitor").splitlines()
    assert printed[0].split(". ")[0] == told[0].split(". ")[0]
    assert printed[1 : len(told)] == told[1:]
    (block,) = fences(PARTS["python"], "python")
    done = run(["-c", block], tmp_path)
    assert (done.returncode, done.stdout) == (0, shown("python")), done.stderr


def table(text: str) -> list[list[str]]:
    """Returns the cells of the table's rows; two spaces and more stand between cells."""
    lines = text.split("-\n", 1)[1].split("\n\n")[0].splitlines()
    return [re.split(r"\s{2,}", line.strip()) for line in lines]


def test_compress_makes_and_judges_the_variants_that_are_shown(
    compressed: tuple[Path, str],
) -> None:
    folder, printed = compressed
    rows, told = table(printed), table(shown("compress"))
    assert [row[0] for row in rows] == [row[0] for row in told]
    for row, expected in zip(rows, told, strict=True):
        if expected[1] != "-":
            size, expected_size = (int(cells[1].replace(",", "")) for cells in (row, expected))
            assert size == pytest.approx(expected_size, rel=SIZE_TOLERANCE)
            assert float(row[2]) == pytest.approx(float(expected[2]), abs=METRIC_TOLERANCE)
    (chosen,) = (row for row in rows if row[-2] == "chosen")
    kept = [row for row in rows if row[-2] in ("chosen", "keeps to the budget")]
    assert chosen == min(kept, key=lambda row: int(row[1].replace(",", "")))
    assert sorted(path.name for path in (folder / "small").iterdir()) == [
        "model.tflite",
        "report.html",
        "report.json",
    ]


def test_edge_names_the_operators_that_are_shown(compressed: tuple[Path, str]) -> None:
    folder, printed = compressed
    if "Int8 keeps to the budget" not in printed:
        pytest.skip("another variant than int8 is the smallest here")
    done = command("edge", folder)
    assert done.returncode == 0, done.stderr

    def operators(text: str) -> list[tuple[str, str]]:
        found = re.findall(r"^\d+ +(\w+) .* (mapped|not_mapped) ", text, re.MULTILINE)
        return [(operator, status) for operator, status in found]

    assert operators(done.stdout) == operators(shown("edge"))
    assert operators(done.stdout)
