"""Makes a real SavedModel in a second: both signatures of our models, and one that fails."""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")


def save_tiny_model(path: Path, bias: float = 0.0) -> None:
    """Saves a logistic model of `hour` (int64), `delay` (float32) and `origin` (string).

    probability = sigmoid(bias + delay / 10 + hour / 100 + (origin == "JFK"))
    """
    import tensorflow as tf

    def score(columns: dict) -> dict:
        logit = (
            bias
            + tf.reshape(columns["delay"], [-1]) / 10.0
            + tf.cast(tf.reshape(columns["hour"], [-1]), tf.float32) / 100.0
            + tf.cast(tf.equal(tf.reshape(columns["origin"], [-1]), "JFK"), tf.float32)
        )
        return {"probability": tf.reshape(tf.sigmoid(logit), [-1, 1])}

    module = tf.Module()
    specs = {
        "hour": tf.TensorSpec([None], tf.int64, name="hour"),
        "delay": tf.TensorSpec([None, 1], tf.float32, name="delay"),
        "origin": tf.TensorSpec([None], tf.string, name="origin"),
    }

    @tf.function(input_signature=[specs])
    def serving_columns(columns):
        return score(columns)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serving_default(examples):
        parsed = tf.io.parse_example(
            examples,
            {
                "hour": tf.io.FixedLenFeature([], tf.int64, default_value=0),
                "delay": tf.io.FixedLenFeature([1], tf.float32, default_value=[0.0]),
                "origin": tf.io.FixedLenFeature([], tf.string, default_value=""),
            },
        )
        return score(parsed)

    module.serving_columns = serving_columns
    module.serving_default = serving_default
    tf.saved_model.save(
        module,
        str(path),
        signatures={"serving_columns": serving_columns, "serving_default": serving_default},
    )


if __name__ == "__main__":
    save_tiny_model(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
