"""The gateway's log as rows: the same that loop-model-server writes of the same requests."""

import base64
import gzip
import json

import pytest
from gateway_process import GRPC_PREDICT, GatewayProcess
from server_process import ServerProcess
from small_examples import example_bytes
from time_limits import seconds
from tiny_serving_model import save_tiny_model

from tfx_loop.core.key_file import read_keys
from tfx_loop.data.prediction_log.encryption import SegmentCipher
from tfx_loop.data.prediction_log.importers.beam_import import import_log
from tfx_loop.data.prediction_log.importers.gateway_log import parse_gateway_call
from tfx_loop.data.prediction_log.importers.import_order import ImportOrder
from tfx_loop.data.prediction_log.raw_calls import RawCall, RawFrames, UnloggedCalls
from tfx_loop.data.prediction_log.reader import read_window
from tfx_loop.pipelines.cli.main import main

pytestmark = pytest.mark.tensorflow
TIME_MS = 1_700_000_000_000
COLUMNS = {"hour": [7, 8], "delay": [1.5, 2.5], "origin": ["JFK", "LGA"]}


def call(request_id, request, response, **changes):
    values = {
        "protocol": "rest",
        "target": "/v1/models/taxi:predict",
        "model_version": 3,
        "request_id": request_id,
        "request_key": "",
        "is_new": False,
        "event_time_ms": TIME_MS,
        "answered_time_ms": TIME_MS + 4,
        "latency_ms": 4.5,
        "sampling_rate": 1.0,
        "golden": False,
        "route": "",
        "request_encoding": "",
        "response_encoding": "",
        "request": request if isinstance(request, bytes) else json.dumps(request).encode(),
        "response": response if isinstance(response, bytes) else json.dumps(response).encode(),
    }
    return RawCall(**{**values, **changes})


def write_segment(path, records, cipher=None):
    frames = RawFrames()
    content = frames.head + b"".join(frames.frame(record.encode()) for record in records)
    path.write_bytes(cipher.seal(content) if cipher else content)


def imported(tmp_path, **changes):
    values = {
        "kind": "gateway",
        "files": [str(tmp_path / "*.calls")],
        "log_dir": str(tmp_path / "log"),
        "model_name": "taxi",
    }
    return import_log(ImportOrder(**{**values, **changes}))


def window(tmp_path, name="taxi"):
    return read_window(str(tmp_path / "log"), name, 0, 10**14)


def test_every_form_of_a_body_becomes_rows_and_all_else_is_counted(tmp_path):
    example = base64.b64encode(example_bytes(fare=[2.5], kind=[b"cash"])).decode()
    packed = gzip.compress(b'{"instances": [{"a": 5, "b": "y"}]}')
    good = {"predictions": [0.5]}
    write_segment(
        tmp_path / "1.calls",
        [
            call("rows", {"instances": [{"a": 1, "b": "x"}]}, good),
            call("columns", {"inputs": {"a": [2, 3], "b": ["x", "y"]}}, {"outputs": [0.1, 0.2]}),
            call("packed", packed, gzip.compress(json.dumps(good).encode()),
                 request_encoding="gzip", response_encoding="gzip"),
            call("example", {"instances": [{"b64": example}]}, good, golden=True),
            call("classes", {"context": {"c": 1}, "examples": [{"a": 1}, {"a": 2}]},
                 {"results": [[["no", 0.9]], [["no", 0.8]]]},
                 target="/v1/models/taxi/versions/3:classify"),
            call("regress", {"examples": [{"a": 1}]}, {"results": [7.5]},
                 target="/v1/models/taxi/labels/x:regress?y"),
            # Rejects, each with a reason.
            call("other", {"instances": [1]}, good, target="/v1/models/bus:predict"),
            call("no json", b"\xff", good),
            call("no rows", {"instances": []}, {"predictions": []}),
            call("cut", packed[:10], good, request_encoding="gzip"),
            call("brotli", packed, good, request_encoding="br"),
            call("stream", b"\0\0\0\0\1xx", b"", protocol="grpc", target=GRPC_PREDICT),
            UnloggedCalls(calls=4, first_ms=TIME_MS, last_ms=TIME_MS + 5),
        ],
    )  # fmt: skip
    (tmp_path / "2.calls").write_bytes((tmp_path / "1.calls").read_bytes()[:-3])
    counts = imported(tmp_path)
    found = window(tmp_path)
    rows = {row["request_id"]: row for row in found.table.to_pylist()}
    assert counts.rejected == {
        "no_body": 4, "no_frame": 1, "no_json": 2, "no_message": 2, "no_rows": 2, "other_model": 2,
    }  # fmt: skip
    assert set(rows) == {"rows", "columns", "packed", "classes", "regress"}
    assert (found.losses.golden_rows, found.losses.unlogged_rows) == (1, 4)
    assert rows["rows"]["feature.b"] == "x"
    assert (rows["rows"]["latency_ms"], rows["rows"]["model_version"]) == (4.5, 3)
    assert rows["packed"]["feature.a"] == 5
    assert (rows["columns"]["feature.a"], rows["columns"]["output.prediction"]) == (3, 0.2)
    assert (rows["classes"]["feature.c"], rows["classes"]["output.scores"]) == (1, [0.8])
    assert rows["regress"]["output.prediction"] == 7.5


def test_rate_route_and_times_stand_in_the_rows():
    asked = call("a", {"instances": [1]}, {"predictions": [2]}, sampling_rate=0.5, is_new=True)
    parsed = parse_gateway_call(asked, "taxi", ["x"], ["p"])
    assert (parsed.sampling_rate, parsed.request_key, set(parsed.features)) == (0.5, "", {"x"})
    batch = parsed.batch("taxi", None)
    assert batch.column("latency_ms").to_pylist() == [4.5]
    assert batch.column("answered_time_ms").to_pylist() == [TIME_MS + 4]
    assert batch.column("output.p").to_pylist() == [2]


def test_an_import_again_and_of_a_file_that_grew_counts_each_call_once(tmp_path):
    calls = [call(f"r{n}", {"instances": [n]}, {"predictions": [n]}) for n in range(3)]
    # An id that a mesh hands on is several calls, and their repeats count once.
    calls += [call("mesh", {"instances": [n % 2]}, {"predictions": [n]}) for n in range(3)]
    unlogged = UnloggedCalls(calls=3, first_ms=TIME_MS, last_ms=TIME_MS)
    write_segment(tmp_path / "a.calls", [*calls[:2], unlogged])
    imported(tmp_path)
    write_segment(tmp_path / "a.calls", [*calls[:2], unlogged, *calls[2:]])
    imported(tmp_path)
    found = window(tmp_path)
    assert sorted(found.table.column("feature.input").to_pylist()) == [0, 0, 1, 1, 2]
    assert found.losses.unlogged_rows == 3


def test_the_command_reads_an_encrypted_log_with_its_key_alone(tmp_path, capsys):
    (key,) = read_keys(str(tmp_path / "keys"), make=True)
    calls = [call("a", {"instances": [1]}, {"predictions": [2]})]
    write_segment(tmp_path / "a.calls", calls, SegmentCipher(key))
    words = ["log", "import", str(tmp_path / "log"), str(tmp_path / "a.calls")]
    words += ["--kind", "gateway", "--model", "taxi"]
    assert main(words) != 0
    assert "Expected the key" in capsys.readouterr().err
    assert main([*words, "--key", str(tmp_path / "keys")]) == 0
    assert "1 row imported" in capsys.readouterr().out


@pytest.mark.e2e
@pytest.mark.slow
def test_the_rows_are_those_that_the_model_server_behind_it_logs(tmp_path):
    save_tiny_model(tmp_path / "base" / "1")
    server = ServerProcess(tmp_path / "base", tmp_path, tmp_path / "served").start()
    gateway = GatewayProcess(
        tmp_path,
        f"127.0.0.1:{server.grpc_port}",
        tmp_path / "raw",
        upstream_rest_port=server.rest_port,
    )
    body = json.dumps({"signature_name": "serving_columns", "inputs": COLUMNS}).encode()
    example = base64.b64encode(example_bytes(hour=[9], delay=[0.5], origin=[b"EWR"])).decode()
    with gateway:
        assert gateway.post(body, x_request_id="rest", x_event_time_ms=str(TIME_MS))[0] == 200
        examples = json.dumps({"instances": [{"b64": example}]}).encode()
        assert gateway.post(examples, x_request_id="example")[0] == 200
        assert gateway.post(b'{"instances": [1]}', x_request_id="bad")[0] == 400
        _ask_grpc(gateway)
    assert server.stop() == 0
    counts = import_log(
        ImportOrder(
            kind="gateway",
            files=[str(tmp_path / "raw" / "*" / "*.calls")],
            log_dir=str(tmp_path / "log"),
            model_name="flights",
            output_names=["probability"],
        )
    )
    assert (counts.rows, counts.rejected) == (5, {})
    ours = window(tmp_path, "flights").table
    theirs = read_window(str(tmp_path / "served"), "flights", 0, 10**14).table
    assert _comparable(ours) == _comparable(theirs)


def _ask_grpc(gateway):
    from tensorflow import make_tensor_proto
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "flights", "serving_columns"
    for name, values in COLUMNS.items():
        kind = {"hour": "int64", "delay": "float32", "origin": "string"}[name]
        request.inputs[name].CopyFrom(make_tensor_proto(values, dtype=kind))
    with gateway.channel() as channel:
        ask = channel.unary_unary(GRPC_PREDICT)
        ask(request.SerializeToString(), metadata=(("x-request-id", "grpc"),), timeout=seconds(30))


def _comparable(table):
    """Returns the rows by identity, numbers as Python's, and one value out of lists of one."""
    rows = {}
    for row in table.to_pylist():
        held = {
            name: value[0] if isinstance(value, list) and len(value) == 1 else value
            for name, value in row.items()
            if name.startswith(("feature.", "output.")) or name == "model_version"
        }
        outputs = [value for name, value in held.items() if name.startswith("output.")]
        features = {name: value for name, value in held.items() if name.startswith("feature.")}
        key = (row["request_id"], row["instance_index"])
        rows[key] = (row["model_version"], features, [round(value, 4) for value in outputs])
    return rows
