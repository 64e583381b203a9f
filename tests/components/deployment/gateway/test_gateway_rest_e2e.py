"""The gateway's REST side, as a process between real clients and a real upstream."""

import gzip
import http.client
import json
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from certificates import Authority
from gateway_process import PREDICT, GatewayProcess, RestUpstream
from time_limits import seconds

from tfx_loop.data.prediction_log.record import routing_position, sampling_position

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def upstream():
    server = RestUpstream()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def gateway(upstream, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("gateway")
    process = GatewayProcess(
        scratch,
        "127.0.0.1:1",
        scratch / "raw",
        upstream_rest_port=upstream.port,
        max_request_bytes=4_000_000,
        client_timeout_seconds=0.6,
        timeout_seconds=1.5,
        requests_per_second=100_000,
        port=-1,
    )
    with process:
        yield process


@pytest.fixture(autouse=True)
def _plain_answers(upstream):
    upstream.requests.clear()
    answer = upstream.answer
    yield
    upstream.answer = answer


def raw(gateway, sent, *, close=False):
    """Returns all bytes that a connection gets for some bytes."""
    with socket.create_connection(
        ("127.0.0.1", gateway.rest_port), timeout=seconds(30)
    ) as connection:
        connection.sendall(sent)
        if close:
            connection.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while piece := connection.recv(65536):
                got += piece
        except ConnectionResetError:
            pass
        return got


def test_bytes_pass_unchanged_and_a_request_id_is_added(gateway, upstream):
    packed = gzip.compress(b'{"instances": [1.0, 2.0]}')
    answer = gzip.compress(b'{"predictions": [1, 2]}' * 100)
    upstream.answer = lambda _: (200, {"content-encoding": "gzip", "x-other": "kept"}, answer)
    status, headers, body = gateway.post(
        packed, PREDICT + "?debug=1%20x", content_encoding="gzip", x_mine="a, b;c"
    )
    ((method, path, sent, received),) = upstream.requests
    assert (status, body, headers["x-other"]) == (200, answer, "kept")
    assert (method, path, received) == ("POST", PREDICT + "?debug=1%20x", packed)
    assert sent["x-mine"] == "a, b;c"
    assert sent["content-encoding"] == "gzip"
    assert headers["x-request-id"] == sent["x-request-id"]
    assert len(sent["x-request-id"]) == 32


def test_a_client_s_own_id_is_kept_and_a_bad_one_refused(gateway, upstream):
    _, headers, _ = gateway.post(x_request_id="mine-1")
    assert upstream.requests[0][2]["x-request-id"] == headers["x-request-id"] == "mine-1"
    status, _, body = gateway.post(x_request_id="has blank")
    assert status == 400
    assert "x-request-id must be" in json.loads(body)["error"]
    assert len(upstream.requests) == 1


def test_the_trace_passes_unchanged_and_is_logged(gateway, upstream):
    given = f"00-{'4b' * 16}-00f067aa0ba902b7-01"
    gateway.post(x_request_id="traced", traceparent=given, tracestate="a=1")
    sent = upstream.requests[0][2]
    assert (sent["traceparent"], sent["tracestate"]) == (given, "a=1")
    gateway.post(x_request_id="untraced", traceparent="no-trace")
    logged = {call.request_id: call.trace_id for call in gateway.calls()}
    assert (logged["traced"], logged["untraced"]) == ("4b" * 16, "")


def test_chunks_pass_both_ways_with_their_trailers(gateway, upstream):
    upstream.answer = lambda _: (200, {}, [b"one,", b"x" * 300_000, b",end"])
    sent = (
        f"POST {PREDICT} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n"
        "connection: close\r\n\r\n4\r\nhalf\r\n5\r\n-body\r\n0\r\nx-sum: 9\r\n\r\n"
    ).encode()
    got = raw(gateway, sent)
    assert upstream.requests[0][3] == b"half-body"
    assert upstream.requests[0][2]["x-sum"] == "9"
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert body.count(b"x") == 300_000
    assert body.endswith(b"0\r\n\r\n")


def test_large_bodies_pass_and_larger_ones_are_refused(gateway, upstream):
    content = bytes(range(256)) * 12_000
    upstream.answer = lambda request: (200, {}, request[3])
    assert gateway.post(content)[2] == content
    status, _, body = gateway.post(content * 2)
    assert status == 413
    assert "over the limit of 4000000 bytes" in json.loads(body)["error"]
    assert len(upstream.requests) == 1


def test_one_connection_serves_many_and_pipelined_requests_in_order(gateway, upstream):
    upstream.answer = lambda request: (200, {}, request[3])
    one = f"POST {PREDICT} HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n"
    sent = "".join(f"{one}\r\n{n:02}" for n in range(20)) + f"{one}connection: close\r\n\r\n20"
    got = raw(gateway, sent.encode())
    bodies = [part[:2] for part in got.split(b"\r\n\r\n")[1:]]
    assert bodies == [b"%02d" % n for n in range(21)]


def test_other_paths_and_methods_pass_too(gateway, upstream):
    upstream.answer = lambda _: (404, {"x-why": "none"}, b"nothing")
    assert gateway.ask("GET", "/monitoring/prometheus/metrics")[::2] == (404, b"nothing")
    assert gateway.ask("PUT", "/any?x", b"body")[1]["x-why"] == "none"
    status, headers, body = gateway.ask("HEAD", "/v1/models/flights")
    assert (status, headers["content-length"], body) == (404, "7", b"")
    assert [request[0] for request in upstream.requests] == ["GET", "PUT", "HEAD"]


def test_answers_without_length_reach_old_and_new_clients(gateway, upstream):
    upstream.answer = lambda _: (200, {}, [b"a", b"b"])
    got = raw(gateway, f"POST {PREDICT} HTTP/1.0\r\ncontent-length: 0\r\n\r\n".encode())
    assert got.endswith(b"\r\n\r\nab")
    assert b"chunked" not in got


@pytest.mark.parametrize(
    "sent",
    [
        b"NONSENSE\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
    ids=["no request", "two lengths", "endless head"],
)
def test_malformed_requests_are_refused_and_reach_no_upstream(gateway, upstream, sent):
    assert raw(gateway, sent).startswith(b"HTTP/1.1 400 ")
    assert upstream.requests == []


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /v1/models/flights:predict HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\nhalf",
        b"POST /v1/models/fli",
    ],
    ids=["body", "head"],
)
def test_half_sent_requests_are_closed(gateway, sent):
    started = time.monotonic()
    assert raw(gateway, sent).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - started < seconds(20)
    assert gateway.metric('loop_gateway_in_flight{protocol="rest"}') == 0


def test_a_client_that_leaves_cancels_its_request(gateway, upstream):
    release = threading.Event()
    upstream.answer = lambda _: (200, {}, b"late" if release.wait(seconds(30)) else b"")
    line = 'loop_gateway_requests_total{outcome="cancelled",protocol="rest"}'
    before = gateway.metric(line)
    with socket.create_connection(("127.0.0.1", gateway.rest_port)) as connection:
        connection.sendall(f"POST {PREDICT} HTTP/1.1\r\ncontent-length: 0\r\n\r\n".encode())
        while not upstream.requests:
            time.sleep(0.01)
    until = time.monotonic() + seconds(30)
    while gateway.metric(line) == before and time.monotonic() < until:
        time.sleep(0.02)
    release.set()
    assert gateway.metric(line) == before + 1
    assert gateway.metric('loop_gateway_upstream_connections{protocol="rest"}') >= 0


def test_an_upstream_that_says_nothing_is_given_up(gateway, upstream):
    release = threading.Event()
    upstream.answer = lambda _: (200, {}, b"late" if release.wait(seconds(30)) else b"")
    status, headers, body = gateway.post(x_request_id="slow")
    release.set()
    assert (status, headers["x-request-id"]) == (504, "slow")
    assert "sent nothing for 1.5 s" in json.loads(body)["error"]


def test_thirty_two_clients_at_once_are_all_answered_and_logged_once(gateway, upstream):
    upstream.answer = lambda request: (200, {}, request[3])
    before = len(gateway.calls())

    def client(number):
        connection = gateway.connection()
        for turn in range(15):
            body = f"{number}-{turn}".encode()
            connection.request("POST", PREDICT, body, {"x-request-id": f"c{number}-{turn}"})
            assert connection.getresponse().read() == body
        connection.close()

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(client, range(32)))
    calls = gateway.calls()[before:]
    expected = {(f"c{n}-{t}", f"{n}-{t}".encode()) for n in range(32) for t in range(15)}
    assert len(calls) == len(expected)
    assert {(call.request_id, call.request) for call in calls} == expected
    assert all(call.request == call.response for call in calls)


def test_health_and_metrics_stand_on_paths_of_their_own(gateway, upstream):
    assert gateway.ask("GET", "/gateway/healthz")[0] == 200
    assert gateway.ask("GET", "/gateway/readyz")[0] == 200
    assert gateway.ask("GET", "/gateway/other")[0] == 404
    assert upstream.requests == []
    text = gateway.ask("GET", "/gateway/metrics")[2].decode()
    assert "# TYPE loop_gateway_request_seconds histogram" in text


def test_an_upstream_that_is_killed_is_told_at_once_and_found_again(tmp_path):
    upstream = RestUpstream()
    port = upstream.port
    flags = {"upstream_rest_port": port, "port": -1}
    with GatewayProcess(tmp_path, "127.0.0.1:1", tmp_path / "raw", **flags) as gateway:
        connection = gateway.connection()
        connection.request("POST", PREDICT, b"1")
        assert connection.getresponse().read() == b'{"p": 1}'
        upstream.stop()
        started = time.monotonic()
        status, _, body = gateway.post(b"2")
        assert (status, time.monotonic() - started < seconds(10)) == (502, True)
        assert "cannot be reached" in json.loads(body)["error"]
        assert f"127.0.0.1:{port}" in json.loads(body)["error"]
        assert gateway.ask("GET", "/gateway/readyz")[0] == 503
        again = RestUpstream(port)
        connection.request("POST", PREDICT, b"3")
        assert connection.getresponse().read() == b'{"p": 1}'
        again.stop()
        assert [call.request for call in gateway.calls()] == [b"1", b"3"]


def test_a_stopped_gateway_finishes_what_is_under_way(tmp_path, upstream):
    release = threading.Event()
    upstream.answer = lambda _: (200, {}, b"done" if release.wait(seconds(30)) else b"")
    gateway = GatewayProcess(
        tmp_path, "127.0.0.1:1", tmp_path / "raw", upstream_rest_port=upstream.port, port=-1
    ).start()
    connection = gateway.connection()
    connection.request("POST", PREDICT, b"{}")
    while not upstream.requests:
        time.sleep(0.01)
    gateway.process.terminate()
    time.sleep(0.3)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", gateway.rest_port), timeout=1).close()
    release.set()
    assert connection.getresponse().read() == b"done"
    assert gateway.process.wait(seconds(30)) == 0
    assert len(gateway.calls()) == 1


def test_too_many_requests_at_once_are_refused_at_once(tmp_path, upstream):
    release = threading.Event()
    upstream.answer = lambda _: (200, {}, b"done" if release.wait(seconds(30)) else b"")
    flags = {"upstream_rest_port": upstream.port, "port": -1, "max_requests": 2}
    gateway = GatewayProcess(tmp_path, "127.0.0.1:1", **flags)
    with gateway, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(gateway.post) for _ in range(2)]
        while len(upstream.requests) < 2:
            time.sleep(0.01)
        assert gateway.post()[0] == 429
        release.set()
        assert [one.result()[0] for one in waiting] == [200, 200]


def test_the_canary_gets_its_share_by_the_hash_and_no_one_else_s(tmp_path, upstream):
    canary = RestUpstream()
    flags = {
        "upstream_rest_port": upstream.port,
        "port": -1,
        "canary_upstream": "127.0.0.1:1",
        "canary_upstream_rest_port": canary.port,
        "canary_share": 0.25,
        "label": ["stable=7"],
        "raw_log_sampling_rate": 0.5,
    }
    ids = [f"request-{n}" for n in range(400)]
    with GatewayProcess(tmp_path, "127.0.0.1:1", tmp_path / "raw", **flags) as gateway:
        connection = gateway.connection()

        def post(path, **headers):
            connection.request("POST", path, b"{}", headers)
            assert connection.getresponse().read() == b'{"p": 1}'

        for key in ids:
            post(PREDICT, **{"x-request-id": "same", "x-loop-request-key": key})
        sent = {request[2]["x-loop-request-key"] for request in canary.requests}
        assert sent == {key for key in ids if routing_position(key) < 0.25}
        assert {request[1] for request in canary.requests} == {PREDICT}
        assert {r[1] for r in upstream.requests} == {"/v1/models/flights/versions/7:predict"}
        logged = gateway.calls()
        assert {call.request_key for call in logged} == {
            key for key in ids if sampling_position(key) < 0.5
        }
        assert {call.sampling_rate for call in logged} == {0.5}
        assert {call.request_key for call in logged if call.route == "canary"} == {
            key for key in sent if sampling_position(key) < 0.5
        }
        canary.requests.clear()
        upstream.requests.clear()
        post("/v1/models/flights/labels/canary:predict")
        post("/v1/models/flights/labels/stable:predict")
        post("/v1/models/flights/labels/other:predict")
        post("/v1/models/flights/versions/3:predict")
        assert [request[1] for request in canary.requests] == [PREDICT]
        assert [request[1].removeprefix("/v1/models/flights") for request in upstream.requests] == [
            "/versions/7:predict", "/labels/other:predict", "/versions/3:predict",
        ]  # fmt: skip
    canary.stop()


def test_tokens_are_asked_for_and_kept_from_the_upstream(tmp_path, upstream):
    (tmp_path / "tokens").write_text("shop s3cret\n")
    flags = {
        "upstream_rest_port": upstream.port, "port": -1, "token_file": tmp_path / "tokens",
    }  # fmt: skip
    with GatewayProcess(tmp_path, "127.0.0.1:1", **flags) as gateway:
        assert gateway.post()[0] == 401
        assert gateway.post(authorization="Bearer wrong")[0] == 401
        assert upstream.requests == []
        assert gateway.post(authorization="Bearer s3cret")[0] == 200
        assert "authorization" not in upstream.requests[0][2]
        assert b"s3cret" not in gateway.output.read_bytes()


def test_a_token_of_the_upstream_s_passes_where_the_gateway_asks_for_none(gateway, upstream):
    gateway.post(authorization="Bearer theirs")
    assert upstream.requests[0][2]["authorization"] == "Bearer theirs"


def test_it_speaks_tls_and_asks_for_certificates(tmp_path, upstream):
    authority = Authority(tmp_path)
    server, client = (authority.issue(kind, kind) for kind in ("server", "client"))
    flags = {
        "upstream_rest_port": upstream.port,
        "port": -1,
        "tls_certificate": server.certificate,
        "tls_key": server.key,
        "tls_client_ca": authority.certificate,
    }
    with GatewayProcess(tmp_path, "127.0.0.1:1", **flags) as gateway:

        def post(context):
            connection = http.client.HTTPSConnection(
                "127.0.0.1", gateway.rest_port, context=context, timeout=10
            )
            connection.request("POST", PREDICT, b"{}")
            return connection.getresponse().read()

        context = ssl.create_default_context(cafile=str(authority.certificate))
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            post(context)
        context.load_cert_chain(client.certificate, client.key)
        assert post(context) == b'{"p": 1}'


def test_it_speaks_tls_to_upstreams_that_it_knows(tmp_path, upstream):
    authority = Authority(tmp_path)
    server = authority.issue("server", "server")
    (tmp_path / "behind").mkdir()
    behind = GatewayProcess(
        tmp_path / "behind",
        "127.0.0.1:1",
        upstream_rest_port=upstream.port,
        tls_certificate=server.certificate,
        tls_key=server.key,
    )
    with behind:
        other = Authority(tmp_path, "other")
        for ca, status in ((authority.certificate, 200), (other.certificate, 502)):
            front = GatewayProcess(
                tmp_path,
                f"127.0.0.1:{behind.grpc_port}",
                upstream_rest_port=behind.rest_port,
                upstream_ca_file=ca,
            )
            with front, front.channel() as channel:
                assert front.post()[0] == status
                with pytest.raises(grpc.RpcError) as caught:
                    channel.unary_unary("/any.Service/Method")(b"x", timeout=seconds(30))
                # From behind, whose own upstream is none; else the certificate is not known.
                told = "127.0.0.1:1 cannot be reached" if status == 200 else "certificate"
                assert told in caught.value.details()
