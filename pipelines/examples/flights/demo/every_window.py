"""The policy `every_window`, trained beside the loop in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfx_loop.core.errors import PipelineFailed
from tfx_loop.core.storage import read_json
from tfx_loop.pipelines.config import quiet_environment


class EveryWindowProcess:
    """The process that trains and scores the policy; the loop itself needs one core of two."""

    def __init__(self, folder: Path, fraction: float, seed: int, windows: int) -> None:
        """Starts it; its output and its scores go to files in `folder`."""
        self._log = folder / "every_window.log"
        self._output = folder / "every_window.json"
        command = [
            sys.executable, "-m", "tfx_loop.pipelines.examples.flights.demo.policies",
            f"--fraction={fraction}", f"--seed={seed}", f"--windows={windows}",
            f"--output={self._output}",
        ]  # fmt: skip
        with self._log.open("wb") as sink:
            self._process = subprocess.Popen(
                command,
                stdout=sink,
                stderr=sink,
                stdin=subprocess.DEVNULL,
                env=quiet_environment(),
            )

    def scores(self) -> dict[str, list[float]]:
        """Waits for the end; returns the scores by window.

        Raises:
            PipelineFailed: It ended with an error.
        """
        if self._process.wait() != 0:
            lines = self._log.read_text(errors="replace").splitlines() or ["it said nothing"]
            raise PipelineFailed(
                f"Training the policy every_window ended with {self._process.returncode}: "
                f"{lines[-1]} (all of it: {self._log})."
            )
        scores: dict[str, list[float]] = read_json(str(self._output))["scores"]
        return scores

    def stop(self) -> None:
        """Ends it if it still runs."""
        self._process.kill()
        self._process.wait()


@contextmanager
def every_window(
    folder: Path, fraction: float, seed: int, windows: int
) -> Iterator[EveryWindowProcess]:
    """Trains the policy while the block runs, and not longer."""
    process = EveryWindowProcess(folder, fraction, seed, windows)
    try:
        yield process
    finally:
        process.stop()
