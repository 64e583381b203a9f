"""Class names are found where models keep them."""

import pytest

from tfx_loop.models.class_names import UNKNOWN, find

pytestmark = pytest.mark.tensorflow
NAMES = ["small", "large", "medium"]


def saved(folder, module, signature):
    import tensorflow as tf

    tf.saved_model.save(module, str(folder), signatures=signature.get_concrete_function())
    return {"path": str(folder), "outputs": 3}


@pytest.fixture
def numbers():
    import tensorflow as tf

    return tf.TensorSpec([None, 2], tf.float32, name="x")


def test_an_asset_beside_the_graph(tmp_path, numbers):
    import tensorflow as tf

    (tmp_path / "labels.txt").write_text("\n".join(NAMES))

    class Model(tf.Module):
        def __init__(self):
            super().__init__()
            self.names = tf.saved_model.Asset(str(tmp_path / "labels.txt"))

        @tf.function(input_signature=[numbers])
        def serve(self, x):
            return {"y": tf.concat([x, x[:, :1]], axis=1)}

    module = Model()
    assert NAMES in find(saved(tmp_path / "model", module, module.serve))


def test_the_names_that_a_signature_answers_with(tmp_path, numbers):
    import tensorflow as tf

    class Model(tf.Module):
        @tf.function(input_signature=[numbers])
        def serve(self, x):
            scores = tf.concat([x, x[:, :1]], axis=1)
            return {"scores": scores, "class": tf.gather(NAMES, tf.argmax(scores, axis=1))}

    module = Model()
    assert NAMES in find(saved(tmp_path / "model", module, module.serve))


def test_string_lookup_of_a_keras_file_and_of_its_saved_model(tmp_path):
    import tensorflow as tf
    import tf_keras as keras

    words = keras.layers.Input((1,), dtype="string", name="size")
    lookup = keras.layers.StringLookup(vocabulary=NAMES, output_mode="one_hot", num_oov_indices=0)
    model = keras.Model(words, keras.layers.Dense(3, "softmax")(lookup(words)))
    model.save(tmp_path / "model.keras")
    assert NAMES in find({"path": str(tmp_path / "model.keras"), "outputs": 3})
    tf.saved_model.save(model, str(tmp_path / "saved_model"))
    assert NAMES in find({"path": str(tmp_path / "saved_model"), "outputs": 3})
    # With one output more, that one may stand for unknown words, first or last.
    found = find({"path": str(tmp_path / "model.keras"), "outputs": 4})
    assert [UNKNOWN, *NAMES] in found
    assert [*NAMES, UNKNOWN] in found
    assert find({"path": str(tmp_path / "model.keras"), "outputs": 7}) == []
