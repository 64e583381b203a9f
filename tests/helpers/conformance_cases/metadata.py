"""Status and metadata of models, over REST and gRPC."""

from typing import Any

from conformance_cases.case import Case, Contains, refused
from conformance_cases.server import World

FEATURE = "Status and metadata"
_AVAILABLE = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}


def _get(path: str):
    return lambda world: world.server.rest("GET", f"/v1/models/{path}")


def _case(name: str, ask: Any, wanted: object, differs: str = "") -> Case:
    return Case(FEATURE, name, ask, wanted, differs)


def _signature(world: World) -> Any:
    code, found = world.server.rest("GET", "/v1/models/default/versions/122/metadata")
    return code, found["metadata"]["signature_def"]["signature_def"]


def _part(*keys: str):
    def ask(world: World) -> object:
        code, found = _signature(world)
        for key in keys:
            found = found[key]
        return code, found

    return ask


def _rpc(service: str, method: str, request: Any, show: Any):
    def ask(world: World) -> object:
        import grpc
        from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

        channel = world.once(_channel)
        stub = (
            model_service_pb2_grpc.ModelServiceStub(channel)
            if service == "model"
            else prediction_service_pb2_grpc.PredictionServiceStub(channel)
        )
        try:
            return show(getattr(stub, method)(request(), 60))
        except grpc.RpcError as error:
            return error.code().name, error.details()

    return ask


def _channel(world: World) -> Any:
    return world.channel()


def _status(name: str = "default", version: int | None = None, label: str = ""):
    def request() -> Any:
        from tensorflow_serving.apis import get_model_status_pb2

        made = get_model_status_pb2.GetModelStatusRequest()
        made.model_spec.name = name
        if version is not None:
            made.model_spec.version.value = version
        if label:
            made.model_spec.version_label = label
        return made

    def show(answer: Any) -> object:
        return [
            (s.version, s.state, s.status.error_code, s.status.error_message)
            for s in answer.model_version_status
        ]

    return _rpc("model", "GetModelStatus", request, show)


def _metadata(*fields: str, name: str = "default", show: Any = lambda answer: "ok"):
    def request() -> Any:
        from tensorflow_serving.apis import get_model_metadata_pb2

        made = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
        made.model_spec.name = name
        return made

    return _rpc("prediction", "GetModelMetadata", request, show)


def _unpacked(answer: Any) -> object:
    from tensorflow_serving.apis import get_model_metadata_pb2

    signatures = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata["signature_def"].Unpack(signatures)
    found = signatures.signature_def["regress_x_to_y"]
    return answer.model_spec.version.value, found.method_name, sorted(found.inputs)


_DIMENSIONS = [{"size": "-1", "name": ""}, {"size": "1", "name": ""}]

CASES = [
    _case("status of a version", _get("default/versions/122"),
          (200, {"model_version_status": [{"version": "122", **_AVAILABLE}]})),
    _case("status of all versions, newest first", _get("default"),
          (200, {"model_version_status": [{"version": "123", **_AVAILABLE},
                                          {"version": "122", **_AVAILABLE}]})),
    _case("status by label", _get("default/labels/last"),
          (200, {"model_version_status": [{"version": "123", **_AVAILABLE}]})),
    _case("status of an unknown version", _get("default/versions/9"),
          refused(404, "Could not find version 9 of model default")),
    _case("status of an unknown model", _get("foo"),
          refused(404, "Could not find any versions of model foo")),
    _case("status of an unknown label", _get("default/labels/none"),
          refused(400, "Unrecognized servable version label: none")),
    _case("metadata names model and version",
          lambda world: world.server.rest("GET", "/v1/models/default/metadata")[1]["model_spec"],
          {"name": "default", "signature_name": "", "version": "123"}),
    _case("types have protobuf's names",
          _part("serving_default", "outputs", "y", "dtype"), (200, "DT_FLOAT")),
    _case("fields that have their default are shown",
          _part("serving_default", "inputs", "x", "tensor_shape"),
          (200, {"dim": _DIMENSIONS, "unknown_rank": False})),
    _case("tensors have their names in the graph",
          _part("serving_default", "outputs", "y", "name"), (200, "y:0")),
    _case("signatures tell their method", _part("regress_x_to_y", "method_name"),
          (200, "tensorflow/serving/regress")),
    _case("the initialiser of TF2 models is shown", _get("many/metadata"),
          refused(200, "__saved_model_init_op")),
    _case("metadata of an unknown model", _get("foo/metadata"),
          refused(404, "Servable not found for request: Latest(foo)")),
    _case("metadata of an unknown version", _get("default/versions/9/metadata"),
          refused(404, "Servable not found for request: Specific(default, 9)")),
    _case("gRPC status of all", _status(), [(123, 30, 0, ""), (122, 30, 0, "")]),
    _case("gRPC status of a version", _status(version=122), [(122, 30, 0, "")]),
    _case("gRPC status by label", _status(label="fixed"), [(122, 30, 0, "")]),
    _case("gRPC status of an unknown version", _status(version=9),
          ("NOT_FOUND", Contains("Could not find version 9 of model default"))),
    _case("gRPC status of an unknown model", _status("foo"),
          ("NOT_FOUND", Contains("Could not find any versions of model foo"))),
    _case("gRPC status without a model", _status(""),
          ("INVALID_ARGUMENT", Contains("Missing ModelSpec"))),
    _case("gRPC metadata", _metadata("signature_def", show=_unpacked),
          (123, "tensorflow/serving/regress", ["inputs"])),
    _case("gRPC metadata without a field", _metadata(),
          ("INVALID_ARGUMENT", Contains("must specify at least one metadata_field"))),
    _case("gRPC metadata of another field", _metadata("nope"),
          ("INVALID_ARGUMENT", Contains("Metadata field nope is not supported"))),
    _case("gRPC metadata without a model", _metadata("signature_def", name=""),
          ("INVALID_ARGUMENT", Contains("Missing ModelSpec"))),
    _case("gRPC metadata of an unknown model", _metadata("signature_def", name="foo"),
          ("NOT_FOUND", Contains("Latest(foo)"))),
]  # fmt: skip
