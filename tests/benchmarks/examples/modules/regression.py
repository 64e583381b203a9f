"""A regression as users write one for TFX: `preprocessing_fn` and `run_fn` of a `module_file`."""

import tensorflow as tf
import tensorflow_transform as tft
from tfx_bsl.public import tfxio

LABEL = "progression"
ROW_ID = "row_id"


def preprocessing_fn(inputs):
    """Scales every measure to a mean of 0 and a deviation of 1; the label to hundreds."""
    features = {n: v for n, v in inputs.items() if n not in (LABEL, ROW_ID)}
    outputs = {f"{n}_xf": tft.scale_to_z_score(v) for n, v in features.items()}
    outputs[f"{LABEL}_xf"] = tf.cast(inputs[LABEL], tf.float32) / 100.0
    return outputs


def run_fn(fn_args):
    """Trains a small network and saves it with a signature of tf.Examples."""
    transform = tft.TFTransformOutput(fn_args.transform_output)

    def rows(files, *, again):
        options = tfxio.TensorFlowDatasetOptions(
            batch_size=32, label_key=f"{LABEL}_xf", num_epochs=None if again else 1
        )
        return fn_args.data_accessor.tf_dataset_factory(
            files, options, transform.transformed_metadata.schema
        )

    names = [n for n in transform.transformed_feature_spec() if n != f"{LABEL}_xf"]
    inputs = {name: tf.keras.Input((1,), name=name) for name in sorted(names)}
    hidden = tf.keras.layers.Concatenate()(list(inputs.values()))
    for width in (16, 8):
        hidden = tf.keras.layers.Dense(width, activation="relu")(hidden)
    model = tf.keras.Model(inputs, tf.keras.layers.Dense(1, name="output")(hidden))
    model.compile("adam", "mse")
    model.fit(
        rows(fn_args.train_files, again=True),
        steps_per_epoch=fn_args.train_steps,
        validation_data=rows(fn_args.eval_files, again=False),
        verbose=0,
    )
    model.tft_layer = transform.transform_features_layer()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(examples):
        spec = transform.raw_feature_spec()
        spec.pop(LABEL)
        parsed = tf.io.parse_example(examples, spec)
        return {"outputs": model(model.tft_layer(parsed))}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def transform_features(examples):
        parsed = tf.io.parse_example(examples, transform.raw_feature_spec())
        return model.tft_layer(parsed)

    signatures = {"serving_default": serve, "transform_features": transform_features}
    model.save(fn_args.serving_model_dir, save_format="tf", signatures=signatures)
