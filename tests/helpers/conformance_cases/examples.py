"""Classify, Regress and MultiInference: tf.Examples in, classes and numbers out."""

import json
from typing import Any

from conformance_cases.case import Case, Contains, refused
from conformance_cases.server import World

FEATURE = "Classify and Regress"
_REGRESS = "tensorflow/serving/regress"
_CLASSIFY = "tensorflow/serving/classify"


def _rest(verb: str, **body: Any):
    return lambda world: world.server.rest(
        "POST", f"/v1/models/default/versions/122:{verb}", json.dumps(body)
    )


def _regress(examples: Any, signature: str = "regress_x_to_y", **more: Any):
    return _rest("regress", signature_name=signature, examples=examples, **more)


def _classify(examples: Any, signature: str = "classify_x_to_y"):
    return _rest("classify", signature_name=signature, examples=examples)


def _case(name: str, ask: Any, wanted: object, differs: str = "") -> Case:
    return Case(FEATURE, name, ask, wanted, differs)


_OVER_REST = [
    _case("regress one example", _regress([{"x": 80.0}]), (200, {"results": [42.0]})),
    _case("the REST guide's regress request",
          _regress([{"x": 1.0}, {"x": 2.0}], _REGRESS), (200, {"results": [2.5, 3.0]})),
    _case("a feature as a list", _regress([{"x": [2.0]}]), (200, {"results": [3.0]})),
    _case("features that the model does not know", _regress([{"x": 2.0, "other": ["a"]}]),
          (200, {"results": [3.0]})),
    _case("context holds for all examples", _regress([{}, {}], context={"x": 1.0}),
          (200, {"results": [2.5, 2.5]})),
    _case("an example's feature wins over context", _regress([{"x": 2.0}], context={"x": 1.0}),
          (200, {"results": [3.0]})),
    _case("classify with scores alone", _classify([{"x": 20.0}]),
          (200, {"results": [[["", 12.0]]]})),
    _case("classify with labels and scores", _classify([{"x": 2.0}], "classify_labels"),
          (200, {"results": [[["low", 3.0], ["high", 4.0]]]})),
    _case("classify with labels alone", _classify([{"x": 2.0}], "classes_only"),
          (200, {"results": [[["low", 0.0], ["high", 0.0]]]})),
    _case("classify several examples", _classify([{"x": 2.0}, {"x": 4.0}]),
          (200, {"results": [[["", 3.0]], [["", 4.0]]]})),
    _case("signature_name is a number", _rest("classify", signature_name=5, examples=[{}]),
          refused(400, "'signature_name' key must be a string value")),
    _case("no examples key", _rest("classify"),
          refused(400, "key 'examples' is expected and was not found")),
    _case("examples are no list", _rest("classify", examples={}),
          refused(400, "Expecting 'examples' value to be an list/array")),
    _case("no examples", _rest("classify", examples=[]),
          refused(400, "'examples' value is an empty array")),
    _case("an example is no object", _classify([[]]),
          refused(400, "Example must be JSON object but got JSON Array")),
    _case("a feature is null", _classify([{"names": None}]),
          refused(400, "Feature: names has element with unexpected JSON type: Null")),
    _case("a feature holds lists", _classify([{"names": [[1]]}]),
          refused(400, "Feature: names has element with unexpected JSON type: Array")),
    _case("a feature is an object", _classify([{"names": {"a": 1}}]),
          refused(400, "Feature: names has element with unexpected JSON type: Object")),
    _case("a feature of two types", _classify([{"names": [1, "a"]}]),
          refused(400, "Unexpected element type in feature: names expecting type: int64")),
    _case("a whole number, then a fraction", _classify([{"names": [1, 1.5]}]),
          refused(400, "Unexpected element type in feature: names expecting type: int64")),
    _case("a feature beyond int64", _classify([{"names": 2**64 - 1}]),
          refused(400, "Only int64")),
    _case("a whole number for a float feature", _regress([{"x": 80}]), refused(400, "x")),
    _case("a feature lacks", _regress([{}]), refused(400, "x")),
    _case("unknown signature", _regress([{"x": 1.0}], "nope"),
          refused(400, "No signature was found with the name: nope")),
    _case("a predict signature has other inputs", _regress([{"x": 1.0}], "serving_default"),
          refused(400, "No regression inputs found in SignatureDef")),
    _case("regress has one number an example", _regress([{"x": 1.0}], "regress_two"),
          refused(400, "shape to be either [batch_size] or [batch_size, 1]")),
    _case("regress by a signature that TF2 made for Predict",
          _regress([{"x": 2.0}], "regress_as_predict"), (200, {"results": [3.0]})),
    _case("an input of another name", _regress([{"x": 2.0}], "regress_other_input"),
          refused(400, "No regression inputs found")),
    _case("an output of another name", _regress([{"x": 2.0}], "regress_other_output"),
          refused(400, "No regression outputs found")),
    _case("classify a regress signature", _classify([{"x": 2.0}], "regress_x_to_y"),
          refused(400, 'at least one of \\"classes\\" or \\"scores\\"')),
]  # fmt: skip


def example(**features: float) -> Any:
    """Returns a tf.Example of floats."""
    from tensorflow.core.example import example_pb2

    made = example_pb2.Example()
    for name, value in features.items():
        made.features.feature[name].float_list.value.append(value)
    return made


def _asked(world: World, method: str, request: Any) -> object:
    import grpc
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    stub = prediction_service_pb2_grpc.PredictionServiceStub(world.once(_channel))
    try:
        return getattr(stub, method)(request, 60)
    except grpc.RpcError as error:
        return error.code().name, error.details()


def _channel(world: World) -> Any:
    return world.channel()


def _request(kind: str, signature: str, *examples: Any, version: int = 122) -> Any:
    from tensorflow_serving.apis import classification_pb2, regression_pb2

    made = (
        classification_pb2.ClassificationRequest()
        if kind == "Classify"
        else regression_pb2.RegressionRequest()
    )
    made.model_spec.name = "default"
    made.model_spec.version.value = version
    made.model_spec.signature_name = signature
    made.input.example_list.examples.extend(examples)
    return made


def _classes(world: World) -> object:
    answer = _asked(world, "Classify", _request("Classify", "classify_labels", example(x=2.0)))
    return [(c.label, c.score) for c in answer.result.classifications[0].classes]


def _values(world: World) -> object:
    request = _request("Regress", "regress_x_to_y", example(x=2.0), example(x=4.0))
    answer = _asked(world, "Regress", request)
    return [value.value for value in answer.result.regressions]


def _spec(world: World) -> object:
    spec = _asked(
        world, "Regress", _request("Regress", "regress_x_to_y", example(x=2.0))
    ).model_spec
    return spec.name, spec.version.value, spec.signature_name


def _with_context(world: World) -> object:
    request = _request("Regress", "regress_x_to_y")
    request.input.example_list_with_context.context.CopyFrom(example(x=2.0))
    request.input.example_list_with_context.examples.add()
    return [value.value for value in _asked(world, "Regress", request).result.regressions]


def _empty(kind: str):
    name = "classify_x_to_y" if kind == "Classify" else "regress_x_to_y"
    return lambda world: _asked(world, kind, _request(kind, name))


def _several(*tasks: tuple[str, str, str]):
    def ask(world: World) -> object:
        from tensorflow_serving.apis import inference_pb2

        request = inference_pb2.MultiInferenceRequest()
        for model, signature, method in tasks:
            task = request.tasks.add(method_name=method)
            task.model_spec.name, task.model_spec.signature_name = model, signature
            task.model_spec.version.value = 122
        request.input.example_list.examples.add().CopyFrom(example(x=2.0))
        answer = _asked(world, "MultiInference", request)
        if isinstance(answer, tuple):
            return answer
        return [
            (
                result.WhichOneof("result"),
                [value.value for value in result.regression_result.regressions],
                [c.classes[0].score for c in result.classification_result.classifications],
                result.model_spec.signature_name,
            )
            for result in answer.results
        ]

    return ask


_BOTH = [
    ("regression_result", [3.0], [], "regress_x_to_y"),
    ("classification_result", [], [3.0], "classify_x_to_y"),
]
_TASKS = [("default", "regress_x_to_y", _REGRESS), ("default", "classify_x_to_y", _CLASSIFY)]

_OVER_GRPC = [
    _case("gRPC Classify", _classes, [("low", 3.0), ("high", 4.0)]),
    _case("gRPC Regress", _values, [3.0, 4.0]),
    _case("gRPC answers tell who answered", _spec, ("default", 122, "regress_x_to_y")),
    _case("gRPC examples with context", _with_context, [3.0]),
    _case("gRPC Classify without examples", _empty("Classify"),
          ("INVALID_ARGUMENT", Contains("Input is empty"))),
    _case("gRPC Regress without examples", _empty("Regress"),
          ("INVALID_ARGUMENT", Contains("Input is empty"))),
    _case("gRPC Regress of another signature's inputs",
          lambda world: _asked(
              world, "Regress", _request("Regress", "regress_other_input", example(x=1.0))),
          ("FAILED_PRECONDITION", Contains("No regression inputs found"))),
    _case("gRPC Classify of an unknown version",
          lambda world: _asked(
              world, "Classify",
              _request("Classify", "classify_x_to_y", example(x=1.0), version=9)),
          ("NOT_FOUND", Contains("Specific(default, 9)"))),
    _case("MultiInference", _several(*_TASKS), _BOTH),
    _case("MultiInference of one task", _several(_TASKS[0]), _BOTH[:1]),
    _case("MultiInference asks a signature once", _several(_TASKS[0], _TASKS[0]),
          ("INVALID_ARGUMENT", Contains("Duplicate evaluation of signature: regress_x_to_y"))),
    _case("MultiInference asks one model",
          _several(_TASKS[0], ("many", "classify_x_to_y", _CLASSIFY)),
          ("INVALID_ARGUMENT", Contains("must access the same model name"))),
    _case("MultiInference names a model", _several(("", "regress_x_to_y", _REGRESS)),
          ("INVALID_ARGUMENT", Contains("Found ModelSpec with an empty model name"))),
    _case("MultiInference of another method",
          _several(("default", "regress_x_to_y", "tensorflow/serving/predict")),
          ("UNIMPLEMENTED", Contains("Unsupported signature method_name"))),
    _case("MultiInference of an unknown signature", _several(("default", "nope", _REGRESS)),
          ("INVALID_ARGUMENT", Contains("nope"))),
]  # fmt: skip

CASES = [*_OVER_REST, *_OVER_GRPC]
