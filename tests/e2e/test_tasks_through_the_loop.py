"""Each kind of task goes the whole way: first push, waiting, hold, a retraining that is pushed."""

import os
import sys
from datetime import datetime, timezone

import pytest
from task_loop import TASKS, send_task, write_task

# Two trainings and two monitoring runs: three minutes on an idle machine.
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.tensorflow,
    pytest.mark.long,
    pytest.mark.timeout(1800),
]

LOOP = """
name = "small"
pipeline = "task_training.training"
label = "y"
task = "{task}"
serving = "{url}"
mode = "act"
cooldown = "0s"
home = "out"

[windows]
every = "day"
first = "2024-01-02"

[labels]
path = "labels"
late = "until 80 % are here, at most 2 windows"

{gate}
"""


@pytest.fixture
def project(request, tmp_path):
    """The project of a task beside a running server; nothing is trained."""
    from server_process import ServerProcess

    rows = write_task(tmp_path, request.param)
    (tmp_path / "serving").mkdir()
    server = ServerProcess(tmp_path / "serving", tmp_path, tmp_path / "log", model_name="small")
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        server.start()
        said = TASKS[request.param]
        text = LOOP.format(url=server.url, task=said.task, gate=said.gate)
        (tmp_path / "loop.toml").write_text(text)
        yield tmp_path, rows, server
    finally:
        os.chdir(before)
        server.stop()
        sys.modules.pop("task_training", None)
        sys.path[:] = [path for path in sys.path if path != str(tmp_path)]


def step_at(moment):
    """Steps the loop of the file in the working folder, at a time."""
    from tfx_loop.pipelines.loop import Loop
    from tfx_loop.pipelines.loop_file import read_loop_file

    found = read_loop_file("loop.toml")
    now_ms = int(datetime.fromisoformat(moment).replace(tzinfo=timezone.utc).timestamp() * 1000)
    return Loop(found.settings, found.pipeline(), clock=lambda: now_ms).step()


@pytest.mark.parametrize("project", sorted(TASKS), indirect=True)
def test_a_task_goes_through_push_waiting_hold_and_retraining(project):
    from plain_loop import of_day, write_labels

    from tfx_loop.deployment.model_server.client import ModelClient

    folder, rows, server = project
    client = ModelClient(server.url, "small")
    assert step_at("2024-01-02T00:00").version == 1
    send_task(client, of_day(rows, 1))
    assert "0 % of 600 rows" in step_at("2024-01-03T00:30").waits_for
    write_labels(of_day(rows, 1), folder / "labels/2.parquet")
    same = step_at("2024-01-03T06:00")
    assert (same.window, same.verdict) == ("2024-01-02", "HOLD"), same
    assert same.reason not in ("data_fault", "too_few_labels"), same
    send_task(client, of_day(rows, 2))
    write_labels(of_day(rows, 2), folder / "labels/3.parquet")
    changed = step_at("2024-01-04T06:00")
    assert (changed.window, changed.outcome, changed.version) == ("2024-01-03", "pushed", 2), (
        changed
    )
