"""The features of a flight, from its raw columns to what the model is fed.

Two tensors: `numbers`, scaled, and `categories`, ids from one vocabulary that all string columns
share ("carrier=UA", "dest=IAH"). One analyzer each, because in TensorFlow Transform on a small
machine the time goes into the number of analyzers, not of rows.

`transform` describes it once; its two callers differ in who measures means and vocabulary:
TensorFlow Transform over Beam in the pipeline, NumPy for the models that the demo trains beside it
for comparison.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf

from tfx_loop.pipelines.examples.flights.data import (
    CATEGORICAL_FEATURES,
    FLOAT_FEATURES,
    INTEGER_FEATURES,
    LABEL,
)

NUMERIC_FEATURES = (*INTEGER_FEATURES, *FLOAT_FEATURES)
NUMBERS, CATEGORIES = "numbers", "categories"
VOCABULARY = "categories"


def transform(
    inputs: Mapping[str, tf.Tensor],
    scale: Callable[[tf.Tensor], tf.Tensor],
    lookup: Callable[[tf.Tensor], tf.Tensor],
) -> dict[str, tf.Tensor]:
    """Returns what the model is fed.

    Args:
        inputs: Raw columns of shape [batch, 1].
        scale: Maps numbers of shape [batch, 13] to zero mean and unit variance by column.
        lookup: Maps strings of shape [batch, 3] to ids; the id after the last stands for a value
            not seen in training.

    Returns:
        `numbers` (float32, [batch, 13]) and `categories` (int64, [batch, 3]).
    """
    numbers = tf.concat([tf.cast(inputs[name], tf.float32) for name in NUMERIC_FEATURES], axis=1)
    categories = tf.concat(
        [tf.strings.join([f"{name}=", inputs[name]]) for name in CATEGORICAL_FEATURES], axis=1
    )
    return {NUMBERS: scale(numbers), CATEGORIES: lookup(categories)}


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    """Is called by the TFX node Transform."""
    import tensorflow_transform as tft

    outputs = transform(
        inputs,
        scale=lambda numbers: tft.scale_to_z_score(numbers, elementwise=True),
        lookup=lambda categories: tft.compute_and_apply_vocabulary(
            categories, num_oov_buckets=1, vocab_filename=VOCABULARY
        ),
    )
    outputs[LABEL] = tf.cast(inputs[LABEL], tf.float32)
    return outputs


@dataclass(frozen=True)
class NumpyTransform:
    """Means and vocabulary of a table, for training outside TFX.

    Attributes:
        means: By number, of shape [13].
        deviations: Standard deviations by number, above 0, of shape [13].
        vocabulary: Strings such as "carrier=UA", most frequent first.
    """

    means: npt.NDArray[Any]
    deviations: npt.NDArray[Any]
    vocabulary: tuple[str, ...]

    @classmethod
    def of(cls, rows: pd.DataFrame) -> "NumpyTransform":
        """Measures the rows that a model is to be trained on."""
        numbers = rows[list(NUMERIC_FEATURES)].to_numpy(dtype="float64")
        deviations = numbers.std(axis=0)
        counts = pd.concat([f"{name}=" + rows[name] for name in CATEGORICAL_FEATURES])
        return cls(
            means=numbers.mean(axis=0).astype("float32"),
            # As TensorFlow Transform scales a column that is constant.
            deviations=np.where(deviations > 0, deviations, 1.0).astype("float32"),
            vocabulary=tuple(counts.value_counts().index),
        )

    def __call__(self, rows: pd.DataFrame) -> dict[str, npt.NDArray[Any]]:
        """Returns the features of rows as the model is fed them."""
        ids = tf.range(len(self.vocabulary), dtype=tf.int64)
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant(self.vocabulary), ids),
            len(self.vocabulary),
        )
        inputs = {
            name: tf.constant(rows[[name]].to_numpy(dtype=object).astype(kind))
            for names, kind in ((NUMERIC_FEATURES, "float32"), (CATEGORICAL_FEATURES, "S"))
            for name in names
        }
        outputs = transform(
            inputs, lambda numbers: (numbers - self.means) / self.deviations, table.lookup
        )
        return {name: values.numpy() for name, values in outputs.items()}
