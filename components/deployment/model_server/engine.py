"""The engine: predictions that wait are run together, by the one thread that owns models and log.

No prediction is held back to fill a batch: while one batch runs, the next one gathers. Handlers of
requests are coroutines that await a `PredictionJob`. What drives them hands the job to the engine,
so that an event loop answers thousands of connections and a thread may simply wait.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from tfx_loop.core.errors import LoopError, ServerUnavailable
from tfx_loop.models.tensors import Array

if TYPE_CHECKING:
    from tfx_loop.deployment.model_server.logging_gateway import PredictCall, Servable
    from tfx_loop.deployment.model_server.signature import Signature

_LOG = logging.getLogger(__name__)
# A batch answers all of its requests at once: more rows would have the first wait for the last.
MAX_BATCH_REQUESTS = 64
MAX_BATCH_ROWS = 2048
# Each holds a request in memory; at 1,000 predictions a second the last of them waits a second.
MAX_WAITING = 1024
# Batches below this run on the event loop, where status waits that long at most.
_SLOW_SECONDS = 0.004
# What a model takes may lie in a request's values (a text, a number of steps): one that kept the
# event loop for so long is run by the engine's thread for a minute.
_BLOCKING_SECONDS, _BARRED_SECONDS = 0.05, 60.0
# Signatures whose time is remembered.
_REMEMBERED = 1000

TOOK_TOO_LONG = (
    "The deadline passed before the prediction was made. Send fewer rows at a time, or allow it "
    "more time: over REST the server's --rest_api_timeout_in_ms, over gRPC the client's deadline."
)
ResultT = TypeVar("ResultT")
Steps: TypeAlias = Coroutine["PredictionJob", Any, ResultT]


class Overloaded(ServerUnavailable):
    """So many predictions wait that another one would only wait too long."""


class DeadlinePassed(LoopError):
    """The client no longer waits for the answer."""


class PredictionJob:
    """A prediction on its way through the engine; awaiting it gives the outputs by name."""

    __slots__ = (
        "call", "cancelled", "deadline", "engine", "error", "inputs", "notify", "on_loop",
        "outputs", "resume", "rows", "runner", "servable", "signature",
    )  # fmt: skip

    def __init__(
        self,
        engine: "PredictionEngine",
        runner: Callable[[Sequence["PredictionJob"]], None],
        servable: "Servable",
        signature: "Signature",
        call: "PredictCall",
        inputs: Mapping[str, Array],
        rows: int,
    ) -> None:
        """Keeps what is asked.

        Args:
            engine: What it waits in.
            runner: Runs jobs of one model, signature and shape; sets `outputs` or `error` of each.
            servable: The model.
            signature: Which signature of it.
            call: The request.
            inputs: Its tensors in the shapes of the model.
            rows: How many rows they have.
        """
        self.engine, self.runner = engine, runner
        self.servable, self.signature, self.call = servable, signature, call
        self.inputs, self.rows = inputs, rows
        self.outputs: dict[str, Array] | None = None
        self.error: Exception | None = None
        self.cancelled = False
        # On the clock of `time.perf_counter`.
        self.deadline = math.inf
        # Whether an event loop waits for it.
        self.on_loop = False
        self.notify: Callable[[Sequence[PredictionJob]], None] = _nobody
        self.resume: Callable[[PredictionJob], None] | None = None

    def __await__(self) -> Generator["PredictionJob", None, dict[str, Array]]:
        """Yields itself to the driver, which starts it and goes on when it is finished."""
        yield self
        if self.error is not None:
            raise self.error
        assert self.outputs is not None
        return self.outputs

    @property
    def key(self) -> tuple[object, ...]:
        """What jobs that may run as one batch have in common."""
        values = self.inputs.values()
        shapes = tuple([value.shape[1:] for value in values])
        # Scalars, or inputs of unlike lengths, are no rows that others could stand beside.
        alone = None if all(v.ndim and len(v) == self.rows for v in values) else id(self)
        return id(self.runner.__self__), id(self.servable), self.signature.name, shapes, alone  # type: ignore[attr-defined]


class PredictionEngine:
    """Runs jobs, one batch at a time, in the order in which they came.

    Whoever runs a batch owns models and log for that time. As a rule that is the engine's thread.
    Where a model is known to take next to no time, it is the event loop itself, after it has read
    what all connections sent: handing over to a thread and back would take longer.
    """

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        """Starts no thread before the first job.

        Args:
            max_waiting: Jobs that may wait; one more is refused at once.
        """
        self._max_waiting = max_waiting
        self._quick: deque[PredictionJob] = deque()
        self._slow: deque[PredictionJob] = deque()
        self._owner = threading.Lock()
        self._wake = threading.Semaphore(0)
        self._stopped = False
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        # What a batch of a signature took lately, in seconds; written by the owner alone.
        self._took: dict[tuple[int, str], float] = {}
        # Until when a signature is kept from the event loop.
        self._barred: dict[tuple[int, str], float] = {}

    @property
    def waiting(self) -> int:
        """How many jobs wait now."""
        return len(self._quick) + len(self._slow)

    def start(self, job: PredictionJob) -> bool:
        """Takes a job in; its `notify` is called, with others of its batch, when it is finished.

        Returns:
            Whether the caller, an event loop, should call `run_quick` soon; else the engine's
            thread sees to it.

        Raises:
            Overloaded: Too many wait.
        """
        if self.waiting >= self._max_waiting:
            raise Overloaded(
                f"{self._max_waiting} predictions wait already, so this one is refused. "
                "Ask again later, or ask less often."
            )
        if job.on_loop and job.rows <= MAX_BATCH_REQUESTS and self._is_quick(job):
            self._quick.append(job)
            return True
        self._slow.append(job)
        self._have_thread_run()
        return False

    def run_quick(self) -> bool:
        """Runs what waits and takes next to no time; returns whether to call it again soon."""
        if not self._owner.acquire(blocking=False):
            # Another thread runs a batch: the engine's own goes on when that is finished.
            self._have_thread_run()
            return False
        try:
            self._run_batch(self._quick)
        finally:
            self._owner.release()
        return bool(self._quick)

    def stop(self, seconds: float) -> None:
        """Finishes what waits, for as long as that, and ends the thread."""
        self._stopped = True
        if self._thread is not None:
            self._wake.release()
            self._thread.join(seconds)

    def _have_thread_run(self) -> None:
        if self._thread is None:
            with self._start_lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, daemon=True, name="engine")
                    self._thread.start()
        self._wake.release()

    def _is_quick(self, job: PredictionJob) -> bool:
        key = id(job.servable), job.signature.name
        if self._took.get(key, _SLOW_SECONDS) >= _SLOW_SECONDS:
            return False
        return not self._barred or self._barred.get(key, 0.0) < time.perf_counter()

    def _run(self) -> None:
        while True:
            self._wake.acquire()
            while self._quick or self._slow:
                with self._owner:
                    self._run_batch(self._slow if self._slow else self._quick)
            if self._stopped:
                return

    def _run_batch(self, waiting: "deque[PredictionJob]") -> None:
        jobs: list[PredictionJob] = []
        while waiting and len(jobs) < MAX_BATCH_REQUESTS:
            jobs.append(waiting.popleft())
        for members in _grouped(jobs):
            started, spent = time.perf_counter(), time.process_time()
            _run_group(members)
            key = id(members[0].servable), members[0].signature.name
            now = time.perf_counter() - started
            if len(self._took) > _REMEMBERED:
                self._took.clear()
                self._barred.clear()
            # Not where other processes had the cores meanwhile.
            if now > _BLOCKING_SECONDS and time.process_time() - spent > _BLOCKING_SECONDS / 2:
                self._barred[key] = time.perf_counter() + _BARRED_SECONDS
            # The least of late: what else the machine does is no matter of the model.
            self._took[key] = min(now, 1.2 * self._took.get(key, now))


def run_blocking(steps: "Steps[ResultT]", deadline: float = math.inf) -> ResultT:
    """Returns what a handler returns, and waits where it does; for threads without a loop.

    Args:
        steps: The handler.
        deadline: When its predictions are given up, on the clock of `time.perf_counter`.
    """
    try:
        job = steps.send(None)
        while True:
            # One for each job: what was given up may be told of later.
            finished = threading.Event()
            job.deadline = deadline
            job.notify = _sets(finished)
            try:
                job.engine.start(job)
            except LoopError as error:
                job = steps.throw(error)
                continue
            left = None if deadline == math.inf else max(deadline - time.perf_counter(), 0.0)
            if finished.wait(left):
                job = steps.send(None)
            else:
                job.cancelled = True
                job = steps.throw(DeadlinePassed(TOOK_TOO_LONG))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def _grouped(jobs: Sequence[PredictionJob]) -> list[list[PredictionJob]]:
    """Returns jobs by what may run as one batch, in the order of their first ones."""
    if len(jobs) == 1:
        return [[jobs[0]]]
    open_groups: dict[tuple[object, ...], list[PredictionJob]] = {}
    groups: list[list[PredictionJob]] = []
    rows: dict[int, int] = {}
    for job in jobs:
        key = job.key
        group = open_groups.get(key)
        if group is None or rows[id(group)] + job.rows > MAX_BATCH_ROWS:
            group = open_groups[key] = []
            groups.append(group)
            rows[id(group)] = 0
        group.append(job)
        rows[id(group)] += job.rows
    return groups


def _run_group(members: Sequence[PredictionJob]) -> None:
    asked, now = [], time.perf_counter()
    for job in members:
        if job.cancelled or job.deadline < now:
            job.error = DeadlinePassed(TOOK_TOO_LONG)
        else:
            asked.append(job)
    try:
        if asked:
            asked[0].runner(asked)
    except Exception as error:
        # A fault of ours: the thread must go on, and each client get an answer.
        _LOG.exception("predictions failed")
        for job in asked:
            job.outputs, job.error = None, error
    by_notifier: dict[Callable[..., None], list[PredictionJob]] = {}
    for job in members:
        by_notifier.setdefault(job.notify, []).append(job)
    for notify, finished in by_notifier.items():
        notify(finished)


def _sets(event: threading.Event) -> "Callable[[Sequence[PredictionJob]], None]":
    return lambda _: event.set()


def _nobody(_: Sequence[PredictionJob]) -> None:
    """Tells nobody."""
