"""JSON of predict requests: what is taken, and what is told of the rest."""

import base64
import math
from typing import Any

from conformance_cases.case import Case, refused

FEATURE = "JSON requests"


def _ask(content: Any, signature: str = "", key: str = "instances"):
    return lambda world: world.predict(content, signature, key)


def _raw(body: bytes | str, model: str = "many"):
    return lambda world: world.server.rest("POST", f"/v1/models/{model}:predict", body)


def _rows(*values: object) -> tuple[int, object]:
    return (200, {"predictions": list(values)})


def _columns(value: object) -> tuple[int, object]:
    return (200, {"outputs": value})


def _b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def _case(name: str, ask: Any, wanted: object, differs: str = "") -> Case:
    return Case(FEATURE, name, ask, wanted, differs)


_LARGEST = 1.7976931348623157e308
_SEVERAL = [{"a": 1.0, "b": [1, 2]}]

_DOCUMENTS = [
    _case("empty body", _raw(""), refused(400, "JSON Parse error: The document is empty")),
    _case("no JSON", _raw("instances = [1, 2]"), refused(400, "JSON Parse error: Invalid value")),
    _case("a comma lacks", _raw('{"instances": [1 2]}'),
          refused(400, "JSON Parse error: Missing a comma")),
    _case("a quotation mark lacks", _raw('{"instances'),
          refused(400, "Missing a closing quotation mark in string")),
    _case("the offset of a mistake is told", _raw("x"), refused(400, "at offset: 0")),
    _case("a list at the top", _raw("[1]"), refused(400, "Is not object")),
    _case("neither instances nor inputs", _raw("{}"),
          refused(400, "Missing 'inputs' or 'instances' key")),
    _case("both instances and inputs", _raw('{"inputs":[1],"instances":[1]}'),
          refused(400, "Not formatted correctly expecting only one of 'inputs' or 'instances'")),
    _case("instances are no list", _raw('{"instances":{"x":1}}'),
          refused(400, "Excepting 'instances' to be an list/array")),
    _case("no instances", _ask([]), refused(400, "No values in 'instances' array")),
    _case("signature_name is a number", _raw('{"signature_name":5,"instances":[1]}'),
          refused(400, "'signature_name' key must be a string value")),
    _case("lists nested 100,000 deep", _raw('{"signature_name":' + "[" * 10**5 + "]" * 10**5 + "}"),
          refused(400, "must be a string value"),
          "such nesting is refused while it is read, with 400 too"),
    _case("unknown signature", _ask([1.0], "nope"),
          refused(400, 'Serving signature name: \\"nope\\" not found in signature def')),
    _case("an empty signature_name is the default",
          _raw('{"signature_name":"","instances":[2.0]}'), _rows(3.0)),
    _case("other members are ignored", _raw('{"instances":[2.0],"comment":{"a":[1]}}'), _rows(3.0)),
    _case("text after the object is ignored", _raw('{"instances":[2.0]}X'), _rows(3.0)),
    _case("white space around it", _raw('\n\t {"instances":[2.0]}\r\n'), _rows(3.0)),
]  # fmt: skip

_ROWS = [
    _case("the REST guide's first request", _raw('{"instances": [1.0,2.0,5.0]}', "default"),
          _rows(3.5, 4.0, 5.5)),
    _case("a column of rows", _raw('{"instances":[[1.0],[2.0]]}', "default"),
          _rows([3.5], [4.0])),
    _case("rows wider than declared, which the graph takes",
          _raw('{"instances":[[1.0,2.0],[3.0,4.0]]}', "default"), _rows([3.5, 4.0], [4.5, 5.0])),
    _case("a row of rank 2", _ask([[[1, 2]]], "any_rank_whole"), _rows([[1, 2]])),
    _case("rank comes from JSON", _ask([[1, 2], [3, 4], [5, 6]], "any_rank_whole"),
          _rows([1, 2], [3, 4], [5, 6])),
    _case("named rows of one input", _ask([{"x": 1.0}, {"x": 2.0}], "id_float32"), _rows(1.0, 2.0)),
    _case("rows of several inputs",
          _ask([{"a": 1.0, "b": [1, 2]}, {"a": 2.0, "b": [3, 4]}], "several"),
          _rows({"a2": 2.0, "b": [1, 2]}, {"a2": 4.0, "b": [3, 4]})),
    _case("an image", _ask([[[[0, 0, 0], [9, 9, 9]], [[9, 9, 9], [0, 0, 0]]]], "image"),
          _rows(4.5)),
    _case("a sequence of any length", _ask([[1.0, 2.0, 3.0]], "sequence"), _rows(6.0)),
    _case("a layer takes rows of one number", _ask([[2.0], [3.0]], "dense"),
          _rows([2.0, 2.0], [3.0, 3.0])),
    _case("a plain list for several inputs", _ask([1.0, 2.0], "several"),
          refused(400, "instances is a plain list, but expecting list of objects as multiple")),
    _case("an object, then a list", _ask([*_SEVERAL, [1, 20]], "several"),
          refused(400, "Expecting object but got list at item 1")),
    _case("a value, then an object", _ask(["baz", {"x": "a"}], "id_string"),
          refused(400, "Expecting value/list but got object at item 1")),
    _case("an input lacks in a row", _ask([{"a": 1.0}], "several"),
          refused(400, "keys must be equal to: a,b")),
    _case("an unknown name in a row", _ask([{"a": 1.0, "b": [1, 2], "c": 1}], "several"),
          refused(400, "does not have named input: c")),
    _case("rows of different length", _ask([[1, 2], [3, 4], [5, 6, 7]], "any_rank_whole"),
          refused(400, "Expecting tensor size: 2 but got: 3")),
    _case("rows of different shape", _ask([[1, 2], [3, 4], [[5, 6]]], "any_rank_whole"),
          refused(400, "Expecting shape [2] but got: [1,2]")),
    _case("a number, then a list", _ask([1, [1]], "any_rank_whole"),
          refused(400, "Expecting shape [] but got: [1]")),
    _case("the wrong row is named", _ask([[1, 2], ["a", "b"]], "any_rank_whole"),
          refused(400, "Failed to process element: 1")),
    _case("ragged within a row", _ask([[[1, 2], [3]]], "any_rank_whole"),
          refused(400, "Encountered list at unexpected size: 1 at level: 1 expected size: 2")),
]  # fmt: skip

_COLUMNS = [
    _case("one input as an object", _ask({"x": [[[1, 2], [3, 4]]]}, "any_rank_whole", "inputs"),
          _columns([[[1, 2], [3, 4]]])),
    _case("one input as a list", _ask([[[1, 2], [3, 4]]], "any_rank_whole", "inputs"),
          _columns([[[1, 2], [3, 4]]])),
    _case("one input as a base64 object",
          _ask(_b64(b"hello"), "any_rank_text", "inputs"), _columns("hello")),
    _case("several inputs", _ask({"a": [1.0, 2.0], "b": [[1, 2], [3, 4]]}, "several", "inputs"),
          _columns({"a2": [2.0, 4.0], "b": [[1, 2], [3, 4]]})),
    _case("inputs need no common first dimension",
          _ask({"x": [[1.0, 2, 3], [4.0, 5, 6]], "w": [1.0, 0, 0]}, "weights", "inputs"),
          _columns([1.0, 4.0])),
    _case("a scalar beside a list", _ask({"x": [1.0, 2.0], "k": 3.0}, "times", "inputs"),
          _columns([3.0, 6.0])),
    _case("a scalar alone", _ask({"k": 3.0}, "scalar", "inputs"), _columns(6.0)),
    _case("further names are ignored", _ask({"x": [1.0], "zzz": [1]}, "id_float32", "inputs"),
          _columns([1.0])),
    _case("an input lacks", _ask({"a": [1.0]}, "several", "inputs"),
          refused(400, "Missing named input: b in 'inputs' object")),
    _case("a plain list for several", _ask([1.0], "several", "inputs"),
          refused(400, "inputs is a plain value/list, but expecting an object")),
    _case("a flat list where [?,1] is declared", _raw('{"inputs":[3.0,4.0]}', "default"),
          _columns([4.5, 5.0])),
    _case("a scalar where [?,1] is declared", _raw('{"inputs": 3.0}', "default"), _columns(4.5)),
    _case("an empty batch", _ask([], "id_float32", "inputs"), _columns([])),
    _case("an empty batch by name", _ask({"x": []}, "any_rank", "inputs"), _columns([])),
    _case("an empty batch of text", _ask([], "id_string", "inputs"), _columns([])),
    _case("a value at the wrong level", _ask([[1, 2], 3], "any_rank_whole", "inputs"),
          refused(400, "found at incorrect level")),
    _case("ragged columns", _ask([[1, 2], [3]], "any_rank_whole", "inputs"),
          refused(400, "Encountered list at unexpected size: 1 at level: 1 expected size: 2")),
    _case("a shape that the graph refuses", _ask([1.0, 2.0, 3.0, 4.0], "weights", "inputs"),
          refused(400)),
]  # fmt: skip

_RANGES = {
    "int8": [-128, 127], "int16": [-(2**15), 2**15 - 1], "int32": [-(2**31), 2**31 - 1],
    "int64": [-(2**63), 2**63 - 1], "uint8": [0, 255], "uint32": [2**32 - 1],
    "uint64": [2**64 - 1], "bool": [True, False],
}  # fmt: skip

_VALUES = [
    *(_case(f"extremes of {kind}", _ask(values, f"id_{kind}"), _rows(*values))
      for kind, values in _RANGES.items()),
    _case("whole numbers and fractions for a float", _ask([1, 2.0, 5.003, 0.007], "id_float32"),
          _rows(1.0, 2.0, 5.003, 0.007)),
    _case("whole numbers and fractions for a double", _ask([1.0, 2, 0.662], "id_float64"),
          _rows(1.0, 2.0, 0.662)),
    _case("a whole number that no float is", _ask([1435774380], "id_float32"),
          _rows(1435774340.0)),
    _case("a fraction that no float is", _ask([1435774380.0], "id_float32"), _rows(1435774340.0)),
    _case("a whole number that no double is", _ask([9007199254740993], "id_float64"),
          _rows(9007199254740992.0)),
    _case("beyond a float's largest is infinite", _ask([_LARGEST, -_LARGEST], "id_float32"),
          _rows(math.inf, -math.inf)),
    _case("below a float's smallest is zero", _ask([2.2250738585072014e-308], "id_float32"),
          _rows(0.0)),
    _case("an exponent, and minus zero",
          _raw('{"signature_name":"id_float32","instances":[1e3,-0.0]}'), _rows(1000.0, -0.0)),
    _case("NaN and Infinity",
          _raw('{"signature_name":"id_float32","instances":[NaN,Infinity,-Infinity]}'),
          _rows(math.nan, math.inf, -math.inf)),
    _case("Inf and -Inf", _raw('{"signature_name":"id_float32","instances":[Inf,-Inf]}'),
          _rows(math.inf, -math.inf)),
    _case("NaN beside other inputs",
          _raw('{"signature_name":"several","instances":[{"a":NaN,"b":[1,2]}]}'),
          _rows({"a2": math.nan, "b": [1, 2]})),
    _case("text in other scripts", _ask(["żółć 漢字 🎉", "\u0000x"], "id_string"),
          _rows("żółć 漢字 🎉", "\u0000x")),
    _case("text for a whole number", _ask([["a", "b"]], "any_rank_whole"),
          refused(400, "not of expected type: int32")),
    _case("text for a float", _ask(["x", "y"], "id_float32"),
          refused(400, "Type: String is not of expected type: float")),
    _case("null", _ask([None], "id_float32"), refused(400, "Type: Null is not of expected type")),
    _case("true for a float", _ask([True], "id_float32"), refused(400, "Type: True")),
    _case("a fraction for a whole number", _ask([1.0], "id_int32"),
          refused(400, "not of expected type: int32")),
    _case("a number for a truth", _ask([1], "id_bool"),
          refused(400, "not of expected type: bool")),
    _case("a number for text", _ask([7], "id_string"),
          refused(400, "not of expected type: string")),
    _case("beyond int64", _ask([2**63], "id_int64"), refused(400, "not of expected type: int64")),
    _case("beyond int32", _ask([2**31], "id_int32"), refused(400, "not of expected type: int32")),
    _case("less than nothing for a uint32", _ask([-1], "id_uint32"),
          refused(400, "not of expected type: uint32")),
    _case("uint16 has no JSON", _ask([65535], "id_uint16"), refused(400, "to type: uint16"),
          "uint16 is taken, as the other whole numbers are"),
    _case("float16 has no JSON", _ask([1.5], "id_float16"), refused(400, "to type: half"),
          "float16 is taken, as the other floats are"),
    _case("bfloat16 has no JSON", _ask([1.5], "id_bfloat16"), refused(400, "to type: bfloat16")),
]  # fmt: skip

_BASE64 = [
    _case("base64 rows", _ask([_b64(b"hello"), _b64(b"world")], "id_string"),
          _rows("hello", "world")),
    _case("lists of base64", _ask([[_b64(b"hello")], [_b64(b"world")]], "any_rank_text"),
          _rows(["hello"], ["world"])),
    _case("named and nested base64", _ask([{"x": [[_b64(b"a")], [_b64(b"b")]]}], "any_rank_text"),
          _rows([["a"], ["b"]])),
    _case("base64 without padding", _ask([{"b64": "aGVsbG8"}], "id_string"), _rows("hello")),
    _case("base64 with line breaks", _ask([{"b64": "aGVs\nbG8=\n"}], "id_string"), _rows("hello")),
    _case("text that is no base64", _ask([{"b64": "!!!"}], "id_string"),
          refused(400, "Unable to base64 decode")),
    _case("a base64 object with two members", _ask([[{"b64": "aGVsbG8=", "x": 1}]],
          "any_rank_text"), refused(400, "not formatted correctly for base64 data")),
    _case("a base64 object for a float", _ask([_b64(b"1.0")], "id_float32"),
          refused(400, "not of expected type: float")),
]  # fmt: skip

CASES = [*_DOCUMENTS, *_ROWS, *_COLUMNS, *_VALUES, *_BASE64]
