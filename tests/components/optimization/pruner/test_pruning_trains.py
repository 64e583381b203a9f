"""Real trainings with TFMOT on real images: what its wrappers promise is counted on the weights."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from digit_networks import IMAGE, accuracy, digits, network, trained
from tensorflow_model_optimization.python.core.sparsity.keras import pruning_utils

from tfx_loop.core.errors import DataError, ModelError
from tfx_loop.models.predictor import open_predictor
from tfx_loop.models.rows.splits import Rows
from tfx_loop.optimization.fine_tuning.job import SignatureSource
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.pruner import wrapping
from tfx_loop.optimization.pruner.pruner import prune
from tfx_loop.optimization.pruner.settings import Pattern, PruningSettings
from tfx_loop.optimization.pruner.sparsity import SparsityOutcome, measure

pytestmark = pytest.mark.tensorflow

SHORT = FineTuningSettings(epochs=3, learning_rate=1e-3)
ROWS, JUDGED_ON = digits()


def by_layer(result):
    return {kernel.layer: kernel for kernel in result.kernels}


def test_two_of_four_is_exact_in_every_eligible_layer(worker, tmp_path):
    settings = PruningSettings(pattern=Pattern.TWO_OF_FOUR, fine_tuning=SHORT)
    said = []
    result = prune(trained(), ROWS, settings, worker, tmp_path, progress=said.append)
    kernels = by_layer(result)
    for name in ("second", "hidden", "score"):
        assert kernels[name].reached is SparsityOutcome.AS_ASKED
        assert kernels[name].sparsity == 0.5
    assert result.skipped["pruning"]["first"] == "fewer_than_4_input_channels"
    assert kernels["first"].zeros == 0
    assert accuracy(result.child.keras) > accuracy(trained()) - 0.05
    assert sum("epoch=" in line for line in said) == SHORT.epochs
    served = open_predictor(result.child.saved_model)
    assert result.signatures is SignatureSource.INPUTS
    answers = served.predict({IMAGE: JUDGED_ON.inputs[IMAGE]})["score"]
    keras_answers = open_predictor(result.child.keras).predict(JUDGED_ON.inputs)["score"]
    assert np.allclose(answers, keras_answers, atol=1e-5)


def test_unstructured_sparsity_is_within_half_a_point_and_leaves_the_excluded(worker, tmp_path):
    settings = PruningSettings(sparsity=0.8, exclude=("first", "sc*"), fine_tuning=SHORT)
    result = prune(trained(), ROWS, settings, worker, tmp_path)
    kernels = by_layer(result)
    assert kernels["second"].sparsity == pytest.approx(0.8, abs=0.005)
    assert kernels["hidden"].sparsity == pytest.approx(0.8, abs=0.005)
    assert kernels["first"].zeros == kernels["score"].zeros == kernels["depthwise"].zeros == 0
    assert not result.denser


@pytest.mark.long
def test_the_same_seed_gives_the_same_weights(worker, tmp_path):
    settings = PruningSettings(sparsity=0.6, fine_tuning=FineTuningSettings(epochs=1))
    weights = []
    for name in ("once", "again"):
        result = prune(trained(), ROWS, settings, worker, tmp_path / name)
        model = keras.models.load_model(result.child.keras, compile=False)
        weights.append(model.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


@pytest.mark.long
def test_clusters_keep_the_zeros_of_blocks(worker, tmp_path):
    settings = PruningSettings(
        pattern=Pattern.BLOCK,
        sparsity=0.6,
        clusters=16,
        fine_tuning=SHORT,
        clustering=FineTuningSettings(epochs=2),
    )
    kernels = by_layer(prune(trained(), ROWS, settings, worker, tmp_path))
    assert kernels["hidden"].reached is not SparsityOutcome.DENSER
    assert kernels["hidden"].zero_units / kernels["hidden"].units >= 0.595
    for name in ("first", "second", "hidden", "score"):
        assert kernels[name].values <= 16
    assert kernels["depthwise"].values > 16


def test_the_mask_of_tfmot_is_the_pattern_that_is_counted():
    for shape in ((3, 3, 10, 5), (14, 6)):
        kernel = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        rows = pruning_utils.weights_rearrange(tf.constant(kernel))
        mask = pruning_utils.generate_m_by_n_mask(rows)
        mask = pruning_utils.m_by_n_sparsity_mask_prepare(mask, tf.TensorShape(shape))
        pruned = kernel * mask.numpy()
        settings = PruningSettings(pattern=Pattern.TWO_OF_FOUR)
        assert measure("layer", "kernel", pruned, settings).reached is SparsityOutcome.AS_ASKED


def awkward_model():
    """Nests a model, adds with an operator, has two named outputs and losses by their names."""
    keras.utils.set_random_seed(0)
    side = keras.Input((8,))
    nested = keras.Model(side, keras.layers.Dense(8, activation="relu", name="within")(side))
    inputs = keras.Input((8,), name="numbers")
    hidden = nested(keras.layers.Dense(8, name="before")(inputs)) + 1.0
    left = keras.layers.Dense(1, name="left")(hidden)
    right = keras.layers.Dense(1, name="right")(tf.square(hidden))
    model = keras.Model(inputs, {"left": left, "right": right})
    model.compile("adam", loss={"left": "mse", "right": "mae"}, loss_weights={"left": 2.0})
    return model


def test_nested_models_operators_and_named_losses_are_pruned_too():
    from tfx_loop.optimization.fine_tuning.keras_model import compile_like
    from tfx_loop.optimization.fine_tuning.rows_file import TrainingRows
    from tfx_loop.optimization.fine_tuning.training import fit
    from tfx_loop.optimization.pruner.schedule import schedule

    model = awkward_model()
    settings = PruningSettings(fine_tuning=FineTuningSettings(epochs=2, batch_size=8))
    names = {kernel.layer for kernel, _ in wrapping.kernels_of(model)}
    nested = next(name for name in names if name.endswith("/within"))
    chosen = ("before", nested, "left")
    wrapped = wrapping.wrap_to_prune(model, chosen, settings, schedule(8, 2, 0.5))
    compile_like(wrapped, model)
    values = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    target = values.sum(axis=1)
    rows = TrainingRows({"numbers": values}, {"left": target, "right": target})
    fit(wrapped, rows, settings.fine_tuning, [wrapping.pruning_callback()])
    stripped = wrapping.strip_pruning(wrapped)
    found = {kernel.layer: float(np.mean(v == 0)) for kernel, v in wrapping.kernels_of(stripped)}
    assert found == {"before": 0.5, nested: 0.5, "left": 0.5, "right": 0.0}
    assert set(stripped(values)) == {"left", "right"}


@pytest.mark.long
def test_a_model_without_a_loss_takes_the_labels_own_or_a_function_that_compiles_it(
    worker, tmp_path
):
    keras.models.clone_model(network()).save(tmp_path / "plain.keras")
    settings = PruningSettings(fine_tuning=FineTuningSettings(epochs=1))
    result = prune(tmp_path / "plain.keras", ROWS, settings, worker, tmp_path / "out")
    taken = keras.models.load_model(result.child.keras).loss
    assert isinstance(taken, keras.losses.SparseCategoricalCrossentropy)
    tuning = FineTuningSettings(epochs=1, compile_fn="digit_networks.compile_for_digits")
    settings = PruningSettings(fine_tuning=tuning)
    result = prune(tmp_path / "plain.keras", ROWS, settings, worker, tmp_path / "out")
    written = keras.models.load_model(result.child.keras)
    assert isinstance(written.optimizer, keras.optimizers.SGD)


def test_bad_input_is_a_one_line_error(worker, tmp_path):
    settings = PruningSettings(fine_tuning=FineTuningSettings(epochs=1))
    nan = network()
    nan.layers[-1].bias.assign(np.full(10, np.nan))
    nan.save(tmp_path / "nan.keras")
    (tmp_path / "torn.keras").write_bytes(trained().read_bytes()[:5000])
    for name in ("nan.keras", "torn.keras", "absent.keras"):
        with pytest.raises(ModelError) as error:
            prune(tmp_path / name, ROWS, settings, worker, tmp_path / "out")
        assert name in str(error.value)
        assert "\n" not in str(error.value)
    unlabelled = Rows(inputs=ROWS.inputs)
    with pytest.raises(DataError, match="Expected labels to train on"):
        prune(trained(), unlabelled, settings, worker, tmp_path / "out")
    wild = PruningSettings(fine_tuning=FineTuningSettings(epochs=2, learning_rate=1e30))
    with pytest.raises(DataError, match="finite loss"):
        prune(trained(), ROWS, wild, worker, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*"))
