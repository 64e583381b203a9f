"""Which network says whether a flight will be late, and how is it trained and saved?"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from pipelines.flights.data import CATEGORICAL_FEATURES, FLOAT_FEATURES, INTEGER_FEATURES, LABEL
from pipelines.flights.features import NUMERIC_FEATURES

SCORE = "probability"
KERAS_FOLDER = "Format-Keras"
SERVING_COLUMNS = "serving_columns"

_BATCH_ROWS = 256
_MAX_EPOCHS = 12
_VALIDATION_FRACTION = 0.1


def build(vocabulary_sizes: Mapping[str, int]) -> keras.Model:
    """Returns an untrained network: embeddings beside scaled numbers, two small layers.

    Chosen by training on January and judging on February alone.

    Args:
        vocabulary_sizes: Number of ids by string feature, the one for unseen values included.
    """
    inputs = {name: keras.Input((1,), name=name) for name in NUMERIC_FEATURES}
    parts = list(inputs.values())
    for name in CATEGORICAL_FEATURES:
        inputs[name] = keras.Input((1,), name=name, dtype="int64")
        embedding = keras.layers.Embedding(
            vocabulary_sizes[name], 4, embeddings_regularizer=keras.regularizers.l2(1e-3)
        )
        parts.append(keras.layers.Flatten()(embedding(inputs[name])))
    hidden = keras.layers.Concatenate()(parts)
    for units in (32, 16):
        hidden = keras.layers.Dense(units, activation="relu")(hidden)
        hidden = keras.layers.Dropout(0.1)(hidden)
    score = keras.layers.Dense(1, activation="sigmoid", name=SCORE)(hidden)
    model = keras.Model(inputs, score)
    model.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy")
    return model


def train(
    features: Mapping[str, np.ndarray],
    labels: np.ndarray,
    vocabulary_sizes: Mapping[str, int],
    seed: int,
) -> keras.Model:
    """Returns a trained network; it stops when a seeded tenth of the rows no longer gains.

    Args:
        features: Transformed features, each of shape [rows, 1].
        labels: 0 or 1, of shape [rows].
        vocabulary_sizes: Number of ids by string feature.
        seed: Sets the weights, the tenth held back and the order of the rows.
    """
    keras.utils.set_random_seed(seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    held_back, kept = np.split(order, [int(len(order) * _VALIDATION_FRACTION)])
    arrays = {name: np.asarray(values) for name, values in features.items()}
    model = build(vocabulary_sizes)
    model.fit(
        {name: values[kept] for name, values in arrays.items()},
        labels[kept],
        validation_data=({n: v[held_back] for n, v in arrays.items()}, labels[held_back]),
        batch_size=_BATCH_ROWS,
        validation_batch_size=8192,
        epochs=_MAX_EPOCHS,
        callbacks=[keras.callbacks.EarlyStopping(patience=1, restore_best_weights=True)],
        verbose=0,
    )
    return model


def run_fn(fn_args: Any) -> None:
    """Is called by the TFX node Trainer; writes the SavedModel and the Keras model beside it."""
    import tensorflow_transform as tft

    transform_output = tft.TFTransformOutput(fn_args.transform_output)
    features, labels = _read_transformed(fn_args, transform_output)
    sizes = {
        name: transform_output.vocabulary_size_by_name(name) + 1 for name in CATEGORICAL_FEATURES
    }
    model = train(features, labels, sizes, int((fn_args.custom_config or {}).get("seed", 0)))
    # Keras first: the layer that the signatures need must not become part of it.
    beside = os.path.join(os.path.dirname(fn_args.serving_model_dir), KERAS_FOLDER)
    tf.io.gfile.makedirs(beside)
    model.save(os.path.join(beside, "model.keras"))
    model.tft_layer = transform_output.transform_features_layer()
    tf.saved_model.save(
        model, fn_args.serving_model_dir, signatures=_signatures(model, transform_output)
    )


def _read_transformed(fn_args: Any, transform_output: Any) -> tuple[dict[str, np.ndarray], Any]:
    from tfx_bsl.public import tfxio

    batches = fn_args.data_accessor.record_batch_factory(
        fn_args.train_files,
        tfxio.RecordBatchesOptions(batch_size=65_536, num_epochs=1, shuffle=False),
        transform_output.transformed_metadata.schema,
    )
    columns: dict[str, list[np.ndarray]] = {}
    for batch in batches:
        for name, column in zip(batch.schema.names, batch.columns):
            columns.setdefault(name, []).append(column.flatten().to_numpy(zero_copy_only=False))
    arrays = {name: np.concatenate(parts) for name, parts in columns.items()}
    labels = arrays.pop(LABEL)
    return {name: values.reshape(-1, 1) for name, values in arrays.items()}, labels


def _signatures(model: keras.Model, transform_output: Any) -> dict[str, Any]:
    raw_spec = transform_output.raw_feature_spec()
    raw_spec = {n: raw_spec[n] for n in (*NUMERIC_FEATURES, *CATEGORICAL_FEATURES)}

    def score(raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {SCORE: tf.squeeze(model(model.tft_layer(raw)), axis=1)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return score(tf.io.parse_example(examples, raw_spec))

    @tf.function(input_signature=[_column_specs()])
    def serve_columns(columns: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return score({name: _as_parsed(columns[name], raw_spec[name]) for name in raw_spec})

    return {"serving_default": serve_examples, SERVING_COLUMNS: serve_columns}


def _column_specs() -> dict[str, tf.TensorSpec]:
    kinds = dict.fromkeys(CATEGORICAL_FEATURES, tf.string)
    kinds |= dict.fromkeys(INTEGER_FEATURES, tf.int64) | dict.fromkeys(FLOAT_FEATURES, tf.float32)
    return {name: tf.TensorSpec([None], kind, name=name) for name, kind in kinds.items()}


def _as_parsed(column: tf.Tensor, spec: Any) -> Any:
    values = tf.expand_dims(column, 1)
    return tf.sparse.from_dense(values) if isinstance(spec, tf.io.VarLenFeature) else values
