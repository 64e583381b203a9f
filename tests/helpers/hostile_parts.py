"""What the makers of hostile SavedModels share: a small model, and ways to change its file."""

import tensorflow as tf

SECRET = "nobody should read this"


def harm_of(folder):
    """Returns the file that a hostile model of this folder writes."""
    return folder / "harm"


class Summing(tf.Module):
    """A module whose signature does harm beside its work."""

    def __init__(self, harm):
        super().__init__()
        self.harm = harm

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, 3], tf.float32, "x")])
    def serve(self, x):
        with tf.control_dependencies([self.harm(x)]):
            return {"y": tf.reduce_sum(x, axis=1)}


def saved(folder, harm):
    module = Summing(harm)
    tf.saved_model.save(module, str(folder / "m"), signatures={"serving_default": module.serve})
    return folder / "m"


def lookup(folder, name="words.txt"):
    """Returns a SavedModel with a vocabulary as its asset."""
    words = folder / name
    words.write_text("a\nb\n")
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            str(words), tf.string, 0, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        ),
        1,
    )
    module = Summing(lambda x: table.lookup(tf.constant(["a"])))
    module.table = table
    word = tf.TensorSpec([None], tf.string, name="word")
    serve = tf.function(lambda word: {"index": table.lookup(word)}, autograph=False)
    signatures = {"serving_default": module.serve, "words": serve.get_concrete_function(word)}
    tf.saved_model.save(module, str(folder / "m"), signatures=signatures)
    return folder / "m"


def edit_saved_model(model, change):
    from tensorflow.core.protobuf import saved_model_pb2

    file = model / "saved_model.pb"
    proto = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    change(proto)
    file.write_bytes(proto.SerializeToString())
