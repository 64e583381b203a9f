"""TF Serving's gRPC services before the served models."""

from typing import Any

import grpc
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from tfx_loop.deployment.model_server.grpc_errors import guarded
from tfx_loop.deployment.model_server.grpc_messages import model_spec
from tfx_loop.deployment.model_server.grpc_predictions import GrpcOptions, PredictionServicer
from tfx_loop.deployment.model_server.health_service import health_handler
from tfx_loop.deployment.model_server.model_config import models_of
from tfx_loop.deployment.model_server.served_models import ServedModels
from tfx_loop.deployment.model_server.serving_metrics import ServingMetrics

# google.rpc.Code.UNKNOWN.
_UNKNOWN = 2


def add_services(
    models: ServedModels, options: GrpcOptions, metrics: ServingMetrics, server: Any
) -> None:
    """Has a server answer for the models.

    Args:
        models: What answers.
        options: How.
        metrics: Where requests are counted.
        server: Takes handlers as grpcio's servers do.
    """
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionServicer(models, options, metrics), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(StatusServicer(models), server)
    if options.health:
        server.add_generic_rpc_handlers((health_handler(),))


class StatusServicer(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc, unused-ignore]
    """TF Serving's ModelService: GetModelStatus."""

    def __init__(self, models: ServedModels) -> None:
        """Keeps what answers."""
        self._models = models

    def GetModelStatus(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext
    ) -> Any:
        """Returns the states of the versions."""
        return guarded(context, lambda: self._status(request))

    def HandleReloadConfigRequest(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext
    ) -> Any:
        """Serves what the configuration says, and loads it before it answers."""
        return guarded(context, lambda: self._reload(request.config))

    def _reload(self, config: Any) -> Any:
        if config.WhichOneof("config") is None:
            # TF Serving refuses this; here it asks for a look at the base paths now.
            self._models.poll_models()
        else:
            self._models.reconfigure(models_of(config))
        return model_management_pb2.ReloadConfigResponse()

    def _status(self, request: Any) -> Any:
        name, version, label = model_spec(request.model_spec)
        response = get_model_status_pb2.GetModelStatusResponse()
        for status in self._models.statuses(name, version, label):
            shown = response.model_version_status.add()
            shown.version = status.version
            shown.state = status.state.value
            shown.status.error_code = _UNKNOWN if status.error else 0
            shown.status.error_message = status.error
        return response
