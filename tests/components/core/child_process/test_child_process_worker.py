"""Real children that answer, abort, hang, hog memory and lose their parent."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import time_limits
from example_counts import scaled
from hypothesis import given, settings
from hypothesis import strategies as st

from tfx_loop.core.child_process.worker import Worker, run
from tfx_loop.core.errors import ChildFailed, ConfigError, DataError

HERE = Path(__file__).resolve().parents[3] / "helpers"
WORK = "child_work"


@pytest.fixture(autouse=True)
def _work_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))


@pytest.fixture(scope="module")
def worker():
    with Worker(timeout_seconds=time_limits.seconds(60)) as made:
        yield made


def gone(pid, seconds=10):
    deadline = time.monotonic() + time_limits.seconds(seconds)
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.slow
@settings(max_examples=scaled(30))
@given(value=json_values)
def test_json_goes_there_and_back(worker, value):
    assert worker.call(f"{WORK}:echo", value, doing="an echo") == value


@pytest.mark.slow
def test_large_payload_goes_there_and_back(worker):
    value = "x" * 3_000_000
    assert worker.call(f"{WORK}:echo", value, doing="an echo") == value


def test_worker_is_reused():
    with Worker(timeout_seconds=time_limits.seconds(60)) as worker:
        pids = {worker.call(f"{WORK}:pid", None, doing="work") for _ in range(3)}
        assert pids == {worker.pid}
        assert worker.starts == 1
        assert worker.rss_mb > 1
    assert worker.pid is None
    assert gone(pids.pop())


def test_abort_names_the_work_the_signal_and_the_log():
    with Worker(timeout_seconds=time_limits.seconds(60)) as worker:
        first = worker.call(f"{WORK}:pid", None, doing="work")
        with pytest.raises(ChildFailed) as caught:
            worker.call(f"{WORK}:abort", None, doing="int8 conversion of flights")
        assert caught.value.cause == "aborted"
        assert caught.value.log_tail == "loc: error: cannot quantise op 'tfl.foo'"
        message = str(caught.value)
        assert message.startswith(
            "Expected int8 conversion of flights to finish, received an abort of its process "
            "(SIGABRT) after "
        )
        assert message.endswith("Last lines of its log: loc: error: cannot quantise op 'tfl.foo'")
        assert "\n" not in message
        assert worker.call(f"{WORK}:pid", None, doing="work") != first
        assert worker.starts == 2


def test_exit_of_the_child_is_an_abort(worker):
    with pytest.raises(ChildFailed, match="exit code 3") as caught:
        worker.call(f"{WORK}:leave", 3, doing="work")
    assert caught.value.cause == "aborted"


@pytest.mark.slow
def test_child_killed_while_idle_is_replaced():
    with Worker(timeout_seconds=time_limits.seconds(60)) as worker:
        first = worker.call(f"{WORK}:pid", None, doing="work")
        os.kill(first, signal.SIGKILL)
        assert gone(first)
        assert worker.call(f"{WORK}:echo", 1, doing="work") == 1


@pytest.mark.slow
def test_hang_times_out_and_takes_its_own_children_along(worker):
    pid_file = Path(worker.folder) / "pid"
    started = time.monotonic()
    with pytest.raises(ChildFailed, match="no answer in 2 s") as caught:
        worker.call(f"{WORK}:hang_with_grandchild", str(pid_file), doing="work", timeout_seconds=2)
    assert caught.value.cause == "timed_out"
    assert time.monotonic() - started < time_limits.seconds(10)
    assert gone(int(pid_file.read_text()))
    assert worker.call(f"{WORK}:echo", 1, doing="work") == 1


@pytest.mark.slow
def test_memory_hog_is_stopped_before_the_machine_is():
    with Worker(timeout_seconds=time_limits.seconds(60), memory_mb=150) as worker:
        with pytest.raises(ChildFailed, match="MiB of memory where 150 MiB are allowed") as caught:
            worker.call(f"{WORK}:hog", 2000, doing="work")
        assert caught.value.cause == "out_of_memory"
        assert worker.call(f"{WORK}:echo", 1, doing="work") == 1


@pytest.mark.slow
def test_child_that_keeps_memory_is_replaced_after_its_answer():
    with Worker(timeout_seconds=time_limits.seconds(60), memory_mb=1000, restart_mb=200) as worker:
        worker.call(f"{WORK}:keep", 1, doing="work")
        assert worker.starts == 1
        worker.call(f"{WORK}:keep", 250, doing="work")
        worker.call(f"{WORK}:keep", 1, doing="work")
        assert worker.starts == 2
        assert worker.rss_mb < 200


@pytest.mark.parametrize("function", ["data_error", "special_data_error"])
def test_loop_errors_come_back_as_they_were_raised(worker, function):
    # A test before may have ended the child.
    worker.call(f"{WORK}:echo", 1, doing="work")
    starts = worker.starts
    with pytest.raises(DataError) as caught:
        worker.call(f"{WORK}:{function}", "Expected a, received b. Do c.", doing="work")
    assert type(caught.value) is DataError
    assert str(caught.value) == "Expected a, received b. Do c."
    worker.call(f"{WORK}:echo", 1, doing="work")
    assert worker.starts == starts


def test_other_errors_name_themselves_and_leave_a_trace(worker):
    with pytest.raises(ChildFailed, match="TypeError: unsupported operand") as caught:
        worker.call(f"{WORK}:type_error", None, doing="pruning of flights")
    assert caught.value.cause == "failed"
    assert 'return 1 + "a"' in caught.value.log_tail


@pytest.mark.parametrize(
    ("function", "cause"), [("memory_error", "out_of_memory"), ("not_json", "failed")]
)
def test_cause_of_other_ends(worker, function, cause):
    with pytest.raises(ChildFailed) as caught:
        worker.call(f"{WORK}:{function}", None, doing="work")
    assert caught.value.cause == cause


@pytest.mark.slow
def test_error_of_a_child_s_child_keeps_its_cause(worker):
    with pytest.raises(ChildFailed, match="the inner work") as caught:
        worker.call(f"{WORK}:nested", f"{WORK}:abort", doing="the outer work")
    assert caught.value.cause == "aborted"
    assert "tfl.foo" in caught.value.log_tail


@pytest.mark.parametrize("name", ["no_such_module:f", f"{WORK}:no_such", WORK, "", "os:sep"])
def test_function_that_is_not_there_is_a_config_error(worker, name):
    with pytest.raises(ConfigError, match="received"):
        worker.call(name, None, doing="work")


def test_what_the_work_prints_never_reaches_our_terminal(worker, capfd):
    assert worker.call(f"{WORK}:chatter", 500, doing="work") == 500
    assert capfd.readouterr() == ("", "")
    with pytest.raises(ChildFailed) as caught:
        worker.call(f"{WORK}:abort", None, doing="work")
    assert "out 499" not in caught.value.log_tail, "the tail is of this call alone"


def test_child_gets_keras_2_and_none_of_our_files(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    secret = tmp_path / "secret"
    with open(secret, "w") as handle:
        os.set_inheritable(handle.fileno(), True)
        seen = run(
            f"{WORK}:surroundings", None, doing="work", timeout_seconds=time_limits.seconds(60)
        )
    assert seen["environment"]["TF_USE_LEGACY_KERAS"] == "1"
    assert str(secret) not in seen["descriptors"]
    assert seen["stdin"] == ""
    assert seen["oom_score_adj"] == "1000", "the kernel takes the child before us"


def test_progress_reaches_the_caller(worker):
    said = []
    worker.call(f"{WORK}:progress", 3, doing="work", progress=said.append)
    assert said == ["step 0", "step 1", "step 2"]


def test_threads_share_a_worker(worker):
    answers = []
    threads = [
        threading.Thread(
            target=lambda n=n: answers.append(worker.call(f"{WORK}:echo", n, doing="work"))
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == list(range(8))


@pytest.mark.slow
@pytest.mark.parametrize("function", ["hang", "hog"])
def test_child_dies_with_its_parent(function, tmp_path):
    """Even while it hangs in C code: `time.sleep` here, the converter in earnest."""
    code = (
        "import sys; from tfx_loop.core.child_process.worker import Worker\n"
        f"sys.path.insert(0, {str(HERE)!r})\n"
        "worker = Worker()\n"
        f"print(worker.call('{WORK}:pid', None, doing='work'), flush=True)\n"
        f"worker.call('{WORK}:{function}', 600, doing='work')\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    assert psutil.pid_exists(child)
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    assert gone(child)


@pytest.mark.parametrize("limit", ["timeout_seconds", "memory_mb"])
def test_limits_must_be_positive(limit):
    with pytest.raises(ConfigError, match=limit):
        Worker(**{limit: 0})
