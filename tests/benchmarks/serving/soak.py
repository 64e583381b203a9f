"""Load at half of what the model server can, for an hour: memory and latency stay flat.

    PYTHONPATH=tests/helpers .venv/bin/python -m tests.benchmarks.serving.soak [--seconds 3600]

First the rate at eight connections is measured for five seconds; then half of it is asked, REST
with the log on, and each minute prints a row. All on loopback. Ends with 1 where an answer failed,
or the last third took twice the p99 or 20 % more memory than the second.
"""

import argparse
import http.client
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import psutil

from tests.benchmarks.serving.bench_server import PREDICT, columns_of
from tests.helpers.server_process import ServerProcess
from tests.helpers.tiny_serving_model import save_tiny_model

CLIENTS = 8
_MEASURED_SECONDS = 5.0


class Load:
    """Clients that ask at a rate, and what they saw."""

    def __init__(self, port: int, rate: float) -> None:
        """Asks nothing yet; a rate of 0 is as fast as it goes."""
        self._port, self._pause = port, CLIENTS / rate if rate else 0.0
        self.took: list[float] = []
        self.failed = 0

    def run(self, seconds: float) -> None:
        """Asks for so long."""
        until = time.perf_counter() + seconds
        clients = [threading.Thread(target=self._ask, args=(until,)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()

    def _ask(self, until: float) -> None:
        import json

        document = {"signature_name": "serving_columns", "inputs": columns_of(1)}
        body = json.dumps(document).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        due = time.perf_counter()
        while (now := time.perf_counter()) < until:
            if now < due:
                time.sleep(due - now)
            started = time.perf_counter()
            # Not as often as was missed: the next one is due a pause after this one.
            due = max(due + self._pause, started)
            connection.request("POST", PREDICT, body)
            response = connection.getresponse()
            response.read()
            self.failed += response.status != 200
            self.took.append(time.perf_counter() - started)


def main() -> None:
    """Prints a row a minute."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3600.0)
    seconds = parser.parse_args().seconds
    step = min(60.0, seconds / 6)
    rows: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        save_tiny_model(scratch / "base/1")
        server = ServerProcess(scratch / "base", scratch, scratch / "log").start()
        assert server.process is not None
        process = psutil.Process(server.process.pid)
        full = Load(server.rest_port, 0.0)
        full.run(_MEASURED_SECONDS)
        rate = len(full.took) / _MEASURED_SECONDS / 2
        print(f"{rate:,.0f} requests a second, half of the most")
        print("| second | answers | failed | p50 ms | p99 ms | memory MiB |")
        print("|---|---|---|---|---|---|", flush=True)
        failed = 0
        for number in range(round(seconds / step)):
            load = Load(server.rest_port, rate)
            load.run(step)
            took = sorted(load.took)
            p99 = took[int(len(took) * 0.99)] * 1000
            memory = process.memory_info().rss / 2**20
            rows.append((p99, memory))
            failed += load.failed
            print(
                f"| {(number + 1) * step:.0f} | {len(took):,} | {load.failed} | "
                f"{took[len(took) // 2] * 1000:.1f} | {p99:.1f} | {memory:.0f} |",
                flush=True,
            )
        server.stop()
    third = len(rows) // 3
    early, late = rows[third : 2 * third], rows[2 * third :]
    slower = statistics.median(r[0] for r in late) / statistics.median(r[0] for r in early)
    larger = statistics.median(r[1] for r in late) / statistics.median(r[1] for r in early)
    print(f"last third beside the second: p99 x {slower:.2f}, memory x {larger:.2f}")
    sys.exit(1 if failed or slower > 2 or larger > 1.2 else 0)


if __name__ == "__main__":
    main()
