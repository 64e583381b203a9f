"""The gateway that logs every answered prediction, before it is answered.

Requests that wait together are asked of the model as one batch, and written to the log by one
write. A batch that fails is asked request by request, so that nobody's bad row fails another's.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from tfx_loop.core.errors import DataError, ServerUnavailable, ServingError
from tfx_loop.data.prediction_log.losses import UnloggedRows, write_unlogged
from tfx_loop.data.prediction_log.record import (
    Array,
    Envelope,
    day_of,
    make_joined_batch,
    sampling_position,
)
from tfx_loop.data.prediction_log.writer import PredictionLogWriter
from tfx_loop.deployment.model_server.batching import BatchRules, ask_together
from tfx_loop.deployment.model_server.engine import PredictionEngine, PredictionJob
from tfx_loop.deployment.model_server.features import FeatureColumns
from tfx_loop.deployment.model_server.log_policy import LogFailures, LogPolicy
from tfx_loop.deployment.model_server.request_keys import inputs_digest
from tfx_loop.deployment.model_server.signature import Signature, bind


class UnknownSignatureError(DataError):
    """The model has no signature of that name; gRPC has a code of its own for it."""


class Servable(Protocol):
    """One version of a model that can be asked."""

    @property
    def version(self) -> int:
        """Its number."""

    @property
    def variant(self) -> str:
        """Which optimisation of the model it is."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The ways to ask it, by name."""

    @property
    def parsed_features(self) -> Mapping[str, str]:
        """Types of the features that it parses tf.Examples into, by name; empty if unknown."""

    @property
    def signature_defs(self) -> Mapping[str, Any]:
        """The same as protocol buffers, for metadata."""

    @property
    def batching(self) -> BatchRules:
        """Whether the rows of several requests may be asked at once."""

    def run(self, signature_name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Returns the outputs by name.

        Raises:
            DataError: The model refuses the values.
            ServingError: The model failed.
        """


@dataclass(frozen=True, kw_only=True)
class PredictCall:
    """One request.

    Attributes:
        signature_name: Which signature to ask.
        inputs: Tensors by name.
        request_id: Its identity in the log.
        event_time_ms: When it happened, UTC.
        request_key: The client's own word for the request and its repeats; empty for none.
        is_new: Whether the server made the id, so that no other request has it.
        golden: Whether the pusher asked it.
        trace_id: The trace that it belongs to; empty for none.
    """

    signature_name: str
    inputs: Mapping[str, Array]
    request_id: str
    event_time_ms: int
    request_key: str = ""
    is_new: bool = False
    golden: bool = False
    trace_id: str = ""


class LoggingGateway:
    """Predicts, logs, answers, in this order."""

    def __init__(
        self,
        model_name: str,
        writer: PredictionLogWriter | None,
        clock_ms: Callable[[], int],
        policy: LogPolicy | None = None,
        features: FeatureColumns | None = None,
        engine: PredictionEngine | None = None,
    ) -> None:
        """Keeps what is the same for all requests.

        Args:
            model_name: The name that the rows carry.
            writer: Where rows go; None answers without logging.
            clock_ms: Milliseconds since the epoch, UTC.
            policy: Which requests are logged, and what if one cannot be.
            features: The columns that requests leave.
            engine: Runs the predictions; one of its own unless given.
        """
        self._engine = engine or PredictionEngine()
        self._model_name = model_name
        self._writer = writer
        self._clock_ms = clock_ms
        self._policy = policy or LogPolicy()
        self._features = features or FeatureColumns()
        self._failures = LogFailures(self._policy, self._leave_word)

    async def predict(self, servable: Servable, call: PredictCall) -> dict[str, Array]:
        """Returns the outputs of a request whose rows are in the log.

        Raises:
            DataError: The request does not fit the model.
            ServingError: The model failed.
            ServerUnavailable: The rows could not be logged, so there is no answer; or too many
                predictions wait.
        """
        signature = find_signature(servable, call.signature_name)
        inputs, rows = bind(signature, call.inputs)
        return await PredictionJob(self._engine, self._run, servable, signature, call, inputs, rows)

    def _run(self, jobs: Sequence[PredictionJob]) -> None:
        """Asks and logs jobs of one model, signature and shape; on the engine's thread."""
        started = time.perf_counter()
        ask_together(jobs)
        latency_ms = (time.perf_counter() - started) * 1000
        if self._writer is not None:
            # Not of those whose clients left, or were told meanwhile that it takes too long.
            self._log([j for j in jobs if j.error is None and not j.cancelled], latency_ms)
        for job in jobs:
            error = job.error
            if isinstance(error, DataError | ServingError) and not isinstance(
                error, ServerUnavailable
            ):
                # A model that fails quotes the value, and does not tell of which feature it is.
                job.error = self._features.withheld(error)

    def _log(self, jobs: Sequence[PredictionJob], latency_ms: float) -> None:
        """Writes the rows of answered jobs; those that cannot be logged get an error instead."""
        by_day: dict[tuple[str, float], list[tuple[PredictionJob, Envelope]]] = {}
        for job in jobs:
            if job.rows == 0:
                continue
            key = self._request_key(job.signature, job.call, job.inputs)
            # Golden requests are a push's evidence: all are kept, and no window counts them.
            rate = 1.0 if job.call.golden else self._policy.sampling_rate
            if rate < 1.0 and sampling_position(key or job.call.request_id) >= rate:
                continue
            # A segment holds one day, and a batch one rate.
            group = by_day.setdefault((day_of(job.call.event_time_ms), rate), [])
            group.append((job, self._envelope(job, latency_ms, rate, key)))
        for members in by_day.values():
            self._write([job for job, _ in members], [envelope for _, envelope in members])

    def _envelope(self, job: PredictionJob, latency_ms: float, rate: float, key: str) -> Envelope:
        return Envelope(
            request_id=job.call.request_id,
            event_time_ms=job.call.event_time_ms,
            model_name=self._model_name,
            model_version=job.servable.version,
            variant=job.servable.variant,
            latency_ms=latency_ms,
            answered_time_ms=self._clock_ms(),
            sampling_rate=rate,
            request_key=key,
            golden=job.call.golden,
            trace_id=job.call.trace_id,
        )

    def _write(self, jobs: Sequence[PredictionJob], envelopes: Sequence[Envelope]) -> None:
        assert self._writer is not None
        try:
            batch = self._batch(jobs, envelopes)
        except DataError as error:
            if len(jobs) == 1:
                jobs[0].outputs, jobs[0].error = None, error
                return
            # One of them is no tf.Example: the others are logged without it.
            for job, envelope in zip(jobs, envelopes, strict=True):
                self._write([job], [envelope])
            return
        rows, time_ms = sum(job.rows for job in jobs), jobs[0].call.event_time_ms
        try:
            self._writer.append(self._model_name, time_ms, batch)
        except OSError as error:
            try:
                self._failures.failed(error, rows, time_ms)
            except ServerUnavailable as refused:
                for job in jobs:
                    job.outputs, job.error = None, refused
        else:
            self._failures.written()

    def _batch(
        self, jobs: Sequence[PredictionJob], envelopes: Sequence[Envelope]
    ) -> pa.RecordBatch:
        first = jobs[0]
        inputs, outputs = first.inputs, first.outputs or {}
        if len(jobs) > 1:
            inputs = {name: np.concatenate([_rows(job, name) for job in jobs]) for name in inputs}
            outputs = _joined_outputs(jobs)
        rows = [job.rows for job in jobs]
        features = self._features.of(
            first.signature,
            first.servable.signatures,
            first.servable.parsed_features,
            inputs,
            sum(rows),
        )
        # An output that is not one a row (a loss, a state) has no row to stand in.
        per_row = {n: v for n, v in outputs.items() if v.ndim > 0 and len(v) == sum(rows)}
        return make_joined_batch(envelopes, rows, features, per_row)

    def _leave_word(self, unlogged: UnloggedRows) -> None:
        assert self._writer is not None
        write_unlogged(str(self._writer.directory), self._model_name, unlogged)

    def _request_key(
        self, signature: Signature, call: PredictCall, inputs: Mapping[str, Array]
    ) -> str:
        """Returns what a request and its repeats share: the client's key, or else id and inputs.

        Meshes hand one id on to many requests, so an id alone is no identity.
        """
        if call.request_key or call.is_new:
            return call.request_key
        seen = self._features.without_redacted(signature, inputs)
        return inputs_digest((call.request_id, call.signature_name), seen)


def _rows(job: PredictionJob, name: str) -> Array:
    # A scalar input (a temperature, a switch) holds for every row of its request.
    values = job.inputs[name]
    return values if values.ndim else np.repeat(values, job.rows)


def _joined_outputs(jobs: Sequence[PredictionJob]) -> dict[str, Array]:
    """Returns the outputs that have a row for each row of the requests, behind each other."""
    joined = {}
    for name, first in (jobs[0].outputs or {}).items():
        parts = [(job.outputs or {})[name] for job in jobs]
        alike = all(
            part.ndim > 0 and part.shape == (job.rows, *first.shape[1:])
            for job, part in zip(jobs, parts, strict=True)
        )
        if alike:
            joined[name] = np.concatenate(parts)
    return joined


# In the words of TF Serving's REST interface, and of its gRPC interface.
UNKNOWN_SIGNATURE = 'Serving signature name: "{}" not found in signature def'
GRPC_UNKNOWN_SIGNATURE = 'Serving signature key "{}" not found'


def find_signature(servable: Servable, name: str, message: str = UNKNOWN_SIGNATURE) -> Signature:
    """Returns a signature of a model.

    Raises:
        UnknownSignatureError: It has none of that name.
    """
    signature = servable.signatures.get(name)
    if signature is None:
        known = ", ".join(sorted(servable.signatures))
        raise UnknownSignatureError(f"{message.format(name[:200])}. There are: {known}.")
    return signature
