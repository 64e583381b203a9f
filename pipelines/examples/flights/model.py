"""The network that scores how likely a flight leaves late: built, trained and saved."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

from tfx_loop.pipelines.examples.flights.data import (
    CATEGORICAL_FEATURES,
    FLOAT_FEATURES,
    INTEGER_FEATURES,
    LABEL,
)
from tfx_loop.pipelines.examples.flights.features import (
    CATEGORIES,
    NUMBERS,
    NUMERIC_FEATURES,
    VOCABULARY,
)

SCORE = "probability"
KERAS_FOLDER = "Format-Keras"
SERVING_COLUMNS = "serving_columns"

_BATCH_ROWS = 256
# Early stopping ends most trainings before the last epoch, by a tenth of the rows held back.
_MAX_EPOCHS = 12
_VALIDATION_FRACTION = 0.1


def build(vocabulary_size: int) -> keras.Model:
    """Returns an untrained network: embeddings beside scaled numbers, two small layers.

    Chosen by training on January and judging on February alone.

    Args:
        vocabulary_size: Number of ids, the one for unseen values included.
    """
    numbers = keras.Input((len(NUMERIC_FEATURES),), name=NUMBERS)
    categories = keras.Input((len(CATEGORICAL_FEATURES),), name=CATEGORIES, dtype="int64")
    embedding = keras.layers.Embedding(
        vocabulary_size, 4, embeddings_regularizer=keras.regularizers.l2(1e-3)
    )
    embedded = keras.layers.Flatten()(embedding(categories))
    hidden = keras.layers.Concatenate()([numbers, embedded])
    for units in (32, 16):
        hidden = keras.layers.Dense(units, activation="relu")(hidden)
        hidden = keras.layers.Dropout(0.1)(hidden)
    score = keras.layers.Dense(1, activation="sigmoid", name=SCORE)(hidden)
    model = keras.Model({NUMBERS: numbers, CATEGORIES: categories}, score)
    # AutoGraph would rewrite all of Keras to find no loop in it: 20 s at the first training.
    model.train_step = tf.autograph.experimental.do_not_convert(model.train_step)
    model.test_step = tf.autograph.experimental.do_not_convert(model.test_step)
    model.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy")
    return model


def train(
    features: Mapping[str, npt.NDArray[Any]],
    labels: npt.NDArray[Any],
    vocabulary_size: int,
    seed: int,
) -> keras.Model:
    """Returns a trained network; it stops when a seeded tenth of the rows no longer gains.

    Args:
        features: `numbers` and `categories` as `features.transform` makes them.
        labels: 0 or 1, of shape [rows].
        vocabulary_size: Number of ids, the one for unseen values included.
        seed: Sets the weights, the tenth held back and the order of the rows.
    """
    keras.utils.set_random_seed(seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    held_back, kept = np.split(order, [int(len(order) * _VALIDATION_FRACTION)])
    model = build(vocabulary_size)
    model.fit(
        {name: values[kept] for name, values in features.items()},
        labels[kept],
        validation_data=({n: v[held_back] for n, v in features.items()}, labels[held_back]),
        batch_size=_BATCH_ROWS,
        # Nothing is learnt from these rows, so that a large batch only saves calls.
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
    vocabulary_size = transform_output.vocabulary_size_by_name(VOCABULARY) + 1
    seed = int((fn_args.custom_config or {}).get("seed", 0))
    model = train(features, labels, vocabulary_size, seed)
    beside = os.path.join(os.path.dirname(fn_args.serving_model_dir), KERAS_FOLDER)
    tf.io.gfile.makedirs(beside)
    model.save(os.path.join(beside, "model.keras"))
    served = _FlightsModule(model, transform_output)
    tf.saved_model.save(served, fn_args.serving_model_dir, signatures=served.signatures())


def _read_transformed(
    fn_args: Any, transform_output: Any
) -> tuple[dict[str, npt.NDArray[Any]], Any]:
    from tfx_bsl.public import tfxio

    batches = fn_args.data_accessor.record_batch_factory(
        fn_args.train_files,
        tfxio.RecordBatchesOptions(batch_size=65_536, num_epochs=1, shuffle=False),
        transform_output.transformed_metadata.schema,
    )
    columns: dict[str, list[npt.NDArray[Any]]] = {}
    for batch in batches:
        for name, column in zip(batch.schema.names, batch.columns, strict=False):
            columns.setdefault(name, []).append(column.flatten().to_numpy(zero_copy_only=False))
    arrays = {name: np.concatenate(parts) for name, parts in columns.items()}
    labels = arrays.pop(LABEL)
    # Batches are flat lists: a feature of several numbers gets its second axis back here.
    return {name: values.reshape(len(labels), -1) for name, values in arrays.items()}, labels


class _FlightsModule(tf.Module):
    """The network behind the Transform graph, for rows as they come."""

    def __init__(self, model: keras.Model, transform_output: Any) -> None:
        super().__init__()
        # Only its variables are saved: the network itself would bring Keras' own functions along.
        self._network: Callable[..., Any] = lambda features: model(features)
        self._weights = model.weights
        self._transform = transform_output.transform_features_layer()
        raw_spec = transform_output.raw_feature_spec()
        self._raw_spec = {n: raw_spec[n] for n in (*NUMERIC_FEATURES, *CATEGORICAL_FEATURES)}

    def signatures(self) -> dict[str, Any]:
        """Returns one for serialized tf.Examples and one for raw named columns."""
        examples = tf.TensorSpec([None], tf.string, name="examples")
        return {
            "serving_default": self._from_examples.get_concrete_function(examples),
            SERVING_COLUMNS: self._from_columns.get_concrete_function(_column_specs()),
        }

    @tf.function(autograph=False)
    def _from_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._score(tf.io.parse_example(examples, self._raw_spec))

    @tf.function(autograph=False)
    def _from_columns(self, columns: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return self._score({n: tf.expand_dims(columns[n], 1) for n in self._raw_spec})

    def _score(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {SCORE: tf.squeeze(self._network(self._transform(raw)), axis=1)}


def _column_specs() -> dict[str, tf.TensorSpec]:
    kinds = dict.fromkeys(CATEGORICAL_FEATURES, tf.string)
    kinds |= dict.fromkeys(INTEGER_FEATURES, tf.int64) | dict.fromkeys(FLOAT_FEATURES, tf.float32)
    return {name: tf.TensorSpec([None], kind, name=name) for name, kind in kinds.items()}
