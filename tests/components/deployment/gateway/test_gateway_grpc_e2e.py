"""The gateway's gRPC side, as a process between grpcio's clients and grpcio's server."""

import contextlib
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import time_limits
from gateway_process import GRPC_PREDICT, GatewayProcess, GrpcUpstream

from tfx_loop.data.prediction_log.record import routing_position

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
grpc = pytest.importorskip("grpc")

TRACEPARENT = f"00-{'4b' * 16}-00f067aa0ba902b7-01"
# ModelSpec{name: "flights"} in field 1, and a field that stays as it is.
REQUEST = b"\x0a\x09\x0a\x07flights\x7a\x03abc"


@pytest.fixture(scope="module")
def upstream():
    server = GrpcUpstream()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def gateway(upstream, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("gateway")
    process = GatewayProcess(
        scratch,
        f"127.0.0.1:{upstream.port}",
        scratch / "raw",
        max_request_bytes=8_000_000,
        timeout_seconds=2,
    )
    with process:
        yield process


@pytest.fixture
def channel(gateway):
    options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{gateway.grpc_port}", options) as channel:
        yield channel


@pytest.fixture(autouse=True)
def _plain_answers(upstream):
    upstream.calls.clear()
    answer = upstream.answer
    yield
    upstream.answer = answer


def test_metadata_message_and_trailers_pass_and_an_id_is_added(gateway, upstream, channel):
    def answer(_, message, context):
        context.send_initial_metadata((("x-head", "h"), ("x-head-bin", b"\x00\xff")))
        context.set_trailing_metadata((("x-tail", "t"), ("x-tail-bin", b"\x01\xfe")))
        return message[::-1]

    upstream.answer = answer
    body, call = channel.unary_unary(GRPC_PREDICT).with_call(
        REQUEST,
        metadata=(("x-mine", "a"), ("x-mine-bin", b"\x02\xfd"), ("traceparent", TRACEPARENT)),
        timeout=time_limits.seconds(30),
    )
    assert body == REQUEST[::-1]
    head, tail = dict(call.initial_metadata()), dict(call.trailing_metadata())
    assert (head["x-head"], head["x-head-bin"]) == ("h", b"\x00\xff")
    assert (tail["x-tail"], tail["x-tail-bin"]) == ("t", b"\x01\xfe")
    ((method, sent, message),) = upstream.calls
    assert (method, message) == (GRPC_PREDICT, REQUEST)
    assert (sent["x-mine"], sent["x-mine-bin"]) == ("a", b"\x02\xfd")
    assert head["x-request-id"] == sent["x-request-id"]
    logged = gateway.calls()[-1]
    assert (logged.request[5:], logged.response[5:]) == (REQUEST, REQUEST[::-1])
    assert logged.request_id == sent["x-request-id"]
    assert (sent["traceparent"], logged.trace_id) == (TRACEPARENT, "4b" * 16)


def test_unknown_methods_and_streams_pass_and_are_not_logged(gateway, channel):
    before = len(gateway.calls())
    assert channel.unary_unary("/any.Service/Method")(b"x", timeout=time_limits.seconds(30)) == b"x"
    messages = [b"%d" % n * n * 1000 for n in range(1, 30)]
    call = channel.stream_stream("/any.Service/BothStream")(
        iter(messages), timeout=time_limits.seconds(30)
    )
    assert list(call) == messages
    assert dict(call.trailing_metadata())["x-kept"] == "yes"
    assert len(gateway.calls()) == before


def test_errors_pass_with_code_words_and_details(gateway, upstream, channel):
    def answer(_, __, context):
        context.set_trailing_metadata((("grpc-status-details-bin", b"\x08\x05"),))
        context.abort(grpc.StatusCode.NOT_FOUND, "no servable: flights%ü")

    upstream.answer = answer
    before = len(gateway.calls())
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(GRPC_PREDICT)(REQUEST, timeout=time_limits.seconds(30))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "no servable: flights%ü"
    assert dict(caught.value.trailing_metadata())["grpc-status-details-bin"] == b"\x08\x05"
    assert len(gateway.calls()) == before


def test_large_messages_pass_and_larger_ones_are_refused(upstream, channel):
    content = bytes(range(256)) * 20_000
    assert channel.unary_unary(GRPC_PREDICT)(content, timeout=time_limits.seconds(30)) == content
    upstream.calls.clear()
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(GRPC_PREDICT)(content * 2, timeout=time_limits.seconds(30))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "over the limit of 8000000 bytes" in caught.value.details()
    assert upstream.calls == []


def test_compressed_messages_pass_as_they_are(gateway, upstream, channel):
    content = b"a" * 50_000
    ask = channel.unary_unary(GRPC_PREDICT)
    assert (
        ask(content, timeout=time_limits.seconds(30), compression=grpc.Compression.Gzip) == content
    )
    assert upstream.calls[0][2] == content
    logged = gateway.calls()[-1]
    assert logged.request_encoding == "gzip"
    assert (logged.request[0], len(logged.request) < 1000) == (1, True)


def test_a_deadline_and_a_cancelled_call_reach_the_upstream(gateway, upstream, channel):
    ended = threading.Event()

    def answer(_, message, context):
        context.add_callback(ended.set)
        ended.wait(time_limits.seconds(30))
        return message

    upstream.answer = answer
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(GRPC_PREDICT)(REQUEST, timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert ended.wait(time_limits.seconds(30))
    ended.clear()
    future = channel.unary_unary(GRPC_PREDICT).future(REQUEST)
    while len(upstream.calls) < 2:
        time.sleep(0.01)
    future.cancel()
    assert ended.wait(time_limits.seconds(30))
    until = time.monotonic() + time_limits.seconds(30)
    line = 'loop_gateway_in_flight{protocol="grpc"}'
    while gateway.metric(line) and time.monotonic() < until:
        time.sleep(0.02)
    assert gateway.metric(line) == 0


def test_an_upstream_that_says_nothing_is_given_up(upstream, channel):
    release = threading.Event()
    upstream.answer = lambda _, message, __: (
        message if release.wait(time_limits.seconds(30)) else b""
    )
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(GRPC_PREDICT)(REQUEST)
    release.set()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert caught.value.details() == "Nothing was sent for 2 s."


def test_thirty_two_clients_at_once_are_all_answered_and_logged_once(gateway):
    before = len(gateway.calls())

    def client(number):
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{gateway.grpc_port}", options) as channel:
            ask = channel.unary_unary(GRPC_PREDICT)
            for turn in range(10):
                body = f"{number}-{turn}".encode()
                assert ask(body, metadata=(("x-request-id", f"c{number}-{turn}"),)) == body

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(client, range(32)))
    calls = gateway.calls()[before:]
    expected = {(f"c{n}-{t}", f"{n}-{t}".encode()) for n in range(32) for t in range(10)}
    assert len(calls) == len(expected)
    assert {(call.request_id, call.request[5:]) for call in calls} == expected


def test_the_canary_s_share_asks_for_its_version_and_keeps_the_rest_of_the_message(tmp_path):
    upstream = GrpcUpstream()
    flags = {"canary_version": 9, "canary_share": 0.5, "label": "stable=8", "model_name": "flights"}
    gateway = GatewayProcess(tmp_path, f"127.0.0.1:{upstream.port}", **flags)
    with gateway, gateway.channel() as channel:
        ask = channel.unary_unary(GRPC_PREDICT)
        # A client that ends its request by itself, after the message, is drawn like any other.
        late = channel.stream_unary(GRPC_PREDICT)
        for n in range(60):
            named = {"metadata": (("x-request-id", f"r{n}"),), "timeout": 10}
            ask(REQUEST, **named) if n % 2 else late(iter([REQUEST]), **named)
        # What names a version, another model, or is no message, goes as it is.
        for other in (
            b"\x0a\x0d\x0a\x07flights\x12\x02\x08\x03",
            b"\x0a\x03\x0a\x01m",
            b"\xff",
        ):
            ask(other, timeout=time_limits.seconds(30))
            assert upstream.calls[-1][2] == other
    upstream.stop()
    for _, sent, message in upstream.calls[:60]:
        version = 9 if routing_position(sent["x-request-id"]) < 0.5 else 8
        assert message == b"\x0a\x0d\x0a\x07flights\x12\x02\x08%c\x7a\x03abc" % version


def test_an_upstream_that_is_killed_is_told_at_once_and_found_again(tmp_path):
    upstream = GrpcUpstream()
    port = upstream.port
    with GatewayProcess(tmp_path, f"127.0.0.1:{port}", tmp_path / "raw") as gateway:
        with grpc.insecure_channel(f"127.0.0.1:{gateway.grpc_port}") as channel:
            ask = channel.unary_unary(GRPC_PREDICT)
            assert ask(b"1", timeout=time_limits.seconds(30)) == b"1"
            upstream.stop()
            # A call that is sent while the connection is being closed has another reason.
            limit = time.monotonic() + time_limits.seconds(10)
            while gateway.metric('loop_gateway_upstream_connections{protocol="grpc"}'):
                assert time.monotonic() < limit
                time.sleep(0.02)
            with pytest.raises(grpc.RpcError) as caught:
                ask(b"2", timeout=time_limits.seconds(30))
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert f"127.0.0.1:{port} cannot be reached" in caught.value.details()
            again = GrpcUpstream(port)
            assert ask(b"3", timeout=time_limits.seconds(30)) == b"3"
            again.stop()
        assert [call.request[5:] for call in gateway.calls()] == [b"1", b"3"]


def test_a_stopped_gateway_finishes_what_is_under_way(tmp_path, upstream):
    release = threading.Event()
    upstream.answer = lambda _, message, __: (
        message if release.wait(time_limits.seconds(30)) else b""
    )
    gateway = GatewayProcess(tmp_path, f"127.0.0.1:{upstream.port}", tmp_path / "raw").start()
    with grpc.insecure_channel(f"127.0.0.1:{gateway.grpc_port}") as channel:
        future = channel.unary_unary(GRPC_PREDICT).future(REQUEST, timeout=time_limits.seconds(30))
        while not upstream.calls:
            time.sleep(0.01)
        gateway.process.terminate()
        time.sleep(0.2)
        release.set()
        assert future.result() == REQUEST
    assert gateway.process.wait(time_limits.seconds(30)) == 0
    assert len(gateway.calls()) == 1


def test_tokens_are_asked_for(tmp_path, upstream):
    (tmp_path / "tokens").write_text("shop s3cret\n")
    flags = {"token_file": tmp_path / "tokens"}
    gateway = GatewayProcess(tmp_path, f"127.0.0.1:{upstream.port}", **flags)
    with gateway, gateway.channel() as channel:
        ask = channel.unary_unary(GRPC_PREDICT)
        with pytest.raises(grpc.RpcError) as caught:
            ask(REQUEST, timeout=time_limits.seconds(30))
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert upstream.calls == []
        sent = (("authorization", "Bearer s3cret"),)
        assert ask(REQUEST, metadata=sent, timeout=time_limits.seconds(30)) == REQUEST
        assert "authorization" not in upstream.calls[0][1]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x01\x01\x04\x00\x00\x00\x01\xff",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x09\x00\x00\x00\x00\x01",
    ],
    ids=["http/1", "huge frame", "bad header block", "lone continuation"],
)
def test_a_client_that_breaks_the_protocol_is_closed_and_others_are_served(gateway, channel, sent):
    with socket.create_connection(
        ("127.0.0.1", gateway.grpc_port), timeout=time_limits.seconds(30)
    ) as connection:
        connection.sendall(sent)
        # Until it is closed: else the test would wait for its limit.
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(65536):
                pass
    assert channel.unary_unary(GRPC_PREDICT)(REQUEST, timeout=time_limits.seconds(30)) == REQUEST
    assert b"Traceback" not in gateway.output.read_bytes()


def test_processes_share_the_ports_and_one_that_ends_is_replaced(tmp_path, upstream):
    flags = {"processes": 2}
    with GatewayProcess(
        tmp_path, f"127.0.0.1:{upstream.port}", tmp_path / "raw", **flags
    ) as gateway:
        until = time.monotonic() + time_limits.seconds(30)
        while time.monotonic() < until:
            try:
                if gateway.metric("loop_gateway_processes") == 2:
                    break
            except OSError:
                time.sleep(0.05)
        for n in range(12):
            options = [("grpc.use_local_subchannel_pool", 1)]
            with grpc.insecure_channel(f"127.0.0.1:{gateway.grpc_port}", options) as channel:
                assert (
                    channel.unary_unary(GRPC_PREDICT)(b"%d" % n, timeout=time_limits.seconds(30))
                    == b"%d" % n
                )
        assert sorted(int(call.request[5:]) for call in gateway.calls()) == list(range(12))
        assert gateway.metric('loop_gateway_requests_total{outcome="ok",protocol="grpc"}') == 12
    assert gateway.process.returncode == 0
    assert json.loads(gateway.ready_file.read_text())["port"] == gateway.grpc_port
