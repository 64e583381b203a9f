"""A user's own project for one task: CSV files, a plain Keras model, and no Transform."""

import json
from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).parent


def training(rows_from, rows_until):
    """Returns the nodes of the pipeline, on the rows of a time."""
    from tfx import v1 as tfx

    rows = pd.read_parquet(FOLDER / "rows.parquet")
    since = rows_from.timestamp() if rows_from else 0.0
    rows = rows[(rows["time"] >= since) & (rows["time"] < rows_until.timestamp())]
    (FOLDER / "data").mkdir(exist_ok=True)
    rows.drop(columns=["time", "id"]).to_csv(FOLDER / "data" / "rows.csv", index=False)
    example_gen = tfx.components.CsvExampleGen(input_base=str(FOLDER / "data"))
    trainer = tfx.components.Trainer(
        run_fn="task_training.run_fn",
        examples=example_gen.outputs["examples"],
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["eval"]),
    )
    return [example_gen, trainer]


def run_fn(fn_args):
    """Is called by the TFX node Trainer."""
    import tensorflow as tf
    import tf_keras as keras

    said = json.loads((FOLDER / "task.json").read_text())
    texts, outputs = said["features"] == ["text"], said["outputs"]
    whole = outputs > 1 or said["activation"] == "sigmoid"
    spec = {
        name: tf.io.FixedLenFeature([1], tf.string if texts else tf.float32)
        for name in said["features"]
    }
    # A request has no label.
    spec["y"] = tf.io.FixedLenFeature([1], tf.int64 if whole else tf.float32, default_value=-1)

    def parsed(serialized):
        found = tf.io.parse_example(serialized, spec)
        if texts:
            words = tf.strings.split(found["text"][:, 0])
            places = tf.strings.to_hash_bucket_fast(words, 256)
            return tf.reduce_max(tf.one_hot(places.to_tensor(-1), 256), axis=1), found["y"]
        return tf.concat([found[name] for name in said["features"]], axis=1), found["y"]

    files = tf.io.gfile.glob(fn_args.train_files)
    rows = list(tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator())
    keras.utils.set_random_seed(0)
    width = 256 if texts else len(said["features"])
    model = keras.Sequential(
        [
            keras.Input((width,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(outputs, activation=said["activation"]),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), said["loss"])
    model.fit(*parsed(tf.constant(rows)), epochs=40, batch_size=64, verbose=0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(examples):
        return {"score": model(parsed(examples)[0])}

    tf.saved_model.save(model, fn_args.serving_model_dir, signatures={"serving_default": serve})
