"""Time of one call of a model on this machine, beside that of another.

Calls of the models alternate in short rounds, so that whatever else the machine does hits them
alike. The ratio of two models of one measurement says more than the milliseconds of either.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.contracts.optimization_report import Latency
from tfx_loop.core.errors import DataError
from tfx_loop.models.predictor import Predictor

Array = npt.NDArray[Any]

# One row, as a server or a device asks, and a batch, as a job does.
BATCH_SIZES = (1, 32)
# Rows to time with, cycled through: two batches of 32.
TIMED_ROWS = 64
# The first calls allocate memory and choose kernels.
_WARM_UP_CALLS = 10
# Rounds are short against whatever else the machine does, and long against the switch of models.
_CALLS_A_ROUND = 5
# A median of 30 calls is steady; beyond 1,000 a p99 gains little.
_MIN_CALLS, _MAX_CALLS = 30, 1_000


def measure(
    models: Mapping[str, Predictor],
    inputs: Mapping[str, Array],
    *,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    seconds: float = 1.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, tuple[Latency, ...]]:
    """Returns the quantiles of the time of a call, in milliseconds, by model and batch size.

    Args:
        models: Opened models, all of which take `inputs`.
        inputs: Real rows by input name; they are cycled through when there are fewer than a batch.
        batch_sizes: Rows in a call.
        seconds: Time for each model and batch size, about; at least 30 calls are made however long
            they take, and at most 1,000.
        clock: Monotonic seconds.

    Raises:
        DataError: There are no rows.
    """
    rows = len(next(iter(inputs.values()), ()))
    if rows == 0:
        raise DataError("Expected rows to measure latency with, received none.")
    found: dict[str, list[Latency]] = {name: [] for name in models}
    for size in batch_sizes:
        positions = np.fromiter(islice(cycle(range(rows)), size), dtype=np.int64)
        # Contiguous, as a server's arrays are: LiteRT would copy a view within the call that is
        # timed.
        batch = {name: np.ascontiguousarray(values[positions]) for name, values in inputs.items()}
        for name, taken in _timed(models, batch, size, seconds, clock).items():
            found[name].append(_latency(models[name].runtime, size, taken))
    return {name: tuple(latencies) for name, latencies in found.items()}


def _timed(
    models: Mapping[str, Predictor],
    batch: Mapping[str, Array],
    size: int,
    seconds: float,
    clock: Callable[[], float],
) -> dict[str, list[float]]:
    """Returns seconds of each call, by model; the models take turns."""
    taken: dict[str, list[float]] = {name: [] for name in models}
    for model in models.values():
        for _ in range(_WARM_UP_CALLS):
            model.predict(batch, batch_size=size)
    end, order = clock() + seconds * len(models), list(models)
    # By the last of the round, so that all models have the same number of calls.
    while len(taken[order[-1]]) < _MAX_CALLS:
        enough = len(taken[order[-1]]) >= _MIN_CALLS
        if enough and clock() >= end:
            break
        for name in order:
            # In turns: whatever else the machine does meanwhile slows all models alike.
            for _ in range(_CALLS_A_ROUND):
                start = clock()
                models[name].predict(batch, batch_size=size)
                taken[name].append(clock() - start)
    return taken


def _latency(runtime: str, size: int, taken: Sequence[float]) -> Latency:
    p50, p95, p99 = np.quantile(taken, [0.5, 0.95, 0.99]) * 1000
    return Latency(
        runtime=runtime,
        batch_size=size,
        p50_ms=round(float(p50), 4),
        p95_ms=round(float(p95), 4),
        p99_ms=round(float(p99), 4),
        calls=len(taken),
    )
