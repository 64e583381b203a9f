"""JSON of answers: shapes, digits, text, and what cannot be written."""

import base64
import json
from typing import Any

from conformance_cases.case import Case, refused
from conformance_cases.server import World

FEATURE = "JSON answers"


def _ask(content: Any, signature: str, key: str = "instances"):
    return lambda world: world.predict(content, signature, key)


def _digits(values: list[float], signature: str = "id_float32"):
    """Asks for values back as the very text that stands in the answer."""

    def ask(world: World) -> object:
        body = json.dumps({"signature_name": signature, "instances": values})
        code, content, _ = world.server.http("POST", "/v1/models/many:predict", body)
        read = json.loads(
            content, parse_float=str, parse_int=lambda text: f"whole {text}", parse_constant=str
        )
        return code, read.get("predictions")

    return ask


def _bytes_come_back(world: World) -> object:
    sent = {"b64": base64.b64encode(b"a\xffb").decode()}
    body = json.dumps({"signature_name": "id_string", "instances": [sent]})
    code, content, _ = world.server.http("POST", "/v1/models/many:predict", body)
    return code, b'"a\xffb"' in content


def _error(world: World) -> object:
    code, content, headers = world.server.http("POST", "/v1/models/many:predict", "x")
    return code, sorted(json.loads(content)), headers["content-type"]


def _case(name: str, ask: Any, wanted: object, differs: str = "") -> Case:
    return Case(FEATURE, name, ask, wanted, differs)


CASES = [
    _case("an output that ends in _bytes is base64", _ask(["hello"], "only_bytes"),
          (200, {"predictions": [{"b64": "aGVsbG8="}]})),
    _case("text beside bytes", _ask(["hello"], "two_texts"),
          (200, {"predictions": [{"text": "hello", "raw_bytes": {"b64": "aGVsbG8="}}]})),
    _case("bytes in columns", _ask(["hi"], "only_bytes", "inputs"),
          (200, {"outputs": [{"b64": "aGk="}]})),
    _case("six digits where they suffice",
          _digits([9000000, 999999, 0.5, 0.0003, 0.00003, 555557.5]),
          (200, ["9e+06", "999999.0", "0.5", "0.0003", "3e-05", "555557.5"])),
    _case("0.2 is 0.2", _digits([0.2]), (200, ["0.2"])),
    _case("whole floats end in .0", _digits([3, 100]), (200, ["3.0", "100.0"])),
    _case("all digits where six do not suffice", _digits([0.1234567]), (200, ["0.123456702"])),
    _case("doubles come back exactly", _ask([1 / 3, 0.1, 1e300], "id_float64"),
          (200, {"predictions": [1 / 3, 0.1, 1e300]})),
    _case("NaN and infinities are words", _digits([float("nan"), float("inf"), -float("inf")]),
          (200, ["NaN", "Infinity", "-Infinity"])),
    _case("whole numbers have no point", _digits([7], "id_int64"), (200, ["whole 7"])),
    _case("truths are true and false", _ask([True, False], "id_bool"),
          (200, {"predictions": [True, False]})),
    _case("a complex output is refused", _ask([1.0], "complex"),
          refused(400, "Failed to write JSON value for tensor type: complex64")),
    _case("a scalar output has no rows", _ask([1.0, 2.0], "mean"),
          refused(400, "Tensor name: m has no shape information")),
    _case("a scalar output in columns", _ask([1.0, 3.0], "mean", "inputs"),
          (200, {"outputs": 2.0})),
    _case("outputs of different length have no rows", _ask([1.0], "unlike"),
          refused(400, "inconsistent batch size: 1 expecting: 3")),
    _case("outputs of different length in columns", _ask([1.0], "unlike", "inputs"),
          (200, {"outputs": {"y": [1.0], "names": ["a", "b", "c"]}})),
    _case("an error is an object with a text", _error, (400, ["error"], "application/json")),
    _case("text that is no UTF-8 is answered byte for byte", _bytes_come_back, (200, True)),
    _case("a value that the model refuses",
          lambda world: world.server.rest(
              "POST", "/v1/models/many:predict", '{"signature_name":"finite","instances":[NaN]}'),
          refused(400, "not finite")),
    _case("a place that a table lacks", _ask([7], "gather"), refused(400, "not in [0, 3)")),
]  # fmt: skip
