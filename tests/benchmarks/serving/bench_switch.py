"""What clients feel of a new version: latencies beside a load, with and without `--load_in_child`.

    PYTHONPATH=tests/helpers .venv/bin/python -m tests.benchmarks.serving.bench_switch

Requests come at a fixed rate, whether the ones before are answered or not, so that a pause shows in
all that it holds up. Each server is asked for some seconds, then versions are put into place while
it is asked on; a switch lasts from there until the new version answers. The log is on.
"""

import argparse
import http.client
import itertools
import json
import os
import queue
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

from tests.helpers.server_process import ServerProcess

PATH = "/v1/models/flights:predict"
CONNECTIONS = 16
# Features of a row, and widths of the layers of small and large networks.
WIDTH, LAYERS = 10, {"small": (64, 32), "large": (1024,) * 12}


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        due: When it was to be asked, in seconds of `time.perf_counter`.
        took: From then until its answer, in seconds.
        version: Which version answered; 0 where none did.
    """

    due: float
    took: float
    version: int


def save_network(folder: Path, widths: tuple[int, ...]) -> None:
    """Saves a network of dense layers with one output."""
    import tensorflow as tf

    class Network(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            sizes = [WIDTH, *widths, 1]
            self.weights = [
                tf.Variable(tf.random.normal(size) / size[0] ** 0.5)
                for size in itertools.pairwise(sizes)
            ]

        @tf.function(input_signature=[tf.TensorSpec([None, WIDTH], tf.float32, name="x")])
        def serve(self, x):
            for weight in self.weights[:-1]:
                x = tf.nn.relu(x @ weight)
            return {"p": tf.sigmoid(x @ self.weights[-1])}

    network = Network()
    tf.saved_model.save(network, str(folder), signatures={"serving_default": network.serve})


class SteadyLoad:
    """Requests at a fixed rate, by as many connections as are needed."""

    def __init__(self, port: int, rate: float) -> None:
        """Asks nothing before `start`."""
        self._port, self._rate = port, rate
        self._due: queue.SimpleQueue[float | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self.answers: list[Answer] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(CONNECTIONS)]
        self._threads.append(threading.Thread(target=self._pace))

    def start(self) -> None:
        """Begins to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends when all is answered."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _pace(self) -> None:
        due = time.perf_counter()
        while not self._stop.is_set():
            self._due.put(due)
            due += 1 / self._rate
            time.sleep(max(due - time.perf_counter(), 0))
        for _ in range(CONNECTIONS):
            self._due.put(None)

    def _ask(self) -> None:
        body = json.dumps({"instances": [[0.1] * WIDTH]})
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while (due := self._due.get()) is not None:
            connection.request("POST", PATH, body)
            response = connection.getresponse()
            response.read()
            version = int(response.headers["x-model-version"]) if response.status == 200 else 0
            self.answers.append(Answer(due, time.perf_counter() - due, version))


def wait_for(load: SteadyLoad, version: int, seconds: float) -> float:
    """Returns when a version answered first."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        for answer in reversed(load.answers[-CONNECTIONS:]):
            if answer.version == version:
                return time.perf_counter()
        time.sleep(0.01)
    raise RuntimeError(f"version {version} did not answer within {seconds:g} s")


def percentile(answers: list[Answer], share: float) -> float:
    """Returns a percentile of latencies, in milliseconds."""
    took = sorted(answer.took for answer in answers)
    return took[min(int(len(took) * share), len(took) - 1)] * 1000


def measure(size: str, rate: float, seconds: float, switches: int, **flags: object) -> list[str]:
    """Returns a row of the table: of a server whose model is replaced some times."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        save_network(scratch / "base/1", LAYERS[size])
        server = ServerProcess(scratch / "base", scratch, scratch / "log", **flags).start()
        load = SteadyLoad(server.rest_port, rate)
        load.start()
        time.sleep(seconds)
        begun, lasted = time.perf_counter(), []
        spans = []
        for version in range(2, switches + 2):
            shutil.copytree(scratch / "base/1", scratch / "coming")
            start = time.perf_counter()
            (scratch / "coming").rename(scratch / f"base/{version}")
            end = wait_for(load, version, 120)
            spans.append((start, end))
            lasted.append(end - start)
            time.sleep(1.0)
        load.stop()
        server.stop()
    usual = [answer for answer in load.answers if begun - seconds / 2 < answer.due < begun]
    beside = [a for a in load.answers if any(start < a.due < end for start, end in spans)]
    failed = sum(answer.version == 0 for answer in load.answers)
    p99 = percentile(usual, 0.99), percentile(beside, 0.99)
    return [
        size,
        "yes" if "load_in_child" in flags else "no",
        f"{percentile(usual, 0.5):.1f}",
        f"{p99[0]:.1f}",
        f"{percentile(beside, 0.5):.1f}",
        f"{p99[1]:.1f}",
        f"{max(a.took for a in beside) * 1000:.0f}",
        f"{p99[1] / p99[0]:.1f}",
        f"{sum(lasted) / len(lasted):.1f}",
        str(failed),
    ]


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="of load before the first switch"
    )
    parser.add_argument("--switches", type=int, default=3)
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    args = parser.parse_args()
    print(f"Load of the machine before: {os.getloadavg()[0]:.1f}; {args.rate:g} requests/s\n")
    print(
        "| network | in a child first | p50 ms | p99 ms | p50 ms switching | p99 ms switching | "
        "longest ms | p99 times | seconds a switch | failed |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for size in LAYERS:
        for flags in ({}, {"load_in_child": None}):
            row = measure(size, args.rate, args.seconds, args.switches, **flags)
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
