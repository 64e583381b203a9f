"""Golden requests: the served version must give the answers that the model gave here.

A few rows of the Examples are answered by the model in this process, then by the server; TF
Serving's own warm-up throws the answers away. A SavedModel is asked as its signature wants it
(`golden_rows`), a TFLite model with the columns that its inputs name, or with the Examples too
where it replaces a version that is asked with them: its clients need not know. The requests carry
the token of the push, by which our server marks their rows; that keeps them out of monitoring.
"""

import logging
import os
import statistics
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from tfx_loop.core.redaction import OTHER, Redaction
from tfx_loop.data.prediction_log.record import GOLDEN_PREFIX
from tfx_loop.deployment.serving_pusher.answers import Answers, difference, not_finite
from tfx_loop.deployment.serving_pusher.golden_rows import GoldenTerms, golden_rows
from tfx_loop.models.formats import Format, ModelFile, is_saved_model, tflite_file
from tfx_loop.models.guard import guard
from tfx_loop.models.predictor import Predictor, open_predictor
from tfx_loop.models.preprocessing.folder import Preprocessing, preprocessing_of
from tfx_loop.models.rows.examples import columns_of
from tfx_loop.models.saved_model.graph import read_graph, specs
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
        signature: The signature that is asked.
        arguments: The rows as arrays by input.
    """

    instances: Sequence[Any]
    expected: Mapping[str, npt.NDArray[Any]]
    share_of_largest: float = 0.0
    signature: str = DEFAULT_SIGNATURE
    arguments: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)


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


def without_values(records: Sequence[bytes], redact: Collection[str]) -> list[bytes]:
    """Returns serialized tf.Examples in which redacted features stand for nobody.

    Texts are `other` and numbers 0. The expected answers are made of the same rows, so that they
    still tell whether the server serves this model.
    """
    redaction, changed = Redaction(features=frozenset(redact)), []
    for record in records:
        example = tf.train.Example.FromString(record)
        for name, feature in example.features.feature.items():
            kind = feature.WhichOneof("kind")
            if kind and redaction.hides(name):
                held = getattr(feature, kind).value
                held[:] = [OTHER.encode() if kind == "bytes_list" else 0] * len(held)
        changed.append(example.SerializeToString(deterministic=True))
    return changed


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
        if (preprocessing := preprocessing_of(folder)) is not None:
            return examples_input(preprocessing)
        return read_note(folder, TFLITE).examples_input
    signatures = read_graph(folder).signature_def
    inputs = signatures[DEFAULT_SIGNATURE].inputs if DEFAULT_SIGNATURE in signatures else {}
    strings = [name for name, info in inputs.items() if tf.as_dtype(info.dtype) == tf.string]
    return str(strings[0]) if len(inputs) == len(strings) == 1 else ""


def golden_requests(
    model_dir: Path, examples: Sequence[bytes], terms: GoldenTerms
) -> GoldenRequests:
    """Returns what to ask the server about a model, and what the model answers here.

    Args:
        model_dir: A SavedModel or a TFLite model.
        examples: Serialized rows to choose from.
        terms: Which rows and which signature.

    Raises:
        ModelRejected: It does not load, or does not take what the Examples hold.
    """
    if not is_saved_model(model_dir):
        return _of_tflite(model_dir, examples[: terms.rows], terms)
    try:
        # Its signatures are read before it is loaded, and a hostile one is to be called that.
        guard.check(ModelFile(model_dir, Format.SAVED_MODEL))
        rows = golden_rows(model_dir, examples, terms)
        expected = opened(model_dir)(rows.signature, rows.arguments)
    except (ModelRejected, ModelUnsafe):
        raise
    except ModelError as error:
        raise ModelRejected(
            f"Expected a SavedModel whose signature answers the Examples in {model_dir}, received: "
            f"{error}"
        ) from error
    return GoldenRequests(
        instances=rows.instances,
        expected=expected,
        signature=rows.signature,
        arguments=rows.arguments,
    )


def opened(model_dir: Path) -> Callable[[str, Answers], Answers]:
    """Returns a model loaded into this process: signature and arrays by input in, outputs out.

    Raises:
        ModelError: It does not load. The function raises ModelRejected where it does not answer.
    """
    if not is_saved_model(model_dir):
        predictor = open_predictor(model_dir)
        return lambda _, arguments: predictor.predict(arguments)
    model, definitions = load_saved_model(model_dir), read_graph(model_dir).signature_def

    def answers(signature: str, arguments: Answers) -> Answers:
        types = {spec.name: spec.dtype for spec in specs(definitions[signature])[0]}
        try:
            tensors = {n: tf.constant(values, dtype=types[n]) for n, values in arguments.items()}
            outputs = model.signatures[signature](**tensors)
        except Exception as error:  # Whatever the graph raises for rows that it does not take.
            raise ModelRejected(
                f"Expected a SavedModel whose signature {signature!r} answers the Examples in "
                f"{model_dir}, received {type(error).__name__}: {first_line(error)}"
            ) from error
        return {name: value.numpy() for name, value in outputs.items()}

    return answers


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
            signature_name=self.golden.signature,
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


def _of_tflite(model_dir: Path, examples: Sequence[bytes], terms: GoldenTerms) -> GoldenRequests:
    file = tflite_file(model_dir)
    assert file is not None
    try:
        predictor = open_predictor(ModelFile(file, Format.TFLITE))
        preprocessing = preprocessing_of(model_dir)
        if preprocessing is not None:
            return _behind(preprocessing, predictor, examples, terms)
        columns = columns_of(predictor.inputs, examples, terms.features)
        expected = predictor.predict(columns)
    except ModelUnsafe:
        raise
    except (DataError, ModelError) as error:
        raise ModelRejected(
            f"Expected a TFLite model that answers the Examples in {file}, received: {error}"
        ) from error
    rows: list[Any] = list(examples)
    if not terms.as_examples:
        rows = [{n: v[i].tolist() for n, v in columns.items()} for i in range(len(examples))]
    return GoldenRequests(
        instances=rows,
        expected=expected,
        share_of_largest=_TFLITE_SHARE_OF_LARGEST,
        arguments=columns,
    )


def _behind(
    folder: Path, predictor: Predictor, examples: Sequence[bytes], terms: GoldenTerms
) -> GoldenRequests:
    """Returns what to ask a network behind its preprocessing."""
    # The server knows the one signature, whatever a SavedModel in its place was asked by.
    rows = golden_rows(folder, examples, replace(terms, signature_name=DEFAULT_SIGNATURE))
    expected = predictor.predict(Preprocessing(folder).run(rows.arguments))
    return GoldenRequests(
        instances=rows.instances,
        expected=expected,
        share_of_largest=_TFLITE_SHARE_OF_LARGEST,
        arguments=rows.arguments,
    )
