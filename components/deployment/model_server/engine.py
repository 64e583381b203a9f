"""The engine: predictions that wait are run together, by the one thread that owns models and log.

No prediction is held back to fill a batch: while one batch runs, the next one gathers. Handlers of
requests are coroutines that await a `PredictionJob`. What drives them hands the job to the engine,
so that an event loop answers thousands of connections and a thread may simply wait.
"""

import logging
import queue
import threading
import time
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

ResultT = TypeVar("ResultT")
Steps: TypeAlias = Coroutine["PredictionJob", Any, ResultT]


class Overloaded(ServerUnavailable):
    """So many predictions wait that another one would only wait too long."""


class DeadlinePassed(LoopError):
    """The client no longer waits for the answer."""


class PredictionJob:
    """A prediction on its way through the engine; awaiting it gives the outputs by name."""

    __slots__ = (
        "call", "cancelled", "engine", "error", "inputs", "notify", "outputs", "resume", "rows",
        "runner", "servable", "signature", "waiting_since",
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
        self.waiting_since = 0.0
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
    """Runs jobs in a thread of its own, in the order in which they came."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        """Starts no thread before the first job.

        Args:
            max_waiting: Jobs that may wait; one more is refused at once.
        """
        self._max_waiting = max_waiting
        self._queue: queue.SimpleQueue[PredictionJob | None] = queue.SimpleQueue()
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """How many jobs wait now."""
        return self._queue.qsize()

    def start(self, job: PredictionJob) -> None:
        """Takes a job in; its `notify` is called, with others of its batch, when it is finished.

        Raises:
            Overloaded: Too many wait.
        """
        if self._queue.qsize() >= self._max_waiting:
            raise Overloaded(
                f"{self._max_waiting} predictions wait already, so this one is refused. "
                "Ask again later, or ask less often."
            )
        if self._thread is None:
            self._start_thread()
        job.waiting_since = time.perf_counter()
        self._queue.put(job)

    def stop(self, seconds: float) -> None:
        """Finishes what waits, for as long as that, and ends the thread."""
        thread = self._thread
        if thread is not None:
            self._queue.put(None)
            thread.join(seconds)

    def _start_thread(self) -> None:
        with self._start_lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="engine")
                self._thread.start()

    def _run(self) -> None:
        while (jobs := self._gathered()) is not None:
            for members in _grouped(jobs):
                _run_group(members)

    def _gathered(self) -> list[PredictionJob] | None:
        """Waits for a job, and returns it with those that wait behind it; None at the end."""
        jobs: list[PredictionJob] = []
        job = self._queue.get()
        try:
            while job is not None:
                jobs.append(job)
                if len(jobs) == MAX_BATCH_REQUESTS:
                    return jobs
                job = self._queue.get_nowait()
        except queue.Empty:
            return jobs
        if jobs:
            # The end comes again, when what came before it is done.
            self._queue.put(None)
        return jobs or None


def run_blocking(steps: "Steps[ResultT]") -> ResultT:
    """Returns what a handler returns, and waits where it does; for threads without a loop."""
    finished = threading.Event()
    try:
        job = steps.send(None)
        while True:
            job.notify = lambda _: finished.set()
            try:
                job.engine.start(job)
            except LoopError as error:
                job = steps.throw(error)
                continue
            finished.wait()
            finished.clear()
            job = steps.send(None)
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
    asked = []
    for job in members:
        if job.cancelled:
            job.error = DeadlinePassed("The client left before the prediction began.")
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


def _nobody(_: Sequence[PredictionJob]) -> None:
    """Tells nobody."""
