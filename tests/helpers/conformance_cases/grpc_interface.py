"""Predict over gRPC, and the other services of its port."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from conformance_cases.case import Case, Contains
from conformance_cases.server import World

FEATURE = "gRPC"


def _case(name: str, ask: Any, wanted: object, differs: str = "") -> Case:
    return Case(FEATURE, name, ask, wanted, differs)


def _f32(*values: float) -> Any:
    return np.array(values, np.float32)


def _channel(world: World) -> Any:
    return world.channel()


def request(
    inputs: Mapping[str, Any],
    signature: str = "",
    model: str = "default",
    version: int | None = None,
    label: str = "",
    outputs: tuple[str, ...] = (),
) -> Any:
    """Returns a PredictRequest; arrays become tensors, and messages stay what they are."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    made = predict_pb2.PredictRequest()
    made.model_spec.name, made.model_spec.signature_name = model, signature
    if version is not None:
        made.model_spec.version.value = version
    if label:
        made.model_spec.version_label = label
    for name, values in inputs.items():
        proto = values if hasattr(values, "tensor_content") else tf.make_tensor_proto(values)
        made.inputs[name].CopyFrom(proto)
    made.output_filter.extend(outputs)
    return made


def asked(channel: Any, made: Any, show: Callable[[Any], object]) -> object:
    """Returns what a Predict answers, or code and message of its error."""
    import grpc
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    try:
        return show(stub.Predict(made, 60))
    except grpc.RpcError as error:
        return error.code().name, error.details()


def _predict(show: Callable[[Any], object], inputs: Mapping[str, Any], **more: Any):
    return lambda world: asked(world.once(_channel), request(inputs, **more), show)


def _floats(name: str) -> Callable[[Any], object]:
    def show(answer: Any) -> object:
        output = answer.outputs[name]
        return list(output.float_val), [dim.size for dim in output.tensor_shape.dim]

    return show


def _array(name: str = "y") -> Callable[[Any], object]:
    def show(answer: Any) -> object:
        import tensorflow as tf

        values = tf.make_ndarray(answer.outputs[name])
        return values.dtype.name, [str(value) for value in values.reshape(-1).tolist()]

    return show


def _same(kind: str, values: list[Any]) -> Case:
    made = np.array(values, kind)
    return _case(f"{kind} comes back", _predict(_array(), {"x": made}, model="many",
                 signature=f"id_{kind}"), (kind, [str(value) for value in values]))  # fmt: skip


def _bfloat16(world: World) -> object:
    import tensorflow as tf

    sent = tf.make_tensor_proto(tf.constant([1.5], tf.bfloat16))
    made = request({"x": sent}, model="many", signature="id_bfloat16")
    return asked(
        world.once(_channel), made, lambda answer: float(tf.make_ndarray(answer.outputs["y"])[0])
    )


def _content(world: World) -> object:
    import tensorflow as tf

    proto = tf.make_tensor_proto(np.arange(3, dtype=np.float32))
    assert proto.tensor_content
    return asked(
        world.once(_channel), request({"x": proto}, model="many", signature="id_float32"),
        _floats("y"),
    )  # fmt: skip


def _bytes(world: World) -> object:
    made = request({"x": np.array([b"a\0b\0"], object)}, model="many", signature="id_string")
    return asked(world.once(_channel), made, lambda a: list(a.outputs["y"].string_val))


def _examples(world: World) -> object:
    from conformance_cases.examples import example

    made = request(
        {"inputs": np.array([example(x=2.0).SerializeToString()], object)},
        signature="regress_x_to_y",
        version=122,
    )
    return asked(world.once(_channel), made, lambda a: list(a.outputs["outputs"].float_val))


def _raw(method: str, target: str = "", body: bytes = b"") -> Callable[[World], object]:
    """Calls a method without its messages."""

    def ask(world: World) -> object:
        import grpc

        address = f"unix:{world.scratch}/grpc.sock" if target == "socket" else ""
        channel = world.channel(address)
        call = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
        try:
            return call(body, timeout=60)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        finally:
            channel.close()

    return ask


def _large(world: World) -> object:
    values = np.zeros(6_000_000, np.float32)
    made = request({"x": values}, model="many", signature="id_float32")
    return asked(world.once(_channel), made, lambda answer: len(answer.outputs["y"].float_val))


def _twice(world: World) -> object:
    made = request({"x": _f32(1.0)}, outputs=("y", "y"))
    return asked(world.once(_channel), made, str)


def _socket(world: World) -> object:
    channel = world.channel(f"unix:{world.scratch}/grpc.sock")
    found = asked(channel, request({"x": _f32(2.0)}, version=122), _floats("y"))
    channel.close()
    return found


def _no_spec(world: World) -> object:
    from tensorflow_serving.apis import predict_pb2

    return asked(world.once(_channel), predict_pb2.PredictRequest(), str)


_X = {"x": _f32(2.0)}

_PREDICT = [
    _case("Predict of rows", _predict(_floats("y"), {"x": np.array([[2.0]], np.float32)}),
          ([4.0], [1, 1])),
    _case("Predict of a plain list", _predict(_floats("y"), _X, version=122), ([3.0], [1])),
    _case("Predict with an output filter", _predict(_floats("y"), _X, outputs=("y",)),
          ([4.0], [1])),
    _case("Predict by label", _predict(_floats("y"), _X, label="fixed"), ([3.0], [1])),
    _case("answers have lists of numbers",
          _predict(_floats("y"), {"x": _f32(1, 2, 3)}, model="many", signature="id_float32"),
          ([1.0, 2.0, 3.0], [3])),
    _case("inputs may be bytes", _content, ([0.0, 1.0, 2.0], [3])),
    _case("no model", _no_spec, ("INVALID_ARGUMENT", Contains("Missing ModelSpec"))),
    _case("no inputs", _predict(str, {}),
          ("INVALID_ARGUMENT", Contains("input size does not match signature: 0!=1"))),
    _case("an input of another name", _predict(str, {"z": _f32(1)}),
          ("INVALID_ARGUMENT", Contains("Sent extra: {z}. Missing but required: {x}"))),
    _case("an input too many", _predict(str, {"x": _f32(1), "z": _f32(1)}),
          ("INVALID_ARGUMENT", Contains("input size does not match signature: 2!=1"))),
    _case("an unknown output", _predict(str, _X, outputs=("q",)),
          ("INVALID_ARGUMENT", Contains("output tensor alias not found in signature: q"))),
    _case("an output twice", _twice, ("INVALID_ARGUMENT", Contains("duplicate output"))),
    _case("an input of another type", _predict(str, {"x": np.array([1], np.int32)}),
          ("INVALID_ARGUMENT", Contains("to be float"))),
    _case("an unknown signature", _predict(str, _X, signature="nope"),
          ("FAILED_PRECONDITION", Contains('Serving signature key "nope" not found'))),
    _case("answers tell version and signature",
          _predict(lambda a: (a.model_spec.version.value, a.model_spec.signature_name), _X),
          (123, "serving_default")),
    _case("an unknown model", _predict(str, _X, model="intentionally_missing_model"),
          ("NOT_FOUND", Contains("Servable not found for request: Latest(intentionally_mi"))),
    _case("an unknown version", _predict(str, _X, version=9),
          ("NOT_FOUND", Contains("Servable not found for request: Specific(default, 9)"))),
    _case("an unknown label", _predict(str, _X, label="zz"),
          ("INVALID_ARGUMENT", Contains("Unrecognized servable version label: zz"))),
    _case("Predict of a regress signature", _examples, [3.0]),
    _case("rows wider than declared", _predict(_floats("y"), {"x": np.array([[1.0, 2, 3]],
          np.float32)}, version=122), ([2.5, 3.0, 3.5], [1, 3])),
    _case("inputs of different length",
          _predict(_floats("y"), {"x": np.ones((2, 3), np.float32), "w": _f32(1, 0, 0)},
                   model="many", signature="weights"), ([1.0, 1.0], [2])),
    _case("an empty batch",
          _predict(_floats("y"), {"x": np.zeros(0, np.float32)}, model="many",
                   signature="id_float32"), ([], [0])),
    _case("a scalar output",
          _predict(_floats("m"), {"x": _f32(1, 3)}, model="many", signature="mean"), ([2.0], [])),
    _case("a complex output",
          _predict(_array(), {"x": _f32(1)}, model="many", signature="complex"),
          ("complex64", ["(1+1j)"])),
    _case("text with zero bytes", _bytes, [b"a\0b\0"]),
    _case("values that the model refuses",
          _predict(str, {"i": np.array([7], np.int32)}, model="many", signature="gather"),
          ("INVALID_ARGUMENT", Contains("not in [0, 3)"))),
    _same("float16", [1.5]), _same("float64", [0.1]), _same("int8", [-128]),
    _same("int16", [-5]), _same("int64", [-(2**63)]), _same("uint8", [255]),
    _same("uint16", [65535]), _same("uint32", [2**32 - 1]), _same("uint64", [2**64 - 1]),
    _same("bool", [True]),
    _case("bfloat16 comes back", _bfloat16, 1.5),
]  # fmt: skip

_SERVICES = [
    _case("the health service answers", _raw("/grpc.health.v1.Health/Check"), b"\x08\x01"),
    _case("the health of a service",
          _raw("/grpc.health.v1.Health/Check",
               body=b"\x0a\x24tensorflow.serving.PredictionService"), b"\x08\x01"),
    _case("the health of an unknown service",
          _raw("/grpc.health.v1.Health/Check", body=b"\x0a\x01x"), ("NOT_FOUND", Contains(""))),
    _case("a Unix socket", _socket, ([3.0], [1])),
    _case("an unknown method", _raw("/tensorflow.serving.PredictionService/Nothing"),
          ("UNIMPLEMENTED", Contains(""))),
    _case("SessionRun is there", _raw("/tensorflow.serving.SessionService/SessionRun"),
          ("INVALID_ARGUMENT", Contains("")),
          "a call that fetches any tensor of a graph would pass by signatures and log"),
    _case("the profiler is there", _raw("/tensorflow.ProfilerService/Profile"), b"",
          "there is no profiler: `py-spy` and OpenTelemetry look into a Python server"),
    _case("a message of 24 MB", _large, 6_000_000,
          "messages are bounded: `--max_request_bytes` (16 MiB) can be raised"),
]  # fmt: skip

CASES = [*_PREDICT, *_SERVICES]
