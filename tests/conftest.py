"""What holds for all tests: TensorFlow's variables, limits, groups for parallel runs, order."""

import os
import re
import sys
from pathlib import Path

import hypothesis
import pytest
import time_limits

pytest_plugins = ["leftover_processes"]

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("tests", deadline=None)
# For `make test-fast`; tests that name their number of examples keep it.
hypothesis.settings.register_profile("fast", deadline=None, max_examples=25)
hypothesis.settings.load_profile("tests")

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if "PYTEST_XDIST_WORKER" in os.environ:
    # A worker a core: more threads would only wait for each other, and OpenMP's wait spins.
    for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

# Tests that share what takes long to make, by folder, or by fixture; all others go by file.
_TESTS = Path(__file__).resolve().parent
_FOLDER_GROUPS = {_TESTS / "pipelines/examples/flights": "flights"}
_FIXTURE_GROUPS = {"demo_run": "demo"}


def pytest_configure() -> None:
    """Hides the arguments: TFX lets absl parse them, where `-v` has a meaning of its own."""
    del sys.argv[1:]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves TensorFlow's tests unread where none is to run: reading a file may import TFX."""
    if collection_path.suffix != ".py" or "not tensorflow" not in config.getoption("markexpr"):
        return None
    marked = re.search(r"^pytestmark = .*\btensorflow\b", collection_path.read_text(), re.MULTILINE)
    return True if marked else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Scales the limits of all tests, and says which of them a worker takes together."""
    for item in items:
        _scale_limit(item, config)
    if "PYTEST_XDIST_WORKER" in os.environ:
        for item in items:
            item.add_marker(pytest.mark.xdist_group(_group(item)))
        items.sort(key=_turn)


def _scale_limit(item: pytest.Item, config: pytest.Config) -> None:
    if time_limits.FACTOR == 1 or config.getoption("timeout") is not None:
        return
    marker = item.get_closest_marker("timeout")
    limit = marker.args[0] if marker else config.getini("timeout")
    item.add_marker(pytest.mark.timeout(time_limits.seconds(float(limit))), append=False)


def _group(item: pytest.Item) -> str:
    return _shared_group(item) or item.path.stem


def _shared_group(item: pytest.Item) -> str | None:
    fixtures = getattr(item, "fixturenames", ())
    by_fixture = (group for name, group in _FIXTURE_GROUPS.items() if name in fixtures)
    by_folder = (group for path, group in _FOLDER_GROUPS.items() if path in item.path.parents)
    return next(by_fixture, None) or next(by_folder, None)


def _turn(item: pytest.Item) -> int:
    """Returns 0 for what takes minutes, then 1, then 2 for what takes no time worth ordering.

    Long groups come first: no worker may begin one when the other has nothing left.
    """
    if "e2e" in item.keywords:
        return 0
    long = "tensorflow" in item.keywords or "slow" in item.keywords or _shared_group(item)
    return 1 if long else 2
