"""Where no test of TensorFlow is to run, a file that imports it at its top fails."""

import subprocess
import sys
from pathlib import Path

import pytest
import time_limits

# Each starts a pytest of its own.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]


def collected(folder, code, expression):
    """Lets a pytest of its own, with the hook of tests/conftest.py, read a file."""
    # Named like the real one, which takes ten seconds to import.
    (folder / "apache_beam.py").write_text("")
    (folder / "test_inner.py").write_text(code)
    (folder / "conftest.py").write_text("from tests.conftest import pytest_make_collect_report\n")
    paths = f"{ROOT} {ROOT}/src {ROOT}/tests/helpers {folder}"
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *(f"--rootdir={folder}", f"--override-ini=pythonpath={paths}", "-m", expression, "."),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=time_limits.seconds(60),
        check=False,
    )


def test_a_file_that_imports_beam_at_its_top_fails_in_one_sentence(tmp_path):
    found = collected(tmp_path, "import apache_beam\ndef test_it(): pass\n", "not tensorflow")
    assert found.returncode == 2
    assert "test_inner.py imports ['apache_beam'] at its top without" in found.stdout
    assert "Traceback" not in found.stdout


def test_the_same_file_runs_where_tests_of_tensorflow_do(tmp_path):
    found = collected(tmp_path, "import apache_beam\ndef test_it(): pass\n", "not e2e")
    assert found.returncode == 0
