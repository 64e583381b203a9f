"""Our errors as gRPC's codes."""

import logging
from collections.abc import Callable
from typing import NoReturn, TypeVar

import grpc

from tfx_loop.core.errors import ConfigError, DataError, LoopError, ModelRejected, ServerUnavailable
from tfx_loop.deployment.model_server.engine import DeadlinePassed, Overloaded
from tfx_loop.deployment.model_server.examples_api import PreconditionError
from tfx_loop.deployment.model_server.grpc_connection import CallAborted
from tfx_loop.deployment.model_server.grpc_messages import UnsupportedError
from tfx_loop.deployment.model_server.logging_gateway import UnknownSignatureError
from tfx_loop.deployment.model_server.served_models import (
    LabelUnavailableError,
    ModelUnavailableError,
)

_LOG = logging.getLogger(__name__)

ReturnT = TypeVar("ReturnT")


def guarded(context: grpc.ServicerContext, answer: Callable[[], ReturnT]) -> ReturnT:
    """Returns an answer; ends the call where there is none, as `abort` does."""
    try:
        return answer()
    except Exception as error:
        abort(context, error)


def abort(context: grpc.ServicerContext, error: Exception) -> NoReturn:
    """Ends a call with the code of an error, and its words."""
    if isinstance(error, CallAborted):
        raise error
    if isinstance(error, LoopError):
        context.abort(_code_of(error), str(error))
    _LOG.error("grpc request failed", exc_info=error)
    context.abort(grpc.StatusCode.INTERNAL, f"Internal error: {type(error).__name__}: {error}")
    raise AssertionError("a context's abort raises")


def _code_of(error: LoopError) -> grpc.StatusCode:
    if isinstance(error, Overloaded):
        return grpc.StatusCode.RESOURCE_EXHAUSTED
    if isinstance(error, DeadlinePassed):
        return grpc.StatusCode.DEADLINE_EXCEEDED
    if isinstance(error, UnknownSignatureError | PreconditionError | LabelUnavailableError):
        return grpc.StatusCode.FAILED_PRECONDITION
    if isinstance(error, UnsupportedError):
        return grpc.StatusCode.UNIMPLEMENTED
    # UNKNOWN, as TF Serving answers where a model's configuration is there and no version is.
    if isinstance(error, ModelUnavailableError):
        return grpc.StatusCode.UNKNOWN
    if isinstance(error, DataError | ConfigError):
        return grpc.StatusCode.INVALID_ARGUMENT
    if isinstance(error, ModelRejected):
        return grpc.StatusCode.NOT_FOUND
    if isinstance(error, ServerUnavailable):
        return grpc.StatusCode.UNAVAILABLE
    return grpc.StatusCode.INTERNAL
