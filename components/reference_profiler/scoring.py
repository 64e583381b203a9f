"""Which scores does a model give to the rows of Examples splits?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from tfx.utils import path_utils

from components.errors import ConfigError, DataError
from components.reference_profiler.examples_reader import read_records


def score_splits(uris: Sequence[str], model_uri: str, signature: str, output: str) -> Any:
    """Returns the scores of all rows as a pyarrow array of float64, in no promised order.

    Args:
        uris: Folders of the splits.
        model_uri: Folder of a TFX Model artifact.
        signature: Signature that takes serialized tf.Examples of shape [rows].
        output: Its output with one score a row.

    Raises:
        ConfigError: The model has no such signature or output.
        DataError: The output does not hold one score a row.
    """
    model = tf.saved_model.load(path_utils.serving_model_path(model_uri))
    if signature not in model.signatures:
        raise ConfigError(
            f"Expected a signature {signature!r} in the model, received "
            f"{sorted(model.signatures)}. Correct score_signature."
        )
    scored = model.signatures[signature]
    scores = [
        _one_a_row(scored(tf.constant(records)), output, len(records))
        for uri in uris
        for records in read_records(uri)
    ]
    if not scores:
        raise DataError(
            f"Expected rows to score in {list(uris)}, received none. Correct score_splits."
        )
    return pa.array(np.concatenate(scores).astype(np.float64))


def _one_a_row(outputs: dict[str, Any], output: str, rows: int) -> Any:
    if output not in outputs:
        raise ConfigError(
            f"Expected an output {output!r} of the signature, received {sorted(outputs)}. "
            "Correct score_key."
        )
    values = outputs[output].numpy()
    if values.size != rows:
        raise DataError(
            f"Expected one score a row from output {output!r}, received shape {values.shape} for "
            f"{rows} rows. Name the output of the positive class."
        )
    return values.reshape(rows)
