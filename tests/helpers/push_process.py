"""Pushes a model from a process of its own: push_process.py BASE MODEL_DIR RUN SECONDS [URL].

The check takes that many seconds and rejects a version whose folder went away meanwhile.
"""

import sys
import time
from pathlib import Path

from watching_server import WatchingServer

from tfx_loop.core.errors import ModelRejected
from tfx_loop.deployment.model_server.client import ModelClient
from tfx_loop.deployment.serving_pusher.push import push
from tfx_loop.deployment.serving_pusher.push_order import ServerPushOrder


def push_once(base: Path, model_dir: Path, run_id: str, check_seconds: float, server=None) -> int:
    """Pushes, and returns the version; without a server to one that sees what lies there."""

    def check(version: int) -> None:
        print(f"checking {version}", flush=True)
        end = time.monotonic() + check_seconds
        while time.monotonic() < end:
            if not any((base / f"{prefix}{version}").exists() for prefix in ("", ".candidate-")):
                raise ModelRejected(f"version {version} was withdrawn while it was checked")
            time.sleep(0.02)

    order = ServerPushOrder(
        model_name="flights",
        model_dir=model_dir,
        base_path=str(base),
        model_uri=str(model_dir),
        reference_profile_uri="",
        run_id=run_id,
        load_timeout_seconds=60,
    )
    server = server or WatchingServer(base)
    done = push(
        order, server, check, lambda: time.time_ns() // 1_000_000, time.monotonic, time.sleep
    )
    return done.version


if __name__ == "__main__":
    to_server = ModelClient(sys.argv[5], "flights") if len(sys.argv) > 5 else None
    where = Path(sys.argv[1]), Path(sys.argv[2])
    pushed = push_once(*where, sys.argv[3], float(sys.argv[4]), to_server)
    print(f"pushed {pushed}", flush=True)
