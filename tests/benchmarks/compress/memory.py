"""Memory over 50 conversions in one process of ours.

    .venv/bin/python -m tests.benchmarks.compress.memory [--conversions 50] [--restart_mb 4096]

Converts one small model to int8, with calibration, again and again through one Worker, and prints
what the parent and the child take. TensorFlow lives in the child alone. What a conversion leaks
there ends when the child is replaced: before it takes more than `restart_mb`.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from tfx_loop.core.child_process.worker import Worker

CONVERT = "tfx_loop.optimization.quantizer.convert:convert"
_SETTLED_AFTER = 10


@dataclass(frozen=True)
class Sample:
    """Memory after a number of conversions.

    Attributes:
        conversions: How many were done.
        parent_mb: Resident memory of our process, in MiB.
        child_mb: Of the child and its children; 0 when it was just ended to be replaced.
        children: How many children were started so far.
    """

    conversions: int
    parent_mb: float
    child_mb: float
    children: int


def make_model(payload: Mapping[str, Any]) -> None:
    """Writes an untrained network for 8 by 8 images as a SavedModel; runs in the child."""
    import tf_keras as keras

    from tfx_loop.models.write import save_saved_model

    image = keras.Input((8, 8, 1), name="image")
    hidden = keras.layers.Conv2D(32, 3, activation="relu")(image)
    hidden = keras.layers.Conv2D(32, 3, activation="relu")(hidden)
    hidden = keras.layers.Flatten()(hidden)
    hidden = keras.layers.Dense(10, activation="softmax")(hidden)
    save_saved_model(keras.Model(image, hidden), payload["folder"])


def measure(
    conversions: int,
    scratch: Path,
    restart_mb: float,
    each: int,
    tell: Callable[[Sample], None] = lambda sample: None,
) -> list[Sample]:
    """Returns the memory after the first conversion and after every `each`.

    Args:
        conversions: How many.
        scratch: Folder for the model and its variants.
        restart_mb: When the child is replaced.
        each: Conversions between two samples.
        tell: Gets each sample at once.
    """
    rows = np.random.default_rng(0).random((64, 8, 8, 1), np.float32)
    np.savez(scratch / "calibration.npz", image=rows)
    order = {
        "saved_model": str(scratch / "model"),
        "signature": "serving_default",
        "mode": "int8",
        "io_type": "int8",
        "calibration": str(scratch / "calibration.npz"),
        "out": str(scratch / "model.tflite"),
    }
    samples = []
    with Worker(restart_mb=restart_mb) as worker:
        worker.may_write(scratch)
        make = f"{__name__ if __name__ != '__main__' else __spec__.name}:make_model"
        worker.call(make, {"folder": order["saved_model"]}, doing="saving the model")
        for done in range(1, conversions + 1):
            worker.call(CONVERT, order, doing=f"int8 conversion {done}")
            if done == 1 or done % each == 0:
                parent_mb = psutil.Process().memory_info().rss / 2**20
                samples.append(Sample(done, parent_mb, worker.rss_mb, worker.starts))
                tell(samples[-1])
    return samples


def growth_mb(samples: list[Sample], of: str) -> float:
    """Returns MiB a conversion, from the tenth on: by then all has been loaded that will be."""
    settled = [s for s in samples if s.conversions >= _SETTLED_AFTER] or samples
    first, last = settled[0], settled[-1]
    span = max(last.conversions - first.conversions, 1)
    return float((getattr(last, of) - getattr(first, of)) / span)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--conversions", type=int, default=50)
    parser.add_argument("--restart_mb", type=float, default=4096.0)
    given = parser.parse_args()
    print("conversions  parent MiB  child MiB  children started")
    with tempfile.TemporaryDirectory() as scratch:
        samples = measure(
            given.conversions,
            Path(scratch),
            given.restart_mb,
            max(given.conversions // 10, 1),
            lambda s: print(
                f"{s.conversions:>11}  {s.parent_mb:>10.1f}  {s.child_mb:>9.1f}  {s.children:>16}",
                flush=True,
            ),
        )
    print(f"parent: {growth_mb(samples, 'parent_mb'):+.3f} MiB a conversion from the tenth on")
    if samples[-1].children == 1:
        print(f"child:  {growth_mb(samples, 'child_mb'):+.3f} MiB a conversion, never replaced")
    else:
        print(f"child:  replaced {samples[-1].children - 1} times, above {given.restart_mb:g} MiB")


if __name__ == "__main__":
    main()
