"""A user's own run_fn for TFX's Trainer: a network whose signature takes serialized tf.Examples."""

FEATURES = tuple(f"p{number}" for number in range(16))
LABEL = "even"


def parsed(serialized):
    """Returns features and labels of serialized tf.Examples."""
    import tensorflow as tf

    spec = {name: tf.io.FixedLenFeature([1], tf.float32) for name in FEATURES}
    # A request has no label.
    spec[LABEL] = tf.io.FixedLenFeature([1], tf.int64, default_value=-1)
    found = tf.io.parse_example(serialized, spec)
    return tf.concat([found[name] for name in FEATURES], axis=1), found[LABEL]


def run_fn(fn_args):
    """Is called by the TFX node Trainer."""
    import tensorflow as tf
    import tf_keras as keras

    files = tf.io.gfile.glob(fn_args.train_files)
    packed = "GZIP" if files[0].endswith(".gz") else ""
    rows = list(tf.data.TFRecordDataset(files, compression_type=packed).as_numpy_iterator())
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy")
    model.fit(*parsed(tf.constant(rows)), epochs=fn_args.train_steps, verbose=0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(examples):
        return {"score": model(parsed(examples)[0])}

    tf.saved_model.save(model, fn_args.serving_model_dir, signatures={"serving_default": serve})
