"""gRPC's health service, as --enable_grpc_healthcheck_service of TF Serving has it.

https://grpc.io/docs/guides/health-checking: Check only; probes do not watch.
"""

from typing import Any

import grpc

from tfx_loop.deployment.model_server.text_messages import message

_NAME = "grpc.health.v1.Health"
_SERVICES = ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")
_SERVING = 1


def health_handler() -> grpc.GenericRpcHandler:
    """Returns the handler to add to a server: it serves for as long as it answers."""
    request, response = message("HealthCheckRequest"), message("HealthCheckResponse")

    def check(asked: Any, context: grpc.ServicerContext) -> Any:
        if asked.service not in _SERVICES:
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown service {asked.service[:200]}")
        return response(status=_SERVING)

    method = grpc.unary_unary_rpc_method_handler(
        check,
        request_deserializer=request.FromString,
        response_serializer=response.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(_NAME, {"Check": method})
