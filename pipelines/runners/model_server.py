"""A model server beside a local run, started and stopped with it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfx_loop.core.errors import ServerUnavailable
from tfx_loop.pipelines.config import quiet_environment

# Importing TensorFlow takes 5 s on an idle machine and ten times that on a busy one.
_START_SECONDS = 120


@contextmanager
def model_server(model_name: str, base_path: Path, log: Path, folder: Path) -> Iterator[str]:
    """Runs `loop-model-server` on loopback; yields its REST address.

    Args:
        model_name: Name under which the model is served.
        base_path: Folder of numbered versions; may be empty yet.
        log: Folder of the prediction log.
        folder: Where the server's output goes.

    Raises:
        ServerUnavailable: It did not start.
    """
    base_path.mkdir(parents=True, exist_ok=True)
    ready = folder / "server.json"
    ready.unlink(missing_ok=True)
    output = folder / "server.log"
    command = [
        sys.executable, "-m", "tfx_loop.deployment.model_server.main", f"--model_name={model_name}",
        f"--model_base_path={base_path}", "--port=0", "--rest_api_port=0",
        f"--prediction_log={log}", f"--ready_file={ready}", "--file_system_poll_wait_seconds=0.2",
    ]  # fmt: skip
    with output.open("wb") as sink:
        process = subprocess.Popen(
            command, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL, env=quiet_environment()
        )
    try:
        yield f"http://127.0.0.1:{_port(process, ready, output)}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port(process: subprocess.Popen[bytes], ready: Path, output: Path) -> int:
    for _ in range(_START_SECONDS * 10):
        if ready.exists():
            return int(json.loads(ready.read_text())["rest_api_port"])
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    lines = output.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    raise ServerUnavailable(
        f"Expected the model server to start within {_START_SECONDS} s, it did not: {lines[-1]} "
        f"(all of it: {output})."
    )
