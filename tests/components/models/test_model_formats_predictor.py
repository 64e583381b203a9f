"""Every form of a model answers the same question the same way."""

import numpy as np
import pytest
import tensorflow as tf
from model_files import convert, digits_model, digits_rows, tumour_model, tumour_rows

from tfx_loop.core.errors import DataError, ModelError
from tfx_loop.models.formats import Format, detect, keras_model_of
from tfx_loop.models.keras.model import KerasPredictor
from tfx_loop.models.parity import compare
from tfx_loop.models.predictor import open_predictor
from tfx_loop.models.weights import weights_of
from tfx_loop.models.write import write_model, write_tflite

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def digits(place):
    """Returns rows, the parent's answers, and where each form was written."""
    rows = {"image": digits_rows()[0][:300]}
    model = digits_model()
    for name in ("digits.keras", "digits.h5", "digits"):
        write_model(model, place / name, rows=rows)
    return rows, KerasPredictor.of(model).predict(rows), place


@pytest.fixture(scope="module")
def tumours(place):
    rows = tumour_rows()[0]
    model = tumour_model()
    for name in ("tumours.keras", "tumours.h5", "tumours"):
        write_model(model, place / name, rows=rows)
    answers = KerasPredictor.of(model).predict(rows)
    write_tflite(convert(model, place), place / "tumours.tflite", rows=rows, parent=answers)
    return rows, answers, place


FORMS = {
    ".keras": Format.KERAS,
    ".h5": Format.H5,
    "": Format.SAVED_MODEL,
    ".tflite": Format.TFLITE,
}


@pytest.mark.parametrize("suffix", FORMS)
def test_two_inputs_and_outputs_by_name_in_every_form(tumours, suffix):
    rows, answers, place = tumours
    file = detect(place / f"tumours{suffix}")
    assert file.format is FORMS[suffix]
    predictor = open_predictor(file)
    assert {(s.name, s.shape, s.dtype) for s in predictor.inputs} == {
        ("numbers", (None, 4), "float32"),
        ("tenth", (None, 1), "int32"),
    }
    assert {(s.name, s.shape[1:]) for s in predictor.outputs} == {("benign", (1,)), ("size", (2,))}
    given = predictor.predict(rows, batch_size=100)
    for name, expected in answers.items():
        np.testing.assert_allclose(given[name], expected, atol=1e-5)


@pytest.mark.parametrize("suffix", [".keras", ".h5", ""])
def test_keras_forms_answer_exactly_and_hold_the_same_weights(digits, suffix):
    rows, answers, place = digits
    predictor = open_predictor(place / f"digits{suffix}")
    assert compare(answers, predictor.predict(rows)).max_difference < 1e-6
    found = weights_of(place / f"digits{suffix}")
    kernels = {(w.name, w.shape, w.parameters) for w in found if w.name.endswith("kernel")}
    assert kernels == {("conv/kernel", (3, 3, 1, 8), 72), ("probabilities/kernel", (288, 10), 2880)}
    assert sum(w.parameters for w in found) == digits_model().count_params()


def test_zeros_are_counted(digits, place):
    model = tf.keras.models.clone_model(digits_model())
    kernel = model.get_layer("probabilities").kernel
    kernel.assign(tf.where(tf.range(10) < 4, 0.0, tf.ones_like(kernel)))
    write_model(model, place / "zeros", rows=digits[0])
    found = {w.name: w for w in weights_of(place / "zeros")}
    assert found["probabilities/kernel"].zeros == 4 * 288
    assert found["conv/bias"].zeros == 8


@pytest.mark.parametrize("io_dtype", [None, tf.int8, tf.uint8])
def test_int8_takes_and_gives_floats(digits, io_dtype):
    rows, answers, place = digits
    path = place / "digits_int8.tflite"
    parity = write_tflite(
        convert(digits_model(), place, "int8", io_dtype), path, rows=rows, parent=answers
    )
    assert parity.rows == 300
    assert 0 < parity.max_difference < 0.2
    assert parity.top_class_agreement > 0.98
    predictor = open_predictor(path)
    assert predictor.runtime.startswith(("LiteRT ", "TensorFlow Lite "))
    (spec,) = predictor.inputs
    assert (spec.name, spec.shape, spec.dtype) == ("image", (None, 8, 8, 1), "float32")
    assert spec.file_dtype == ("float32" if io_dtype is None else io_dtype.name)
    given = predictor.predict(rows)["probabilities"]
    assert given.dtype == np.float32
    np.testing.assert_allclose(given.sum(axis=1), 1, atol=0.06)


@pytest.mark.parametrize(
    ("mode", "io_dtype", "difference"),
    [("int16x8", tf.int16, 0.05), ("float16", None, 0.01), ("dynamic", None, 0.1)],
)
def test_other_modes_stay_close(digits, mode, io_dtype, difference):
    rows, answers, place = digits
    content = convert(digits_model(), place, mode, io_dtype)
    path = place / f"{mode}.tflite"
    assert write_tflite(content, path, rows=rows, parent=answers).max_difference < difference
    largest = max(weights_of(path), key=lambda w: w.parameters)
    assert largest.parameters == 2880
    assert largest.dtype == ("float16" if mode == "float16" else "int8")


def test_batch_size_does_not_change_the_answers(digits, tumours):
    for path, rows in (
        (digits[2] / "digits", digits[0]),
        (tumours[2] / "tumours.tflite", tumours[0]),
    ):
        predictor = open_predictor(path)
        whole = predictor.predict(rows, batch_size=10_000)
        for size in (1, 7):
            parts = predictor.predict(rows, batch_size=size)
            assert compare(whole, parts).max_difference < 1e-5


def test_model_of_one_fixed_batch_size_answers_any_number_of_rows(place):
    @tf.function(input_signature=[tf.TensorSpec([4, 2], tf.float32, name="x")])
    def double(x):
        return {"y": 2 * x}

    module = tf.Module()
    tf.saved_model.save(module, str(place / "fixed"), signatures=double)
    (place / "fixed.tflite").write_bytes(
        tf.lite.TFLiteConverter.from_saved_model(str(place / "fixed")).convert()
    )
    rows = np.arange(14, dtype=np.float32).reshape(7, 2)
    for name in ("fixed", "fixed.tflite"):
        predictor = open_predictor(place / name)
        assert predictor.inputs[0].shape == (4, 2)
        np.testing.assert_array_equal(predictor.predict({"x": rows})["y"], 2 * rows)


def test_dimension_without_size_is_served(place):
    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="x")])
    def total(x):
        return {"y": tf.reduce_sum(x, axis=1)}

    tf.saved_model.save(tf.Module(), str(place / "dynamic"), signatures=total)
    predictor = open_predictor(place / "dynamic")
    assert predictor.predict({"x": np.ones((3, 5))})["y"].tolist() == [5, 5, 5]


def test_flat_and_missing_dimensions_fit_and_others_do_not(digits, tumours):
    predictor = open_predictor(digits[2] / "digits")
    images = digits[0]["image"][:5]
    for shape in ((5, 64), (5, 8, 8)):
        given = predictor.predict({"image": images.reshape(shape)})
        np.testing.assert_array_equal(
            given["probabilities"], predictor.predict({"image": images})["probabilities"]
        )
    with pytest.raises(DataError, match=r"rows of shape \[8, 8, 1\] for input 'image'"):
        predictor.predict({"image": images.reshape(5, 4, 16)})
    both = open_predictor(tumours[2] / "tumours")
    both.predict({"numbers": np.ones((2, 4)), "tenth": np.array([1.0, 2.0])})


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"numbers": np.ones((2, 4))}, "Expected the inputs numbers, tenth, received numbers"),
        ({"numbers": np.ones((2, 4)), "tenth": np.ones(3)}, "numbers 2, tenth 3"),
        ({"numbers": np.ones((0, 4)), "tenth": np.ones(0)}, "at least 1"),
        ({"numbers": np.ones((1, 4)), "tenth": np.array([1.5])}, "whole numbers for .*tenth"),
        ({"numbers": np.ones((1, 4)), "tenth": np.array([np.nan])}, "whole numbers for .*tenth"),
        ({"numbers": np.ones((1, 4)), "tenth": np.array([2.0**40])}, "values from -2147483648"),
        ({"numbers": np.array([list("abcd")]), "tenth": np.ones(1)}, "Expected numbers"),
        ({"numbers": np.ones((1, 4)), "tenth": np.array([99])}, "refuses the rows"),
    ],
)
def test_rows_that_do_not_fit(tumours, inputs, message):
    with pytest.raises(DataError, match=message) as caught:
        open_predictor(tumours[2] / "tumours").predict(inputs)
    assert "\n" not in str(caught.value)


def test_tfx_model_artifact_and_the_keras_model_beside_it(digits, tmp_path):
    rows, answers, _ = digits
    artifact = tmp_path / "model"
    write_model(digits_model(), artifact / "Format-Serving", rows=rows, examples=True)
    assert keras_model_of(artifact) is None
    write_model(digits_model(), artifact / "Format-Keras" / "model.keras", rows=rows)
    assert keras_model_of(artifact) == artifact / "Format-Keras" / "model.keras"
    given = open_predictor(artifact).predict(rows)
    assert compare(answers, given).max_difference < 1e-6
    example = tf.train.Example()
    example.features.feature["image"].float_list.value.extend(rows["image"][0].ravel())
    served = tf.saved_model.load(str(artifact / "Format-Serving")).signatures["serving_default"]
    of_example = served(tf.constant([example.SerializeToString()]))["probabilities"]
    np.testing.assert_allclose(of_example, answers["probabilities"][:1], atol=1e-6)
    with pytest.raises(ModelError, match=r"'examples' of type string.*Name one.*serving_columns"):
        open_predictor(artifact, signature="serving_default")


def test_tflite_of_tfx_by_both_names(tumours, tmp_path):
    content = (tumours[2] / "tumours.tflite").read_bytes()
    for name in ("tflite", "model.tflite"):
        folder = tmp_path / name / "Format-Serving"
        folder.mkdir(parents=True)
        (folder / name).write_bytes(content)
        assert detect(tmp_path / name).path == folder / name
        assert len(open_predictor(tmp_path / name).inputs) == 2


def test_file_without_signatures_is_asked_by_plain_names(digits):
    rows, answers, place = digits
    converter = tf.lite.TFLiteConverter.from_keras_model(digits_model())
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(converter.convert(), 0)
    model.signatureDefs = None
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = place / "nameless.tflite"
    path.write_bytes(bytes(builder.Output()))
    predictor = open_predictor(path)
    assert [spec.name for spec in predictor.inputs] == ["image"]
    assert compare(answers, predictor.predict(rows)).max_difference < 1e-5


def test_large_outputs_are_compared_by_their_own_size(place):
    """Outputs in the millions differ by more than any small number, and are right."""
    import tf_keras as keras

    keras.utils.set_random_seed(3)
    layers = [keras.layers.Dense(300, activation="relu") for _ in range(3)]
    model = keras.Sequential([keras.Input((300,), name="x"), *layers, keras.layers.Dense(1)])
    rows = {"x": np.random.default_rng(0).random((50, 300)) * 1e6}
    assert write_model(model, place / "large", rows=rows).max_difference < 100


def test_custom_layer_that_the_user_names(tmp_path, monkeypatch):
    (tmp_path / "my_layers.py").write_text(
        "import tf_keras as keras\n\n\n"
        "class Doubled(keras.layers.Layer):\n"
        "    def call(self, x):\n"
        "        if x.shape[0] is None and keras.backend.sum(x) > 0:  # needs AutoGraph\n"
        "            return x * 2\n"
        "        return x * 2\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import my_layers
    import tf_keras as keras

    model = keras.Sequential([keras.Input((3,), name="x"), my_layers.Doubled(name="y")])
    for name in ("custom.keras", "custom.h5"):
        path = tmp_path / name
        model.save(path)
        with pytest.raises(ModelError, match="Doubled"):
            open_predictor(path)
        write_model(model, path, rows={"x": np.ones((2, 3))}, custom_objects=["my_layers:Doubled"])
        predictor = open_predictor(path, custom_objects=["my_layers:Doubled"])
        given = predictor.predict({predictor.inputs[0].name: np.ones((2, 3))})
        assert given["y"].tolist() == [[2, 2, 2]] * 2
