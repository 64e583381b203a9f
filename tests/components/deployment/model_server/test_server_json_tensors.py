"""JSON of requests as tensors, and of answers, as TF Serving reads and writes them."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.core.errors import DataError
from tfx_loop.core.redaction import Redaction
from tfx_loop.deployment.model_server.json_tensors import parse_request, to_json, to_tensors
from tfx_loop.deployment.model_server.signature import Signature, bind, fitted
from tfx_loop.models.tensors import TensorSpec

ROW = Signature(
    name="serving_columns",
    inputs={
        "delay": TensorSpec(name="delay", dtype="float32", shape=(None, 1)),
        "hour": TensorSpec(name="hour", dtype="int64", shape=(None,)),
        "origin": TensorSpec(name="origin", dtype="string", shape=(None,)),
    },
    outputs={},
)


def one(dtype, shape=(None,), any_rank=False):
    spec = TensorSpec(name="x", dtype=dtype, shape=shape, any_rank=any_rank)
    return Signature(name="s", inputs={"x": spec}, outputs={})


def tensors(signature, **body):
    return to_tensors(parse_request(json.dumps(body).encode()), signature)


def test_rows_and_columns_give_the_same_tensors():
    rows = [{"delay": 1, "hour": 2, "origin": "a"}, {"delay": 0.5, "hour": 3, "origin": "b"}]
    columns = {"delay": [1, 0.5], "hour": [2, 3], "origin": ["a", "b"]}
    by_rows, by_columns = tensors(ROW, instances=rows), tensors(ROW, inputs=columns)
    for name in ROW.inputs:
        assert by_rows[name].tolist() == by_columns[name].tolist()
    bound, count = bind(ROW, by_rows)
    assert count == 2
    assert bound["delay"].shape == (2,)
    assert fitted(ROW, bound)["delay"].shape == (2, 1)
    assert bound["delay"].dtype == np.float32
    assert bound["origin"].tolist() == [b"a", b"b"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The document is empty"),
        (b"nonsense", "JSON Parse error"),
        (b"\x80\x81", "JSON Parse error"),
        (b"[" * 200_000, "JSON Parse error"),
        (b"[1, 2]", "Is not object"),
        (b"{}", "Missing 'inputs' or 'instances' key"),
        (b'{"inputs": 1, "instances": [1]}', "expecting only one of"),
        (b'{"instances": 5}', "to be an list/array"),
        (b'{"instances": []}', "No values in 'instances' array"),
        (b'{"instances": [1], "signature_name": 5}', "must be a string value"),
    ],
)
def test_what_is_no_predict_request_is_refused(body, message):
    with pytest.raises(DataError, match=message):
        parse_request(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"instances": [1]}, "expecting list of objects"),
        ({"instances": [{"delay": 1, "hour": 1}]}, "Missing: origin"),
        (
            {"instances": [{"delay": 1, "hour": 1, "origin": "a", "zz": 1}]},
            "does not have named input: zz",
        ),
        ({"instances": [{"delay": 1, "hour": 1, "origin": "a"}, 5]}, "got list at item 1"),
        ({"inputs": {"delay": [1], "hour": [1]}}, "Missing named input: origin"),
        ({"inputs": [1]}, "expecting an object as multiple"),
        ({"inputs": {"delay": ["1"], "hour": [1], "origin": ["a"]}}, "Type: String .* float"),
        ({"inputs": {"delay": [None], "hour": [1], "origin": ["a"]}}, "Type: Null .* float"),
        ({"inputs": {"delay": [True], "hour": [1], "origin": ["a"]}}, "Type: True .* float"),
        ({"inputs": {"delay": [1], "hour": [1.0], "origin": ["a"]}}, "Type: Number .* int64"),
        (
            {"inputs": {"delay": [1], "hour": [2**70], "origin": ["a"]}},
            "expected type: int64",
        ),
        ({"inputs": {"delay": [1], "hour": [1], "origin": [7]}}, "Type: Number .* string"),
        ({"inputs": {"delay": [1], "hour": [1], "origin": [{"a": 1}]}}, "base64"),
        ({"inputs": {"delay": [1], "hour": [1], "origin": [{"b64": "%"}]}}, "base64 decode"),
        ({"inputs": {"delay": [1], "hour": [1], "origin": ["\ud800"]}}, "UTF-8"),
        ({"inputs": {"delay": [10**400], "hour": [1], "origin": ["a"]}}, "not of expected type"),
    ],
)
def test_values_that_do_not_fit_are_refused(body, message):
    with pytest.raises(DataError, match=message):
        tensors(ROW, **body)


@pytest.mark.parametrize("nested", [[[1, 2], [3]], [[1], 2], [1, [2]], [[[1]], [[2, 3]]]])
def test_ragged_lists_are_refused(nested):
    with pytest.raises(DataError, match=r"list|level"):
        tensors(one("float32", (), any_rank=True), inputs={"x": nested})


def test_rows_are_those_of_open_dimensions_where_lengths_differ():
    side = Signature(
        name="s",
        inputs={
            "x": TensorSpec(name="x", dtype="float32", shape=(None, 3)),
            "w": TensorSpec(name="w", dtype="float32", shape=(3,)),
        },
        outputs={},
    )
    x, w = np.zeros((2, 3), np.float32), np.zeros(3, np.float32)
    assert bind(side, {"x": x, "w": w})[1] == 2
    assert bind(side, {"x": x[:0], "w": w})[1] == 0
    both = {name: TensorSpec(name=name, dtype="float32", shape=(None,)) for name in "ab"}
    unlike = {"a": np.zeros(2, np.float32), "b": np.zeros(5, np.float32)}
    assert bind(Signature(name="s", inputs=both, outputs={}), unlike)[1] == 1


def test_ranks_are_the_model_s_to_refuse_and_types_are_not():
    assert bind(one("float32"), {"x": np.zeros((2, 2), np.float32)})[1] == 2
    with pytest.raises(DataError, match="to be float, received double"):
        bind(one("float32"), {"x": np.zeros(2)})


@given(st.lists(st.floats(width=32), min_size=1, max_size=8))
def test_float32_survives_json_both_ways(values):
    sent = tensors(one("float32"), inputs={"x": values})["x"]
    answered = json.loads(to_json({"y": sent}, row_format=False))["outputs"]
    assert np.array_equal(np.array(answered, np.float32), np.array(values, np.float32), True)


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        (9_000_000, "float32", "9e+06"),
        (555557.5, "float32", "555557.5"),
        (0.00003, "float32", "3e-05"),
        (0.1234567, "float32", "0.123456702"),
        (1 / 3, "float64", "0.33333333333333331"),
        (-0.0, "float64", "-0.0"),
        (2.0, "float16", "2.0"),
    ],
)
def test_numbers_have_the_digits_of_tf_serving(value, dtype, text):
    assert to_json({"y": np.array([value], dtype)}, True).decode() == f'{{"predictions": [{text}]}}'


def test_text_that_is_no_utf8_is_answered_byte_for_byte():
    answer = to_json({"y": np.array([b"a\xff\xc5\xbc"], object)}, row_format=True)
    assert answer == b'{"predictions": ["a\xff\xc5\xbc"]}'


def test_types_without_json_are_refused():
    with pytest.raises(DataError, match="tensor type: complex64"):
        to_json({"y": np.zeros(1, np.complex64)}, row_format=True)


def test_nan_is_answered_as_tf_serving_does():
    body = to_json({"y": np.array([math.nan, math.inf, -math.inf], np.float32)}, row_format=True)
    assert body == b'{"predictions": [NaN, Infinity, -Infinity]}'


def test_float32_is_shown_in_few_digits():
    assert to_json({"y": np.array([0.2], np.float32)}, True) == b'{"predictions": [0.2]}'


def test_rows_of_several_outputs_are_objects_and_bytes_are_base64():
    outputs = {
        "p": np.array([[0.5], [1.0]], np.float32),
        "raw_bytes": np.array([b"\xff", b"a"], dtype=object),
    }
    assert json.loads(to_json(outputs, True))["predictions"] == [
        {"p": [0.5], "raw_bytes": {"b64": "/w=="}},
        {"p": [1.0], "raw_bytes": {"b64": "YQ=="}},
    ]


def test_base64_is_decoded_and_plain_lists_fit_a_single_input():
    assert tensors(one("string"), instances=[{"b64": "AAE="}, "x"])["x"].tolist() == [b"\0\1", b"x"]


def test_other_types_are_checked_and_converted():
    assert tensors(one("bool"), inputs=[True, False])["x"].dtype == bool
    assert tensors(one("uint8"), inputs=[0, 255])["x"].dtype == np.uint8
    with pytest.raises(DataError, match="uint8"):
        tensors(one("uint8"), inputs=[256])
    with pytest.raises(DataError, match="Conversion of JSON Value"):
        tensors(one("complex64"), inputs=[1])


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [{"delay": "Wall Street 7", "hour": 2, "origin": "a"}]},
        {"inputs": {"delay": [["Wall Street 7"]], "hour": [1], "origin": ["a"]}},
        {"instances": [{"delay": "Wall Street 7"}]},
    ],
)
def test_errors_quote_nothing_of_a_redacted_input(body):
    redaction = Redaction(features=frozenset({"delay"}))
    request = parse_request(json.dumps(body).encode())
    with pytest.raises(DataError, match="Wall Street"):
        to_tensors(request, ROW)
    with pytest.raises(DataError, match=r"Input delay: .*withheld") as caught:
        to_tensors(request, ROW, redaction)
    assert "Wall Street" not in str(caught.value)


def test_errors_of_other_inputs_say_what_they_said():
    request = parse_request(b'{"instances": [{"delay": 1, "hour": "x", "origin": "a"}]}')
    with pytest.raises(DataError, match=r"element: 0 key: hour .*JSON Value: .x"):
        to_tensors(request, ROW, Redaction(features=frozenset({"delay"})))
