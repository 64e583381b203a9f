"""An image classifier as users write one for TFX: PNGs in, decoded by Transform and by serving."""

import tensorflow as tf
import tensorflow_transform as tft
from tfx_bsl.public import tfxio

IMAGE, LABEL = "image", "label"


def decoded(images):
    """Returns the pixels of PNGs, from 0 to 1."""

    def one(png):
        return tf.reshape(tf.cast(tf.io.decode_png(png, 1), tf.float32) / 255.0, [8, 8, 1])

    return tf.map_fn(one, tf.reshape(images, [-1]), fn_output_signature=tf.float32)


def preprocessing_fn(inputs):
    """Decodes the images."""
    return {"pixels": decoded(inputs[IMAGE]), LABEL: inputs[LABEL]}


def run_fn(fn_args):
    """Trains a small network; `serving_default` takes PNGs, `serving_tf_example` tf.Examples."""
    transform = tft.TFTransformOutput(fn_args.transform_output)

    def rows(files, *, again):
        options = tfxio.TensorFlowDatasetOptions(
            batch_size=32, label_key=LABEL, num_epochs=None if again else 1
        )
        return fn_args.data_accessor.tf_dataset_factory(
            files, options, transform.transformed_metadata.schema
        )

    model = tf.keras.Sequential(
        [
            tf.keras.layers.Conv2D(8, 3, activation="relu", input_shape=(8, 8, 1), name="pixels"),
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    train = rows(fn_args.train_files, again=True).map(lambda x, y: (x["pixels"], y))
    valid = rows(fn_args.eval_files, again=False).map(lambda x, y: (x["pixels"], y))
    model.fit(train, steps_per_epoch=fn_args.train_steps, validation_data=valid, verbose=0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve_images(image_bytes):
        return {"scores": model(decoded(image_bytes))}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve_examples(examples):
        parsed = tf.io.parse_example(examples, {IMAGE: tf.io.FixedLenFeature([], tf.string)})
        return {"scores": model(decoded(parsed[IMAGE]))}

    signatures = {"serving_default": serve_images, "serving_tf_example": serve_examples}
    model.save(fn_args.serving_model_dir, save_format="tf", signatures=signatures)
