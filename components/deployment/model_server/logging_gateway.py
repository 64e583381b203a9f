"""The gateway that logs every answered prediction, whichever model server computes it.

The gateway asks a `Servable` and logs before it answers. Here the servable is a SavedModel in the
same process; in front of TF Serving it is a connection to that, and this code stays as it is.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tfx_loop.core.errors import DataError, ServerUnavailable
from tfx_loop.data.prediction_log.record import Array, Envelope, make_batch
from tfx_loop.data.prediction_log.writer import PredictionLogWriter
from tfx_loop.deployment.model_server.features import logged_features
from tfx_loop.deployment.model_server.signature import Signature, bind
from tfx_loop.models.tensors import COLUMNS_SIGNATURE


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
    def signature_defs(self) -> Mapping[str, Any]:
        """The same as protocol buffers, for metadata."""

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
        request_key: The same for the request and its repeats; empty where the id says so.
        golden: Whether the pusher asked it.
    """

    signature_name: str
    inputs: Mapping[str, Array]
    request_id: str
    event_time_ms: int
    request_key: str = ""
    golden: bool = False


class LoggingGateway:
    """Predicts, logs, answers, in this order."""

    def __init__(
        self,
        model_name: str,
        writer: PredictionLogWriter | None,
        clock_ms: Callable[[], int],
    ) -> None:
        """Keeps what is the same for all requests.

        Args:
            model_name: The name that the rows carry.
            writer: Where rows go; None answers without logging.
            clock_ms: Milliseconds since the epoch, UTC.
        """
        self._model_name = model_name
        self._writer = writer
        self._clock_ms = clock_ms

    def predict(self, servable: Servable, call: PredictCall) -> dict[str, Array]:
        """Returns the outputs of a request whose rows are in the log.

        Raises:
            DataError: The request does not fit the model.
            ServingError: The model failed.
            ServerUnavailable: The rows could not be logged, so there is no answer.
        """
        started = time.perf_counter()
        signature = find_signature(servable, call.signature_name)
        inputs, rows = bind(signature, call.inputs)
        outputs = servable.run(signature.name, inputs)
        if self._writer is not None:
            latency_ms = (time.perf_counter() - started) * 1000
            self._log(servable, signature, call, inputs, outputs, rows, latency_ms)
        return outputs

    def _log(
        self,
        servable: Servable,
        signature: Signature,
        call: PredictCall,
        inputs: Mapping[str, Array],
        outputs: Mapping[str, Array],
        rows: int,
        latency_ms: float,
    ) -> None:
        assert self._writer is not None
        envelope = Envelope(
            request_id=call.request_id,
            event_time_ms=call.event_time_ms,
            model_name=self._model_name,
            model_version=servable.version,
            variant=servable.variant,
            latency_ms=latency_ms,
            answered_time_ms=self._clock_ms(),
            request_key=call.request_key,
            golden=call.golden,
        )
        features = logged_features(signature, servable.signatures.get(COLUMNS_SIGNATURE), inputs)
        # An output that is not one a row (a loss, a state) has no row to stand in.
        per_row = {n: v for n, v in outputs.items() if v.ndim > 0 and len(v) == rows}
        batch = make_batch(envelope, rows, features, per_row)
        try:
            self._writer.append(self._model_name, call.event_time_ms, batch)
        except OSError as error:
            raise ServerUnavailable(
                f"The prediction could not be logged, so it is not answered: {error}. "
                "Free the disk of the prediction log, or fix its permissions; then ask again."
            ) from error


def find_signature(servable: Servable, name: str) -> Signature:
    """Returns a signature of a model.

    Raises:
        UnknownSignatureError: It has none of that name; in the words of TF Serving.
    """
    signature = servable.signatures.get(name)
    if signature is None:
        raise UnknownSignatureError(
            f'Serving signature name: "{name[:200]}" not found in signature def. '
            f"There are: {', '.join(sorted(servable.signatures))}."
        )
    return signature
