"""A real server that is asked too much: 429, 504, hang-ups, and what logs and traces tell."""

import http.client
import json
import socket
import threading
import time
import urllib.request

import grpc
import pytest
from server_process import ServerProcess
from time_limits import seconds

from tfx_loop.data.prediction_log.segment import parse_segment
from tfx_loop.deployment.model_server.serving_metrics import DEFAULT_PATH, WAITING

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow, pytest.mark.slow]

PATH = "/v1/models/flights:predict"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
ANSWER_SECONDS = 1.0


def save_counting_model(path):
    """Saves a model that takes as long as its input says: so many products of matrices."""
    import tensorflow as tf

    class Counting(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="steps")])
        def serve(self, steps):
            wanted = tf.reduce_max(steps)
            _, product = tf.while_loop(
                lambda i, _: i < wanted,
                lambda i, held: (i + 1, tf.linalg.matmul(held, held)),
                (0, tf.zeros([200, 200])),
            )
            return {"steps": tf.cast(steps, tf.float32) + product[0, 0]}

    model = Counting()
    tf.saved_model.save(model, str(path), signatures={"serving_default": model.serve})


class Asked:
    """A server with little room, and ways to ask it."""

    def __init__(self, server):
        self.server = server
        self.slow = 0

    def rest(self, steps, request_id, traceparent=""):
        """Returns code, headers and seconds of an answer over REST."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.server.rest_port, timeout=seconds(60)
        )
        headers = {"x-request-id": request_id, "traceparent": traceparent}
        started = time.perf_counter()
        connection.request("POST", PATH, json.dumps({"instances": [steps]}), headers)
        response = connection.getresponse()
        response.read()
        return response.status, dict(response.getheaders()), time.perf_counter() - started

    def grpc(self, steps, request_id, traceparent="", timeout=60):
        """Returns the name of the status of an answer over gRPC."""
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

        request = predict_pb2.PredictRequest()
        request.model_spec.name = "flights"
        tensor = request.inputs["steps"]
        tensor.dtype = 3
        tensor.tensor_shape.dim.add().size = 1
        tensor.int_val.append(steps)
        with grpc.insecure_channel(f"127.0.0.1:{self.server.grpc_port}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            metadata = [("x-request-id", request_id), ("traceparent", traceparent)]
            try:
                stub.Predict(request, timeout, metadata=metadata)
            except grpc.RpcError as error:
                return error.code().name
            return "OK"

    def occupy(self, seconds_):
        """Returns a number of steps that takes about so long."""
        steps, took = 25, 0.0
        # The first answers pay for tracing, so only one that takes a while tells the speed.
        while not self.slow:
            code, _, took = self.rest(steps, "measured")
            assert code == 200
            if took > ANSWER_SECONDS / 8:
                self.slow = steps / took
            steps *= 2
        return int(self.slow * seconds_)

    def wait_for_queue(self, waiting):
        """Returns when so many predictions wait."""
        address = f"http://127.0.0.1:{self.server.rest_port}{DEFAULT_PATH}"
        deadline = time.monotonic() + seconds(30)
        while f"\n{WAITING} {waiting}\n" not in urllib.request.urlopen(address).read().decode():
            assert time.monotonic() < deadline

    def lines(self, request_id=""):
        """Returns lines of the access log."""
        found = []
        for line in self.server.output.read_text().splitlines():
            if line.startswith('{"time"'):
                entry = json.loads(line)
                if entry["logger"] == "access" and request_id in (entry["request_id"], ""):
                    found.append(entry)
        return found

    def line(self, request_id):
        """Returns the one line of the access log for a request, when it is there."""
        deadline = time.monotonic() + seconds(30)
        while not (found := self.lines(request_id)) and time.monotonic() < deadline:
            time.sleep(0.05)
        (line,) = found
        return line

    def logged(self):
        """Returns id and trace of each row of the prediction log."""
        rows = {}
        for path in self.server.log_dir.rglob("*.arrows"):
            table = parse_segment(path.read_bytes()).table
            rows |= {row["request_id"]: row["trace_id"] for row in table.to_pylist()}
        return rows


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    scratch = tmp_path_factory.mktemp("overload")
    save_counting_model(scratch / "base/1")
    monitoring = scratch / "monitoring.config"
    monitoring.write_text("prometheus_config { enable: true }")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_TRACES_EXPORTER", "console")
        server = ServerProcess(
            scratch / "base",
            scratch,
            scratch / "log",
            access_log=None,
            monitoring_config_file=monitoring,
            log_format="json",
            traces=None,
            max_waiting_requests=2,
            rest_api_timeout_in_ms=round(ANSWER_SECONDS * 1000),
        ).start()
    yield Asked(server)
    if server.process.poll() is None:
        server.kill()


def test_a_request_s_trace_is_in_both_logs_over_rest_and_grpc(asked):
    assert asked.rest(1, "r-traced", TRACEPARENT)[0] == 200
    assert asked.grpc(1, "g-traced", TRACEPARENT) == "OK"
    # What is no traceparent is ignored, as the standard says; the server begins a trace.
    assert asked.rest(1, "r-own", "00-" + "0" * 32 + "-00f067aa0ba902b7-01")[0] == 200
    over_rest, over_grpc = asked.line("r-traced"), asked.line("g-traced")
    assert (over_rest["code"], over_rest["method"], over_rest["path"]) == (200, "POST", PATH)
    assert (over_rest["received"] > 0, over_rest["sent"] > 0) == (True, True)
    assert over_grpc["code"] == "OK"
    assert over_grpc["path"] == "/tensorflow.serving.PredictionService/Predict"
    assert {over_rest["trace_id"], over_grpc["trace_id"]} == {TRACE}
    own = asked.line("r-own")["trace_id"]
    assert (len(own), own == TRACE) == (32, False)
    assert {over_rest["address"], over_grpc["address"]} == {"127.0.0.1"}
    logged = asked.logged()
    assert logged["r-traced"] == logged["g-traced"] == TRACE
    assert logged["r-own"] == own


def test_one_too_many_is_refused_at_once_and_one_too_slow_after_its_time(asked):
    steps = asked.occupy(5 * ANSWER_SECONDS)
    answers = {}
    ways = {"r-slow": asked.rest, "g-waits-1": asked.grpc, "g-waits-2": asked.grpc}
    threads = []
    for waiting, (request_id, ask) in enumerate(ways.items()):
        number = steps if request_id == "r-slow" else 1

        def run(ask=ask, number=number, request_id=request_id):
            answers[request_id] = ask(number, request_id)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        if waiting:
            asked.wait_for_queue(waiting)
        else:
            time.sleep(0.3)
    code, headers, took = asked.rest(1, "r-refused")
    assert (code, headers["retry-after"]) == (429, "1")
    assert took < ANSWER_SECONDS
    assert asked.grpc(1, "g-refused") == "RESOURCE_EXHAUSTED"
    # Status does not wait behind the prediction that runs.
    assert asked.server.client().status()[0].state == "AVAILABLE"
    for thread in threads:
        thread.join(seconds(60))
    code, _, took = answers["r-slow"]
    assert code == 504
    # Told before the work itself has ended, which takes five times as long.
    assert ANSWER_SECONDS <= took < 4.5 * ANSWER_SECONDS
    assert (answers["g-waits-1"], answers["g-waits-2"]) == ("OK", "OK")
    codes = {name: asked.line(name)["code"] for name in (*ways, "r-refused", "g-refused")}
    assert codes == {
        "r-slow": 504,
        "g-waits-1": "OK",
        "g-waits-2": "OK",
        "r-refused": 429,
        "g-refused": "RESOURCE_EXHAUSTED",
    }
    # Nobody got the slow answer, so the log does not have it.
    logged = asked.logged()
    assert {"g-waits-1", "g-waits-2"} <= logged.keys()
    assert not {"r-slow", "r-refused", "g-refused"} & logged.keys()


def test_clients_that_leave_are_told_from_answers(asked):
    steps = asked.occupy(1.0)
    body = json.dumps({"instances": [steps]}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nhost: h\r\nx-request-id: r-left\r\ncontent-length: {len(body)}"
    with socket.create_connection(
        ("127.0.0.1", asked.server.rest_port), timeout=seconds(30)
    ) as client:
        client.sendall(head.encode() + b"\r\n\r\n" + body)
        time.sleep(0.2)
    assert asked.grpc(1, "g-left", timeout=0.2) == "DEADLINE_EXCEEDED"
    assert asked.line("r-left")["code"] == 499
    assert asked.line("g-left")["code"] in ("CANCELLED", "DEADLINE_EXCEEDED")
    assert asked.rest(1, "r-after")[0] == 200
    assert not {"r-left", "g-left"} & asked.logged().keys()


def test_spans_go_where_open_telemetry_s_variables_say(asked):
    asked.server.stop()
    text = asked.server.output.read_text()
    assert f'"trace_id": "0x{TRACE}"' in text
    assert '"parent_id": "0x00f067aa0ba902b7"' in text
    assert '"name": "POST /v1/models/{model}:predict"' in text
    assert '"name": "tensorflow.serving.PredictionService/Predict"' in text
    assert '"service.name": "loop-model-server"' in text
    assert '"http.response.status_code": 504' in text
