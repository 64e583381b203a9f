"""`loop submit` with the real clients of both services, against services on loopback."""

import contextlib
import copy
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from pipeline_services import KubeflowHandler, VertexHandler, service
from time_limits import seconds

from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.cli.main import main
from tfx_loop.pipelines.control.launcher import RunState
from tfx_loop.pipelines.runners.remote.kubeflow_client import KubeflowService
from tfx_loop.pipelines.runners.remote.services import (
    ServiceRefused,
    Submission,
    check_cron,
    check_submission,
    submit_once,
    wait,
)
from tfx_loop.pipelines.runners.remote.targets import Target
from tfx_loop.pipelines.runners.remote.vertex_client import VertexService

# The clients come with TensorFlow's friends, and take seconds to import.
pytestmark = pytest.mark.tensorflow

IMAGE = "registry.example/loop@sha256:" + "2" * 64
MODEL = {"artifacts": {"model": {"artifactType": {"instanceSchema": "title: tfx.Model\n"}}}}
HANDLERS = {Target.VERTEX: VertexHandler, Target.KUBEFLOW: KubeflowHandler}
ROOT = "gs://bucket/root"


def spec(work="print('trained')", after="print('pushed')"):
    """Returns a pipeline of two nodes whose containers run a line of Python each."""

    def node(code):
        command = [sys.executable, "-c", code]
        return {"container": {"image": IMAGE, "command": command, "args": ["{{$}}"]}}

    source = {"taskOutputArtifact": {"producerTask": "Trainer", "outputArtifactKey": "model"}}
    return {
        "schemaVersion": "2.1.0",
        "sdkVersion": "tfx-1.16.0",
        "pipelineInfo": {"name": "tiny"},
        "deploymentSpec": {"executors": {"train": node(work), "push": node(after)}},
        "components": {
            "comp-Trainer": {"executorLabel": "train", "outputDefinitions": MODEL},
            "comp-Pusher": {"executorLabel": "push", "inputDefinitions": MODEL},
        },
        "root": {
            "dag": {
                "tasks": {
                    "Trainer": {
                        "taskInfo": {"name": "Trainer"},
                        "componentRef": {"name": "comp-Trainer"},
                    },
                    "Pusher": {
                        "taskInfo": {"name": "Pusher"},
                        "componentRef": {"name": "comp-Pusher"},
                        "dependentTasks": ["Trainer"],
                        "inputs": {"artifacts": {"model": source}},
                    },
                }
            }
        },
    }


@pytest.fixture(params=Target, ids=lambda target: target.value)
def target(request):
    return request.param


@pytest.fixture
def server(target, tmp_path):
    with service(HANDLERS[target], tmp_path) as running:
        yield running


@pytest.fixture
def client(target, server):
    if target is Target.VERTEX:
        return VertexService("project", "us-central1", server.url)
    return KubeflowService(server.url, "flights")


def submission(folder, content=None, run_id="retrain-1", **changes):
    path = Path(folder) / "tiny.yaml"
    path.write_text(yaml.safe_dump(content or spec()))
    return Submission(spec=path, run_id=run_id, root=ROOT, **changes)


def ended(client, run):
    return wait(client, run, seconds(60), every_seconds=0.1)


def test_run_is_submitted_waited_for_and_told(client, server, tmp_path):
    changes = []
    run = submit_once(client, submission(tmp_path))
    run = wait(client, run, seconds(60), every_seconds=0.05, on_change=changes.append)
    assert run.state is RunState.SUCCEEDED
    assert run.tasks == {"Trainer": "SUCCEEDED", "Pusher": "SUCCEEDED"}
    assert changes[-1] == run
    assert len(server.jobs) == 1


def test_failing_node_is_told_with_its_words(client, tmp_path):
    content = spec(work="raise SystemExit('no rows in span 7')")
    run = ended(client, submit_once(client, submission(tmp_path, content)))
    assert (run.state, run.node) == (RunState.FAILED, "Trainer")
    assert "no rows in span 7" in run.reason
    assert run.tasks["Pusher"] == "SKIPPED"


def test_run_of_an_id_is_started_once_however_often_it_is_submitted(client, server, tmp_path):
    wanted = submission(tmp_path)
    first = submit_once(client, wanted)
    again = submit_once(client, wanted)
    assert again.name == first.name
    assert len(server.jobs) == 1


def test_of_eight_that_submit_at_once_vertex_takes_one(tmp_path):
    with service(VertexHandler, tmp_path) as server:
        client = VertexService("project", "us-central1", server.url)
        wanted, names = submission(tmp_path), []
        threads = [
            threading.Thread(target=lambda: names.append(client.submit(wanted).name))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(names) == 8
    assert len(set(names)) == len(server.jobs) == 1


class _EndsWhenAsked(VertexHandler):
    """Tells of a run under way once; whoever asks again finds it ended."""

    def told(self, name):
        found = super().told(name)
        self.server.asked = getattr(self.server, "asked", 0) + 1
        state = "RUNNING" if self.server.asked <= 2 else "SUCCEEDED"
        tasks = [{**one, "state": state} for one in found["jobDetail"]["taskDetails"]]
        return {**found, "state": f"PIPELINE_STATE_{state}", "jobDetail": {"taskDetails": tasks}}


def test_state_and_tasks_of_a_run_are_of_one_moment(tmp_path):
    with service(_EndsWhenAsked, tmp_path) as server:
        client = VertexService("project", "us-central1", server.url)
        # Taking the run is the first answer, telling it the second.
        first = client.submit(submission(tmp_path))
        second = client.find("retrain-1")
    assert (first.state, set(first.tasks.values())) == (RunState.RUNNING, {"RUNNING"})
    assert (second.state, set(second.tasks.values())) == (RunState.SUCCEEDED, {"SUCCEEDED"})
    assert server.asked == 3


def test_unknown_run_is_none(client):
    assert client.find("retrain-9") is None


def test_schedule_is_made(client, server, tmp_path):
    assert client.schedule(submission(tmp_path), "0 3 * * *")
    [made] = server.schedules
    assert "0 3 * * *" in json.dumps(made)


def test_parameters_and_root_reach_the_service(client, server, tmp_path):
    content = spec()
    declared = {"rows": {"parameterType": "NUMBER_INTEGER"}}
    content["root"]["inputDefinitions"] = {"parameters": declared}
    wanted = submission(tmp_path, content, parameters={"rows": 7}, cache=False)
    ended(client, submit_once(client, wanted))
    [(job, runner)] = server.jobs.values()
    assert runner.parameters == {"rows": 7}
    assert ROOT in json.dumps(job)


def test_nobody_at_the_address_is_one_line():
    with pytest.raises(ServiceRefused, match="Expected Kubeflow Pipelines at http"):
        KubeflowService("http://127.0.0.1:9", "flights").find("retrain-1")
    with pytest.raises(ServiceRefused, match="Expected Vertex at http"):
        VertexService("project", "us-central1", "http://127.0.0.1:9").find("retrain-1")


def test_missing_token_is_one_line_and_never_shown(tmp_path):
    with service(KubeflowHandler, tmp_path, token="secret") as server:
        with pytest.raises(ServiceRefused, match="status 401: Unauthenticated") as refused:
            KubeflowService(server.url, "flights", token="wrong").find("retrain-1")
        assert "wrong" not in str(refused.value)
        assert KubeflowService(server.url, "flights", token="secret").find("retrain-1") is None


def call(path, *arguments, target="kubeflow"):
    words = ["submit", str(path), "--target", target, "--root", ROOT, "--run-id", "retrain-1"]
    return main([*words, *arguments])


def test_command_waits_and_tells_a_failure_by_its_status(tmp_path, capsys):
    content = spec(after="raise SystemExit('the server is away')")
    path = submission(tmp_path, content).spec
    with service(KubeflowHandler, tmp_path) as server:
        assert call(path, "--host", server.url, "--wait", "--json") == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["node"]) == ("FAILED", "Pusher")
    assert "the server is away" in told["reason"]


def with_parameters():
    content = spec()
    declared = {
        "rows": {"parameterType": "NUMBER_INTEGER"},
        "window": {"parameterType": "STRING", "defaultValue": "2013-04"},
    }
    content["root"]["inputDefinitions"] = {"parameters": declared}
    return content


def test_dry_run_sends_nothing(tmp_path, capsys):
    path = submission(tmp_path, with_parameters()).spec
    assert call(path, "--dry-run", "--param", "rows=7") == 0
    assert "2 nodes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Expected rows of the pipeline"),
        (["--param", "row=7"], "received 'row'. Did you mean 'rows'"),
        (["--param", "rows=seven"], "Expected a whole number as the parameter rows"),
        (["--param", "rows=true"], "Expected a whole number as the parameter rows"),
        (["--param", "rows=7", "--param", "window=4"], "Expected a text as the parameter window"),
        (["--param", "rows=7", "--schedule", "0 3 * * *"], "6 fields, seconds first"),
        (["--param", "rows=7", "--root", "gs://"], "pipeline-root"),
        (["--param", "rows=7", "--token-file", "none"], "a file with a bearer token at none"),
    ],
)
def test_what_the_service_would_refuse_is_told_before_it_is_asked(
    tmp_path, capsys, arguments, message
):
    path = submission(tmp_path, with_parameters()).spec
    where = ["--host", "http://127.0.0.1:9"]
    assert call(path, *where, *arguments) == 1
    [told] = capsys.readouterr().err.strip().splitlines()
    assert message in told


@pytest.mark.parametrize("cron", ["0 3 * * *", "TZ=Europe/Berlin 0 3 * * MON"])
def test_cron_lines_of_vertex(cron):
    check_cron(cron, Target.VERTEX)
    with pytest.raises(ConfigError, match="6 fields"):
        check_cron(cron, Target.KUBEFLOW)


@pytest.mark.parametrize("value", [None, [1], "title: ["])
def test_a_damaged_file_is_one_line(tmp_path, value):
    """Whatever is of another type, or left out (every third), at each place of a spec."""
    refused = 0
    for number, place in enumerate(list(places(spec()))):
        # Its parts are shared by all that the module makes.
        inner = content = copy.deepcopy(spec())
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
        if number % 3 == 0:
            del inner[place[-1]]
        with contextlib.suppress(ConfigError):
            check_submission(submission(tmp_path, content), Target.KUBEFLOW)
            refused -= 1
        refused += 1
    assert refused > 20


def places(content, path=()):
    for key, value in content.items() if isinstance(content, dict) else ():
        yield (*path, key)
        yield from places(value, (*path, key))


def test_killed_submit_is_found_again(tmp_path):
    path = submission(tmp_path).spec
    root = Path(__file__).parents[4]
    with service(KubeflowHandler, tmp_path) as server:
        # It dies as soon as the service has the run, before it could tell anybody.
        program = (
            "import os, sys\n"
            "from tfx_loop.pipelines.runners.remote import kubeflow_client\n"
            "from tfx_loop.pipelines.cli.main import main\n"
            "kubeflow_client._run = lambda run: os.kill(os.getpid(), 9)\n"
            "main(sys.argv[1:])\n"
        )
        words = ["submit", str(path), "--target", "kubeflow", "--root", ROOT, "--run-id"]
        died = subprocess.run(
            [sys.executable, "-c", program, *words, "retrain-1", "--host", server.url],
            capture_output=True,
            timeout=seconds(120),
            env={**os.environ, "PYTHONPATH": str(root / "src")},
        )
        assert died.returncode == -9
        assert call(path, "--host", server.url, "--wait") == 0
        assert len(server.jobs) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- a list", "received another file"),
        ("a: [", "Expected a compiled pipeline"),
        (
            yaml.safe_dump(spec() | {"schemaVersion": "2.0.0"}),
            "breaches of its rules: spec-version",
        ),
    ],
)
def test_file_that_is_no_pipeline_is_one_line(tmp_path, capsys, content, message):
    path = tmp_path / "p.yaml"
    path.write_text(content)
    assert call(path, "--dry-run") == 1
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert message in told[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run-id", "Retrain_1"], "small letters"),
        (["--param", "rows"], "expected NAME=VALUE"),
        ([], "needs --host"),
        (["--project", "flights"], "--project is none of the target kubeflow"),
        (["--wait", "--schedule", "0 0 3 * * *"], "give one of them"),
    ],
)
def test_wrong_arguments_are_told(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as left:
        call(submission(tmp_path).spec, *arguments)
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_missing_file_is_one_line(tmp_path):
    missing = Submission(spec=tmp_path / "none.yaml", run_id="r", root=ROOT)
    with pytest.raises(ConfigError, match=r"Expected a compiled pipeline in .*none\.yaml"):
        check_submission(missing, Target.VERTEX)
