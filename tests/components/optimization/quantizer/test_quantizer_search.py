"""The search on real models: modes, targets, failures that are rungs, errors of one line."""

import numpy as np
import pytest
import quantizable
import tensorflow as tf
import tf_keras as keras

from tfx_loop.core.errors import DataError, LoopError, ModelError
from tfx_loop.models.formats import detect
from tfx_loop.models.predictor import open_predictor
from tfx_loop.models.rows.splits import Rows
from tfx_loop.optimization.compression_target import CompressionTarget
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.quantizer.modes import IoType, QuantizationMode
from tfx_loop.optimization.quantizer.request import SearchRequest
from tfx_loop.optimization.quantizer.search import search
from tfx_loop.optimization.quantizer.settings import SearchSettings

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained model as .keras file, with rows that it has not seen."""
    images, labels = quantizable.digits()
    network = quantizable.train(quantizable.plain_network(), images[:600], labels[:600], 12)
    path = tmp_path_factory.mktemp("plain") / "model.keras"
    network.save(path)
    return path, images, labels


def searched(trained, worker, out, budget, file="model.tflite", **more):
    path, images, labels = trained
    request = SearchRequest(
        source=detect(path),
        calibration=quantizable.rows_of(images[600:750], labels[600:750]),
        choosing=quantizable.rows_of(images[750:], labels[750:]),
        budget=budget,
        **more,
    )
    return search(request, worker, out / file)


def made(model, rows, worker, out, **more):
    """Searches without a budget: what is made as asked."""
    request = SearchRequest(
        source=detect(model), calibration=rows, choosing=rows, budget=None, **more
    )
    return search(request, worker, out / "model.tflite")


def by_mode(result):
    return {rung.mode: rung for rung in result.rungs}


def test_smallest_that_keeps_the_budget_is_written(trained, worker, tmp_path):
    result = searched(trained, worker, tmp_path, quantizable.budget_of(0.02))
    rungs = by_mode(result)
    kept = [rung for rung in result.rungs if rung.status.value in ("chosen", "kept")]
    assert result.chosen.size.raw_bytes == min(rung.size.raw_bytes for rung in kept)
    assert result.chosen.drop.high <= 0.02
    assert result.path == tmp_path / "model.tflite"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.tflite"]
    assert rungs["float"].drop.value == 0
    assert rungs["float16"].size.raw_bytes < 0.6 * rungs["float"].size.raw_bytes
    assert rungs["int8"].size.raw_bytes < rungs["float16"].size.raw_bytes
    assert rungs["selective_int8"].reason == "not_needed"
    assert all(rung.explanation for rung in result.rungs)
    assert [rung.mode for rung in result.rungs] == [
        mode.value for mode in QuantizationMode if mode is not QuantizationMode.QAT_INT8
    ]


def test_refuted_variant_gives_way_to_the_next_best(trained, worker, tmp_path):
    path, images, labels = trained
    request = SearchRequest(
        source=detect(path),
        calibration=quantizable.rows_of(images[600:750], labels[600:750]),
        choosing=quantizable.rows_of(images[750:], labels[750:]),
        budget=quantizable.budget_of(0.03),
        search=SearchSettings(modes=(QuantizationMode.INT8, QuantizationMode.FLOAT16)),
        baseline=tmp_path / "float.tflite",
    )
    asked = []

    def refutation(name, file):
        asked.append((name, file.is_file()))
        return "Unseen rows lose more" if len(asked) == 1 else None

    result = search(request, worker, tmp_path / "model.tflite", refutation=refutation)
    assert asked == [("int8", True), ("float16", True)]
    rungs = by_mode(result)
    assert (rungs["int8"].status.value, rungs["int8"].reason) == (
        "over_budget",
        "refuted_on_unseen_rows",
    )
    assert rungs["int8"].explanation == "Unseen rows lose more."
    assert result.chosen.mode == "float16"
    # What gains are told against was made, though no rung was float.
    baseline = (tmp_path / "float.tflite").stat().st_size
    assert baseline > 1.5 * result.chosen.size.raw_bytes


def test_edge_tpu_gets_whole_numbers_and_one_row_at_a_time(trained, worker, tmp_path):
    budget = quantizable.budget_of(0.03, CompressionTarget.EDGE_TPU)
    result = searched(trained, worker, tmp_path, budget, mapped_share_fn="quantizable.mapped_share")
    assert [rung.mode for rung in result.rungs] == ["int8"]
    assert "75% of it maps" in result.chosen.explanation
    predictor = open_predictor(result.path)
    (given,), (taken,) = predictor.outputs, predictor.inputs
    assert (taken.file_dtype, given.file_dtype) == ("int8", "int8")
    assert taken.shape == (1, 8, 8, 1)


@pytest.mark.long
def test_uint8_outside_and_one_mode_without_budget(trained, worker, tmp_path):
    settings = SearchSettings(modes=(QuantizationMode.INT8,), io_type=IoType.UINT8)
    result = searched(trained, worker, tmp_path, None, search=settings, file="tflite")
    assert result.chosen.reason == "no_budget"
    predictor = open_predictor(tmp_path / "tflite")
    assert predictor.inputs[0].file_dtype == predictor.outputs[0].file_dtype == "uint8"
    assert predictor.inputs[0].name == "image"


def test_fastest_is_measured(trained, worker, tmp_path):
    settings = SearchSettings(
        modes=(QuantizationMode.INT8, QuantizationMode.FLOAT), latency_seconds=0.2
    )
    budget = quantizable.budget_of(0.03, CompressionTarget.FASTEST)
    result = searched(trained, worker, tmp_path, budget, search=settings)
    times = {rung.mode: rung.latency_ms for rung in result.rungs}
    assert all(times.values())
    assert result.chosen.latency_ms <= 1.05 * min(times.values())


def test_training_for_int8_makes_int8(trained, worker, tmp_path):
    _, images, labels = trained
    settings = SearchSettings(
        modes=(QuantizationMode.QAT_INT8,),
        io_type=IoType.INT8,
        fine_tuning=FineTuningSettings(epochs=1),
    )
    training = quantizable.rows_of(images[:600], labels[:600])
    result = searched(
        trained, worker, tmp_path, quantizable.budget_of(0.05), search=settings, training=training
    )
    assert result.chosen.mode == "qat_int8", result.rungs[0].explanation
    assert "QAT, 1 epochs" in result.chosen.explanation
    assert open_predictor(result.path).inputs[0].file_dtype == "int8"


def test_budget_of_nothing_leaves_only_what_changes_nothing(trained, worker, tmp_path):
    settings = SearchSettings(modes=(QuantizationMode.INT8, QuantizationMode.FLOAT16))
    result = searched(trained, worker, tmp_path, quantizable.budget_of(0.0), search=settings)
    assert result.chosen is None
    assert list(tmp_path.iterdir()) == []
    assert {rung.reason for rung in result.rungs} <= {"not_certain", "over_budget"}


def test_mode_that_the_converter_refuses_is_a_rung(worker, tmp_path):
    """No TFLite operator computes a matrix exponential: nothing converts, and each rung says so."""
    folder = quantizable.save(
        lambda x: {"y": tf.linalg.expm(tf.reshape(x, [-1, 2, 2]))}, tmp_path / "model"
    )
    rows = Rows(inputs={"x": np.random.default_rng(0).random((40, 4), dtype=np.float32)})
    settings = SearchSettings(modes=(QuantizationMode.INT8, QuantizationMode.FLOAT))
    result = made(folder, rows, worker, tmp_path / "out", search=settings)
    assert result.chosen is None
    for rung in result.rungs:
        assert (rung.status.value, rung.reason) == ("failed", "failed_to_convert")
        assert "\n" not in rung.explanation
        assert len(rung.explanation) < 700
        told = "received: Neither TFLite nor TensorFlow's operators for it have MatrixSolve"
        assert told in rung.explanation
        assert "/tmp" not in rung.explanation


def test_other_signatures_keep_the_inputs_names(worker, tmp_path):
    """TFMA finds inputs by name and strips `serving_default_` alone."""
    folder = quantizable.save(
        lambda x: {"y": tf.nn.relu(x)}, tmp_path / "model", signature="serving_columns"
    )
    rows = Rows(inputs={"x": np.random.default_rng(0).random((40, 4), dtype=np.float32)})
    settings = SearchSettings(modes=(QuantizationMode.FLOAT,))
    result = made(folder, rows, worker, tmp_path / "out", search=settings)
    interpreter = tf.lite.Interpreter(str(result.path))
    assert [i["name"] for i in interpreter.get_input_details()] == ["serving_default_x:0"]


def _string_input(folder):
    return quantizable.save(
        lambda x: {"y": tf.strings.to_number(x)}, folder, shape=(None,), dtype=tf.string
    )


def _no_signature(folder):
    return quantizable.save(lambda x: {"y": x}, folder, signature=None)


def _nan_weights(folder):
    network = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    network.layers[0].kernel.assign(np.full((4, 2), np.nan, np.float32))
    path = folder.with_suffix(".keras")
    network.save(path)
    return path


def _cut_off(folder):
    quantizable.save(lambda x: {"y": x}, folder)
    file = folder / "saved_model.pb"
    file.write_bytes(file.read_bytes()[:50])
    return folder


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_string_input, "numeric tensors"),
        (_no_signature, "signature"),
        (_nan_weights, "finite weights"),
        (_cut_off, "damaged file|SavedModel"),
    ],
)
def test_unfit_models_are_one_line(make, told, worker, tmp_path):
    model = make(tmp_path / "model")
    rows = Rows(inputs={"x": np.ones((20, 4), np.float32)})
    with pytest.raises(LoopError, match=told) as caught:
        made(model, rows, worker, tmp_path / "out")
    assert isinstance(caught.value, ModelError)
    assert "\n" not in str(caught.value)


def test_no_rows_are_one_line(trained):
    path, images, labels = trained
    none = quantizable.rows_of(images[:0], labels[:0])
    some = quantizable.rows_of(images[:50], labels[:50])
    budget = quantizable.budget_of(0.1)
    for calibration, choosing in ((none, some), (some, none)):
        with pytest.raises(DataError, match="received none") as caught:
            SearchRequest(
                source=detect(path), calibration=calibration, choosing=choosing, budget=budget
            )
        assert "\n" not in str(caught.value)


def test_budget_without_labels_is_one_line(trained):
    path, images, _ = trained
    rows = Rows(inputs={"image": images[:40]})
    with pytest.raises(DataError, match="Expected rows with labels beside a budget"):
        SearchRequest(
            source=detect(path),
            calibration=rows,
            choosing=rows,
            budget=quantizable.budget_of(0.1),
        )
