"""The engine: what waits runs as one batch, and nobody's request suffers from another's."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from time_limits import seconds

from tfx_loop.core.errors import DataError
from tfx_loop.data.prediction_log.reader import read_window
from tfx_loop.data.prediction_log.writer import PredictionLogWriter
from tfx_loop.deployment.model_server.batching import Batching, batch_rules
from tfx_loop.deployment.model_server.engine import (
    DeadlinePassed,
    Overloaded,
    PredictionEngine,
    run_blocking,
)
from tfx_loop.deployment.model_server.logging_gateway import LoggingGateway, PredictCall
from tfx_loop.deployment.model_server.signature import Signature
from tfx_loop.models.tensors import TensorSpec

COLUMN = TensorSpec(name="x", shape=(None,), dtype="float32")
TIME_MS = 1_362_096_000_000


class Model:
    """A model in NumPy that says what it was asked."""

    version, variant, parsed_features, signature_defs = 3, "float", {}, {}

    def __init__(self, answer, spec=COLUMN):
        self.answer, self.asked = answer, []
        self.hold, self.entered = threading.Event(), threading.Event()
        self.hold.set()
        output = TensorSpec(name="y", shape=(None,), dtype="float32")
        self.signatures = {
            "serving_default": Signature(
                name="serving_default", inputs={"x": spec}, outputs={"y": output}
            )
        }
        self.batching = batch_rules(self)
        self.asked.clear()

    def run(self, name, inputs):
        """Answers when it may."""
        self.entered.set()
        assert self.hold.wait(seconds(30))
        self.asked.append(inputs["x"].tolist())
        return {"y": np.asarray(self.answer(inputs["x"]), np.float32)}


def refuse_negative(x):
    if (x < 0).any():
        raise DataError("negative")
    return x * 2


def call(values, request_id="r"):
    x = np.array(values, np.float32)
    return PredictCall(
        signature_name="serving_default",
        inputs={"x": x},
        request_id=request_id,
        event_time_ms=TIME_MS,
        is_new=True,
    )


def wait_for(gateway, waiting):
    """Waits until so many predictions wait behind the one that runs."""
    deadline = time.monotonic() + seconds(30)
    while gateway._engine.waiting < waiting:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def ask_at_once(gateway, model, calls, cancel=()):
    """Asks while the model is held back, so that all but the first wait together."""
    model.hold.clear()
    model.entered.clear()
    results = {}

    def ask(name, asked):
        try:
            results[name] = run_blocking(gateway.predict(model, asked))["y"].tolist()
        except Exception as error:
            results[name] = error

    threads = []
    for name, asked in [("first", call([0.0], "first")), *calls.items()]:
        threads.append(threading.Thread(target=ask, args=(name, asked)))
        threads[-1].start()
        # One by one, so that the first is the one that runs.
        assert model.entered.wait(seconds(30))
        wait_for(gateway, len(threads) - 1)
    model.hold.set()
    for thread in threads:
        thread.join(seconds(30))
    return results


def test_requests_that_wait_are_asked_and_logged_together(tmp_path):
    writer = PredictionLogWriter(tmp_path)
    writes = []
    append = writer.append
    writer.append = lambda *args: (writes.append(args[2].num_rows), append(*args))
    model = Model(lambda x: x * 2)
    gateway = LoggingGateway("m", writer, lambda: TIME_MS)
    calls = {f"r{i}": call([i, i + 0.5], f"r{i}") for i in range(5)}
    results = ask_at_once(gateway, model, calls)
    writer.close()
    assert results == {"first": [0.0]} | {f"r{i}": [2 * i, 2 * i + 1] for i in range(5)}
    assert [len(rows) for rows in model.asked] == [1, 10]
    assert writes == [1, 10]
    table = read_window(str(tmp_path), "m", TIME_MS, TIME_MS + 1).table
    rows = {
        (row["request_id"], row["instance_index"]): (row["feature.x"], row["output.y"])
        for row in table.to_pylist()
    }
    assert rows == {("first", 0): (0.0, 0.0)} | {
        (f"r{i}", j): (i + j / 2, 2 * i + j) for i in range(5) for j in range(2)
    }


def test_a_bad_row_fails_its_own_request_alone():
    model = Model(refuse_negative)
    model.batching._rules["serving_default"] = Batching.PROVEN
    gateway = LoggingGateway("m", None, lambda: TIME_MS)
    results = ask_at_once(gateway, model, {"good": call([1.0]), "bad": call([-1.0])})
    assert results["good"] == [2.0]
    assert isinstance(results["bad"], DataError)


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (lambda x: x * 2, Batching.PROVEN),
        (lambda x: x - x.mean(), Batching.NEVER),
        (refuse_negative, Batching.UNPROVEN),
    ],
)
def test_only_rows_that_do_not_mind_each_other_are_batched(answer, rule):
    assert Model(answer).batching.of("serving_default") is rule


def test_a_model_whose_rows_mind_each_other_is_asked_one_by_one():
    model = Model(lambda x: x - x.mean())
    gateway = LoggingGateway("m", None, lambda: TIME_MS)
    results = ask_at_once(gateway, model, {"a": call([1.0, 3.0]), "b": call([10.0, 30.0])})
    assert results["a"] == [-1.0, 1.0]
    assert results["b"] == [-10.0, 10.0]


def test_real_requests_decide_where_random_rows_fail():
    model = Model(lambda x: refuse_negative(x) - x.mean())
    gateway = LoggingGateway("m", None, lambda: TIME_MS)
    results = ask_at_once(gateway, model, {"a": call([1.0, 3.0]), "b": call([10.0, 30.0])})
    assert results["a"] == [0.0, 4.0]
    assert model.batching.of("serving_default") is Batching.NEVER


def test_a_fixed_first_dimension_is_no_batch():
    model = Model(lambda x: x, TensorSpec(name="x", shape=(2,), dtype="float32"))
    assert model.batching.of("serving_default") is Batching.NEVER


def test_one_too_many_is_refused_at_once():
    model = Model(lambda x: x)
    gateway = LoggingGateway("m", None, lambda: TIME_MS, engine=PredictionEngine(max_waiting=2))
    model.hold.clear()
    model.entered.clear()
    threads = [
        threading.Thread(target=run_blocking, args=(gateway.predict(model, call([1.0])),))
        for _ in range(3)
    ]
    for number, thread in enumerate(threads):
        thread.start()
        assert model.entered.wait(seconds(30))
        wait_for(gateway, number)
    with pytest.raises(Overloaded, match="2 predictions wait"):
        run_blocking(gateway.predict(model, call([1.0])))
    model.hold.set()
    for thread in threads:
        thread.join(seconds(30))
    assert len(model.asked) >= 2


@pytest.mark.parametrize("left", [{"cancelled": True}, {"deadline": 0.0}])
def test_a_client_that_left_is_not_asked_for(left):
    model = Model(lambda x: x)
    gateway = LoggingGateway("m", None, lambda: TIME_MS)
    steps = gateway.predict(model, call([1.0]))
    job = steps.send(None)
    for name, value in left.items():
        setattr(job, name, value)
    done = threading.Event()
    job.notify = lambda _: done.set()
    job.engine.start(job)
    assert done.wait(seconds(30))
    assert model.asked == []
    with pytest.raises(DeadlinePassed):
        steps.send(None)


def test_a_fault_of_ours_is_an_answer_and_the_thread_goes_on():
    model = Model(lambda x: x)
    gateway = LoggingGateway("m", None, lambda: TIME_MS)
    broken = SimpleNamespace(**{**vars(model), "run": None, "version": 3, "variant": "float"})
    broken.parsed_features = {}
    with pytest.raises(TypeError):
        run_blocking(gateway.predict(broken, call([1.0])))
    assert run_blocking(gateway.predict(model, call([1.0])))["y"].tolist() == [1.0]
