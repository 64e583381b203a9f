"""A real gateway process, and upstreams for it that a test can look into, stop and start again."""

import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import time_limits

from tfx_loop.data.prediction_log.raw_calls import RawCall, open_raw_segment, read_records

ROOT = Path(__file__).resolve().parents[2]
PREDICT = "/v1/models/flights:predict"
GRPC_PREDICT = "/tensorflow.serving.PredictionService/Predict"


class GatewayProcess:
    """A gateway on free ports; started and stopped, or killed, by the test."""

    def __init__(self, scratch: Path, upstream: str, log_dir: Path | None = None, **flags) -> None:
        """Says where to; `start` starts it."""
        self.ready_file, self.output = scratch / "gateway.json", scratch / "gateway.log"
        self.log_dir = log_dir
        self.flags = {"upstream": upstream, "port": 0, "rest_api_port": 0, **flags}
        self.process: subprocess.Popen | None = None
        self.rest_port = self.grpc_port = 0

    def start(self, file_bytes: int | None = None) -> "GatewayProcess":
        """Starts it and waits until it answers; `file_bytes` bounds the files that it can write."""
        self.ready_file.unlink(missing_ok=True)
        flags = {**self.flags, "ready_file": self.ready_file}
        if self.log_dir:
            flags["raw_log"] = self.log_dir
        command = [sys.executable, "-m", "tfx_loop.deployment.gateway.main"]
        for name, value in flags.items():
            values = value if isinstance(value, list) else [value]
            command += [f"--{name}" if one is None else f"--{name}={one}" for one in values]

        def bound() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, resource.RLIM_INFINITY))

        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=bound if file_bytes else None,
            )
        deadline = time.monotonic() + time_limits.seconds(60)
        while not self.ready_file.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The gateway did not start:\n{self.output.read_text()}")
            time.sleep(0.02)
        ready = json.loads(self.ready_file.read_text())
        self.rest_port, self.grpc_port = ready["rest_api_port"], ready["port"]
        return self

    def __enter__(self) -> "GatewayProcess":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def connection(self) -> http.client.HTTPConnection:
        """Returns a connection to its REST port."""
        return http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=30)

    def channel(self):
        """Returns a channel to its gRPC port."""
        import grpc

        return grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}")

    def post(self, body: bytes = b"{}", path: str = PREDICT, **headers: str):
        """Returns status, headers and body of the answer to one request."""
        return self.ask("POST", path, body, **headers)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str):
        """Returns status, headers and body of the answer to one request."""
        with contextlib.closing(self.connection()) as connection:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def metric(self, line: str) -> float:
        """Returns a metric by its name and labels, as they are exposed."""
        _, _, text = self.ask("GET", "/gateway/metrics")
        return next(
            float(row.rpartition(" ")[2])
            for row in text.decode().splitlines()
            if row.rpartition(" ")[0] == line
        )

    def kill(self) -> None:
        """SIGKILL, at once."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(time_limits.seconds(30))

    def calls(self) -> list[RawCall]:
        """Returns what its log holds."""
        return [record for record in self.records() if isinstance(record, RawCall)]

    def records(self) -> list:
        """Returns all records of its log."""
        found = []
        for path in sorted(self.log_dir.rglob("*.calls")):
            for frame in open_raw_segment(path.read_bytes()).frames:
                found += read_records(frame)
        return found


class RestUpstream:
    """An HTTP server that keeps what it got, and answers as `answer` says."""

    def __init__(self, port: int = 0) -> None:
        """Starts it."""
        self.requests: list[tuple[str, str, dict, bytes]] = []
        self.answer = lambda request: (200, {"content-type": "application/json"}, b'{"p": 1}')
        self._open: list[socket.socket] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = b""
                if "chunked" in self.headers.get("transfer-encoding", ""):
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    while (line := self.rfile.readline()).strip():
                        self.headers.add_header(*line.decode().strip().split(": ", 1))
                else:
                    body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = (self.command, self.path, headers, body)
                outer.requests.append(request)
                status, answer_headers, content = outer.answer(request)
                self.send_response(status)
                for name, value in answer_headers.items():
                    self.send_header(name, value)
                if isinstance(content, bytes):
                    self.send_header("content-length", str(len(content)))
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(content)
                    return
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for piece in content:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")

            do_GET = do_HEAD = do_PUT = do_POST  # noqa: N815

            def log_message(self, *_):
                """Says nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def process_request(self, request, client_address):
                outer._open.append(request)
                super().process_request(request, client_address)

            def handle_error(self, *_):
                """Says nothing of clients that left."""

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        """Ends it, and the connections that are open, as a kill would."""
        self._server.shutdown()
        self._server.server_close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._thread.join()


class GrpcUpstream:
    """A gRPC server that answers every method with its own message, by grpcio."""

    def __init__(self, port: int = 0) -> None:
        """Starts it."""
        import grpc

        self.calls: list[tuple[str, dict, bytes]] = []
        self.answer = lambda method, message, context: message
        outer = self

        class Handler(grpc.GenericRpcHandler):
            def service(self, details):
                def unary(message, context):
                    sent = {item.key: item.value for item in context.invocation_metadata()}
                    outer.calls.append((details.method, sent, message))
                    return outer.answer(details.method, message, context)

                def stream(messages, context):
                    context.set_trailing_metadata((("x-kept", "yes"),))
                    yield from messages

                if details.method.endswith("Stream"):
                    return grpc.stream_stream_rpc_method_handler(stream)
                return grpc.unary_unary_rpc_method_handler(unary)

        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._server = grpc.server(futures.ThreadPoolExecutor(16), [Handler()], options=options)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    def stop(self) -> None:
        """Ends it at once."""
        self._server.stop(0).wait()
