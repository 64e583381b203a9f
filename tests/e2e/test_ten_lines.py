"""A stock pipeline and a server become a loop by ten lines, from files of a project of its own."""

import json
import os
import sys
from datetime import datetime, timezone

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow]

LOOP = """
name = "plain"
pipeline = "plain_training.training"
label = "y"
serving = "{url}"
mode = "act"
cooldown = "0s"
home = "out"
notify = ["log"]

[windows]
every = "day"
first = "2024-01-02"

[labels]
path = "labels"
late = "until 80 % are here, at most 2 windows"

[gate.AUC]
at_least = 0.6
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project beside a running server; its loop file is written, nothing is trained."""
    from plain_loop import write_project
    from server_process import ServerProcess

    folder = tmp_path_factory.mktemp("project")
    rows = write_project(folder)
    server = ServerProcess(folder / "serving", folder, folder / "log", model_name="plain")
    (folder / "serving").mkdir()
    before = os.getcwd()
    os.chdir(folder)
    try:
        server.start()
        (folder / "loop.toml").write_text(LOOP.format(url=server.url))
        yield folder, rows, server
    finally:
        os.chdir(before)
        server.stop()
        sys.modules.pop("plain_training", None)
        sys.path[:] = [path for path in sys.path if path != str(folder)]


def loop_at(moment):
    """The loop of the file in the working folder, at a time."""
    from tfx_loop.pipelines.loop import Loop
    from tfx_loop.pipelines.loop_file import read_loop_file

    found = read_loop_file("loop.toml")
    now_ms = int(datetime.fromisoformat(moment).replace(tzinfo=timezone.utc).timestamp() * 1000)
    return Loop(found.settings, found.pipeline(), clock=lambda: now_ms)


@pytest.fixture(scope="module")
def ran(project):
    """Two days pass: one as before, one on which the world is another."""
    from plain_loop import of_day, send, write_labels

    from tfx_loop.deployment.model_server.client import ModelClient

    folder, rows, server = project
    client = ModelClient(server.url, "plain")
    told = {"first": loop_at("2024-01-02T00:00").step()}
    told["nothing"] = loop_at("2024-01-02T12:00").step()
    send(client, of_day(rows, 1))
    told["waits"] = loop_at("2024-01-03T00:30").step()
    write_labels(of_day(rows, 1), folder / "labels/2.parquet")
    told["same"] = loop_at("2024-01-03T06:00").step()
    send(client, of_day(rows, 2))
    write_labels(of_day(rows, 2), folder / "labels/3.parquet")
    told["changed"] = loop_at("2024-01-04T06:00").step()
    return told


def test_the_first_step_trains_and_pushes(ran):
    assert ran["first"].trained_first
    assert ran["first"].version == 1


def test_a_step_waits_for_the_end_of_a_window_and_for_its_labels(ran):
    assert ran["nothing"].waits_for == "the end of window 2024-01-02"
    assert ran["waits"].waits_for == "labels of window 2024-01-02: 0 % of 600 rows have one"
    assert not ran["waits"].window


def test_a_window_like_the_training_s_is_held(ran):
    assert (ran["same"].window, ran["same"].verdict) == ("2024-01-02", "HOLD")


def test_a_world_that_changed_brings_a_new_version(ran):
    changed = ran["changed"]
    assert (changed.window, changed.admission, changed.outcome) == (
        "2024-01-03",
        "admitted",
        "pushed",
    ), changed
    assert changed.version == 2


def test_commands_find_store_and_server_by_the_loop_file(ran, project, capsys):
    from tfx_loop.pipelines.cli.main import main

    _, _, server = project
    assert main(["status", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert [one["version"] for one in status["versions"]] == [2, 1]
    by_window = {one["window"]: one for one in status["windows"]}
    assert by_window["2024-01-02"]["labelled"] == 1.0
    assert by_window["2024-01-03"]["version"] == 2
    assert main(["why-not", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["window"] == "2024-01-03"
    assert main(["explain", "2"]) == 0
    assert "2024-01-03" in capsys.readouterr().out
    assert main(["rollback", "--to", "1", "--reason", "a test"]) == 0
    assert server.client().status is not None
    capsys.readouterr()
    assert main(["status", "--json"]) == 0
    states = {
        one["version"]: one["state"] for one in json.loads(capsys.readouterr().out)["versions"]
    }
    assert states[1] == "stable"
