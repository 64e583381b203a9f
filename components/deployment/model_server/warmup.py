"""Warm-up requests that a version brings along, run before it serves.

TF Serving's format: a TFRecord file of PredictionLog messages
(https://www.tensorflow.org/tfx/serving/saved_model_warmup). They are not logged. One that fails,
fails the load: a model that cannot answer its own requests is no model to serve.
"""

import logging
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from tfx_loop.core.errors import DataError, LoopError, ModelError
from tfx_loop.data.tables.tfrecord import read_records
from tfx_loop.deployment.model_server.examples_api import (
    INPUTS,
    Method,
    check_signature,
    classes_of,
    examples_of,
    values_of,
)
from tfx_loop.deployment.model_server.grpc_messages import tasks_of
from tfx_loop.deployment.model_server.grpc_tensors import to_array
from tfx_loop.deployment.model_server.logging_gateway import Servable, find_signature
from tfx_loop.deployment.model_server.signature import bind
from tfx_loop.models.tensors import DEFAULT_SIGNATURE, Array

_LOG = logging.getLogger(__name__)
WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")
# TF Serving's WarmupConsts::kMaxNumRecords.
MAX_RECORDS = 1000


def warm_up(servable: Servable, folder: Path, iterations: int = 1) -> int:
    """Runs the warm-up requests of a version folder; returns how many it has.

    Args:
        servable: The version, loaded.
        folder: Where it was loaded from.
        iterations: How often each is run.

    Raises:
        ModelError: The file is damaged or too long, or a request fails.
    """
    path = folder / WARMUP_FILE
    if not path.is_file():
        return 0
    number = 0
    try:
        for batch in read_records(str(path), MAX_RECORDS):
            for record in batch:
                number += 1
                if number > MAX_RECORDS:
                    raise DataError(f"Number of warmup records exceeds the maximum ({MAX_RECORDS})")
                log = prediction_log_pb2.PredictionLog.FromString(record)
                for _ in range(iterations):
                    _run(servable, log)
    except (LoopError, DecodeError) as error:
        raise ModelError(
            f"Expected warm-up requests that the model answers in {path}, "
            f"record {number} failed: {error}"
        ) from error
    _LOG.info("warm-up version=%d requests=%d", servable.version, number)
    return number


def _run(servable: Servable, log: Any) -> None:
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        _predict(servable, log.predict_log.request)
    elif kind == "classify_log":
        _ask(servable, log.classify_log.request, Method.CLASSIFY)
    elif kind == "regress_log":
        _ask(servable, log.regress_log.request, Method.REGRESS)
    elif kind == "multi_inference_log":
        request = log.multi_inference_log.request
        for task in tasks_of(request):
            _ask_examples(servable, task.signature_name, task.method, examples_of(request.input))
    else:
        raise DataError(f"Unsupported log_type for warmup: {kind or 'none'}")


def _predict(servable: Servable, request: Any) -> None:
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    inputs = {key: to_array(key, proto) for key, proto in request.inputs.items()}
    bound, _ = bind(find_signature(servable, name), inputs)
    servable.run(name, bound)


def _ask(servable: Servable, request: Any, method: Method) -> None:
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    _ask_examples(servable, name, method, examples_of(request.input))


def _ask_examples(servable: Servable, name: str, method: Method, examples: Array) -> None:
    signature = find_signature(servable, name)
    check_signature(method, servable.signature_defs[name])
    bound, rows = bind(signature, {INPUTS: examples})
    outputs = servable.run(name, bound)
    if method is Method.CLASSIFY:
        classes_of(outputs, rows)
    else:
        values_of(outputs, rows)
