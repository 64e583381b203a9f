"""Golden requests: the served version must give the answers that the model gave here.

A few rows of the Examples are answered by the model in this process, then by the server; TF
Serving's own warm-up throws the answers away. A SavedModel is asked with the serialized Examples, a
TFLite model with the columns that its inputs name, or with the Examples too where it replaces a
version that is asked with them: its clients need not know. Rows asked for this purpose carry
request ids that begin with `golden-`, which keeps them out of monitoring.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_loop.contracts.variant_note import TFLITE, read_note
from tfx_loop.core.errors import DataError, ModelError, ModelRejected, ModelUnsafe, first_line
from tfx_loop.data.prediction_log.record import GOLDEN_PREFIX
from tfx_loop.models.formats import Format, ModelFile, is_saved_model, tflite_file
from tfx_loop.models.predictor import open_predictor
from tfx_loop.models.rows.examples import columns_of
from tfx_loop.models.saved_model.graph import read_graph
from tfx_loop.models.saved_model.loading import load_saved_model
from tfx_loop.models.tensors import DEFAULT_SIGNATURE

# Another build of TensorFlow fuses and orders float32 sums otherwise; a wrong model is off by far
# more than a thousandth.
_RELATIVE_TOLERANCE = 1e-3
# For answers near zero, where a relative tolerance allows nothing.
_ABSOLUTE_TOLERANCE = 1e-5
# Two steps of eight bits: where processors round differently, a quantised answer is a step off.
_TFLITE_TOLERANCE = 0.02


@dataclass(frozen=True, kw_only=True)
class GoldenRequests:
    """What is asked, and what the answer should be.

    Attributes:
        instances: Rows as a client sends them.
        expected: Outputs by name.
        tolerance: Largest absolute difference that passes, beside a thousandth of the value.
    """

    instances: Sequence[Any]
    expected: Mapping[str, npt.NDArray[Any]]
    tolerance: float = _ABSOLUTE_TOLERANCE


class PredictClient(Protocol):
    """The part of a model client that golden requests need."""

    def predict(
        self, *, instances: Sequence[Any], signature_name: str, version: int, request_id: str
    ) -> Mapping[str, Sequence[Any]]:
        """Returns outputs by name."""


def first_examples(split_uris: Sequence[str], rows: int) -> list[bytes]:
    """Returns the first serialized tf.Examples of splits of gzipped TFRecords."""
    files = [f for uri in split_uris for f in sorted(tf.io.gfile.glob(os.path.join(uri, "*")))]
    dataset = tf.data.TFRecordDataset(files, compression_type="GZIP").take(rows)
    records = [bytes(record) for record in dataset.as_numpy_iterator()]
    if not records:
        where = ", ".join(split_uris)
        raise DataError(f"Expected tf.Examples in {where} for golden requests, found none.")
    return records


def examples_input(folder: Path) -> str:
    """Returns the input that takes serialized tf.Examples as `serving_default`; empty if none."""
    if not is_saved_model(folder):
        return read_note(folder, TFLITE).examples_input
    signatures = read_graph(folder).signature_def
    inputs = signatures[DEFAULT_SIGNATURE].inputs if DEFAULT_SIGNATURE in signatures else {}
    strings = [name for name, info in inputs.items() if tf.as_dtype(info.dtype) == tf.string]
    return str(strings[0]) if len(inputs) == len(strings) == 1 else ""


def golden_requests(
    model_dir: Path, examples: Sequence[bytes], *, as_examples: bool = False
) -> GoldenRequests:
    """Returns what to ask the server about a model, and what the model answers here.

    Args:
        model_dir: A SavedModel, which takes Examples, or a TFLite model.
        examples: Serialized rows.
        as_examples: Whether a TFLite model is asked with Examples too; otherwise with columns.

    Raises:
        ModelRejected: It does not load, or does not take what the Examples hold.
    """
    if is_saved_model(model_dir):
        expected = expected_answers(str(model_dir), examples)
        return GoldenRequests(instances=examples, expected=expected)
    return _of_tflite(model_dir, examples, as_examples)


def expected_answers(model_dir: str, examples: Sequence[bytes]) -> dict[str, npt.NDArray[Any]]:
    """Returns what the SavedModel answers in this process, by output name.

    Raises:
        ModelRejected: It does not load, or has no signature for serialized tf.Examples.
    """
    try:
        model = load_saved_model(Path(model_dir))
        signature = model.signatures[DEFAULT_SIGNATURE]
        _, inputs = signature.structured_input_signature
        answers = signature(**{next(iter(inputs)): tf.constant(list(examples))})
    except ModelUnsafe:
        raise
    except Exception as error:
        raise ModelRejected(
            f"Expected a SavedModel whose signature {DEFAULT_SIGNATURE!r} takes serialized "
            f"tf.Examples in {model_dir}, received {type(error).__name__}: {first_line(error)}"
        ) from error
    return {name: value.numpy() for name, value in answers.items()}


def check_answers(client: PredictClient, version: int, golden: GoldenRequests) -> None:
    """Asks the server for one version's answers and compares.

    Raises:
        ModelRejected: An answer differs.
        ServingError: There is no answer.
    """
    answers = client.predict(
        instances=list(golden.instances),
        signature_name=DEFAULT_SIGNATURE,
        version=version,
        request_id=f"{GOLDEN_PREFIX}{version}",
    )
    for name, values in golden.expected.items():
        if not np.issubdtype(values.dtype, np.number):
            continue
        served = _numbers(answers.get(name))
        if served.shape != values.shape or not np.allclose(
            served, values, rtol=_RELATIVE_TOLERANCE, atol=golden.tolerance, equal_nan=True
        ):
            raise ModelRejected(
                f"Expected version {version} to answer {values.ravel()[:4].tolist()} for output "
                f"{name!r}, received {served.ravel()[:4].tolist()}. The version was withdrawn."
            )


def _of_tflite(model_dir: Path, examples: Sequence[bytes], as_examples: bool) -> GoldenRequests:
    file = tflite_file(model_dir)
    assert file is not None
    try:
        predictor = open_predictor(ModelFile(file, Format.TFLITE))
        columns = columns_of(predictor.inputs, examples)
        expected = predictor.predict(columns)
    except ModelUnsafe:
        raise
    except (DataError, ModelError) as error:
        raise ModelRejected(
            f"Expected a TFLite model that answers the Examples in {file}, received: {error}"
        ) from error
    # The steps of eight bits span the range of an output: the tolerance grows with it.
    largest = max(float(np.nan_to_num(np.abs(v)).max(initial=0)) for v in expected.values())
    rows: list[Any] = list(examples)
    if not as_examples:
        rows = [{n: v[i].tolist() for n, v in columns.items()} for i in range(len(examples))]
    return GoldenRequests(instances=rows, expected=expected, tolerance=_TFLITE_TOLERANCE * largest)


def _numbers(answer: Any) -> npt.NDArray[Any]:
    """Returns an answer as an array; what is not numbers has no shape that fits."""
    try:
        return np.asarray(answer, dtype=float)
    except (TypeError, ValueError):
        return np.array(np.nan)
