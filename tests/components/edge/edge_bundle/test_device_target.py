"""ServingPusher to devices: a bundle in, a roll-out at the base path out."""

import json
from pathlib import Path

import pytest
import tiny_bundle

from tfx_loop.core.errors import ConfigError, ModelError
from tfx_loop.edge.edge_bundle.publish import read_rollout, roll_back
from tfx_loop.edge.edge_bundle.store import open_store

pytestmark = pytest.mark.tensorflow


class Desk:
    """Runs the executor as TFX does."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.base = scratch / "devices"

    def push(self, bundle_dir, run_id="run-1", blessed=True, **settings):
        from tfx.dsl.components.base import base_executor
        from tfx.types import standard_artifacts

        from tfx_loop.deployment.serving_pusher.executor import Executor

        model, pushed = standard_artifacts.Model(), standard_artifacts.PushedModel()
        blessing = standard_artifacts.ModelBlessing()
        model.uri, pushed.uri = str(bundle_dir), str(self.scratch / "pushed")
        model.set_string_custom_property("variant", "int8")
        blessing.set_int_custom_property("blessed", int(blessed))
        blessing.uri = str(self.scratch / "blessing")
        (self.scratch / "blessing").mkdir(exist_ok=True)
        for name in ("BLESSED", "NOT_BLESSED"):
            (self.scratch / "blessing" / name).unlink(missing_ok=True)
        (self.scratch / "blessing" / ("BLESSED" if blessed else "NOT_BLESSED")).touch()
        context = base_executor.BaseExecutor.Context(
            tmp_dir=str(self.scratch), unique_id="1", pipeline_run_id=run_id
        )
        Executor(context).Do(
            {"model": [model], "model_blessing": [blessing]},
            {"pushed_model": [pushed]},
            {
                "model_name": "tiny",
                "base_path": str(self.base),
                "target": "devices",
                "rollout_stages": '[["canary", 100.0], ["shop", 25.0], ["shop", 100.0]]',
                **settings,
            },
        )
        return pushed


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


@pytest.fixture
def bundle_of(tmp_path):
    def build(label):
        folder = tmp_path / label
        return folder, tiny_bundle.build(folder / "Format-Serving", label)

    return build


def test_a_blessed_bundle_is_rolled_out(desk, bundle_of):
    folder, bundle = bundle_of("one")
    pushed = desk.push(folder)
    told = read_rollout(open_store(str(desk.base)), "tiny")
    assert told.candidate.digest == bundle.digest
    assert told.candidate.model_uri == str(folder)
    assert [s.percent for s in told.candidate.stages] == [100.0, 25.0, 100.0]
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_int_custom_property("pushed_version") == 1
    assert pushed.get_string_custom_property("model_digest") == f"sha256:{bundle.digest}"
    assert pushed.get_string_custom_property("rollout_state") == "candidate"
    destination = Path(pushed.get_string_custom_property("pushed_destination"))
    assert (destination / "manifest.json").is_file()
    assert json.loads((Path(pushed.uri) / "pushed.json").read_text())["version"] == 1


def test_an_unblessed_bundle_is_not(desk, bundle_of):
    pushed = desk.push(bundle_of("one")[0], blessed=False)
    assert not desk.base.exists()
    assert pushed.get_int_custom_property("pushed") in (0, None)


def test_a_run_that_is_resumed_does_not_undo_a_roll_back(desk, bundle_of):
    folder, _ = bundle_of("one")
    desk.push(folder)
    roll_back(open_store(str(desk.base)), 1, reason="hot", now_ms=lambda: 1)
    pushed = desk.push(folder)
    assert pushed.get_string_custom_property("rollout_state") == "rolled_back"
    assert not pushed.get_int_custom_property("pushed")


def test_a_model_that_is_no_bundle_is_refused(desk, tmp_path):
    (tmp_path / "model" / "Format-Serving").mkdir(parents=True)
    (tmp_path / "model" / "Format-Serving" / "tflite").touch()
    with pytest.raises(ModelError, match=r"manifest\.json"):
        desk.push(tmp_path / "model")


def test_a_bundle_of_another_name_is_refused(desk, bundle_of):
    with pytest.raises(ConfigError, match="received 'tiny'"):
        desk.push(bundle_of("one")[0], model_name="digits")


@pytest.mark.parametrize("stages", ['[["a"]]', "{", '[["a", 0]]', '[["", 10]]', "7"])
def test_stages_that_cannot_work(desk, bundle_of, stages):
    with pytest.raises(ConfigError):
        desk.push(bundle_of("one")[0], rollout_stages=stages)


def channels():
    from tfx.types import channel, standard_artifacts

    return (
        channel.Channel(type=standard_artifacts.Model),
        channel.Channel(type=standard_artifacts.Examples),
    )


def test_the_node_for_devices_needs_neither_server_nor_examples():
    from tfx_loop.deployment.serving_pusher.component import ServingPusher

    model, _ = channels()
    node = ServingPusher(model=model, model_name="tiny", base_path="gs://b", target="devices")
    assert "examples" not in node.inputs
    assert node.exec_properties["target"] == "devices"
    with pytest.raises(ConfigError, match="percentage above 0 to 100"):
        ServingPusher(
            model=model,
            model_name="tiny",
            base_path="gs://b",
            target="devices",
            rollout_stages=[("canary", 101)],
        )


def test_the_node_for_a_server_needs_both():
    from tfx_loop.deployment.serving_pusher.component import ServingPusher

    model, examples = channels()
    about = {"model": model, "model_name": "m", "base_path": "/b"}
    with pytest.raises(ConfigError, match="no server_url"):
        ServingPusher(**about, examples=examples)
    with pytest.raises(ConfigError, match="no examples"):
        ServingPusher(**about, server_url="http://127.0.0.1:8501")
    with pytest.raises(ConfigError, match="target"):
        ServingPusher(**about, target="moon")
    node = ServingPusher(**about, examples=examples, server_url="http://127.0.0.1:8501")
    assert node.exec_properties["target"] == "server"
