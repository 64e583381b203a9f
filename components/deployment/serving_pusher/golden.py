"""Golden requests: the served version must give the answers that the model gave here.

A few rows of the Examples are answered by the model in this process, then by the server; TF
Serving's own warm-up throws the answers away. A SavedModel is asked with the serialized Examples, a
TFLite model with the columns that its inputs name, or with the Examples too where it replaces a
version that is asked with them: its clients need not know. The requests carry the token of the
push, by which our server marks their rows; that keeps them out of monitoring.
"""

import logging
import os
import statistics
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_loop.contracts.variant_note import TFLITE, read_note
from tfx_loop.core.errors import (
    DataError,
    ModelError,
    ModelRejected,
    ModelUnsafe,
    ServingError,
    first_line,
)
from tfx_loop.data.prediction_log.record import GOLDEN_PREFIX
from tfx_loop.deployment.serving_pusher.answers import Answers, difference, not_finite
from tfx_loop.models.formats import Format, ModelFile, is_saved_model, tflite_file
from tfx_loop.models.predictor import open_predictor
from tfx_loop.models.rows.examples import columns_of
from tfx_loop.models.saved_model.graph import read_graph
from tfx_loop.models.saved_model.loading import load_saved_model
from tfx_loop.models.tensors import DEFAULT_SIGNATURE

_LOG = logging.getLogger(__name__)
# Two steps of eight bits: where processors round differently, a quantised answer is a step off.
# They span the range of an output, so the tolerance grows with its largest value.
_TFLITE_SHARE_OF_LARGEST = 0.02
# The first answer pays for what a model sets up once; of those after it the median counts.
_TIMED_REQUESTS = 3


@dataclass(frozen=True, kw_only=True)
class GoldenRequests:
    """What is asked, and what the answer should be.

    Attributes:
        instances: Rows as a client sends them.
        expected: Outputs by name.
        share_of_largest: The share of an output's largest value that an answer may be off, beside
            what `answers.difference` allows any number.
    """

    instances: Sequence[Any]
    expected: Mapping[str, npt.NDArray[Any]]
    share_of_largest: float = 0.0


class PredictClient(Protocol):
    """The part of a model client that golden requests need."""

    def predict(
        self,
        *,
        instances: Sequence[Any],
        signature_name: str,
        version: int,
        request_id: str,
        golden_token: str,
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


@dataclass(frozen=True, kw_only=True)
class AnswerCheck:
    """What a version must show before it counts as pushed.

    Attributes:
        client: Asks the server.
        golden: What is asked, and what the answer should be.
        parent_version: The version that serves now; None for the first.
        max_latency_ms: How long an answer to all golden rows may take, in milliseconds; the median
            of a few, after one that warms up.
        clock: Seconds that only grow.
        token: The push's own, by which our server knows these requests from traffic.
    """

    client: PredictClient
    golden: GoldenRequests
    parent_version: int | None = None
    max_latency_ms: float = float("inf")
    clock: Callable[[], float] = time.monotonic
    token: str = ""

    def __call__(self, version: int) -> None:
        """Asks the server for one version's answers, compares them and takes the time.

        Raises:
            ModelRejected: An answer differs, is not finite, or comes late.
            ServingError: There is no answer.
        """
        served = self._ask(version)
        differs = difference(
            self.golden.expected,
            served,
            parent=self._parent_answers(),
            share_of_largest=self.golden.share_of_largest,
        )
        if differs:
            raise ModelRejected(
                f"Expected version {version} to answer {differs}. The version was withdrawn."
            )
        latency_ms = statistics.median(self._timed(version) for _ in range(_TIMED_REQUESTS))
        if latency_ms > self.max_latency_ms:
            raise ModelRejected(
                f"Expected version {version} to answer {len(self.golden.instances)} rows within "
                f"{self.max_latency_ms:g} ms, received the answer after {latency_ms:.1f} ms. The "
                "version was withdrawn. Push a faster model, or raise max_latency_ms."
            )

    def _ask(self, version: int) -> Mapping[str, Sequence[Any]]:
        return self.client.predict(
            instances=list(self.golden.instances),
            signature_name=DEFAULT_SIGNATURE,
            version=version,
            # An id of its own each time: none is a repeat of the one before.
            request_id=f"{GOLDEN_PREFIX}{version}-{uuid.uuid4().hex}",
            golden_token=self.token,
        )

    def _timed(self, version: int) -> float:
        started = self.clock()
        self._ask(version)
        return (self.clock() - started) * 1000

    def _parent_answers(self) -> Answers:
        """Returns what serves now for the same rows, as far as it answers them; empty if not."""
        values = self.golden.expected.values()
        if self.parent_version is None or not any(not_finite(v).any() for v in values):
            return {}
        try:
            answers = self._ask(self.parent_version)
            return {name: np.asarray(answer, dtype=float) for name, answer in answers.items()}
        except (ServingError, TypeError, ValueError) as error:
            # It takes other inputs, or gave way already: then it excuses nothing.
            _LOG.info("parent version=%s answers=none %s", self.parent_version, first_line(error))
            return {}


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
    rows: list[Any] = list(examples)
    if not as_examples:
        rows = [{n: v[i].tolist() for n, v in columns.items()} for i in range(len(examples))]
    return GoldenRequests(
        instances=rows, expected=expected, share_of_largest=_TFLITE_SHARE_OF_LARGEST
    )
