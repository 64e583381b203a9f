"""What holds for all tests: TensorFlow's variables, limits, groups for parallel runs, order."""

import functools
import gc
import os
import re
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import time_limits

from tfx_loop.core.child_process.worker import Worker

pytest_plugins = ["leftover_processes"]

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("tests", deadline=None)
# For `make test-fast`; tests that name their number take a quarter of it (example_counts.py).
hypothesis.settings.register_profile("fast", deadline=None, max_examples=25)
hypothesis.settings.load_profile("tests")

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if "PYTEST_XDIST_WORKER" in os.environ:
    # A worker a core: more threads would only wait for each other, and OpenMP's wait spins.
    for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

# Seconds to import, each of them.
_HEAVY = {"apache_beam", "tensorflow", "tfx"}

# The marks of a whole file, on one line or in brackets.
_FILE_MARKS = re.compile(r"^pytestmark = (\[[^\]]*\]|.*$)", re.MULTILINE)

_ROOT = Path(__file__).resolve().parents[1]
# Tests that share what takes long to make go to one worker: those of a folder, and those that
# name a fixture or a helper which runs, trains or parses it once a process. All others go by file.
_SHARED_FOLDERS = ("tests/pipelines/examples/flights/",)
_SHARED_NAMES = re.compile(
    r"\b(demo_run|quantizable|architecture_sheet)\b|\bdigit_(networks|artifacts)\b"
)


def pytest_configure() -> None:
    """Hides the arguments: TFX lets absl parse them, where `-v` has a meaning of its own."""
    del sys.argv[1:]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves files unread of which no test is to run: reading one may import TFX or pandas."""
    left_out = set(re.findall(r"\bnot (\w+)", config.getoption("markexpr")))
    if collection_path.suffix != ".py" or not left_out or " or " in config.getoption("markexpr"):
        return None
    found = _FILE_MARKS.search(collection_path.read_text())
    return True if found and left_out & set(re.findall(r"mark\.(\w+)", found[0])) else None


def _light(config: pytest.Config) -> bool:
    return "not tensorflow" in config.getoption("markexpr")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Where no test of TensorFlow is to run, the file that imports it at the top fails.

    The fixture below would not see it: the import is done before the first test begins.
    """
    before = _HEAVY & sys.modules.keys()
    report = yield
    if _light(collector.config) and (new := (_HEAVY & sys.modules.keys()) - before):
        report.outcome = "failed"
        report.longrepr = (
            f"{collector.nodeid} imports {sorted(new)} at its top without "
            "`pytestmark = pytest.mark.tensorflow`: add the mark, or import inside the tests."
        )
    return report


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A child for models that the tests of a file share, as starting one imports TensorFlow.

    It may write where all tests do: asked to write in a new folder, it would start again for each.
    """
    with Worker(timeout_seconds=time_limits.seconds(300)) as child:
        child.may_write(tmp_path_factory.getbasetemp())
        yield child


_start_child = Worker.start_child
# A process that has imported TensorFlow takes some 500 MiB, and more addresses than the child that
# reads HDF5 may have: one with a narrow limit is small, and starts quickly by itself.
_FORKED_MB = 2048


def _fork_child(
    worker: Worker,
    arguments: Sequence[str],
    lifeline: int,
    log: Any,
    environment: Mapping[str, str],
) -> Any:
    from forked_servers import shared_forks

    if worker.memory_mb < _FORKED_MB or not shared_forks().suits(environment):
        return _start_child(worker, arguments, lifeline, log, environment)
    return shared_forks().start_child(arguments, lifeline, log, environment)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Forks the children of a test of TensorFlow from a process that has imported it.

    All others start theirs as users do, and so does one test of each kind of model work: those
    that run `loop` as a process of its own.
    """
    marked = item.get_closest_marker("tensorflow") is not None
    Worker.start_child = _fork_child if marked else _start_child  # type: ignore[method-assign]
    return (yield)


@pytest.fixture(autouse=True)
def _without_tensorflow(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where no test of TensorFlow is to run, the test that imports it first fails."""
    before = _HEAVY & sys.modules.keys()
    yield
    if _light(request.config) and (new := (_HEAVY & sys.modules.keys()) - before):
        pytest.fail(f"This test imports {sorted(new)} and isn't marked `tensorflow`.")


@pytest.fixture(autouse=True)
def _without_determinism() -> Iterator[None]:
    """Undoes what fine-tuning asks TensorFlow for; in production its process ends with it.

    Left on, a later test of the same process that draws without a seed would fail.
    """
    yield
    config = sys.modules.get("tensorflow.python.framework.config")
    if config is not None and config.is_op_determinism_enabled():
        config.disable_op_determinism()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Scales the limits of all tests, and puts long ones first where two processes share them."""
    for item in items:
        _scale_limit(item, config)
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=_turn)


def pytest_collection_finish() -> None:
    """Leaves what was imported out of the garbage collector's rounds: 8 % of short tests' time."""
    gc.freeze()


def _scale_limit(item: pytest.Item, config: pytest.Config) -> None:
    if time_limits.FACTOR == 1 or config.getoption("timeout") is not None:
        return
    marker = item.get_closest_marker("timeout")
    limit = marker.args[0] if marker else config.getini("timeout")
    item.add_marker(pytest.mark.timeout(time_limits.seconds(float(limit))), append=False)


def _group(nodeid: str) -> str:
    file = nodeid.split("::")[0]
    return _shared_group(file) or file


@functools.cache
def _shared_group(file: str) -> str | None:
    if found := next((folder for folder in _SHARED_FOLDERS if file.startswith(folder)), None):
        return found
    name = _SHARED_NAMES.search((_ROOT / file).read_text())
    return name and (name[1] or "digits")


def _turn(item: pytest.Item) -> int:
    """Returns 0 for whole pipelines, which take minutes, and 3 for what takes no time.

    No worker may begin a long group when the other has nothing left.
    """
    if item.path.is_relative_to(_ROOT / "tests/e2e"):
        return 0
    if "e2e" in item.keywords:
        return 1
    file = item.nodeid.split("::")[0]
    return 2 if {"tensorflow", "slow"} & set(item.keywords) or _shared_group(file) else 3


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives each worker a file or a group at a time, in the order of `_turn`.

    xdist's own `loadgroup` names groups in the node's id, which pytest 9.2 computes anew.
    """
    from xdist.scheduler import LoadScopeScheduling

    class GroupScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    config.option.loadscopereorder = False
    return GroupScheduling(config, log)
