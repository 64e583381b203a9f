"""Models that need code, another Keras or short floats, made plain: the same answers without."""

import json
import zipfile

import keras as keras_3
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tfx_loop.core.errors import ConfigError, ModelError, ModelUnsafe
from tfx_loop.models.formats import detect
from tfx_loop.models.keras.export import export, plain_model
from tfx_loop.models.keras.model import load_keras
from tfx_loop.models.predictor import open_predictor
from tfx_loop.models.saved_model.single_precision import has_short_floats, write_single_precision

pytestmark = pytest.mark.tensorflow

ROWS = np.random.default_rng(0).normal(size=(8, 10, 4)).astype(np.float32)


class Doubled(keras.layers.Layer):
    """A layer of the user's."""

    def call(self, inputs):
        return 2 * inputs


def own_loss(truth, answer):
    return tf.reduce_mean(tf.square(truth - answer))


def exported(path, folder, *custom_objects):
    asked = {"path": str(path), "folder": str(folder), "custom_objects": list(custom_objects)}
    export(asked)
    return open_predictor(folder)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_keras_3_is_exported_under_the_names_of_its_inputs_and_outputs(tmp_path, suffix):
    first, second = keras_3.Input((3,), name="first"), keras_3.Input((2,), name="second")
    joined = keras_3.layers.Concatenate()([second, first])
    heads = [
        keras_3.layers.Dense(2, name="kind")(joined),
        keras_3.layers.Dense(1, name="price")(joined),
    ]
    model = keras_3.Model([first, second], heads)
    model.compile("adam", "mse")
    model.save(tmp_path / f"m{suffix}")
    predictor = exported(tmp_path / f"m{suffix}", tmp_path / "out")
    given = {"first": ROWS[:, 0, :3], "second": ROWS[:, 1, :2]}
    answers = predictor.predict(given)
    assert sorted(answers) == ["kind", "price"]
    for name, expected in zip(("kind", "price"), model(list(given.values())), strict=True):
        assert np.allclose(answers[name], expected, atol=1e-5)


def with_own_parts(folder, suffix=".keras"):
    model = keras.Sequential([keras.Input((4,), name="x"), Doubled(), keras.layers.Dense(1)])
    model.compile("adam", own_loss)
    model.save(folder / f"own{suffix}")
    return folder / f"own{suffix}", model


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_layers_of_one_s_own_are_named_and_losses_need_no_name(tmp_path, suffix):
    path, model = with_own_parts(tmp_path, suffix)
    with pytest.raises(ModelUnsafe, match="Doubled"):
        load_keras(path)
    predictor = exported(path, tmp_path / "out", f"{__name__}:Doubled")
    (answers,) = predictor.predict({"x": ROWS[:, 0]}).values()
    assert np.allclose(answers, model(ROWS[:, 0]), atol=1e-6)
    # Brought back with its loss it needs that by name, too.
    with pytest.raises((ModelUnsafe, ModelError), match="own_loss"):
        load_keras(path, custom_objects=[f"{__name__}:Doubled"], compiled=True)
    with pytest.raises(ConfigError, match="'module:Name'"):
        exported(path, tmp_path / "none", f"{__name__}:Doubled", "no_module_of_this_name:Doubled")


def test_a_loss_of_a_model_within_the_model_is_built_and_so_refused(tmp_path):
    """Keras leaves out the outermost compile_config alone, whatever it is told."""
    keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(1)]).save(
        tmp_path / "m.keras"
    )
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for where, admitted in (("outer", True), ("inner", False)):
        config = json.loads(members["config.json"])
        target = config if where == "outer" else config["config"]["layers"][1]
        target["compile_config"] = {"loss": {"class_name": "Evil", "module": "os", "config": {}}}
        with zipfile.ZipFile(tmp_path / f"{where}.keras", "w") as archive:
            for name, content in members.items():
                changed = json.dumps(config).encode() if name == "config.json" else content
                archive.writestr(name, changed)
        if admitted:
            load_keras(tmp_path / f"{where}.keras")
        else:
            with pytest.raises(ModelUnsafe):
                load_keras(tmp_path / f"{where}.keras")


def test_what_needs_nothing_is_taken_as_it_is(tmp_path, worker):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]).save(tmp_path / "m.keras")
    file = detect(tmp_path / "m.keras")
    assert plain_model(worker, file, tmp_path / "out") is file
    assert not (tmp_path / "out").exists()


def test_a_subclassed_model_of_keras_3_is_one_line(tmp_path):
    class Own(keras_3.Model):
        def call(self, inputs):
            return inputs

    model = Own()
    model(np.zeros((1, 2)))
    model.save(tmp_path / "m.keras")
    with pytest.raises((ModelError, ModelUnsafe)) as refused:
        exported(tmp_path / "m.keras", tmp_path / "out")
    assert "\n" not in str(refused.value)


def convolutions():
    given = keras.Input((10, 4), name="x")
    hidden = keras.layers.Conv1D(8, 3, activation="relu")(given)
    hidden = keras.layers.BatchNormalization()(hidden)
    return keras.Model(given, keras.layers.Dense(3, activation="softmax")(hidden[:, 0]))


def recurrence():
    given = keras.Input((10, 4), name="x")
    return keras.Model(given, keras.layers.Dense(1)(keras.layers.LSTM(6)(given)))


@pytest.mark.parametrize(
    ("policy", "build"),
    [("mixed_float16", recurrence), ("mixed_bfloat16", convolutions)],
)
def test_short_floats_become_float32_with_the_same_weights(tmp_path, policy, build):
    keras.mixed_precision.set_global_policy(policy)
    try:
        short = build()
    finally:
        keras.mixed_precision.set_global_policy("float32")
    whole = build()
    whole.set_weights(short.get_weights())
    tf.saved_model.save(short, str(tmp_path / "short"))
    assert has_short_floats(tmp_path / "short")
    write_single_precision(tmp_path / "short", "serving_default", tmp_path / "wide", "answer")
    assert not has_short_floats(tmp_path / "wide")
    (answers,) = open_predictor(tmp_path / "wide").predict({"x": ROWS}).values()
    # As the same model under the policy float32, to its rounding, and not as the short one.
    assert answers.dtype == np.float32
    assert np.allclose(answers, whole(ROWS), atol=1e-6)
    assert not np.allclose(short(ROWS).numpy().astype(np.float32), whole(ROWS), atol=1e-6)
    if build is convolutions:
        lite = tf.lite.TFLiteConverter.from_saved_model
        assert lite(str(tmp_path / "wide"), signature_keys=["answer"]).convert()
