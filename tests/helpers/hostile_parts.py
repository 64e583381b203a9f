"""What the makers of hostile SavedModels share: a small model, and ways to change its file."""

import struct

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


def saved_with_variable(folder, shape):
    """Returns a SavedModel with one variable, of ones."""
    module = Summing(lambda x: tf.no_op())
    module.variable = tf.Variable(tf.ones(shape))
    module.harm = lambda x: tf.reduce_sum(module.variable)
    tf.saved_model.save(module, str(folder / "m"), signatures={"serving_default": module.serve})
    return folder / "m"


def edit_index(model, old, new):
    """Puts other bytes of the same length into the index of the variables, its checksum right."""
    file = model / "variables" / "variables.index"
    content = bytearray(file.read_bytes())
    assert len(old) == len(new)
    at = content.index(old)
    content[at : at + len(old)] = new
    # The footer's first number is where the block behind the only block of entries begins; a
    # block ends with how it is compressed and its checksum.
    checked = struct.unpack_from("<H", content, len(content) - 48)[0]
    # Below 2 to the 14th: two digits of base 128.
    checked = (checked & 0x7F) | (checked >> 8 << 7) if checked & 0x80 else checked & 0x7F
    checked -= 4
    content[checked : checked + 4] = struct.pack("<I", _masked(_crc32c(content[:checked])))
    file.write_bytes(content)


def _crc32c(content):
    """Returns the checksum of RFC 3720."""
    register = 0xFFFFFFFF
    for byte in content:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def _masked(checksum):
    # crc32c::Mask of tensorflow/tsl/lib/hash/crc32c.h.
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
