"""A real server process with a real SavedModel: what it answers, and what it outlives."""

import http.client
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import grpc
import numpy as np
import pytest
from server_process import ROOT, ServerProcess
from time_limits import seconds
from tiny_serving_model import save_tiny_model

from tfx_loop.core.errors import ModelRejected, ServerUnavailable, ServingError
from tfx_loop.data.prediction_log.reader import read_window
from tfx_loop.data.prediction_log.record import sampling_position

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow]

TIME_MS = 1_362_096_000_000
COLUMNS = {"hour": [1, 20], "delay": [1.5, -3.0], "origin": ["JFK", "LGA"]}
PREDICT = "/v1/models/flights:predict"


def expected(columns, bias=0.0):
    logit = (
        bias
        + np.asarray(columns["delay"]) / 10
        + np.asarray(columns["hour"]) / 100
        + (np.asarray(columns["origin"]) == "JFK")
    )
    return (1 / (1 + np.exp(-logit))).reshape(-1, 1)


def example(hour, delay, origin):
    from tensorflow.core.example import example_pb2

    result = example_pb2.Example()
    result.features.feature["hour"].int64_list.value.append(hour)
    result.features.feature["delay"].float_list.value.append(delay)
    result.features.feature["origin"].bytes_list.value.append(origin.encode())
    return result.SerializeToString()


def logged(server, start_ms=0, end_ms=10**14):
    return read_window(str(server.log_dir), "flights", start_ms, end_ms)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved model to copy, which takes a second to make."""
    path = tmp_path_factory.mktemp("saved") / "model"
    save_tiny_model(path)
    return path


@pytest.fixture(scope="module")
def server(saved, tmp_path_factory):
    """A server for all tests that do not change its versions."""
    scratch = tmp_path_factory.mktemp("server")
    shutil.copytree(saved, scratch / "base" / "1")
    running = ServerProcess(scratch / "base", scratch, scratch / "log").start()
    yield running
    assert running.stop() == 0


def rest(server, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=seconds(60))
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response, json.loads(content)


def test_rest_answers_rows_columns_and_examples_alike(server):
    client = server.client()
    by_columns = client.predict(COLUMNS, signature_name="serving_columns")
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]
    by_rows = client.predict(instances=rows, signature_name="serving_columns")
    examples = [example(*row) for row in zip(*COLUMNS.values(), strict=True)]
    by_examples = client.predict(instances=examples)
    np.testing.assert_allclose(by_columns["probability"], expected(COLUMNS), rtol=1e-5)
    assert by_columns == by_rows == by_examples


def test_status_and_metadata_over_rest(server):
    _, status = rest(server, "GET", "/v1/models/flights/versions/1")
    assert status == {
        "model_version_status": [
            {
                "version": "1",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    metadata = server.client().metadata()
    assert metadata["model_spec"]["version"] == "1"
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert signatures["serving_columns"]["inputs"]["delay"]["dtype"] == "DT_FLOAT"


def test_both_ways_of_asking_leave_the_same_rows(server):
    client = server.client()
    ids = [uuid.uuid4().hex, uuid.uuid4().hex]
    client.predict(COLUMNS, signature_name="serving_columns", request_id=ids[0], event_time_ms=7)
    examples = [example(*row) for row in zip(*COLUMNS.values(), strict=True)]
    client.predict({"examples": examples}, request_id=ids[1], event_time_ms=7)
    table = logged(server, 7, 8).table
    kinds = {f.name: str(f.type) for f in table.schema if f.name.startswith("feature.")}
    assert kinds == {"feature.delay": "float", "feature.hour": "int64", "feature.origin": "string"}
    rows = table.to_pylist()
    by_id = {
        request: [
            {k: v for k, v in row.items() if k.startswith(("feature.", "output."))}
            for row in rows
            if row["request_id"] == request
        ]
        for request in ids
    }
    assert by_id[ids[0]] == by_id[ids[1]]
    assert [row["feature.origin"] for row in by_id[ids[0]]] == ["JFK", "LGA"]
    assert rows[0]["model_version"] == 1
    assert rows[0]["status"] == "ok"
    assert rows[0]["latency_ms"] > 0


def test_a_repeated_request_is_answered_and_counts_once(server):
    client = server.client()
    request = uuid.uuid4().hex
    answers = [
        client.predict(
            COLUMNS, signature_name="serving_columns", request_id=request, event_time_ms=99
        )
        for _ in range(3)
    ]
    assert answers[0] == answers[1] == answers[2]
    window = logged(server, 99, 100)
    assert len(window.table) == 2
    assert window.losses.duplicate_rows == 4


def test_request_id_is_echoed_or_made(server):
    body = json.dumps({"signature_name": "serving_columns", "inputs": COLUMNS})
    response, _ = rest(server, "POST", PREDICT, body, {"x-request-id": "mine"})
    assert response.getheader("x-request-id") == "mine"
    assert response.getheader("x-model-version") == "1"
    response, _ = rest(server, "POST", PREDICT, body)
    assert len(response.getheader("x-request-id")) == 32


def test_nan_is_answered_and_logged(server):
    columns = {"hour": [1], "delay": [math.nan], "origin": ["JFK"]}
    answer = server.client().predict(
        columns, signature_name="serving_columns", event_time_ms=55, request_id="nan"
    )
    assert math.isnan(answer["probability"][0][0])
    assert math.isnan(logged(server, 55, 56).table.column("output.probability")[0].as_py())


ROW = {"hour": 1, "delay": 1.0, "origin": "JFK"}


def raw_body(**inputs):
    return json.dumps({"signature_name": "serving_columns", "inputs": inputs})


@pytest.mark.parametrize(
    ("path", "body", "headers", "code", "message"),
    [
        (PREDICT, "", {}, 400, "The document is empty"),
        (PREDICT, "rubbish", {}, 400, "JSON Parse error"),
        (PREDICT, "[" * 100_000, {}, 400, "JSON Parse error"),
        (PREDICT, b"\xff\xfe\x00", {}, 400, "JSON Parse error"),
        (PREDICT, raw_body(hour=[1], delay=[1]), {}, 400, "Missing named input: origin"),
        (PREDICT, raw_body(hour=["1"], delay=[1], origin=["a"]), {}, 400, "Type: String"),
        (PREDICT, '{"instances": []}', {}, 400, "No values in 'instances'"),
        (PREDICT, raw_body(hour=[1, 2, 3], delay=[1, 2], origin=["a"]), {}, 400, "refuses"),
        (
            PREDICT,
            '{"signature_name": "no", "inputs": 1}',
            {},
            400,
            'signature name: "no" not found',
        ),
        (PREDICT, '{"inputs": [{"b64": "/////w=="}]}', {}, 400, "no valid input"),
        (PREDICT, '{"inputs": ["rubbish"]}', {}, 400, "Expected serialised tf.Examples"),
        (PREDICT, "{}", {"x-event-time-ms": "yesterday"}, 400, "x-event-time-ms must be"),
        (PREDICT, "{}", {"x-event-time-ms": "-1"}, 400, "x-event-time-ms must be"),
        (PREDICT, "{}", {"x-request-id": "a b"}, 400, "x-request-id must be"),
        (
            "/v1/models/other:predict",
            "{}",
            {},
            404,
            "Servable not found for request: Latest(other)",
        ),
        (
            "/v1/models/flights/versions/9:predict",
            "{}",
            {},
            404,
            "Servable not found for request: Specific(flights, 9)",
        ),
        ("/v1/models/flights/versions/99999999999999999999:predict", "{}", {}, 400, "to numeric"),
        ("/v1/models/flights:classify", "{}", {}, 400, "key 'examples' is expected"),
        ("/v1/nonsense", "{}", {}, 400, "Malformed request: POST /v1/nonsense"),
        ("/", "{}", {}, 404, "Malformed request"),
    ],
)
def test_bad_rest_requests_get_a_clear_error_and_the_server_goes_on(
    server, path, body, headers, code, message
):
    before = len(logged(server).table)
    response, content = rest(server, "POST", path, body, headers)
    assert (response.status, list(content)) == (code, ["error"])
    assert message in content["error"]
    assert len(logged(server).table) == before
    assert server.client().predict(COLUMNS, signature_name="serving_columns")["probability"]


@pytest.mark.parametrize("chunked", [False, True])
def test_100_mb_of_rubbish_is_refused_without_keeping_it(server, chunked):
    def memory():
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    before = memory()
    part = b"x" * 1_000_000
    body = (part for _ in range(100)) if chunked else part * 100
    response, content = rest(server, "POST", PREDICT, body)
    assert response.status == 413
    assert "over the limit of 16777216 bytes" in content["error"]
    assert memory() - before < 60_000_000
    assert server.client().predict(COLUMNS, signature_name="serving_columns")["probability"]


def test_a_large_body_is_refused_before_it_is_sent(server):
    with socket.create_connection(
        ("127.0.0.1", server.rest_port), timeout=seconds(10)
    ) as connection:
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
        connection.sendall(head.encode() + b"only the beginning")
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_client_errors_say_whether_to_ask_again(server):
    client = server.client()
    with pytest.raises(ServingError, match="answered 400"):
        client.predict({"hour": [1]}, signature_name="serving_columns")
    with pytest.raises(ModelRejected, match="answered 404"):
        client.predict(COLUMNS, version=12)
    nobody = ServerProcess(server.base_path, server.output.parent)
    nobody.rest_port = 9
    with pytest.raises(ServerUnavailable, match="Is the model server running"):
        nobody.client(timeout=1).status()


class Grpc:
    """The stubs of tensorflow-serving-api."""

    def __init__(self, server):
        from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

        options = [("grpc.max_send_message_length", -1)]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def request(self, columns=None, name="flights", signature="serving_columns"):
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        kinds = {"hour": tf.int64, "delay": tf.float32, "origin": tf.string}
        request = predict_pb2.PredictRequest()
        request.model_spec.name = name
        request.model_spec.signature_name = signature
        for key, values in (columns or COLUMNS).items():
            proto = tf.make_tensor_proto(values, dtype=kinds.get(key))
            request.inputs[key].CopyFrom(proto)
        return request

    def fails(self, request):
        with pytest.raises(grpc.RpcError) as caught:
            self.prediction.Predict(request, timeout=seconds(30))
        return caught.value.code().name, caught.value.details()


@pytest.fixture(scope="module")
def stubs(server):
    """GRPC stubs for the shared server."""
    return Grpc(server)


def test_grpc_predict_answers_and_logs(server, stubs):
    metadata = (("x-request-id", "over-grpc"), ("x-event-time-ms", "1234"))
    response, call = stubs.prediction.Predict.with_call(stubs.request(), metadata=metadata)
    assert response.model_spec.version.value == 1
    values = list(response.outputs["probability"].float_val)
    np.testing.assert_allclose(values, expected(COLUMNS)[:, 0], rtol=1e-5)
    assert dict(call.initial_metadata())["x-request-id"] == "over-grpc"
    assert logged(server, 1234, 1235).table.column("request_id").to_pylist() == ["over-grpc"] * 2


def test_grpc_status_and_metadata(stubs):
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "flights"
    (status,) = stubs.model.GetModelStatus(request).model_version_status
    assert (status.version, status.state) == (1, get_model_status_pb2.ModelVersionStatus.AVAILABLE)
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "flights"
    answer = stubs.prediction.GetModelMetadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    assert "serving_columns" in signatures.signature_def


def test_bad_grpc_requests_get_a_clear_error(stubs):
    missing = {"hour": [1], "delay": [1.0]}
    extra = {**COLUMNS, "x": [1]}
    unequal = {"hour": [1, 2, 3], "delay": [1.0, 2.0], "origin": ["a"]}
    wrong_type = stubs.request()
    wrong_type.inputs["hour"].CopyFrom(stubs.request().inputs["delay"])
    huge = stubs.request()
    huge.inputs["delay"].tensor_shape.dim[0].size = 10**12
    broken = stubs.request()
    broken.inputs["delay"].tensor_content = b"\0\0\0"
    version = stubs.request()
    version.model_spec.version.value = 5
    cases = [
        (stubs.request(missing), "INVALID_ARGUMENT", "Missing but required: {origin}"),
        (stubs.request(extra), "INVALID_ARGUMENT", "Sent extra: {x}"),
        (stubs.request(unequal), "INVALID_ARGUMENT", "refuses the request"),
        (wrong_type, "INVALID_ARGUMENT", "Expected input hour to be int64, received float"),
        (huge, "INVALID_ARGUMENT", "at most"),
        (broken, "INVALID_ARGUMENT", "no valid tensor"),
        (version, "NOT_FOUND", "Specific(flights, 5)"),
        (stubs.request(name="other"), "NOT_FOUND", "Latest(other)"),
        (stubs.request(name=""), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (stubs.request(signature="no"), "FAILED_PRECONDITION", "no"),
    ]
    for request, code, message in cases:
        got_code, got_message = stubs.fails(request)
        assert got_code == code, got_message
        assert message in got_message
    large = stubs.request({"hour": [1], "delay": [1.0], "origin": ["x" * 100_000_000]})
    assert stubs.fails(large)[0] == "RESOURCE_EXHAUSTED"
    assert stubs.prediction.Predict(stubs.request()).outputs["probability"].float_val


@pytest.fixture
def own(saved, tmp_path):
    """A server of the test's own, and how to push to it."""
    shutil.copytree(saved, tmp_path / "base" / "1")
    running = ServerProcess(tmp_path / "base", tmp_path, tmp_path / "log").start()
    yield running
    running.stop()


def test_versions_switch_break_and_vanish(own, tmp_path):
    client = own.client()
    first = client.predict(COLUMNS, signature_name="serving_columns")
    save_tiny_model(tmp_path / "staged", bias=2.0)
    (tmp_path / "staged").rename(own.base_path / "2")
    assert own.wait_for(2, "AVAILABLE") == ""
    own.wait_for(1, "END")
    second = client.predict(COLUMNS, signature_name="serving_columns")
    np.testing.assert_allclose(second["probability"], expected(COLUMNS, 2.0), rtol=1e-5)
    with pytest.raises(ModelRejected):
        client.predict(COLUMNS, signature_name="serving_columns", version=1)

    shutil.copytree(own.base_path / "1", own.base_path / "3")
    (own.base_path / "3" / "saved_model.pb").write_bytes(b"rubbish")
    assert "saved_model.pb" in own.wait_for(3, "END")
    (own.base_path / "4").mkdir()
    assert "Could not find SavedModel" in own.wait_for(4, "END")
    assert client.predict(COLUMNS, signature_name="serving_columns") == second
    assert "version=3" in own.output.read_text()

    for version in (2, 3, 4):
        shutil.rmtree(own.base_path / str(version))
    own.wait_for(1, "AVAILABLE")
    assert client.predict(COLUMNS, signature_name="serving_columns") == first
    shutil.rmtree(own.base_path / "1")
    time.sleep(0.6)
    assert client.predict(COLUMNS, signature_name="serving_columns") == first
    rows = logged(own).table
    assert rows.column("model_version").to_pylist().count(2) == 4


def test_an_unwritable_log_gives_503_instead_of_an_unlogged_answer(own):
    client = own.client()
    client.predict(COLUMNS, signature_name="serving_columns", event_time_ms=TIME_MS)
    # A file where the folder of another day must be made: no room for its rows.
    (own.log_dir / "flights" / "date=2013-03-05").write_text("")
    with pytest.raises(ServerUnavailable, match="answered 503: The prediction could not be logged"):
        client.predict(
            COLUMNS, signature_name="serving_columns", event_time_ms=TIME_MS + 4 * 86_400_000
        )
    client.predict(COLUMNS, signature_name="serving_columns", event_time_ms=TIME_MS)
    assert len(logged(own).table) == 4


def test_policies_of_the_log_hold_in_a_running_server(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "base" / "1")
    own = ServerProcess(
        tmp_path / "base",
        tmp_path,
        tmp_path / "log",
        prediction_log_redact="origin",
        prediction_log_unwritable="serve",
        prediction_log_sampling_rate="0.5",
        prediction_log_sync="interval",
    ).start()
    client = own.client()
    keys = [f"k{number}" for number in range(40)]
    sampled = [key for key in keys if sampling_position(key) < 0.5]
    blocked = own.log_dir / "flights" / "date=2013-03-01"
    blocked.parent.mkdir(parents=True, exist_ok=True)
    try:
        # A file where the folder of the day must be made: no room for its rows.
        blocked.write_text("")
        for key in keys:
            asked = client.predict(
                COLUMNS, signature_name="serving_columns", request_key=key, event_time_ms=TIME_MS
            )
            assert asked["probability"], "served all the same"
        blocked.unlink()
        for key in keys:
            client.predict(
                COLUMNS, signature_name="serving_columns", request_key=key, event_time_ms=TIME_MS
            )
    finally:
        own.stop()
    window = logged(own)
    assert len(window.table) == 2 * len(sampled)
    assert window.losses.unlogged_rows == 2 * len(sampled)
    assert window.sampling_rate == 0.5
    assert "feature.origin" not in window.table.column_names
    assert own.output.read_text().count("state=unwritable") == 1


def test_a_log_file_cut_in_the_middle_is_counted_and_the_rest_is_read(own):
    client = own.client()
    for number in range(10):
        client.predict(
            COLUMNS,
            signature_name="serving_columns",
            request_id=f"r{number}",
            event_time_ms=TIME_MS,
        )
    (segment,) = own.log_dir.rglob("*.arrows")
    os.truncate(segment, segment.stat().st_size - 20)
    window = logged(own)
    assert set(window.table.column("request_id").to_pylist()) == {f"r{n}" for n in range(9)}
    assert window.losses.truncated_segments == 1
    assert client.predict(COLUMNS, signature_name="serving_columns")["probability"]


def test_sigterm_finishes_requests_and_closes_the_log(own):
    answered = []

    def ask():
        client = own.client()
        while True:
            request = uuid.uuid4().hex
            try:
                client.predict(
                    COLUMNS, signature_name="serving_columns", request_id=request, event_time_ms=1
                )
            except (ServerUnavailable, ServingError):
                return
            answered.append(request)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds(30)
    # The first answers take longer: the model's function is traced.
    while len(answered) < 8 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert own.stop() == 0
    for thread in threads:
        thread.join()
    window = logged(own)
    assert set(answered) <= set(window.table.column("request_id").to_pylist())
    assert answered
    assert window.losses.truncated_segments == 0


def test_sigkill_under_load_loses_no_answer_and_repeats_count_once(own):
    """The server is killed twice under clients of both protocols, who repeat with their ids."""
    answered, sent, stop = set(), set(), threading.Event()

    def by_rest(request):
        own.client(timeout=10).predict(
            COLUMNS, signature_name="serving_columns", request_id=request, event_time_ms=TIME_MS
        )

    def by_grpc(request):
        metadata = (("x-request-id", request), ("x-event-time-ms", str(TIME_MS)))
        stubs = Grpc(own)
        stubs.prediction.Predict(stubs.request(), metadata=metadata, timeout=seconds(10))
        stubs.channel.close()

    def ask(name, predict):
        number = 0
        while not stop.is_set():
            request, number = f"{name}-{number}", number + 1
            sent.add(request)
            while True:
                try:
                    predict(request)
                except (ServerUnavailable, grpc.RpcError):
                    if stop.is_set():
                        return
                    time.sleep(0.05)
                    continue
                answered.add(request)
                break

    threads = [
        threading.Thread(target=ask, args=(f"c{number}", by_grpc if number % 3 == 0 else by_rest))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for _ in range(2):
        before = len(answered)
        while len(answered) < before + 100:
            time.sleep(0.05)
        own.kill()
        own.start()
    before = len(answered)
    while len(answered) < before + 100:
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    own.kill()
    protocols = {request[:2] for request in answered}
    assert protocols == {f"c{number}" for number in range(6)}
    window = logged(own)
    rows = window.table.select(["request_id", "instance_index"]).to_pylist()
    identities = [(row["request_id"], row["instance_index"]) for row in rows]
    assert len(identities) == len(set(identities))
    assert {(request, i) for request in answered for i in (0, 1)} <= set(identities)
    assert {request for request, _ in identities} <= sent
    assert window.losses.unreadable_segments == 0


def run_server(*flags):
    return subprocess.run(
        [sys.executable, "-m", "tfx_loop.deployment.model_server.main", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds(120),
        check=False,
    )


def test_bad_flags_get_one_clear_line(server, tmp_path):
    in_use = f"--rest_api_port={server.rest_port}"
    file = tmp_path / "file"
    file.write_text("")
    cases = [
        ([], "--model_base_path"),
        (["--model_base_path=x", "--port=99999"], "port"),
        (["--model_base_path=x", "--model_name=../x"], "model name"),
        (["--model_base_path=x", "--nonsense=1"], "nonsense"),
        (["--model_base_path=x", in_use], "cannot listen at 127.0.0.1"),
        (
            ["--model_base_path=x", "--rest_api_port=0", f"--prediction_log={file}"],
            "--prediction_log",
        ),
    ]
    for flags, message in cases:
        done = run_server(*flags)
        assert done.returncode != 0
        assert message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_help_is_fast():
    started = time.process_time()
    before = os.times()
    assert "--prediction_log" in run_server("--help").stdout
    after = os.times()
    assert after.children_user - before.children_user < 1.0
    assert time.process_time() - started < 1.0
