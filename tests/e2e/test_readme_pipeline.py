"""What the README shows of the demo is so, and its pipeline runs on what `make demo` left."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from demo_run import WINDOWS, DemoRun
from documents import README, fences
from time_limits import seconds

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow, pytest.mark.timeout(1000)]

# The tests' demo ends in June; May is its last month with labels.
SHOWN_MONTH, LAST_LABELLED = "2013-11", "2013-05"


def test_the_pipeline_of_the_readme_decides_on_a_window_of_the_demo(
    demo_run: DemoRun, tmp_path: Path
) -> None:
    (block,) = fences(README, "python")
    assert SHOWN_MONTH in block
    (tmp_path / "out").mkdir()
    (tmp_path / "out/demo").symlink_to(demo_run.folder)
    done = subprocess.run(
        [sys.executable, "-c", block.replace(SHOWN_MONTH, LAST_LABELLED)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=seconds(600),
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    (report,) = (tmp_path / "out/november").glob("**/retrain_decision.json")
    decision = json.loads(report.read_text())
    assert done.stdout.strip() == decision["explanation"]
    assert decision["verdict"] in ("RETRAIN", "HOLD")
    assert decision["window"] == LAST_LABELLED
    assert decision["evidence"]["labelled_rows"] > 5000
    measured = decision["evidence"]["avoidable_loss"]
    assert measured["rows"] == decision["evidence"]["labelled_rows"]


def test_the_demo_prints_the_table_that_the_readme_shows(demo_run: DemoRun) -> None:
    def rows(text: str) -> list[list[str]]:
        return [line.split() for line in re.findall(r"^2013-\d\d .*$", text, re.MULTILINE)]

    shown, printed = rows(README), rows(demo_run.printed)
    assert len(shown) == 10
    assert len(printed) == WINDOWS
    # Before the first retraining nothing is left to chance; the flights are the same all along.
    assert printed[:2] == shown[:2]
    assert [row[:2] for row in printed] == [row[:2] for row in shown[:WINDOWS]]
