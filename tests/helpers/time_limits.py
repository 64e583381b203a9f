"""Time limits of tests, scaled by one factor for machines that are slow or busy.

`TEST_TIME_FACTOR=4 make test` allows four times as long everywhere: pytest's own limit on each
test, fixtures that run whole pipelines, and every child process or server that a test waits for.
"""

import os

VARIABLE = "TEST_TIME_FACTOR"
FACTOR = float(os.environ.get(VARIABLE, "1"))
if not FACTOR > 0:
    raise ValueError(f"Expected {VARIABLE} above 0, received {FACTOR}.")


def seconds(limit: float) -> float:
    """Returns a limit that suits an idle machine, as long as this run allows it to be."""
    return limit * FACTOR
