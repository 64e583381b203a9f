"""ServingPusher with a real server process: a TFLite variant replaces the float model."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from server_process import ServerProcess
from time_limits import seconds

from tfx_loop.contracts.deployment_record import DeploymentState, read_record
from tfx_loop.core.errors import ModelRejected

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow]

ROWS = 20


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The digits as Trainer and Quantizer leave them, and a TFLite model of other inputs."""
    import tensorflow as tf
    from model_files import convert, digits_model, tumour_model

    from tfx_loop.models.write import save_saved_model

    folder = tmp_path_factory.mktemp("models")
    save_saved_model(digits_model(), str(folder / "float" / "Format-Serving"), examples=True)
    for name, model, mode, io_dtype in (
        ("int8", digits_model(), "int8", tf.int8),
        ("other", tumour_model(), "float", None),
    ):
        (folder / name / "Format-Serving").mkdir(parents=True)
        content = convert(model, folder, mode, io_dtype)
        (folder / name / "Format-Serving" / "tflite").write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def images():
    from model_files import digits_rows

    return digits_rows()[0][:ROWS]


@pytest.fixture(scope="module")
def examples(tmp_path_factory, images):
    import pyarrow as pa
    from tfx.types import artifact_utils, standard_artifacts

    from tfx_loop.data.span_example_gen.executor import write_examples

    result = standard_artifacts.Examples()
    result.uri = str(tmp_path_factory.mktemp("examples"))
    result.split_names = artifact_utils.encode_split_names(["eval"])
    table = pa.table({"image": images.reshape(ROWS, 64).tolist(), "digit": list(range(ROWS))})
    write_examples(f"{result.uri}/Split-eval", table)
    return result


class PusherBesideServer:
    """One running server and the node's executor that pushes to it."""

    def __init__(self, scratch, examples):
        self.base = scratch / "serving"
        self.base.mkdir()
        self.pushed = scratch / "pushed"
        self.pushed.mkdir()
        self.examples = examples
        self.server = ServerProcess(self.base, scratch, scratch / "log").start()

    def push(self, model_dir, variant=""):
        from tfx.types import standard_artifacts

        from tfx_loop.deployment.serving_pusher.executor import Executor

        model, pushed = standard_artifacts.Model(), standard_artifacts.PushedModel()
        model.uri, pushed.uri = str(model_dir), str(self.pushed)
        if variant:
            model.set_string_custom_property("variant", variant)
        Executor().Do(
            {"model": [model], "examples": [self.examples]},
            {"pushed_model": [pushed]},
            {
                "model_name": "flights",
                "base_path": str(self.base),
                "server_url": f"http://127.0.0.1:{self.server.rest_port}",
                "load_timeout_seconds": int(seconds(30)),
                "golden_rows": 8,
            },
        )
        return pushed

    def answers(self, images):
        found = self.server.client().predict(
            {"image": images}, signature_name="serving_columns", event_time_ms=7
        )
        return np.asarray(found["probabilities"])

    def answers_to_examples(self, rows):
        from tfx_loop.deployment.serving_pusher.golden import first_examples

        serialized = first_examples([f"{self.examples.uri}/Split-eval"], rows)
        found = self.server.client().predict(instances=serialized, event_time_ms=8)
        return np.asarray(found["probabilities"])

    @property
    def record(self):
        return read_record(str(self.base), "flights")


@pytest.fixture
def deployed(tmp_path, examples):
    running = PusherBesideServer(tmp_path, examples)
    yield running
    running.server.stop()


def same_log(deployed, images):
    """Says whether Examples leave the same columns in the log as tensors do."""
    from tfx_loop.data.prediction_log.reader import read_window

    log = read_window(str(deployed.server.log_dir), "flights", 7, 9).table.to_pandas()
    int8 = log[log["variant"] == "int8"]
    tensors, examples = (int8[int8["event_time_ms"] == time] for time in (7, 8))
    return len(examples) == ROWS and all(
        np.allclose(np.stack(rows["feature.image"].tolist())[:ROWS], images.reshape(ROWS, 64))
        for rows in (tensors, examples)
    )


def test_variant_replaces_the_float_model_and_failures_change_nothing(
    deployed, models, images, monkeypatch
):
    deployed.push(models / "float")
    as_float = deployed.answers(images)
    pushed = deployed.push(models / "int8", variant="int8")
    as_int8 = deployed.answers(images)

    assert pushed.get_string_custom_property("variant") == "int8"
    assert [(v.variant, v.state) for v in deployed.record.versions] == [
        ("float", DeploymentState.RETIRED),
        ("int8", DeploymentState.STABLE),
    ]
    folder = deployed.base / "2"
    assert sorted(p.name for p in folder.iterdir()) == ["model.tflite", "variant.json"]
    assert json.loads((folder / "variant.json").read_text()) == {
        "variant": "int8",
        "examples_input": "examples",
    }
    assert np.array_equal(deployed.answers_to_examples(ROWS), as_int8), "clients need not know"
    assert 0 < np.abs(as_float - as_int8).max() < 0.2

    with pytest.raises(ModelRejected, match="the feature 'numbers' of each"):
        deployed.push(models / "other")

    copy = shutil.copytree

    def damaged(source, target, *args, **kwargs):
        copied = copy(source, target, *args, **kwargs)
        if Path(target).name == ".staging-3":
            content = (Path(target) / "tflite").read_bytes()
            (Path(target) / "tflite").write_bytes(content[: len(content) // 2])
        return copied

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copytree", damaged)
        with pytest.raises(ModelRejected, match=r"version 3 to become AVAILABLE.*damaged file"):
            deployed.push(models / "int8", variant="int8")
    assert deployed.record.stable.version == 2
    assert np.array_equal(deployed.answers(images), as_int8)

    assert same_log(deployed, images)
    deployed.push(models / "float")
    assert np.allclose(deployed.answers(images), as_float)
    assert deployed.record.stable.variant == "float"


def test_server_that_answers_with_another_model_is_found_out(deployed, models, images, tmp_path):
    """Golden requests leave room for rounding, not for another model."""
    import tensorflow as tf
    import tf_keras as keras
    from model_files import convert, digits_model

    deployed.push(models / "int8", variant="int8")
    before = deployed.answers(images)
    other = keras.models.clone_model(digits_model())
    (tmp_path / "Format-Serving").mkdir()
    (tmp_path / "Format-Serving" / "tflite").write_bytes(convert(other, tmp_path, "int8", tf.int8))
    copy = shutil.copytree

    def exchanged(source, target, *args, **kwargs):
        return copy(models / "int8" / "Format-Serving", target, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "copytree", exchanged)
        with pytest.raises(ModelRejected, match="Expected version 2 to answer"):
            deployed.push(tmp_path)
    assert np.array_equal(deployed.answers(images), before)
    assert deployed.record.versions[1].variant == "tflite"
