"""How do the raw columns of a flight become what the model is fed?

One function, `transform`, describes it; the two callers differ in who measures means and
vocabularies: TensorFlow Transform over Beam in the pipeline, NumPy for the models that the demo
trains beside it for comparison.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import tensorflow as tf

from pipelines.flights.data import CATEGORICAL_FEATURES, FLOAT_FEATURES, INTEGER_FEATURES, LABEL

NUMERIC_FEATURES = (*INTEGER_FEATURES, *FLOAT_FEATURES)
Scale = Callable[[str, tf.Tensor], tf.Tensor]
Lookup = Callable[[str, tf.Tensor], tf.Tensor]


def transform(inputs: dict[str, tf.Tensor], scale: Scale, lookup: Lookup) -> dict[str, tf.Tensor]:
    """Returns what the model is fed, each of shape [batch, 1].

    Args:
        inputs: Raw columns, dense, of shape [batch, 1].
        scale: Maps a name and a float column to zero mean and unit variance.
        lookup: Maps a name and a string column to its number in the vocabulary; the number after
            the last stands for a value not seen in training.
    """
    outputs = {}
    for name in NUMERIC_FEATURES:
        outputs[name] = scale(name, tf.cast(inputs[name], tf.float32))
    for name in CATEGORICAL_FEATURES:
        outputs[name] = lookup(name, inputs[name])
    return outputs


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    """Is called by the TFX node Transform."""
    import tensorflow_transform as tft

    dense = {name: _dense(inputs[name]) for name in (*NUMERIC_FEATURES, *CATEGORICAL_FEATURES)}
    outputs = transform(
        dense,
        scale=lambda _, values: tft.scale_to_z_score(values),
        lookup=lambda name, values: tft.compute_and_apply_vocabulary(
            values, num_oov_buckets=1, vocab_filename=name
        ),
    )
    outputs[LABEL] = tf.cast(_dense(inputs[LABEL]), tf.float32)
    return outputs


@dataclass(frozen=True)
class MeasuredInNumpy:
    """Means and vocabularies of a table, for training outside TFX.

    Attributes:
        means: Mean by numeric feature.
        deviations: Standard deviation by numeric feature, above 0.
        vocabularies: Values by string feature, most frequent first.
    """

    means: dict[str, float]
    deviations: dict[str, float]
    vocabularies: dict[str, list[str]]

    @classmethod
    def of(cls, rows: pd.DataFrame) -> "MeasuredInNumpy":
        """Measures the rows that a model is to be trained on."""
        deviations = {name: float(rows[name].std(ddof=0)) for name in NUMERIC_FEATURES}
        return cls(
            means={name: float(rows[name].mean()) for name in NUMERIC_FEATURES},
            deviations={name: value or 1.0 for name, value in deviations.items()},
            vocabularies={
                name: list(rows[name].value_counts().index) for name in CATEGORICAL_FEATURES
            },
        )

    @property
    def vocabulary_sizes(self) -> dict[str, int]:
        """Number of ids by string feature, the one for unseen values included."""
        return {name: len(values) + 1 for name, values in self.vocabularies.items()}

    def __call__(self, rows: pd.DataFrame) -> dict[str, tf.Tensor]:
        """Returns the features of rows as the model is fed them."""
        tables = {name: self._table(values) for name, values in self.vocabularies.items()}
        inputs = {
            name: tf.constant(rows[name].to_numpy().reshape(-1, 1))
            for name in NUMERIC_FEATURES
        }
        for name in CATEGORICAL_FEATURES:
            inputs[name] = tf.constant(rows[name].to_numpy(dtype=object).reshape(-1, 1))
        return transform(
            inputs,
            scale=lambda name, values: (values - self.means[name]) / self.deviations[name],
            lookup=lambda name, values: tables[name].lookup(values),
        )

    @staticmethod
    def _table(values: list[str]) -> tf.lookup.StaticHashTable:
        numbers = tf.range(len(values), dtype=tf.int64)
        return tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant(values), numbers), len(values)
        )


def _dense(values: Any) -> tf.Tensor:
    """Returns a dense column; a missing number is 0, a missing string is empty."""
    if isinstance(values, tf.SparseTensor):
        values = tf.sparse.SparseTensor(
            values.indices, values.values, [values.dense_shape[0], 1]
        )
        return tf.sparse.to_dense(values)
    return values
