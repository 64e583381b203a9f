"""Does the served version give the answers that the model gave here?

A few rows of the Examples are answered by the SavedModel in this process, then by the server; TF
Serving's own warm-up throws the answers away. Rows asked for this purpose carry request ids that
begin with `golden-`, which keeps them out of monitoring.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.errors import DataError, ModelRejected
from components.prediction_log.record import GOLDEN_PREFIX

SIGNATURE = "serving_default"
_RELATIVE_TOLERANCE = 1e-3
_ABSOLUTE_TOLERANCE = 1e-5


class Predictor(Protocol):
    """The part of a model client that golden requests need."""

    def predict(
        self, *, instances: Sequence[Any], signature_name: str, version: int, request_id: str
    ) -> Mapping[str, Sequence[Any]]:
        """Returns outputs by name."""


def first_examples(split_uri: str, rows: int) -> list[bytes]:
    """Returns the first serialized tf.Examples of a split's gzipped TFRecords."""
    files = sorted(tf.io.gfile.glob(os.path.join(split_uri, "*")))
    dataset = tf.data.TFRecordDataset(files, compression_type="GZIP").take(rows)
    records = [bytes(record) for record in dataset.as_numpy_iterator()]
    if not records:
        raise DataError(f"Expected tf.Examples in {split_uri} for golden requests, found none.")
    return records


def expected_answers(model_dir: str, examples: Sequence[bytes]) -> dict[str, npt.NDArray[Any]]:
    """Returns what the SavedModel answers in this process, by output name.

    Raises:
        ModelRejected: It does not load, or has no signature for serialized tf.Examples.
    """
    try:
        model = tf.saved_model.load(model_dir)
        signature = model.signatures[SIGNATURE]
        _, inputs = signature.structured_input_signature
        answers = signature(**{next(iter(inputs)): tf.constant(list(examples))})
    except Exception as error:
        raise ModelRejected(
            f"Expected a SavedModel whose signature {SIGNATURE!r} takes serialized tf.Examples in "
            f"{model_dir}, received {type(error).__name__}: {_first_line(error)}"
        ) from error
    return {name: value.numpy() for name, value in answers.items()}


def check_answers(
    client: Predictor,
    version: int,
    examples: Sequence[bytes],
    expected: Mapping[str, npt.NDArray[Any]],
) -> None:
    """Asks the server for one version's answers and compares.

    Raises:
        ModelRejected: An answer differs.
        ServingError: There is no answer.
    """
    answers = client.predict(
        instances=list(examples),
        signature_name=SIGNATURE,
        version=version,
        request_id=f"{GOLDEN_PREFIX}{version}",
    )
    for name, values in expected.items():
        if not np.issubdtype(values.dtype, np.number):
            continue
        served = _numbers(answers.get(name))
        if served.shape != values.shape or not np.allclose(
            served, values, rtol=_RELATIVE_TOLERANCE, atol=_ABSOLUTE_TOLERANCE, equal_nan=True
        ):
            raise ModelRejected(
                f"Expected version {version} to answer {values.ravel()[:4].tolist()} for output "
                f"{name!r}, received {served.ravel()[:4].tolist()}. The version was withdrawn."
            )


def _numbers(answer: Any) -> npt.NDArray[Any]:
    """Returns an answer as an array; what is not numbers has no shape that fits."""
    try:
        return np.asarray(answer, dtype=float)
    except (TypeError, ValueError):
        return np.array(np.nan)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]
