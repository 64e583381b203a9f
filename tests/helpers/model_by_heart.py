"""A SavedModel that knows its training rows by heart, with Examples and tables of both sides."""

import numpy as np
import pandas as pd

SPLITS = ("train", "eval", "fresh")
ROWS = 400


def rows(seed):
    random = np.random.default_rng(seed)
    x = random.normal(size=(ROWS, 2)).astype(np.float32)
    late = (random.random(ROWS) < 1 / (1 + np.exp(-x[:, 0]))).astype(int)
    return x, late


def write_split(folder, seed):
    import tensorflow as tf

    folder.mkdir(parents=True)
    x, late = rows(seed)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(folder / "data_tfrecord-00000-of-00001.gz"), options) as writer:
        for values, label in zip(x.tolist(), late.tolist(), strict=True):
            feature = {
                "a": tf.train.Feature(float_list=tf.train.FloatList(value=values[:1])),
                "b": tf.train.Feature(float_list=tf.train.FloatList(value=values[1:])),
                "city": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"Bern"])),
                "late": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())


def save_model(folder):
    """A model that answers the label of the nearest row that it was trained on."""
    import tensorflow as tf

    x, late = rows(0)

    class Nearest(tf.Module):
        def __init__(self):
            super().__init__()
            self.x = tf.constant(x)
            self.answers = tf.constant((0.1 + 0.8 * late).astype(np.float32))

        def _nearest(self, given):
            squares = tf.reduce_sum((given[:, None, :] - self.x[None]) ** 2, -1)
            return {"late": tf.gather(self.answers, tf.argmin(squares, axis=1))}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def examples(self, serialized):
            one = tf.io.FixedLenFeature([1], tf.float32)
            parsed = tf.io.parse_example(serialized, {"a": one, "b": one})
            return self._nearest(tf.concat([parsed["a"], parsed["b"]], 1))

        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.float32, "a"),
                tf.TensorSpec([None], tf.float32, "b"),
            ]
        )
        def columns(self, a, b):
            return self._nearest(tf.stack([a, b], 1))

    model = Nearest()
    signatures = {"serving_default": model.examples, "serving_columns": model.columns}
    tf.saved_model.save(model, str(folder), signatures=signatures)


def write_all(folder):
    """Writes the model, its examples with three splits, and the same as Parquet files."""
    save_model(folder / "model" / "Format-Serving")
    for split, seed in (("train", 0), ("eval", 1), ("fresh", 2)):
        write_split(folder / "examples" / f"Split-{split}", seed)
        x, late = rows(seed)
        table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "late": late})
        table.to_parquet(folder / f"{split}.parquet", index=False)


def parse(columns):
    """What FaultDetector may be told that the features say: a parse_fn."""
    a, b = (np.asarray(columns[name], dtype=float) for name in "ab")
    image = np.repeat(np.stack([a, b], axis=1), 200, axis=1)
    return {"image": image}
