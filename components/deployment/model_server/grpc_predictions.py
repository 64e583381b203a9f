"""TF Serving's PredictionService, with the stubs of tensorflow-serving-api."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    model_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tfx_loop.core.errors import DataError
from tfx_loop.data.prediction_log.record import Array
from tfx_loop.deployment.model_server.engine import Steps
from tfx_loop.deployment.model_server.examples_api import INPUTS, Method, examples_of
from tfx_loop.deployment.model_server.grpc_errors import abort, guarded
from tfx_loop.deployment.model_server.grpc_messages import (
    fill_classes,
    fill_spec,
    fill_values,
    model_spec,
    tasks_of,
)
from tfx_loop.deployment.model_server.grpc_tensors import fill_proto, to_array
from tfx_loop.deployment.model_server.logging_gateway import (
    GRPC_UNKNOWN_SIGNATURE,
    find_signature,
)
from tfx_loop.deployment.model_server.metadata import check_metadata_fields, metadata_response
from tfx_loop.deployment.model_server.served_models import ServedModels
from tfx_loop.deployment.model_server.service import PredictionTarget
from tfx_loop.deployment.model_server.serving_metrics import UNKNOWN_MODEL, ServingMetrics
from tfx_loop.deployment.server_access.headers import REQUEST_ID_HEADER, VERSION_HEADER
from tfx_loop.models.tensors import DEFAULT_SIGNATURE


@dataclass(frozen=True, kw_only=True)
class GrpcOptions:
    """How the interface answers.

    Attributes:
        tensor_content: Whether answers carry tensors as bytes, not as lists of numbers.
        health: Whether the health service answers.
    """

    tensor_content: bool = False
    health: bool = False


def _tell(context: grpc.ServicerContext, asked: PredictionTarget) -> None:
    context.send_initial_metadata(
        [(REQUEST_ID_HEADER, asked.identity.request_id), (VERSION_HEADER, str(asked.version))]
    )


class PredictionServicer(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc, unused-ignore]
    """TF Serving's PredictionService."""

    def __init__(self, models: ServedModels, options: GrpcOptions, metrics: ServingMetrics) -> None:
        """Keeps what answers."""
        self._models, self._options, self._metrics = models, options, metrics

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Answers and logs one request."""
        steps = self._predict(request, context)
        return self._answered("Predict", request.model_spec, context, steps)

    def GetModelMetadata(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext
    ) -> Any:
        """Returns the signatures of the model."""
        return guarded(context, lambda: self._metadata(request))

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Answers and logs one request of tf.Examples with classes."""
        steps = self._classify(request, context)
        return self._answered("Classify", request.model_spec, context, steps)

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Answers and logs one request of tf.Examples with numbers."""
        steps = self._regress(request, context)
        return self._answered("Regress", request.model_spec, context, steps)

    def MultiInference(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext
    ) -> Any:
        """Asks several signatures of one model with the same tf.Examples, and logs each answer."""
        spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        return self._answered("MultiInference", spec, context, self._infer(request, context))

    async def _answered(
        self, api: str, spec: Any, context: grpc.ServicerContext, steps: Steps[Any]
    ) -> Any:
        """Waits for a handler, turns our errors into gRPC's codes, and counts the request."""
        started = time.perf_counter()
        try:
            return await steps
        except Exception as error:
            abort(context, error)
        finally:
            code = context.code()
            self._metrics.request(
                spec.name if spec.name in self._models.services else UNKNOWN_MODEL,
                "OK" if code is None else code.name,
                api=api,
                entrypoint="GRPC",
                seconds=time.perf_counter() - started,
            )

    def _find(self, spec: Any, context: grpc.ServicerContext) -> PredictionTarget:
        """Returns which version is asked by whom."""
        name, version, label = model_spec(spec)
        service = self._models.find(name, version, label)
        identity = service.identify(dict(context.invocation_metadata()))
        return PredictionTarget(service, service.servable(version, label, identity), identity)

    async def _predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        asked = self._find(request.model_spec, context)
        _tell(context, asked)
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        signature = find_signature(asked.servable, name, GRPC_UNKNOWN_SIGNATURE)
        wanted = _output_names(request, signature.outputs)
        inputs = {key: to_array(key, proto) for key, proto in request.inputs.items()}
        outputs = await asked.service.predict(asked.servable, name, inputs, asked.identity)
        response = predict_pb2.PredictResponse()
        fill_spec(response.model_spec, asked, name)
        for key in wanted:
            fill_proto(response.outputs[key], outputs[key], as_bytes=self._options.tensor_content)
        return response

    async def _classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        response = classification_pb2.ClassificationResponse()
        asked, name, outputs, rows = await self._examples(request, Method.CLASSIFY, context)
        fill_classes(response.result, outputs, rows)
        fill_spec(response.model_spec, asked, name)
        return response

    async def _regress(self, request: Any, context: grpc.ServicerContext) -> Any:
        response = regression_pb2.RegressionResponse()
        asked, name, outputs, rows = await self._examples(request, Method.REGRESS, context)
        fill_values(response.result, outputs, rows)
        fill_spec(response.model_spec, asked, name)
        return response

    async def _examples(
        self, request: Any, method: Method, context: grpc.ServicerContext
    ) -> tuple[PredictionTarget, str, Mapping[str, Array], int]:
        asked = self._find(request.model_spec, context)
        _tell(context, asked)
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        asked.service.check_method(asked.servable, method, name)
        examples = examples_of(request.input)
        outputs = await asked.service.predict(
            asked.servable, name, {INPUTS: examples}, asked.identity, method.api
        )
        return asked, name, outputs, len(examples)

    async def _infer(self, request: Any, context: grpc.ServicerContext) -> Any:
        tasks = tasks_of(request)
        response = inference_pb2.MultiInferenceResponse()
        if not tasks:
            return response
        # One version answers all of them, whichever is routed to.
        asked = self._find(tasks[0].spec, context)
        _tell(context, asked)
        for task in tasks:
            asked.service.check_method(asked.servable, task.method, task.signature_name)
        examples = examples_of(request.input)
        for task in tasks:
            identity = asked.identity.part(task.signature_name)
            outputs = await asked.service.predict(
                asked.servable,
                task.signature_name,
                {INPUTS: examples},
                identity,
                "MultiInference",
            )
            result = response.results.add()
            fill_spec(result.model_spec, asked, task.signature_name)
            if task.method is Method.CLASSIFY:
                fill_classes(result.classification_result, outputs, len(examples))
            else:
                fill_values(result.regression_result, outputs, len(examples))
        return response

    def _metadata(self, request: Any) -> Any:
        name, version, label = model_spec(request.model_spec)
        check_metadata_fields(list(request.metadata_field))
        return metadata_response(name, self._models.find(name, version).servable(version, label))


def _output_names(request: Any, declared: Any) -> list[str]:
    # By name, as a response's map has no order and its bytes are to be the same each time.
    if not request.output_filter:
        return sorted(declared)
    wanted = list(request.output_filter)
    for name in wanted:
        # TF Serving's words, so that what clients look for in messages is found.
        if name not in declared:
            raise DataError(
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {{{','.join(sorted(declared))}}}."
            )
    if len(set(wanted)) != len(wanted):
        raise DataError("duplicate output tensor alias in output_filter")
    return wanted
