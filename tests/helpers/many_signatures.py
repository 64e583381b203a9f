"""SavedModels that are asked in other ways than with tf.Examples under `serving_default`.

All answer `y`, a number that follows from the row alone.
"""

from pathlib import Path

import numpy as np


def example(**features) -> bytes:
    """Returns a serialized tf.Example; an empty list is a feature without a value."""
    from tensorflow.core.example import example_pb2

    made = example_pb2.Example()
    for name, values in features.items():
        values = list(values) if isinstance(values, (list, tuple, np.ndarray)) else [values]
        feature = made.features.feature[name]
        if values and isinstance(values[0], (bytes, str)):
            texts = [v.encode() if isinstance(v, str) else v for v in values]
            feature.bytes_list.value.extend(texts)
        elif values and isinstance(values[0], (int, np.integer)):
            feature.int64_list.value.extend(map(int, values))
        elif values:
            feature.float_list.value.extend(map(float, values))
    return made.SerializeToString()


def rows() -> list[bytes]:
    """Returns eight houses, one of them without a region: two numbers, a text and a label."""
    return [
        example(width=0.5 * i, rooms=i, region=[] if i == 3 else f"r{i % 3}", price=float(i))
        for i in range(8)
    ]


def pictures() -> list[bytes]:
    """Returns eight PNG pictures of 4 by 4 pixels, as bytes, with a label."""
    import tensorflow as tf

    generator = np.random.default_rng(5)
    pixels = generator.integers(0, 255, (8, 4, 4, 3), dtype=np.uint8)
    return [
        example(**{"image/encoded": tf.io.encode_png(p).numpy(), "label": i})
        for i, p in enumerate(pixels)
    ]


def save(folder: Path, **signatures) -> Path:
    """Saves functions of named tensors as signatures; each gives what to declare and what to do.

    Args:
        folder: Where.
        **signatures: By name a pair: TensorSpecs by input, and a function of these inputs.
    """
    import tensorflow as tf

    module = tf.Module()
    made = {}
    for name, (declared, function) in signatures.items():
        specs = {key: tf.TensorSpec(*spec, name=key) for key, spec in declared.items()}
        made[name] = tf.function(_answering(function), input_signature=[specs])
        setattr(module, name, made[name])
    tf.saved_model.save(module, str(folder), signatures=made)
    return folder


def _answering(function):
    return lambda inputs: {"y": function(**inputs)}


def of_columns():
    """Returns a signature of raw columns."""
    import tensorflow as tf

    def score(width, rooms, region):
        text = tf.cast(tf.strings.length(region), tf.float32)
        return tf.reshape(width, [-1]) + tf.cast(rooms, tf.float32) * 3 + text

    declared = {
        "width": ([None, 1], tf.float32),
        "rooms": ([None], tf.int64),
        "region": ([None], tf.string),
    }
    return declared, score


def of_examples(name="examples"):
    """Returns a signature of serialized tf.Examples, under another input's name."""
    import tensorflow as tf

    def score(**inputs):
        features = {"width": tf.io.FixedLenFeature([], tf.float32)}
        return tf.io.parse_example(inputs[name], features)["width"] * 2

    return {name: ([None], tf.string)}, score


def of_pictures():
    """Returns a signature of the bytes of pictures."""
    import tensorflow as tf

    def score(image_bytes):
        def mean(png):
            return tf.reduce_mean(tf.cast(tf.io.decode_png(png, 3), tf.float32))

        return tf.map_fn(mean, image_bytes, fn_output_signature=tf.float32)

    return {"image_bytes": ([None], tf.string)}, score


def of_rows(batch=None):
    """Returns a signature of one tensor of two numbers a row."""
    import tensorflow as tf

    return {"inputs": ([batch, 2], tf.float32)}, lambda inputs: tf.reduce_sum(inputs, axis=1)


def export_keras(folder: Path) -> Path:
    """Exports a Keras 3 model with `export()`: the signatures `serve` and `serving_default`."""
    import keras

    inputs = {name: keras.Input((1,), name=name) for name in ("width", "rooms")}
    joined = keras.layers.Concatenate()(list(inputs.values()))
    model = keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="ones")(joined))
    model.export(folder, verbose=False)
    return folder
