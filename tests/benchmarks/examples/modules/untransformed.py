"""A classifier as users write one without Transform: numbers go to the network as they come."""

import tensorflow as tf
from tfx_bsl.public import tfxio

FEATURES, LABEL = ("mean_concavity", "mean_smoothness", "mean_texture"), "benign"


def run_fn(fn_args):
    """Trains a small network and saves it with a signature of tf.Examples."""
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tfx.v1.utils import parse_pbtxt_file

    schema = parse_pbtxt_file(fn_args.schema_path, schema_pb2.Schema())

    def rows(files, epochs):
        options = tfxio.TensorFlowDatasetOptions(batch_size=32, label_key=LABEL, num_epochs=epochs)
        return fn_args.data_accessor.tf_dataset_factory(files, options, schema).map(
            lambda columns, label: ({name: columns[name] for name in FEATURES}, label)
        )

    inputs = {name: tf.keras.Input((1,), name=name) for name in FEATURES}
    scaled = tf.keras.layers.BatchNormalization()(
        tf.keras.layers.Concatenate()([inputs[name] for name in FEATURES])
    )
    hidden = tf.keras.layers.Dense(8, activation="relu")(scaled)
    score = tf.keras.layers.Dense(1, activation="sigmoid")(hidden)
    model = tf.keras.Model(inputs, score)
    model.compile(tf.keras.optimizers.Adam(0.01), "binary_crossentropy")
    model.fit(rows(fn_args.train_files, None), steps_per_epoch=fn_args.train_steps, verbose=0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(examples):
        spec = {name: tf.io.FixedLenFeature([1], tf.float32) for name in FEATURES}
        return {"output_0": model(tf.io.parse_example(examples, spec))}

    model.save(fn_args.serving_model_dir, save_format="tf", signatures={"serving_default": serve})
