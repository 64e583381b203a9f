"""A push on a real file system, with a server that watches the base path as TF Serving does."""

import dataclasses
import json
import threading
from pathlib import Path

import pytest
from push_desk import NAME, Desk, Killed, kill
from watching_server import Status

from tfx_loop.contracts.deployment_record import (
    DEPLOYMENT_RECORD,
    DeploymentState,
    read_record,
)
from tfx_loop.contracts.variant_note import VARIANT_NOTE, VariantNote, read_note
from tfx_loop.core import storage
from tfx_loop.core.errors import ConfigError, DataError, ModelRejected, ServerUnavailable
from tfx_loop.deployment.serving_pusher.push import push


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def kill_a_push(desk, when, content="good", run_id="run-1"):
    """Ends a push as SIGKILL would: at a moment, leaving all as it is."""
    order = desk.order(content, run_id)
    check = kill if when == "checking" else desk.checked.append
    sleep = desk.clock.sleep
    if when == "waiting":
        desk.server.on_status = lambda: DeploymentState.PUSHING in desk.states.values() and kill()
    try:
        with pytest.raises(Killed):
            push(order, desk.server, check, desk.clock.now_ms, desk.clock.monotonic, sleep)
    finally:
        desk.server.on_status = lambda: None


def test_the_first_push_serves_and_is_recorded(desk):
    deployment = desk.push()
    assert (deployment.version, deployment.state, deployment.replaced) == (
        1,
        DeploymentState.STABLE,
        None,
    )
    assert desk.server.serving == 1
    assert desk.checked == [1]
    assert desk.record.versions == (deployment,)
    assert desk.folders == ["1", "deployment.json"]
    assert (deployment.run_id, deployment.model_uri) == ("run-1", "/artifacts/good")
    assert deployment.pushed_at_ms == 1_000_000


def test_the_next_push_replaces_and_keeps_the_one_before(desk):
    desk.push()
    second = desk.push("better", "run-2")
    assert (second.version, second.replaced) == (2, 1)
    assert desk.states == {1: DeploymentState.RETIRED, 2: DeploymentState.STABLE}
    assert desk.folders == ["1", "2", "deployment.json"]
    assert desk.server.serving == 2


def test_nothing_changes_when_the_server_is_down(desk):
    desk.push()
    before = desk.files()
    desk.server.down = True
    with pytest.raises(ServerUnavailable):
        desk.push("better", "run-2")
    assert desk.files() == before


def test_nothing_is_made_when_the_server_was_never_up(desk):
    desk.server.down = True
    with pytest.raises(ServerUnavailable):
        desk.push()
    assert not desk.base.exists()


def test_what_another_run_left_is_not_touched_while_the_server_is_down(desk):
    desk.push()
    kill_a_push(desk, "checking", "better", "run-2")
    before = desk.files()
    desk.server.down = True
    with pytest.raises(ServerUnavailable):
        desk.push("best", "run-3")
    assert desk.files() == before


def test_a_model_that_does_not_load_is_withdrawn_with_the_reason(desk):
    desk.push()
    with pytest.raises(ModelRejected, match=r"Expected version 2 .*received: state END cannot"):
        desk.push("broken", "run-2")
    assert desk.folders == ["1", "deployment.json"]
    assert desk.server.serving == 1
    assert desk.states == {1: DeploymentState.STABLE, 2: DeploymentState.FAILED}
    assert "cannot parse" in desk.record.versions[1].reason
    assert desk.checked == [1]


def test_a_load_error_is_told_at_once(desk):
    with pytest.raises(ModelRejected):
        desk.push("broken")
    assert desk.clock.slept == 0


@pytest.mark.parametrize(
    "error",
    [
        ModelRejected("Expected version 2 to answer [0.5], received [0.1]."),
        OSError("disk"),
        ValueError("could not convert string to float"),
        KeyError("probability"),
    ],
)
def test_wrong_answers_withdraw_the_version_whatever_the_error(desk, error):
    desk.push()

    def check(version):
        assert desk.server.serving == version
        raise error

    with pytest.raises(type(error)):
        desk.push("better", "run-2", check=check)
    assert desk.server.serving == 1
    assert desk.folders == ["1", "deployment.json"]
    assert desk.states == {1: DeploymentState.STABLE, 2: DeploymentState.FAILED}
    assert desk.record.versions[1].reason == str(error)


def test_candidate_takes_no_traffic_before_it_is_proven(desk):
    desk.push()
    desk.server.knows_candidates = True
    seen = []

    def check(version):
        seen.append((version, desk.server.serving, (desk.base / str(version)).exists()))

    desk.push("better", "run-2", check=check)
    assert seen == [(2, 1, False)]
    assert desk.server.serving == 2
    assert desk.folders == ["1", "2", "deployment.json"]


@pytest.mark.parametrize("content", ["better", "broken"])
def test_candidate_that_fails_never_serves(desk, content):
    desk.push()
    desk.server.knows_candidates = True
    served = []
    desk.server.on_status = lambda: served.append((desk.base / "2").exists())

    def check(version):
        raise ModelRejected("wrong")

    with pytest.raises(ModelRejected):
        desk.push(content, "run-2", check=check)
    assert served
    assert not any(served)
    assert desk.folders == ["1", "deployment.json"]
    assert desk.states == {1: DeploymentState.STABLE, 2: DeploymentState.FAILED}


@pytest.mark.parametrize("when", ["waiting", "checking"])
def test_candidate_of_a_killed_push_serves_nobody_and_is_continued_or_withdrawn(desk, when):
    desk.push()
    desk.server.knows_candidates = True
    kill_a_push(desk, when, "better", "run-2")
    assert (desk.server.serving, (desk.base / "2").exists()) == (1, False)
    assert desk.push("better", "run-2").version == 2
    kill_a_push(desk, when, "good", "run-3")
    assert desk.server.serving == 2
    assert desk.push("best", "run-4").version == 4
    assert desk.folders == ["1", "2", "4", "deployment.json"]


def test_a_failed_number_is_not_used_again(desk):
    with pytest.raises(ModelRejected):
        desk.push("broken")
    assert desk.push("good", "run-2").version == 2


def test_the_same_run_may_try_again_after_a_failure(desk):
    with pytest.raises(ModelRejected):
        desk.push("broken")
    assert desk.push("good").version == 2


def test_a_folder_that_no_record_knows_is_not_overwritten(desk):
    (desk.base / "7").mkdir(parents=True)
    (desk.base / "7" / "saved_model.pb").write_text("by hand")
    assert desk.push().version == 8
    assert (desk.base / "7" / "saved_model.pb").read_text() == "by hand"


@pytest.mark.parametrize("when", ["waiting", "checking"])
def test_a_killed_push_continues_under_its_number(desk, when):
    desk.push()
    kill_a_push(desk, when, "better", "run-2")
    assert desk.states[2] is DeploymentState.PUSHING
    assert desk.push("better", "run-2").version == 2
    assert desk.states == {1: DeploymentState.RETIRED, 2: DeploymentState.STABLE}
    assert desk.server.serving == 2


def test_a_push_killed_while_copying_continues_and_shows_the_whole_model(desk, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("tfx_loop.core.storage.sync", kill)
        with pytest.raises(Killed):
            desk.push()
    (desk.base / ".staging-1" / "saved_model.pb").unlink()
    assert not (desk.base / "1").exists()
    desk.push()
    assert (desk.base / "1" / "saved_model.pb").read_text() == "good"
    assert desk.folders == ["1", "deployment.json"]


@pytest.mark.parametrize("when", ["waiting", "checking"])
def test_what_another_run_left_half_way_is_withdrawn(desk, when):
    desk.push()
    kill_a_push(desk, when, "better", "run-2")
    assert desk.push("best", "run-3").version == 3
    assert desk.states == {
        1: DeploymentState.RETIRED,
        2: DeploymentState.FAILED,
        3: DeploymentState.STABLE,
    }
    assert desk.record.versions[1].reason == "interrupted"
    assert desk.folders == ["1", "3", "deployment.json"]


@pytest.mark.parametrize("run_id", ["run-2", ""])
def test_half_way_of_other_content_or_of_no_run_is_withdrawn(desk, run_id):
    """Without a run id (Vertex) nobody can tell whose it was."""
    desk.push()
    kill_a_push(desk, "checking", "better", run_id)
    assert desk.push("best", run_id).version == 3
    assert desk.states == {
        1: DeploymentState.RETIRED,
        2: DeploymentState.FAILED,
        3: DeploymentState.STABLE,
    }
    assert desk.folders == ["1", "3", "deployment.json"]


def test_a_run_that_pushed_already_changes_nothing(desk):
    first = desk.push()
    before = desk.files()
    assert desk.push() == first
    assert desk.files() == before
    assert desk.checked == [1]


def test_the_same_model_pushed_by_another_run_is_a_version_of_its_own(desk):
    desk.push()
    assert desk.push("good", "run-2").version == 2


def test_a_server_that_goes_away_while_loading_fails_the_push_and_keeps_the_old(desk):
    desk.push()
    desk.server.on_status = lambda: setattr(desk.server, "down", (desk.base / "2").exists())
    with pytest.raises(ServerUnavailable):
        desk.push("better", "run-2")
    assert desk.folders == ["1", "deployment.json"]
    assert desk.states == {1: DeploymentState.STABLE, 2: DeploymentState.FAILED}


def test_a_server_that_comes_back_in_time_is_waited_for(desk):
    desk.push()
    asked = []

    def flaky():
        asked.append(1)
        desk.server.down = 3 < len(asked) < 7

    desk.server.on_status = flaky
    assert desk.push("better", "run-2").version == 2


def test_waiting_ends_when_the_time_is_up_even_if_each_answer_takes_long(desk):
    """A hung server costs its timeouts, not timeouts times polls."""
    desk.push()
    start = desk.clock.now

    def hang():
        if (desk.base / "2").exists():
            desk.clock.now += 10_000
            raise ServerUnavailable("No answer within 10 s.")

    desk.server.on_status = hang
    with pytest.raises(ServerUnavailable):
        desk.push("better", "run-2")
    assert desk.clock.now - start <= 15_000


def test_wall_clock_that_jumps_ahead_does_not_end_the_wait(desk, monkeypatch):
    states = iter(["LOADING"] * 4 + ["AVAILABLE"] * 9)
    monkeypatch.setattr(desk.server, "status", lambda: [Status(1, next(states))])
    jumping = iter([1000, *range(3_601_000, 3_602_000)])
    monkeypatch.setattr(desk.clock, "now_ms", lambda: next(jumping))
    assert desk.push().state is DeploymentState.STABLE


def test_a_version_that_never_loads_is_rejected_after_the_time_given(desk, monkeypatch):
    monkeypatch.setattr(desk.server, "status", lambda: [Status(1, "LOADING")])
    start = desk.clock.now
    with pytest.raises(ModelRejected, match=r"within 5 s, received: state LOADING\."):
        desk.push()
    assert desk.clock.now - start == pytest.approx(5000, abs=300)


@pytest.mark.slow
def test_a_reader_never_sees_half_a_version(desk):
    """A thread lists the base path as fast as it can, while a model of many files is pushed."""
    whole = desk.model("better", files=300)
    expected = {p.relative_to(whole) for p in whole.rglob("*")} | {Path("variant.json")}
    seen, stop = [], threading.Event()

    def watch():
        last = False
        while not last:
            # One more look after the push: a busy machine may miss all others.
            last = stop.is_set()
            for folder in desk.base.glob("[0-9]*"):
                seen.append({p.relative_to(folder) for p in folder.rglob("*")})

    desk.base.mkdir(parents=True)
    watcher = threading.Thread(target=watch)
    watcher.start()
    desk.push("better", model_dir=whole)
    stop.set()
    watcher.join()
    assert seen
    assert all(files == expected for files in seen)


def test_what_is_no_saved_model_is_refused(desk, tmp_path):
    with pytest.raises(ConfigError, match=r"found no saved_model\.pb"):
        desk.order(model_dir=tmp_path)


@pytest.mark.parametrize(
    ("files", "given", "variant"),
    [
        (["saved_model.pb"], "", "float"),
        (["saved_model.pb"], "pruned", "pruned"),
        (["tflite"], "", "tflite"),
        (["model.tflite"], "int8", "int8"),
        (["saved_model.pb", "tflite"], "", "float"),
    ],
)
def test_record_and_version_folder_name_the_variant(desk, tmp_path, files, given, variant):
    for name in files:
        (tmp_path / name).write_text("a model")
    order = desk.order(model_dir=tmp_path, variant=given)
    assert order.variant_name == variant


def test_variant_that_the_folder_notes_is_taken_over(desk, tmp_path):
    VARIANT_NOTE.write(VariantNote(variant="int16x8"), tmp_path)
    (tmp_path / "tflite").touch()
    assert desk.order(model_dir=tmp_path).variant_name == "int16x8"


def test_variant_stands_in_record_and_folder_after_the_push(desk):
    desk.push("better", variant="pruned")
    assert read_record(str(desk.base), NAME).stable.variant == "pruned"
    assert read_note(desk.base / "1", "none") == VariantNote(variant="pruned")
    (desk.base / "1" / "variant.json").write_text('{"variant": 8}')
    with pytest.raises(DataError, match=r"Expected text in .*variant\.json, variant.*Write \{"):
        read_note(desk.base / "1", "none")


def test_folder_without_a_note_says_the_default(tmp_path):
    assert read_note(tmp_path, "float") == VariantNote(variant="float")
    (tmp_path / "variant.json").write_text('{"variant": "int8"}')
    assert read_note(tmp_path, "float") == VariantNote(variant="int8")


def test_the_record_of_another_model_stops_the_push(desk):
    desk.push()
    content = json.loads((desk.base / "deployment.json").read_text())
    (desk.base / "deployment.json").write_text(json.dumps({**content, "model_name": "taxi"}))
    before = desk.files()
    with pytest.raises(ValueError, match="Give each model a base path of its own"):
        desk.push("better", "run-2")
    assert desk.files() == before


def test_a_deployment_is_frozen(desk):
    with pytest.raises(dataclasses.FrozenInstanceError):
        desk.push().version = 2


def test_base_path_of_an_endpoint_is_refused(desk):
    desk.push()
    record = dataclasses.replace(desk.record, endpoint="eu-west-1/flights")
    path = desk.base / "deployment.json"
    path.write_bytes(storage.json_text(DEPLOYMENT_RECORD.content(record)))
    before = sorted(path.parent.iterdir()), path.read_bytes()
    with pytest.raises(ConfigError, match="SageMaker's endpoint eu-west-1/flights") as error:
        desk.push("better", "run-2")
    assert "\n" not in str(error.value)
    assert (sorted(path.parent.iterdir()), path.read_bytes()) == before
