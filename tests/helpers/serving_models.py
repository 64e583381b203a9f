"""SavedModels as Trainers export them: tf.Examples or text in, preprocessing and network inside."""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tfx_loop.models.tensors import TensorSpec

COLOURS = ("red", "green", "blue")


def example(**features):
    """Returns a serialized tf.Example; bytes, whole numbers or floats by name."""
    made = {}
    for name, value in features.items():
        values = value if isinstance(value, list | np.ndarray) else [value]
        if isinstance(values[0], bytes):
            made[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        elif isinstance(values[0], int | np.integer):
            made[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        else:
            made[name] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


def write_examples(folder, records):
    """Writes one split as ExampleGen does."""
    folder.mkdir(parents=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(folder / "data_tfrecord-00000-of-00001.gz"), options) as writer:
        for record in records:
            writer.write(record)


def fruit_rows(count, seed=0):
    """Returns tf.Examples of fruit: a weight, a colour, and whether it is an apple."""
    rng = np.random.default_rng(seed)
    weights, colours = rng.normal(150, 40, count), rng.integers(0, len(COLOURS), count)
    apples = (weights > 140) & (colours != 2)
    return [
        example(weight=float(w), colour=COLOURS[c].encode(), apple=int(a))
        for w, c, a in zip(weights, colours, apples, strict=True)
    ]


def fruit_network():
    """Returns a trained network of the transformed features, `weight_xf` and `colour_xf`."""
    keras.utils.set_random_seed(0)
    weight = keras.Input((1,), name="weight_xf")
    colour = keras.Input((1,), name="colour_xf", dtype="int64")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(4, 2, name="colours")(colour))
    hidden = keras.layers.Dense(16, activation="relu", name="hidden")(
        keras.layers.Concatenate()([weight, embedded])
    )
    model = keras.Model([weight, colour], keras.layers.Dense(2, name="logits")(hidden))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    parsed = tf.io.parse_example(fruit_rows(600, seed=1), {**_RAW, **_LABEL})
    inputs = _Transform()(parsed)
    model.fit(inputs, parsed["apple"], epochs=30, verbose=0)
    return model


_RAW = {
    "weight": tf.io.FixedLenFeature([1], tf.float32),
    "colour": tf.io.FixedLenFeature([1], tf.string),
}
_LABEL = {"apple": tf.io.FixedLenFeature([1], tf.int64)}


class _Transform(tf.Module):
    """What a Transform graph is: a z-score and a vocabulary, called as one function."""

    def __init__(self):
        keys = tf.constant([colour.encode() for colour in COLOURS])
        values = tf.range(len(COLOURS), dtype=tf.int64)
        initializer = tf.lookup.KeyValueTensorInitializer(keys, values)
        self.table = tf.lookup.StaticHashTable(initializer, default_value=3)

    @tf.function
    def __call__(self, raw):
        made = {
            "weight_xf": (raw["weight"] - 150.0) / 40.0,
            "colour_xf": self.table.lookup(raw["colour"]),
        }
        return made | ({"apple_xf": raw["apple"]} if "apple" in raw else {})


def save_fruit(folder, network, transform_signature=True):
    """Writes what a standard Trainer writes."""
    module = tf.Module()
    module.network, module.transform = network, _Transform()
    examples = tf.TensorSpec([None], tf.string, name="examples")

    @tf.function(input_signature=[examples])
    def serve(examples):
        return {"outputs": network(module.transform(tf.io.parse_example(examples, _RAW)))}

    @tf.function(input_signature=[examples])
    def transform_features(examples):
        return module.transform(tf.io.parse_example(examples, {**_RAW, **_LABEL}))

    signatures = {"serving_default": serve}
    if transform_signature:
        signatures["transform_features"] = transform_features
    tf.saved_model.save(module, str(folder), signatures=signatures)


def save_image_model(folder, examples_too=False):
    """Writes a model of encoded images: bytes in, decoded in a loop, a convolution behind.

    Its second signature takes them as a feature `picture` of tf.Examples.
    """
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1))
    hidden = keras.layers.Conv2D(4, 3, activation="relu")(image)
    output = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(hidden))
    network = keras.Model(image, output)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve(image_bytes):
        def decoded(content):
            return tf.image.resize(tf.io.decode_png(content, channels=1), [8, 8]) / 255.0

        spec = tf.TensorSpec([8, 8, 1], tf.float32)
        images = tf.map_fn(decoded, image_bytes, fn_output_signature=spec)
        return {"scores": network(images)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve_examples(examples):
        spec = {"picture": tf.io.FixedLenFeature([], tf.string)}
        return serve(tf.io.parse_example(examples, spec)["picture"])

    module = tf.Module()
    module.network = network
    signatures = {"serving_default": serve}
    if examples_too:
        signatures["serving_tf_example"] = serve_examples
    tf.saved_model.save(module, str(folder), signatures=signatures)


def image_spec():
    """Returns the input of the network in `save_image_model`."""
    return TensorSpec(name="image", shape=(None, 8, 8, 1), dtype="float32")


def image_rows(count):
    """Returns tf.Examples of PNG images of several sizes."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(6, 12, count)
    images = [rng.integers(0, 256, (n, n, 1), dtype=np.uint8) for n in sizes]
    return [example(image_bytes=tf.io.encode_png(image).numpy(), label=1) for image in images]


def save_text_model(folder):
    """Writes a model that computes with text to its end."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def serve(text):
        return {"length": tf.cast(tf.strings.length(text), tf.float32)}

    tf.saved_model.save(tf.Module(), str(folder), signatures={"serving_default": serve})
