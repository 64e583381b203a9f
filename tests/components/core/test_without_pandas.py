"""pandas stays out of a process until it is let in; Arrow works either way."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
from tfx_loop.core.without_pandas import keep_out, let_in

keep_out()
import pyarrow as pa

assert pa.array(["yes", None]).null_count == 1
assert pa.table({"x": [1, 2]}).num_rows == 2
assert sys.modules.get("pandas") is None
try:
    import pandas
except ImportError as error:
    print(error)
let_in()
import pandas

assert pa.table({"x": [1, 2]}).to_pandas().shape == (2, 1)
"""


@pytest.mark.slow
def test_arrow_works_without_pandas_and_with_it_once_it_is_let_in():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (
        0,
        "pandas is kept out of this process.\n",
    ), done.stderr
