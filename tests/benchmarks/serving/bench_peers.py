"""Requests a second and latency of the model server beside others, and of the model alone.

    .venv/bin/python -m tests.benchmarks.serving.bench_peers [--seconds 2] [--only ours,fastapi]

One small network, one row a request, all servers one process on this machine, each alone at its
time, asked by h2load (Debian: nghttp2-client) over HTTP/1.1 and HTTP/2. FastAPI and LitServe are
installed into ~/.cache/tfx-loop/serving-peers, beside what is locked here. MLServer 1.7 needs
protobuf 5 and later, and TensorFlow 2.16 an older one.
"""

import argparse
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

from tests.helpers.server_process import ServerProcess

HERE = Path(__file__).resolve().parent
CACHE = Path.home() / ".cache/tfx-loop/serving-peers"
CONNECTIONS = (1, 8, 32, 128)
ROW = [0.1, 0.25, 0.5, 0.75, 1.0, -0.3, 0.8, 0.12, 0.99, 0.42]
PREDICT = "/tensorflow.serving.PredictionService/Predict"
# What TensorFlow of this environment needs of those that come with the peers.
PINNED = ("protobuf", "numpy", "grpcio", "typing-extensions")


@dataclass(frozen=True)
class Target:
    """A server that runs.

    Attributes:
        name: In the table.
        pid: Its process; children count with it.
        url: What is asked.
        body: A file with the request.
        grpc: Whether it is asked over gRPC.
    """

    name: str
    pid: int
    url: str
    body: Path
    grpc: bool = False


@dataclass(frozen=True)
class Measured:
    """How a server did.

    Attributes:
        rate: Answers a second.
        p50_ms: Median latency, in milliseconds.
        p99_ms: 99th percentile.
        cpu_us: Processor time an answer, in microseconds.
        failed: Answers other than 2xx.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    failed: int


def save_model(folder: Path) -> None:
    """Saves the network that all servers answer with: 10, 64, 32, 1."""
    import tensorflow as tf

    generator = tf.random.Generator.from_seed(1)
    sizes = ((10, 64), (64, 32), (32, 1))

    class Network(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = [tf.Variable(generator.normal(size) * 0.3) for size in sizes]

        @tf.function(input_signature=[tf.TensorSpec([None, 10], tf.float32, name="x")])
        def serve(self, x):
            hidden = tf.nn.relu(x @ self.weights[0])
            hidden = tf.nn.relu(hidden @ self.weights[1])
            return {"p": tf.sigmoid(hidden @ self.weights[2])}

    network = Network()
    signatures = {"serving_default": network.serve}
    tf.saved_model.save(network, str(folder / "saved/1"), signatures=signatures)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved/1"))
    (folder / "lite/1").mkdir(parents=True)
    (folder / "lite/1/model.tflite").write_bytes(converter.convert())


def write_bodies(folder: Path) -> None:
    """Writes the same row as each interface takes it."""
    from tensorflow_serving.apis import predict_pb2

    (folder / "rows.json").write_text(json.dumps({"instances": [ROW]}))
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "bench"
    proto = request.inputs["x"]
    proto.dtype = 1
    proto.tensor_shape.dim.add().size = 1
    proto.tensor_shape.dim.add().size = len(ROW)
    proto.float_val.extend(ROW)
    message = request.SerializeToString()
    (folder / "request.grpc").write_bytes(b"\0" + struct.pack(">I", len(message)) + message)


def installed(peer: str, *packages: str) -> str:
    """Returns where a peer is installed; installs it where it is not."""
    folder = CACHE / peer
    if not (folder / peer).is_dir():
        from importlib import metadata

        folder.mkdir(parents=True, exist_ok=True)
        pins = folder.with_suffix(".pins")
        pins.write_text("".join(f"{name}=={metadata.version(name)}\n" for name in PINNED))
        command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder)]
        subprocess.run([*command, "-c", str(pins), *packages], check=True)
    return str(folder)


@contextlib.contextmanager
def ours(scratch: Path, base: str, *, log: bool) -> Iterator[list[Target]]:
    """Yields the model server, over REST and gRPC."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    flags = {"model_name": "bench"}
    server = ServerProcess(scratch / base, folder, folder / "log" if log else None, **flags).start()
    assert server.process is not None
    name = "ours" + (", TFLite" if base == "lite" else "") + (", log" if log else "")
    rest = f"http://127.0.0.1:{server.rest_port}/v1/models/bench:predict"
    grpc = f"http://127.0.0.1:{server.grpc_port}{PREDICT}"
    try:
        yield [
            Target(f"{name}: REST", server.process.pid, rest, scratch / "rows.json"),
            Target(f"{name}: gRPC", server.process.pid, grpc, scratch / "request.grpc", True),
        ]
    finally:
        server.stop()


@contextlib.contextmanager
def peer(
    scratch: Path, name: str, command: list[str], path: str, body: str, packages: str
) -> Iterator[list[Target]]:
    """Yields another server, when it listens."""
    port = int(command[-1])
    environment = {**os.environ, "PYTHONPATH": packages}
    with (scratch / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=scratch,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}{path}"
    try:
        _wait_for(port, path, scratch / body, process)
        yield [Target(f"{name}: REST", process.pid, url, scratch / body)]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(port: int, path: str, body: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            headers = {"content-type": "application/json"}
            connection.request("POST", path, body.read_bytes(), headers)
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.5)
        finally:
            connection.close()
    raise RuntimeError(f"no answer at {path} of port {port}; see the logs of the benchmark")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fastapi(scratch: Path) -> contextlib.AbstractContextManager[list[Target]]:
    """Returns FastAPI on uvicorn."""
    folder = installed("fastapi", "fastapi", "uvicorn", "uvloop", "httptools")
    app = str(HERE / "peers/fastapi_app.py")
    command = [sys.executable, app, f"{scratch}/saved/1", str(_free_port())]
    return peer(scratch, "FastAPI", command, "/predict", "rows.json", folder)


def litserve(scratch: Path) -> contextlib.AbstractContextManager[list[Target]]:
    """Returns LitServe."""
    folder = installed("litserve", "litserve")
    app = str(HERE / "peers/litserve_app.py")
    command = [sys.executable, app, f"{scratch}/saved/1", str(_free_port())]
    return peer(scratch, "LitServe", command, "/predict", "rows.json", folder)


def measure(target: Target, connections: int, seconds: float) -> Measured:
    """Returns how a server does under so many connections, each with one request at a time."""
    with tempfile.NamedTemporaryFile() as log:
        command = ["h2load", "-t1", "-m1", f"-c{connections}", f"-D{seconds:g}"]
        command += [f"--log-file={log.name}", "-d", str(target.body)]
        kind = "application/grpc" if target.grpc else "application/json"
        command += ["-H", f"content-type: {kind}"]
        command += ["-H", "te: trailers"] if target.grpc else ["--h1"]
        before = _cpu_seconds(target.pid)
        subprocess.run([*command, target.url], check=True, capture_output=True)
        used = _cpu_seconds(target.pid) - before
        lines = [line.split() for line in Path(log.name).read_text().splitlines()]
    took = sorted(int(line[2]) / 1000 for line in lines if line[1].startswith("2"))
    if not took:
        return Measured(0, 0, 0, 0, len(lines))
    return Measured(
        rate=len(took) / seconds,
        p50_ms=took[len(took) // 2],
        p99_ms=took[int(len(took) * 0.99)],
        cpu_us=used / len(took) * 1e6,
        failed=len(lines) - len(took),
    )


def _cpu_seconds(pid: int) -> float:
    import psutil

    process = psutil.Process(pid)
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            total += times.user + times.system
    return total


def bare(scratch: Path, seconds: float) -> str:
    """Returns how often the model alone answers, by its signature and in a session."""
    import numpy as np
    import tensorflow as tf

    from tfx_loop.deployment.model_server.loading import load_version

    loaded = tf.saved_model.load(str(scratch / "saved/1"))
    rows = np.array([ROW], np.float32)
    served = load_version(1, scratch / "saved/1")
    calls: dict[str, Callable[[], object]] = {
        "signature": lambda: loaded.signatures["serving_default"](x=tf.constant(rows)),
        "session": lambda: served.run("serving_default", {"x": rows}),
    }
    told = []
    for name, call in calls.items():
        for _ in range(100):
            call()
        count, until = 0, time.perf_counter() + seconds
        while time.perf_counter() < until:
            call()
            count += 1
        told.append(f"{name} {count / seconds:,.0f}")
    return "Bare calls a second, one row, without HTTP or JSON: " + ", ".join(told)


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="time a measurement takes")
    parser.add_argument("--only", default="", help="of ours, lite, log, fastapi, litserve")
    args = parser.parse_args()
    if shutil.which("h2load") is None:
        sys.exit("Expected h2load, found none. Install it: apt-get install nghttp2-client")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        save_model(scratch)
        write_bodies(scratch)
        servers = {
            "ours": lambda: ours(scratch, "saved", log=False),
            "log": lambda: ours(scratch, "saved", log=True),
            "lite": lambda: ours(scratch, "lite", log=False),
            "fastapi": lambda: fastapi(scratch),
            "litserve": lambda: litserve(scratch),
        }
        print(bare(scratch, args.seconds), flush=True)
        print(f"\nLoad of the machine before: {os.getloadavg()[0]:.1f}\n")
        print("| server | connections | answers/s | p50 ms | p99 ms | CPU µs an answer | failed |")
        print("|---|---|---|---|---|---|---|", flush=True)
        for key, start in servers.items():
            if args.only and key not in args.only.split(","):
                continue
            with start() as targets:
                for target in targets:
                    measure(target, 8, 1.0)
                    for connections in CONNECTIONS:
                        m = measure(target, connections, args.seconds)
                        print(
                            f"| {target.name} | {connections} | {m.rate:,.0f} | {m.p50_ms:.1f} | "
                            f"{m.p99_ms:.1f} | {m.cpu_us:,.0f} | {m.failed} |",
                            flush=True,
                        )


if __name__ == "__main__":
    main()
