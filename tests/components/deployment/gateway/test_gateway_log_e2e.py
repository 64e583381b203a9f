"""The gateway's log beside kills, full disks and bounds: what is acknowledged is in it, once."""

import http.client
import threading
import time

import pytest
import time_limits
from gateway_process import GRPC_PREDICT, PREDICT, GatewayProcess, GrpcUpstream, RestUpstream

from tfx_loop.data.prediction_log.encryption import is_encrypted
from tfx_loop.data.prediction_log.raw_calls import UnloggedCalls

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def rest():
    server = RestUpstream()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def grpc_server():
    server = GrpcUpstream()
    yield server
    server.stop()


@pytest.fixture
def gateway(tmp_path, rest, grpc_server):
    def make(**flags):
        return GatewayProcess(
            tmp_path,
            f"127.0.0.1:{grpc_server.port}",
            tmp_path / "raw",
            upstream_rest_port=rest.port,
            **flags,
        )

    return make


@pytest.mark.parametrize("sync", ["never", "batch"])
def test_a_killed_gateway_has_logged_every_acknowledged_call_once(gateway, sync):
    import grpc

    process = gateway(raw_log_sync=sync).start()
    acknowledged, stop = set(), threading.Event()

    def by_rest(number):
        connection = process.connection()
        for turn in range(100_000):
            key = f"rest-{number}-{turn}"
            try:
                connection.request("POST", PREDICT, key.encode(), {"x-request-id": key})
                if connection.getresponse().read() != b'{"p": 1}' or stop.is_set():
                    return
            except (OSError, http.client.HTTPException):
                return
            acknowledged.add(key)

    def by_grpc(number):
        with process.channel() as channel:
            ask = channel.unary_unary(GRPC_PREDICT)
            for turn in range(100_000):
                key = f"grpc-{number}-{turn}"
                try:
                    ask(
                        key.encode(),
                        metadata=(("x-request-id", key),),
                        timeout=time_limits.seconds(30),
                    )
                except grpc.RpcError:
                    return
                acknowledged.add(key)
                if stop.is_set():
                    return

    threads = [
        threading.Thread(target=one, args=(n,)) for one in (by_rest, by_grpc) for n in (0, 1)
    ]
    for thread in threads:
        thread.start()
    until = time.monotonic() + time_limits.seconds(30)
    while len(acknowledged) < 200 and time.monotonic() < until:
        time.sleep(0.01)
    process.kill()
    stop.set()
    for thread in threads:
        thread.join()
    logged = [call.request_id for call in process.calls()]
    assert len(logged) == len(set(logged))
    # A call may be logged, and killed before its answer left: never the other way round.
    assert acknowledged <= set(logged)
    assert len(set(logged) - acknowledged) <= len(threads)
    assert {key.split("-")[0] for key in acknowledged} == {"rest", "grpc"}


def test_a_full_disk_costs_no_answer_and_is_counted_until_it_is_over(gateway):
    process = gateway(raw_log_segment_bytes=100_000)
    process.start(file_bytes=20_000)
    body, answered = b"x" * 5_000, 0
    try:
        for _ in range(12):
            answered += process.post(body)[0] == 200
        assert answered == 12
        line = 'loop_gateway_unlogged_calls_total{protocol="rest",reason="unwritable"}'
        unlogged = process.metric(line)
        assert unlogged > 0
        assert len(process.calls()) == 12 - unlogged
        # A new file has room again: the count is written there, before the next call. The first
        # try may be the one that fills a file, so there is a second.
        until = time.monotonic() + time_limits.seconds(20)
        while answered == 12 or process.metric("loop_gateway_log_unwritable"):
            assert time.monotonic() < until
            time.sleep(0.15)
            answered += process.post(body)[0] == 200
    finally:
        assert process.stop() == 0
    noted = [record for record in process.records() if isinstance(record, UnloggedCalls)]
    assert sum(note.calls for note in noted) + len(process.calls()) == answered
    told = process.output.read_text()
    assert "state=unwritable policy=serve" in told
    assert "state=written_again unlogged_calls=" in told


def test_the_log_is_bounded_and_calls_beyond_are_answered_and_counted(gateway):
    with gateway(raw_log_max_bytes=30_000, raw_log_max_call_bytes=8_000) as process:
        for _ in range(10):
            assert process.post(b"x" * 5_000)[0] == 200
        assert process.post(b"x" * 9_000)[0] == 200
        line = 'loop_gateway_unlogged_calls_total{{protocol="rest",reason="{}"}}'
        assert process.metric(line.format("full")) == 10 - len(process.calls()) > 0
        assert process.metric(line.format("too_large")) == 1
        assert process.metric("loop_gateway_captured_bytes") == 0
        assert sum(p.stat().st_size for p in process.log_dir.rglob("*.calls")) < 30_000


def test_segments_that_are_removed_or_moved_lose_no_later_call(gateway, tmp_path):
    with gateway() as process:
        process.post(b"1")
        (path,) = process.log_dir.rglob("*.calls")
        path.unlink()
        process.post(b"2")
        (path,) = process.log_dir.rglob("*.calls")
        path.rename(tmp_path / "moved")
        time.sleep(0.6)
        process.post(b"3")
        assert [call.request for call in process.calls()] == [b"3"]


def test_an_encrypted_log_holds_no_request_in_the_clear(gateway, tmp_path):
    with gateway(raw_log_key=tmp_path / "keys") as process:
        assert process.post(b"a secret row")[0] == 200
        (path,) = process.log_dir.rglob("*.calls")
        content = path.read_bytes()
    assert is_encrypted(content)
    assert b"secret" not in content
    assert path.stat().st_mode & 0o077 == 0


def test_errors_of_the_upstream_are_answered_and_not_logged(gateway, rest):
    answer = rest.answer
    rest.answer = lambda _: (400, {}, b'{"error": "no"}')
    with gateway() as process:
        assert process.post()[::2] == (400, b'{"error": "no"}')
        assert process.ask("GET", "/v1/models/flights")[0] == 400
        assert process.calls() == []
        line = 'loop_gateway_requests_total{outcome="client_error",protocol="rest"}'
        assert process.metric(line) == 2
    rest.answer = answer
