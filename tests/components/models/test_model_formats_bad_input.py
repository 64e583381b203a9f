"""Each model that cannot be used says so in one line: expected, received, remedy."""

import json
import shutil
import zipfile

import h5py
import keras as keras_3
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from example_counts import scaled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_files import convert, digits_model, tumour_model

from tfx_loop.core.errors import ConfigError, ModelError
from tfx_loop.models.fitness_checks import check_convertible, check_trainable
from tfx_loop.models.formats import detect
from tfx_loop.models.guard import guard
from tfx_loop.models.predictor import open_predictor
from tfx_loop.models.weights import check_finite, weights_of
from tfx_loop.models.write import write_model, write_tflite
from tfx_loop.optimization.quantizer.preparation import prepare

pytestmark = pytest.mark.tensorflow

ROWS = {"image": np.ones((3, 8, 8, 1), np.float32)}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("bad")
    for name in ("good.keras", "good.h5", "good"):
        write_model(digits_model(), place / name, rows=ROWS)
    (place / "good.tflite").write_bytes(convert(digits_model(), place, "int8", tf.int8))
    return place


def refusal(path, open_=open_predictor, **options):
    """Returns the one line with which a model is refused."""
    with pytest.raises(ModelError) as caught:
        open_(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("Expected ")
    assert ", received" in message or ", found" in message
    assert message.endswith((".", ")"))
    return message


def saved(place, name, function, signatures=True):
    module = tf.Module()
    module.function = function
    shutil.rmtree(place / name, ignore_errors=True)
    tf.saved_model.save(module, str(place / name), signatures=function if signatures else {})
    return place / name


@tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
def double(x):
    return {"y": tf.nn.relu(2 * x)}


@pytest.mark.parametrize("name", ["no_such", "no_such.keras", "no_such.tflite"])
def test_nothing_there(tmp_path, name):
    assert "No such file or directory. Check the path." in refusal(tmp_path / name)


def test_folder_without_a_model(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    assert "a folder with notes.txt" in refusal(tmp_path)


def test_folder_with_two_models(place, tmp_path):
    for name in ("a.tflite", "b.tflite"):
        shutil.copy(place / "good.tflite", tmp_path / name)
    assert "a.tflite, b.tflite. Name one of them." in refusal(tmp_path)


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.tflite", "saved_model.pb"])
def test_empty_file(tmp_path, name):
    (tmp_path / name).touch()
    assert "received an empty file" in refusal(tmp_path / name)
    if name == "saved_model.pb":
        assert "received an empty file" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.tflite", "m.bin", "saved_model.pb"])
def test_other_content(tmp_path, name):
    (tmp_path / name).write_bytes(b"this is a text, not a model" * 10)
    refusal(tmp_path / name)


def test_form_under_another_s_name(place, tmp_path):
    shutil.copy(place / "good.h5", tmp_path / "model.keras")
    assert "the form keras" in refusal(tmp_path / "model.keras")


@pytest.mark.parametrize("name", ["good.keras", "good.h5", "good.tflite"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.95])
def test_truncated_file(place, tmp_path, name, kept):
    content = (place / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * kept)])
    refusal(tmp_path / name)


@settings(max_examples=scaled(60), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_tflite_is_refused_or_runs_and_never_crashes(place, tmp_path, data):
    content = bytearray((place / "good.tflite").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.tflite"
    path.write_bytes(content)
    try:
        predictor = open_predictor(path)
    except ModelError:
        return
    assert predictor.outputs


@pytest.mark.parametrize(
    "file",
    ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"],
)
@pytest.mark.parametrize("kept", [0, 0.5, 0.9])
def test_truncated_saved_model(place, tmp_path, file, kept):
    shutil.copytree(place / "good", tmp_path / "m")
    content = (tmp_path / "m" / file).read_bytes()
    (tmp_path / "m" / file).write_bytes(content[: int(len(content) * kept)])
    refusal(tmp_path / "m")


def test_saved_model_without_variables(place, tmp_path):
    shutil.copytree(place / "good", tmp_path / "m")
    shutil.rmtree(tmp_path / "m" / "variables")
    refusal(tmp_path / "m")


def test_no_signature(tmp_path):
    path = saved(tmp_path, "m", double, signatures=False)
    for open_ in (open_predictor, check_convertible):
        assert "with a signature" in refusal(path, open_)


def test_unknown_signature_lists_what_there_is(place):
    message = refusal(place / "good", signature="classify")
    assert "'classify'" in message
    assert "found serving_default" in message
    assert "found serving_default" in refusal(place / "good.tflite", signature="classify")


def test_string_inputs(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="words")])
    def lengths(words):
        return {"y": tf.strings.length(words)}

    path = saved(tmp_path, "m", lengths)
    for open_ in (open_predictor, check_convertible):
        assert "'words' of type string" in refusal(path, open_)
    inner = keras.Sequential(
        [
            keras.Input((1,), dtype="string"),
            keras.layers.StringLookup(vocabulary=["a", "b"]),
        ]
    )
    inner.save(tmp_path / "m.keras")
    assert "of type string" in refusal(tmp_path / "m.keras")


def test_sizes_that_a_model_leaves_open_are_fixed_from_the_rows_and_asked_for_without(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.float32, name="signal")])
    def mean(signal):
        return {"y": tf.reduce_mean(signal, axis=1)}

    keras.Sequential([keras.Input((None, 3)), keras.layers.GlobalAveragePooling1D()]).save(
        tmp_path / "m.keras"
    )
    for path in (saved(tmp_path, "m", mean), tmp_path / "m.keras"):
        (taken,) = check_convertible(path).inputs
        assert taken.shape == (None, None, 3)
        asked = {"source": str(path), "folder": str(tmp_path / "out" / path.name)}
        assert "[?,?,3] float32" in refusal(asked, prepare)
        made = prepare({**asked, "sizes": {taken.name: [7, 3]}})
        (fixed,) = open_predictor(made["saved_model"]).inputs
        assert fixed.shape == (None, 7, 3)
        assert made["notes"] == [
            f"Sizes that the model leaves open are those of the rows: {taken.name} [?,7,3] float32."
        ]


def test_scalar_input_and_input_without_rank(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([], tf.float32, name="x")])
    def scalar(x):
        return {"y": x + 1}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, name="x")])
    def any_rank(x):
        return {"y": x + 1}

    assert "the scalar 'x'" in refusal(saved(tmp_path, "a", scalar))
    assert "one of any shape" in refusal(saved(tmp_path, "b", any_rank))


def test_custom_op_of_a_saved_model_is_named(tmp_path):
    path = saved(tmp_path, "m", double)
    pb = path / "saved_model.pb"
    pb.write_bytes(pb.read_bytes().replace(b"\x04Relu", b"\x04Mish"))
    for open_ in (open_predictor, check_convertible):
        assert "the custom op Mish" in refusal(path, open_)


def test_custom_op_of_a_tflite_model_is_named(tmp_path):
    content = _tflite_with_custom_op(b"TFLiteMyOperator", tmp_path)
    (tmp_path / "m.tflite").write_bytes(content)
    assert "the custom op TFLiteMyOperator" in refusal(tmp_path / "m.tflite")
    (tmp_path / "m.tflite").write_bytes(_tflite_with_custom_op(b"edgetpu-custom-op", tmp_path))
    assert "compiled for the Edge TPU" in refusal(tmp_path / "m.tflite")


def _tflite_with_custom_op(name, folder):
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(convert(tumour_model(), folder), 0)
    model.operatorCodes[0].builtinCode = 32
    model.operatorCodes[0].deprecatedBuiltinCode = 32
    model.operatorCodes[0].customCode = name
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.inner = keras.layers.Dense(2)

    def call(self, x):
        return self.inner(x)


def test_subclassed_keras_model(tmp_path):
    model = Subclassed()
    model(np.ones((1, 3), np.float32))
    model.save(tmp_path / "m.keras")
    for open_ in (open_predictor, check_convertible, check_trainable):
        assert "the subclassed 'Subclassed'" in refusal(tmp_path / "m.keras", open_)
    model.export(str(tmp_path / "m"))
    check_convertible(tmp_path / "m")


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_keras_3_model(tmp_path, name):
    model = keras_3.Sequential([keras_3.layers.Input((3,)), keras_3.layers.Dense(2)])
    model.save(tmp_path / name)
    for open_ in (open_predictor, check_convertible, check_trainable):
        message = refusal(tmp_path / name, open_)
        assert f"Keras {keras_3.__version__} wrote" in message
        assert "model.export(folder)" in message


def test_weights_file_alone(tmp_path):
    digits_model().save_weights(tmp_path / "m.h5")
    assert "it holds weights alone" in refusal(tmp_path / "m.h5")


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_lambda_layer_is_refused_and_its_code_does_not_run(tmp_path, name):
    ran = tmp_path / "ran"

    def tell(x):
        open(ran, "w").close()
        return x

    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: tell(x))])
    model.save(tmp_path / name)
    ran.unlink()
    message = refusal(tmp_path / name)
    assert "layer 'lambda" in message
    assert "a Lambda layer, Python code in the file" in message
    assert not ran.exists()


@pytest.mark.parametrize(
    "activation",
    [
        {"module": "os", "class_name": "function", "config": "system",
         "registered_name": "function"},
        {"module": "tf_keras.src.saving.saving_lib", "class_name": "function",
         "config": "os.system", "registered_name": "function"},
        {"module": "webbrowser", "class_name": "BackgroundBrowser",
         "config": {"name": "touch"}, "registered_name": None},
        {"module": "builtins", "class_name": "function", "config": "eval",
         "registered_name": "function"},
        {"class_name": "__lambda__", "config": {"value": "code"}},
    ],
)  # fmt: skip
def test_configuration_cannot_name_a_function_of_any_module(place, tmp_path, activation):
    with zipfile.ZipFile(place / "good.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["layers"][1]["config"]["activation"] = activation
    parts["config.json"] = json.dumps(config)
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    message = refusal(tmp_path / "m.keras")
    assert "layer '" in message
    assert any(word in message for word in ("the custom object", "the function", "Python code"))


def test_pickled_weights_are_not_read(place, tmp_path):
    """Keras would read model.weights.npz with pickle allowed."""
    with zipfile.ZipFile(place / "good.keras") as archive:
        config, metadata = archive.read("config.json"), archive.read("metadata.json")
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("metadata.json", metadata)
        archive.writestr("model.weights.npz", b"pickle")
    assert "no model.weights.h5" in refusal(tmp_path / "m.keras")


def test_custom_objects_that_cannot_be_imported(place):
    with pytest.raises(ConfigError, match="'no_such:Layer'"):
        open_predictor(place / "good.keras", custom_objects=["no_such:Layer"])


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m"])
def test_nan_weights(tmp_path, name):
    model = keras.models.clone_model(digits_model())
    bias = model.get_layer("conv").bias
    bias.assign([np.nan, np.inf, 0, 0, 0, 0, 0, 0])
    write_model(model, tmp_path / name, rows=ROWS)
    message = refusal(tmp_path / name, check_convertible)
    assert "NaN or infinity in conv/bias (2 of 8)" in message
    if name != "m":
        assert "NaN or infinity" in refusal(tmp_path / name, check_trainable)


def test_training_needs_the_keras_model(place):
    assert "Format-Keras/model.keras" in refusal(place / "good", check_trainable)
    assert "the TFLite model" in refusal(place / "good.tflite", check_convertible)
    assert check_trainable(place / "good.keras").path == place / "good.keras"


def test_good_models_pass(place):
    for name in ("good.keras", "good.h5", "good"):
        found = check_convertible(place / name)
        assert [str(spec) for spec in found.inputs] == ["image [?,8,8,1] float32"]
    check_finite(weights_of(place / "good.tflite"), place / "good.tflite")


def test_model_that_answers_otherwise_is_not_written(place, tmp_path):
    target = tmp_path / "m.tflite"
    content = (place / "good.tflite").read_bytes()
    parent = {"probabilities": np.zeros((3, 10), np.float32)}
    target.write_bytes(b"what was there")
    with pytest.raises(ModelError, match="to answer as its parent"):
        write_tflite(content, target, rows=ROWS, parent=parent, max_difference=0.01)
    with pytest.raises(ModelError, match="damaged"):
        write_tflite(content[:-100], target, rows=ROWS, parent=parent)
    assert target.read_bytes() == b"what was there"
    assert [path.name for path in tmp_path.iterdir()] == ["m.tflite"]


def test_export_of_the_user_s_that_answers_otherwise_is_not_written(tmp_path):
    def export(model, folder):
        twice = tf.function(lambda image: {"y": 2 * model(image)}, autograph=False)
        spec = tf.TensorSpec([None, 8, 8, 1], name="image")
        tf.saved_model.save(model, folder, signatures=twice.get_concrete_function(spec))

    with pytest.raises(ModelError, match="to answer as its parent"):
        write_model(digits_model(), tmp_path / "m", rows=ROWS, export=export)
    assert list(tmp_path.iterdir()) == []


def test_saved_model_replaces_another_but_no_other_folder(tmp_path):
    write_model(digits_model(), tmp_path / "m", rows=ROWS)
    write_model(digits_model(), tmp_path / "m", rows=ROWS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").touch()
    with pytest.raises(ConfigError, match="Expected an empty or a SavedModel's folder"):
        write_model(digits_model(), tmp_path / "mine", rows=ROWS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m", "mine"]


@pytest.mark.parametrize("name", ["m.tflite", "m.pb"])
def test_name_that_says_another_form(tmp_path, name):
    with pytest.raises(ConfigError, match="A TFLite model is written by write_tflite"):
        write_model(digits_model(), tmp_path / name, rows=ROWS)


def test_configuration_is_read_without_keras(place):
    for name in ("good.keras", "good.h5"):
        with guard.admitted(detect(place / name)) as admitted:
            assert admitted.keras.version == keras.__version__
            assert admitted.keras.config["class_name"] == "Functional"


def test_h5_without_its_weights(place, tmp_path):
    shutil.copy(place / "good.h5", tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "a") as file:
        del file["model_weights"]
    assert "no model_weights" in refusal(tmp_path / "m.h5")
