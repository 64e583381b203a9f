"""A user's own project: a stock pipeline on CSV files, a plain Keras model, and no Transform."""

from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).parent
FEATURES = ("x1", "x2")
LABEL = "y"


def training(rows_until):
    """Returns the nodes of the pipeline, on all rows before a time."""
    from tfx import v1 as tfx

    rows = pd.read_parquet(FOLDER / "rows.parquet")
    rows = rows[rows["time"] < rows_until.timestamp()].drop(columns=["time", "id"])
    (FOLDER / "data").mkdir(exist_ok=True)
    rows.to_csv(FOLDER / "data" / "rows.csv", index=False)
    example_gen = tfx.components.CsvExampleGen(input_base=str(FOLDER / "data"))
    trainer = tfx.components.Trainer(
        run_fn="plain_training.run_fn",
        examples=example_gen.outputs["examples"],
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["eval"]),
    )
    return [example_gen, trainer]


def run_fn(fn_args):
    """Is called by the TFX node Trainer."""
    import tensorflow as tf
    import tf_keras as keras

    spec = {name: tf.io.FixedLenFeature([1], tf.float32) for name in FEATURES}
    # A request has no label.
    spec[LABEL] = tf.io.FixedLenFeature([1], tf.int64, default_value=-1)

    def parsed(serialized):
        found = tf.io.parse_example(serialized, spec)
        return tf.concat([found[name] for name in FEATURES], axis=1), found[LABEL]

    files = tf.io.gfile.glob(fn_args.train_files)
    rows = list(tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator())
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((len(FEATURES),)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    model.fit(*parsed(tf.constant(rows)), epochs=30, batch_size=256, verbose=0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(examples):
        return {"score": model(parsed(examples)[0])}

    tf.saved_model.save(model, fn_args.serving_model_dir, signatures={"serving_default": serve})
