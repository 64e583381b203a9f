"""A pruned child is served under its parent's signatures, vocabularies included."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tfx_loop.core.errors import ConfigError, ModelError
from tfx_loop.optimization.fine_tuning.child_export import write_child
from tfx_loop.optimization.fine_tuning.job import ChildFiles, ExportSources, SignatureSource

pytestmark = pytest.mark.tensorflow

ROWS = {"number": np.arange(6, dtype=np.float32)[:, None]}


def network(seed):
    keras.utils.set_random_seed(seed)
    number = keras.Input((1,), name="number")
    hidden = keras.layers.Dense(4, activation="relu", name="hidden")(number)
    model = keras.Model(number, keras.layers.Dense(1, name="score")(hidden))
    model.compile("adam", "mse")
    return model


class Shop(tf.Module):
    """Serves a network behind a vocabulary file: words become numbers."""

    def __init__(self, model, vocabulary):
        super().__init__()
        self.table = tf.lookup.StaticVocabularyTable(
            tf.lookup.TextFileInitializer(
                vocabulary,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            num_oov_buckets=1,
        )
        self.network = lambda numbers: model(numbers)
        self.kept = model.weights

    @tf.function(autograph=False)
    def by_word(self, word):
        numbers = tf.cast(self.table.lookup(word), tf.float32)
        return {"score": self.network(numbers[:, None])}


@pytest.fixture
def parent(tmp_path):
    """Writes a parent as Keras file and behind a vocabulary as SavedModel."""
    model = network(0)
    model.save(tmp_path / "parent.keras")
    (tmp_path / "words.txt").write_text("ant\nbee\ncat\n")
    shop = Shop(model, str(tmp_path / "words.txt"))
    signature = shop.by_word.get_concrete_function(tf.TensorSpec([None], tf.string, name="word"))
    tf.saved_model.save(shop, str(tmp_path / "served"), signatures={"words": signature})
    (tmp_path / "words.txt").unlink()
    return tmp_path


def served(parent, **changes):
    places = {"parent_keras": "parent.keras", "parent_saved_model": "served"} | changes
    return ExportSources(**{name: str(parent / place) for name, place in places.items()})


def test_the_child_answers_under_the_signature_of_its_parent(parent):
    child, written = network(1), ChildFiles(parent / "child")
    how = write_child(child, written, served(parent), ROWS)
    assert how is SignatureSource.PARENT
    answer = tf.saved_model.load(str(written.saved_model)).signatures["words"]
    scores = answer(word=tf.constant(["cat", "ant"]))["score"].numpy()
    assert np.array_equal(scores, child(np.array([[2.0], [0.0]])).numpy())
    graph = (written.saved_model / "saved_model.pb").read_bytes()
    assert graph == (parent / "served" / "saved_model.pb").read_bytes()


def test_the_parent_stays_as_it_was(parent):
    files = [path for path in (parent / "served").rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    write_child(network(1), ChildFiles(parent / "child"), served(parent), ROWS)
    assert {path: path.read_bytes() for path in files} == before


def test_a_keras_file_of_another_model_is_refused(parent):
    network(2).save(parent / "other.keras")
    written = ChildFiles(parent / "child")
    with pytest.raises(ModelError, match="give export_fn") as error:
        write_child(network(1), written, served(parent, parent_keras="other.keras"), ROWS)
    assert "hidden/kernel" in str(error.value)
    assert not written.saved_model.exists()


def test_weights_that_keras_3_exported_twice_are_replaced_in_both_places(tmp_path):
    import keras as keras_3

    parent, child = network(0), network(1)
    for seed, model in enumerate((parent, child)):
        generator = np.random.default_rng(seed)
        model.set_weights([generator.normal(size=each.shape) for each in model.get_weights()])
    parent.save(tmp_path / "parent.keras")
    twin = keras_3.Sequential(
        [
            keras_3.Input((1,)),
            keras_3.layers.Dense(4, activation="relu"),
            keras_3.layers.Dense(1),
        ]
    )
    twin.set_weights(parent.get_weights())
    archive = keras_3.export.ExportArchive()
    archive.track(twin)
    number = tf.TensorSpec([None, 1], tf.float32, name="number")
    archive.add_endpoint("serve", lambda number: {"score": twin(number)}, [number])
    archive.write_out(str(tmp_path / "served"), verbose=False)
    written = ChildFiles(tmp_path / "child")
    assert write_child(child, written, served(tmp_path), ROWS) is SignatureSource.PARENT
    answer = tf.saved_model.load(str(written.saved_model)).signatures["serve"]
    np.testing.assert_allclose(answer(**ROWS)["score"], child(ROWS["number"]), rtol=1e-5)


def test_without_a_parent_the_inputs_are_the_signatures(tmp_path):
    child, written = network(1), ChildFiles(tmp_path)
    assert write_child(child, written, ExportSources(), ROWS) is SignatureSource.INPUTS
    loaded = tf.saved_model.load(str(written.saved_model))
    expected = child(ROWS["number"]).numpy()
    examples = [
        tf.train.Example(
            features=tf.train.Features(
                feature={"number": tf.train.Feature(float_list=tf.train.FloatList(value=row))}
            )
        ).SerializeToString()
        for row in ROWS["number"]
    ]
    by_examples = loaded.signatures["serving_default"](examples=tf.constant(examples))
    by_columns = loaded.signatures["serving_columns"](number=tf.constant(ROWS["number"]))
    assert np.allclose(by_examples["score"], expected)
    assert np.allclose(by_columns["score"], expected)


def test_the_users_function_decides_when_it_is_named(tmp_path):
    written = ChildFiles(tmp_path)
    chosen = ExportSources(export_fn=f"{__name__}.export_doubled", transform_output="graph")
    assert write_child(network(1), written, chosen, ROWS) is SignatureSource.EXPORT_FN
    loaded = tf.saved_model.load(str(written.saved_model))
    assert list(loaded.signatures) == ["doubled"]


def test_a_function_that_writes_nothing_is_an_error(tmp_path):
    chosen = ExportSources(export_fn=f"{__name__}.export_nothing")
    with pytest.raises(ModelError, match="Write it to args"):
        write_child(network(1), ChildFiles(tmp_path), chosen, ROWS)
    with pytest.raises(ConfigError, match="importable module"):
        write_child(network(1), ChildFiles(tmp_path), ExportSources(export_fn="no.such.fn"), ROWS)


def export_doubled(model, args):
    """Is named as `export_fn`."""
    assert args.transform_output == "graph"
    holder = tf.Module()
    holder.kept = model.weights
    function = tf.function(lambda number: {"score": 2 * model(number)}, autograph=False)
    spec = tf.TensorSpec([None, 1], tf.float32, name="number")
    signatures = {"doubled": function.get_concrete_function(spec)}
    tf.saved_model.save(holder, args.serving_model_dir, signatures=signatures)


def export_nothing(model, args):
    """Is named as `export_fn`, and forgets to write."""
