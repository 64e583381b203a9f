"""What it takes a child to be confined by the kernel.

`python -m tests.benchmarks.guard.confinement`
"""

import statistics
import subprocess
import sys

# The same work twice: a Python that imports the sandbox, and confines itself or not.
_CODE = """
import time
from tfx_loop.core.child_process import sandbox
begun = time.perf_counter()
refused = sandbox.confine(["/tmp"]) if {confined} else ""
print(time.perf_counter() - begun, refused)
"""
STARTS = 25


def main() -> None:
    """Prints medians over as many starts of both, alternating."""
    whole: dict[bool, list[float]] = {True: [], False: []}
    inside = []
    for _ in range(STARTS):
        for confined in whole:
            code = f"import time; b = time.perf_counter()\n{_CODE.format(confined=confined)}"
            code += "print(time.perf_counter() - b)"
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            )
            first, last = done.stdout.splitlines()
            seconds, _, refused = first.partition(" ")
            if confined:
                inside.append(float(seconds))
                told = refused or "nothing"
            whole[confined].append(float(last))
    print(f"kernel refused: {told}")
    print(f"confine: median {statistics.median(inside) * 1e3:.2f} ms, of {STARTS} starts")
    for confined, seconds in whole.items():
        name = "confined" if confined else "not confined"
        print(f"start {name}: median {statistics.median(seconds) * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
