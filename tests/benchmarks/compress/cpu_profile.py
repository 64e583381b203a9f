"""CPU seconds of one `loop compress`, step by step.

    .venv/bin/python -m tests.benchmarks.compress.cpu_profile [--network small|mobilenet]

Counts user and system time of the parent process and of the child that converts, for each call of
the child. What is printed is of one run on this machine: compare two of the same machine alone.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import psutil

from tfx_loop.core.child_process import worker as worker_module
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.optimization.file_compression.request import CompressionRequest
from tfx_loop.optimization.file_compression.run import compress
from tfx_loop.presentation.terminal import TextTable

MAKE = f"{__name__ if __name__ != '__main__' else __spec__.name}:make_network"
_CLASSES = 10


@dataclass(frozen=True)
class Step:
    """One call of the child.

    Attributes:
        name: The function, with the mode of a conversion.
        cpu_seconds: User and system time of the child; of a new child with its imports.
        wall_seconds: What the parent waited.
    """

    name: str
    cpu_seconds: float
    wall_seconds: float


def make_network(payload: Mapping[str, Any]) -> None:
    """Writes an untrained network and rows with labels drawn by lot; runs in a child."""
    import tf_keras as keras

    size, layers = payload["size"], keras.layers
    keras.utils.set_random_seed(0)
    image = keras.Input((size, size, 3), name="image")
    if payload["network"] == "mobilenet":
        base = keras.applications.MobileNetV2(
            input_tensor=image, include_top=False, weights=None, pooling="avg", alpha=1.0
        )
        hidden = base.output
    else:
        hidden = layers.Flatten()(layers.Conv2D(16, 3, strides=2, activation="relu")(image))
    model = keras.Model(image, layers.Dense(_CLASSES, activation="softmax")(hidden))
    random = np.random.default_rng(0)
    rows = random.random((payload["rows"], size, size, 3), np.float32)
    # Untrained it gives all rows one class, to the last bit on some processors. What is measured is
    # the work, which is the same for labels that nobody could tell.
    labels = random.integers(_CLASSES, size=len(rows))
    model.save(payload["model"])
    np.savez(payload["data"], x=rows, y=labels)


def profile(model: Path, data: Path, out: Path) -> tuple[list[Step], float]:
    """Returns the steps of a compression, and the CPU seconds of the parent process."""
    steps: list[Step] = []
    call: Callable[..., Any] = Worker.call

    def timed(self: Worker, function: str, payload: Any, **more: Any) -> Any:
        pid, before, begin = self.pid, _cpu_seconds(self.pid), time.monotonic()
        result = call(self, function, payload, **more)
        used = _cpu_seconds(self.pid) - (before if self.pid == pid else 0.0)
        name = " ".join(filter(None, (function.rpartition(":")[2], payload.get("mode"))))
        steps.append(Step(name, used, time.monotonic() - begin))
        return result

    begin = sum(os.times()[:2])
    with mock.patch.object(worker_module.Worker, "call", timed):
        request = CompressionRequest(model=model, data=data, out=out, budget=0.05)
        compress(request, lambda _: None)
    return steps, sum(os.times()[:2]) - begin


def _cpu_seconds(pid: int | None) -> float:
    if pid is None:
        return 0.0
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=("small", "mobilenet"), default="small")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        payload = {
            "network": given.network,
            "size": 96 if given.network == "mobilenet" else 16,
            "rows": 600,
            "model": str(folder / "model.keras"),
            "data": str(folder / "rows.npz"),
        }
        with Worker() as child:
            child.may_write(folder)
            child.call(MAKE, payload, doing="making the network")
        steps, own = profile(folder / "model.keras", folder / "rows.npz", folder / "out")
    rows = [(s.name, f"{s.cpu_seconds:.2f}", f"{s.wall_seconds:.1f}") for s in steps]
    rows.append(("parent process", f"{own:.2f}", ""))
    rows.append(("all", f"{own + sum(s.cpu_seconds for s in steps):.2f}", ""))
    print(TextTable(rows=rows, headings=("step", "CPU s", "wall s"), numbers=("CPU s", "wall s")))


if __name__ == "__main__":
    main()
