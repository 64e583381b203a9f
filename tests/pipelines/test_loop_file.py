"""loop.toml: what it says, what it refuses, and that commands find store and model in it."""

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorder import RecordedRun, monitoring_nodes, open_store

from tfx_loop.core.errors import ConfigError, DataError, LoopError
from tfx_loop.pipelines.cli.main import main
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.settings import LoopMode
from tfx_loop.pipelines.control.windows import Days, Every, Months
from tfx_loop.pipelines.loop_file import read_loop_file
from tfx_loop.pipelines.loop_settings import ModelLoopSettings

LEAST = """
name = "flights"
label = "late"
serving = "http://127.0.0.1:8501"
labels = "labels"
"""


def written(tmp_path, more="", least=LEAST):
    file = tmp_path / "loop.toml"
    file.write_text(least + more)
    return file


def test_four_lines_are_enough_and_paths_are_beside_the_file(tmp_path):
    settings = read_loop_file(written(tmp_path)).settings
    assert (settings.name, settings.mode, settings.folder) == (
        "flights",
        LoopMode.SUGGEST,
        tmp_path / "out",
    )
    assert settings.labels.path == str(tmp_path / "labels")
    assert settings.store == str(tmp_path / "out/metadata.sqlite")


def test_what_is_said_becomes_limits_gates_and_windows(tmp_path):
    more = """
mode = "act"
cooldown = "7d"
max_trainings = "2/30d"
task = "classes:a,b,c"
[windows]
every = "day"
first = "2024-01-01"
days = 7
[gate.accuracy]
at_least = 0.7
drop = 0.05
"""
    settings = read_loop_file(written(tmp_path, more)).settings
    limits, gate = settings.control(), settings.quality_gate()
    assert (limits.cooldown_seconds, limits.max_launches) == (7 * 86_400, 2)
    assert limits.budget_seconds == 30 * 86_400
    assert (gate.min_accuracy, gate.max_accuracy_drop) == (0.7, 0.05)
    assert settings.windows == Days("2024-01-01", 7)
    assert settings.pipelines("/b", "/l").model.described.classes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ('every = "month"\nfirst = "2024-02"', Months("2024-02")),
        ('every = "rows"\nrows = 500', Every(rows=500)),
        ('every = "day"', Days()),
    ],
)
def test_kinds_of_windows(tmp_path, text, windows):
    assert read_loop_file(written(tmp_path, f"[windows]\n{text}")).settings.windows == windows


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('cooldwn = "7d"', "Did you mean 'cooldown'"),
        ('mode = "acts"', "observe, suggest, act, received 'acts'"),
        ('cooldown = "soon"', "such as '90s'"),
        ('max_trainings = "many"', "such as '3/30d'"),
        ('task = "ranking"', "judged row by row. Watch the score of each item: 'regression'"),
        ('task = "guess"', "binary, classes, labels, regression"),
        ('[windows]\nevery = "moon"', "month, day, rows, received 'moon'"),
        ('[windows]\nevery = "day"\nrows = 3', "no rows"),
        ("[gate.AUC]\nat_lest = 0.5", "Did you mean 'AUC at_least'"),
        ("mode = 3", "as mode, received 3"),
        ("ignore = 3", "Expected text or a list"),
        ("max_trainings = 3", "Expected text such as '3/30d' as max_trainings"),
        ('notify = ["http://elsewhere.example/x"]', "plain http goes to this machine alone"),
        ("[[notify]]\nkind = 3", "Expected text in a receiver, kind"),
        ('notify = "ann@example.org"', "mailto:NAME@HOST"),
        ('notify = ["lgo"]', "Did you mean 'log'"),
        ('home = "s3://bucket/home"', "a folder of this machine"),
        ('metadata = "mysql://db.example"', "Name host and database"),
        ('pipeline = "training.py"', "import path of a function"),
        ('pipeline = "training"', "import path of a function"),
        ('max_trainings = "3/0d"', "without it nothing is limited"),
        ("training_cost = -0.1", "must be positive"),
        ("training_cost = inf", "received infinity"),
        ("ignore = [1]", "names of columns as ignore, received 1"),
        ('ignore = ["late"]', "the label 'late' among them"),
        ('[windows]\nevery = ["day"]', "Expected text as every"),
        ('[windows]\nevery = "day"\nfirst = 2024-01-01T00:00:00', "Expected text as first"),
        ('[windows]\nevery = "day"\ndays = 1000000000', "from 1 to"),
        ('[windows]\nevery = "day"\nmode = "act"', "Move it above the first"),
        ("[gate.AUC]\nat_least = true", "Expected a number as AUC at_least"),
        ("[gate.accuracy]\nat_least = 0.5", "gate of a binary model among AUC at_least"),
        ('task = "regression"\n[gate.AUC]\nat_least = 0.5', "error at_most"),
        ('task = "regression"\n[gate.error]\nat_most = -1', "max_error must not be below 0"),
    ],
)
def test_what_cannot_work_is_told_in_one_line_with_the_file(tmp_path, more, told):
    with pytest.raises(ConfigError, match=told) as raised:
        read_loop_file(written(tmp_path, more))
    assert "loop.toml" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('name = "../flights"', "a model name of letters"),
        ('label = ""', "the label column"),
        ('serving = "http://"', "REST address"),
        ('serving = "http://127.0.0.1:port"', "Port could not be cast"),
        ('serving = "http://127.0.0.1:8501/v1/models/flights"', "Leave out what comes after"),
        ('serving = { url = "http://127.0.0.1:1", base_path = 3 }', "Expected text as base_path"),
        (
            'serving = { url = "http://127.0.0.1:1", load_timeout_seconds = true }',
            "a whole number as load_timeout_seconds",
        ),
        ('labels = ""', "Expected text as path"),
        ("labels = { path = 3 }", "Expected text as path"),
        ('labels = { path = "x", late = 7 }', "Expected text as late"),
    ],
)
def test_a_required_value_that_cannot_work_is_told_in_one_line(tmp_path, line, told):
    key = line.split()[0]
    least = "\n".join(one for one in LEAST.splitlines() if not one.startswith(f"{key} "))
    with pytest.raises(ConfigError, match=told) as raised:
        read_loop_file(written(tmp_path, f"\n{line}\n", least))
    assert "\n" not in str(raised.value)


def test_a_store_beside_the_file_a_day_of_toml_and_an_editor_s_mark_are_read(tmp_path):
    more = 'metadata = "my.sqlite"\n[windows]\nevery = "day"\nfirst = 2024-01-05\n'
    file = tmp_path / "loop.toml"
    file.write_text(LEAST + more, encoding="utf-8-sig")
    settings = read_loop_file(file).settings
    assert settings.store == str(tmp_path / "my.sqlite")
    assert settings.windows == Days("2024-01-05")


VALUES = st.sampled_from(
    ["3", "-1", "0.5", "true", '""', '"x"', "[]", "[1]", "{}", "{ a = 1 }", "2024-01-01", '["x"]']
)


@given(st.sampled_from([field.name for field in fields(ModelLoopSettings)]), VALUES)
def test_any_value_is_taken_or_refused_in_a_line(tmp_path_factory, name, value):
    folder = tmp_path_factory.mktemp("any")
    least = "\n".join(line for line in LEAST.splitlines() if not line.startswith(f"{name} "))
    file = written(folder, f"\n{name} = {value}\n", least)
    told = ""
    try:
        read_loop_file(file).settings.control()
    except LoopError as error:
        told = str(error)
    assert "\n" not in told


def test_a_file_that_is_not_there_or_lacks_what_must_be_said(tmp_path):
    with pytest.raises(DataError, match="loop init"):
        read_loop_file(tmp_path / "loop.toml")
    with pytest.raises(ConfigError, match="label"):
        read_loop_file(written(tmp_path, least=LEAST.replace('label = "late"', "")))


def test_the_training_function_is_found_beside_the_file(tmp_path):
    (tmp_path / "my_training_of_a_test.py").write_text("def nodes():\n    return [1]\n")
    found = read_loop_file(written(tmp_path, 'pipeline = "my_training_of_a_test.nodes"'))
    assert found.pipeline()() == [1]
    with pytest.raises(ConfigError, match="pipeline in"):
        read_loop_file(written(tmp_path)).pipeline()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A loop of the working folder that has decided on one window."""
    from tfx_loop.pipelines.control.home import HOME_RECORD, HomeRecord

    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    record = HomeRecord(model_name="flights", base_path=str(tmp_path / "serving"))
    HOME_RECORD.write(record, tmp_path / "out")
    store = open_store(tmp_path / "out/metadata.sqlite")
    ledger.register_types(store)
    run = RecordedRun(store, "monitoring", "monitor-flights-2024-01", tmp_path / "runs")
    run.run(monitoring_nodes({"verdict": "HOLD", "window": "2024-01", "reason": "data_fault"}))
    return tmp_path


def answer(capsys, *words):
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_commands_need_no_arguments_beside_the_file(home, capsys):
    assert answer(capsys, "why-not")[1][0]["reason"] == "data_fault"
    assert answer(capsys, "timeline")[0] == 0
    code, status = answer(capsys, "status")
    assert (code, status["windows_decided"], status["versions"]) == (0, 1, [])
    assert status["windows"][0]["window"] == "2024-01"


def test_arguments_go_before_the_file(home, capsys):
    assert main(["why-not", "--model", "other"]) == 1
    assert "decision about 'other'" in capsys.readouterr().err


def test_a_person_holds_launches_and_lets_them_go(home, capsys):
    said = ("--by", "Ann", "--reason", "a holiday")
    assert answer(capsys, "hold", *said)[1]["held"] is True
    assert answer(capsys, "status")[1]["held"]["by"] == "Ann"
    code, error = answer(capsys, "hold", *said)
    assert (code, error["error"]["kind"]) == (1, "ConfigError")
    assert answer(capsys, "hold", *said, "--lift")[0] == 0
    assert answer(capsys, "status")[1]["held"] is None


def test_a_skipped_window_is_shown_with_its_reason(home, capsys):
    assert answer(capsys, "skip", "2024-02", "--by", "Ann", "--reason", "a strike")[0] == 0
    windows = {one["window"]: one for one in answer(capsys, "status")[1]["windows"]}
    assert (windows["2024-02"]["verdict"], windows["2024-02"]["reason"]) == ("SKIPPED", "a strike")
    assert main(["skip", "february", "--by", "Ann", "--reason", "a strike"]) == 1
    assert "such as '2021-02'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("command", ["step", "watch"])
def test_step_and_watch_find_the_file_of_the_working_folder(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, 'pipeline = "no_such_module_of_a_test.training"')
    words = ["--once"] if command == "watch" else []
    assert main([command, *words]) in (1, 3)
    told = capsys.readouterr()
    assert "no_such_module_of_a_test" in told.out + told.err


def test_doctor_looks_at_what_the_file_names(home, capsys):
    (home / "my_training_of_a_check.py").write_text("def nodes():\n    return [1]\n")
    written(home, 'pipeline = "my_training_of_a_check.nodes"')
    states = {one["what"]: one["health"] for one in answer(capsys, "doctor")[1]}
    assert (states["training"], states["home"], states["labels"]) == ("ok", "ok", "broken")
    # The base path is what the server said once.
    assert states["record"] == "warn"
    (home / "labels").mkdir()
    written(home, 'pipeline = "no_such_module_of_a_check.nodes"')
    (home / "out/loop.json").write_text("{")
    states = {one["what"]: one["health"] for one in answer(capsys, "doctor")[1]}
    assert (states["training"], states["home"], states["labels"]) == ("broken", "broken", "ok")


def test_without_file_and_base_path_status_says_what_to_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["status"]) == 1
    assert "--loop" in capsys.readouterr().err
    assert main(["step"]) == 1
    assert "loop init" in capsys.readouterr().err


RUNNER = """
[runner]
on = "vertex"
image = "registry.example/loop@sha256:1"
root = "gs://bucket/loop"
project = "flights"
location = "us-central1"
nodes = "nodes.toml"
"""


def test_a_runner_moves_artifacts_to_its_root(tmp_path):
    settings = read_loop_file(written(tmp_path, RUNNER)).settings
    assert settings.runner.nodes == str(tmp_path / "nodes.toml")
    assert settings.pipelines("gs://bucket/served", "gs://bucket/log").pipeline.root == (
        "gs://bucket/loop"
    )


@pytest.mark.parametrize(
    ("former", "new", "told"),
    [
        ('on = "vertex"', 'on = "airflow"', "among vertex, kubeflow"),
        ('on = "vertex"', 'on = "kubeflow"', "Expected host of a runner on kubeflow"),
        ('project = "flights"', 'host = "http://k"', "Expected project of a runner on vertex"),
        ('nodes = "nodes.toml"', 'host = "http://k"', "Expected no host of a runner on vertex"),
        ('image = "registry.example/loop@sha256:1"', "", "Expected the field 'image' in [runner]"),
        ("gs://bucket/loop", "out/loop", "such as"),
        ('"us-central1"', "7", "Expected text in [runner], location"),
        ('nodes = "nodes.toml"', 'node = "nodes.toml"', "node"),
    ],
)
def test_a_runner_that_cannot_work_is_one_line(tmp_path, former, new, told):
    with pytest.raises(ConfigError, match=r"^Expected [^\n]*$") as refused:
        read_loop_file(written(tmp_path, RUNNER.replace(former, new)))
    assert told in str(refused.value)
