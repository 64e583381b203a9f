"""TF Serving's gRPC services, with the stubs of tensorflow-serving-api."""

import logging
import math
from collections.abc import Callable
from concurrent import futures
from typing import Any, TypeVar

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfx_loop.core.errors import ConfigError, DataError, LoopError, ModelRejected, ServerUnavailable
from tfx_loop.data.prediction_log.record import Array
from tfx_loop.deployment.model_server.engine import DeadlinePassed, Overloaded, run_blocking
from tfx_loop.deployment.model_server.logging_gateway import UnknownSignatureError, find_signature
from tfx_loop.deployment.model_server.metadata import check_metadata_fields, metadata_response
from tfx_loop.deployment.model_server.model_config import models_of
from tfx_loop.deployment.model_server.served_models import (
    LabelUnavailableError,
    ModelUnavailableError,
    ServedModels,
)
from tfx_loop.deployment.server_access.access import Access, AccessRefused, Refusal
from tfx_loop.deployment.server_access.headers import REQUEST_ID_HEADER, VERSION_HEADER
from tfx_loop.models.tensors import DEFAULT_SIGNATURE

_LOG = logging.getLogger(__name__)
# google.rpc.Code.UNKNOWN.
_UNKNOWN = 2
# A small message may claim a huge shape: no tensor of a request may be larger than this.
MAX_ELEMENTS = 64 * 1024 * 1024

_REFUSED = {
    Refusal.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Refusal.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    Refusal.TOO_MANY: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_ADMIN_METHODS = ("/tensorflow.serving.ModelService/HandleReloadConfigRequest",)

_FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "int8": "int_val",
    "int16": "int_val",
    "int32": "int_val",
    "uint8": "int_val",
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
    "string": "string_val",
}

ReturnT = TypeVar("ReturnT")


def make_server(
    models: ServedModels, max_body_bytes: int, threads: int, access: Access
) -> grpc.Server:
    """Returns a gRPC server that has no port yet.

    Args:
        models: What answers.
        max_body_bytes: Larger messages are refused with RESOURCE_EXHAUSTED.
        threads: Requests that are worked on at once.
        access: Who may call.
    """
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=threads, thread_name_prefix="grpc"),
        options=[
            ("grpc.max_receive_message_length", max_body_bytes),
            # No limit: what the server answers it has computed already.
            ("grpc.max_send_message_length", -1),
            # Two servers on one port would share its requests unnoticed.
            ("grpc.so_reuseport", 0),
        ],
        interceptors=[AccessInterceptor(access)],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionServicer(models), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(StatusServicer(models), server)
    return server


class AccessInterceptor(grpc.ServerInterceptor):  # type: ignore[misc, unused-ignore]
    """Answers only those who may call; what others sent is not parsed."""

    def __init__(self, access: Access) -> None:
        """Keeps who decides."""
        self._access = access

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Returns the handler of a call, with the check in front."""
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        sent = dict(handler_call_details.invocation_metadata)
        admin = handler_call_details.method in _ADMIN_METHODS

        def parse(message: bytes) -> Any:
            # The address of a caller is known in `answer` only, so the message waits unparsed.
            return message

        def answer(message: bytes, context: grpc.ServicerContext) -> Any:
            # "ipv4:127.0.0.1:50312": each connection has another port.
            address = context.peer().rpartition(":")[0]
            authorization = str(sent.get("authorization", ""))
            try:
                self._access.count(self._access.authenticate(authorization, address, admin=admin))
            except AccessRefused as error:
                context.abort(_REFUSED[error.refusal], str(error))
            try:
                request = handler.request_deserializer(message)
            except DecodeError:
                context.abort(grpc.StatusCode.INTERNAL, "Exception deserializing request!")
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(answer, parse, handler.response_serializer)


class PredictionServicer(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc, unused-ignore]
    """TF Serving's PredictionService: Predict and GetModelMetadata."""

    def __init__(self, models: ServedModels) -> None:
        """Keeps what answers."""
        self._models = models

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Answers and logs one request."""
        return _guarded(context, lambda: run_blocking(self._predict(request, context)))

    def GetModelMetadata(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext
    ) -> Any:
        """Returns the signatures of the model."""
        return _guarded(context, lambda: self._metadata(request))

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Is not served."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "Classify is not served here: use Predict.")

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Is not served."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "Regress is not served here: use Predict.")

    def MultiInference(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext
    ) -> Any:
        """Is not served."""
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED, "MultiInference is not served here: use Predict."
        )

    async def _predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        sent = {item.key: item.value for item in context.invocation_metadata()}
        name, version, label = _model_spec(request)
        service = self._models.find(name, version)
        identity = service.identify({k: v for k, v in sent.items() if isinstance(v, str)})
        servable = service.servable(version, label, identity)
        context.send_initial_metadata(
            [(REQUEST_ID_HEADER, identity.request_id), (VERSION_HEADER, str(servable.version))]
        )
        signature_name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        signature = find_signature(servable, signature_name)
        wanted = _output_names(request, signature.outputs)
        inputs = {key: to_array(key, proto) for key, proto in request.inputs.items()}
        outputs = await service.predict(servable, signature_name, inputs, identity)
        response = predict_pb2.PredictResponse()
        response.model_spec.name = name
        response.model_spec.version.value = servable.version
        response.model_spec.signature_name = signature_name
        for key in wanted:
            fill_proto(response.outputs[key], outputs[key])
        return response

    def _metadata(self, request: Any) -> Any:
        name, version, label = _model_spec(request)
        check_metadata_fields(list(request.metadata_field))
        return metadata_response(name, self._models.find(name, version).servable(version, label))


class StatusServicer(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc, unused-ignore]
    """TF Serving's ModelService: GetModelStatus."""

    def __init__(self, models: ServedModels) -> None:
        """Keeps what answers."""
        self._models = models

    def GetModelStatus(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext
    ) -> Any:
        """Returns the states of the versions."""
        return _guarded(context, lambda: self._status(request))

    def HandleReloadConfigRequest(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext
    ) -> Any:
        """Serves what the configuration says, and loads it before it answers."""
        return _guarded(context, lambda: self._reload(request.config))

    def _reload(self, config: Any) -> Any:
        if config.WhichOneof("config") is None:
            # TF Serving refuses this; here it asks for a look at the base paths now.
            self._models.poll_models()
        else:
            self._models.reconfigure(models_of(config))
        return model_management_pb2.ReloadConfigResponse()

    def _status(self, request: Any) -> Any:
        name, version, label = _model_spec(request)
        response = get_model_status_pb2.GetModelStatusResponse()
        for status in self._models.statuses(name, version, label):
            shown = response.model_version_status.add()
            shown.version = status.version
            shown.state = status.state.value
            shown.status.error_code = _UNKNOWN if status.error else 0
            shown.status.error_message = status.error
        return response


def to_array(name: str, proto: Any) -> Array:
    """Returns a tensor of a request as an array.

    Raises:
        DataError: Shape, type and content do not belong together.
    """
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise DataError(f"Expected input {name} with a known shape, received {shape}.")
    if math.prod(shape) > MAX_ELEMENTS:
        raise DataError(
            f"Expected input {name} with at most {MAX_ELEMENTS} elements, received shape {shape}."
        )
    try:
        return np.asarray(tf.make_ndarray(proto))
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(f"Input {name} is no valid tensor: {error}") from error


def fill_proto(proto: Any, values: Array) -> None:
    """Writes an array into a TensorProto's typed field, where clients of TF Serving look for it."""
    kind = "string" if values.dtype.kind in "OSU" else values.dtype.name
    field = _FIELDS.get(kind)
    if field is None:
        proto.CopyFrom(tf.make_tensor_proto(values))
        return
    proto.dtype = tf.dtypes.as_dtype(kind).as_datatype_enum
    for size in values.shape:
        proto.tensor_shape.dim.add().size = size
    getattr(proto, field).extend(values.reshape(-1).tolist())


def _model_spec(request: Any) -> tuple[str, int | None, str | None]:
    spec = request.model_spec
    if not spec.name:
        raise DataError("Missing ModelSpec")
    if spec.WhichOneof("version_choice") == "version_label":
        return spec.name, None, spec.version_label
    return spec.name, spec.version.value if spec.HasField("version") else None, None


def _output_names(request: Any, declared: Any) -> list[str]:
    wanted = list(request.output_filter)
    for name in wanted:
        if name not in declared:
            raise DataError(
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {{{','.join(sorted(declared))}}}."
            )
    if len(set(wanted)) != len(wanted):
        raise DataError("duplicate output tensor alias in output_filter")
    return wanted or sorted(declared)


def _guarded(context: grpc.ServicerContext, answer: Callable[[], ReturnT]) -> ReturnT:
    """Turns our errors into gRPC's codes."""
    try:
        return answer()
    except LoopError as error:
        context.abort(_code_of(error), str(error))
    except Exception as error:
        _LOG.exception("grpc request failed")
        context.abort(grpc.StatusCode.INTERNAL, f"Internal error: {type(error).__name__}: {error}")
    raise AssertionError("abort always raises")


def _code_of(error: LoopError) -> grpc.StatusCode:
    if isinstance(error, Overloaded):
        return grpc.StatusCode.RESOURCE_EXHAUSTED
    if isinstance(error, DeadlinePassed):
        return grpc.StatusCode.DEADLINE_EXCEEDED
    if isinstance(error, UnknownSignatureError | LabelUnavailableError):
        return grpc.StatusCode.FAILED_PRECONDITION
    if isinstance(error, ModelUnavailableError):
        return grpc.StatusCode.UNKNOWN
    if isinstance(error, DataError | ConfigError):
        return grpc.StatusCode.INVALID_ARGUMENT
    if isinstance(error, ModelRejected):
        return grpc.StatusCode.NOT_FOUND
    if isinstance(error, ServerUnavailable):
        return grpc.StatusCode.UNAVAILABLE
    return grpc.StatusCode.INTERNAL
