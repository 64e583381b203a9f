"""Puts `tests/` on the path, so that tests share their recorders and drivers."""

import os
import re
import sys
from pathlib import Path

import hypothesis
import pytest

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_configure() -> None:
    """Hides the arguments: TFX lets absl parse them, where `-v` has a meaning of its own."""
    del sys.argv[1:]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves TensorFlow's tests unread where none is to run: reading a file may import TFX."""
    if collection_path.suffix != ".py" or "not tensorflow" not in config.getoption("markexpr"):
        return None
    marked = re.search(r"^pytestmark = .*\btensorflow\b", collection_path.read_text(), re.MULTILINE)
    return True if marked else None
