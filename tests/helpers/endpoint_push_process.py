"""Pushes to a loopback endpoint from processes that die by SIGKILL before a call of theirs.

One process imports what a push needs, and forks for each push: endpoint_push_process.py BUCKET NAME
SCRATCH. It reads an order a line, and answers `done`, `killed` or what went wrong.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

# What only asks changes nothing: a death before it is one before the next call.
_ASKING = ("Describe", "Get", "Head", "List")


def changes_something(operation: str, arguments: dict) -> bool:
    """Says whether a call changes what a push is about; the lock's own file is nothing of it."""
    return not operation.startswith(_ASKING) and not arguments.get("Key", "").endswith("push.json")


class PushProcess:
    """The process, as a test holds it."""

    def __init__(self, bucket: str, name: str, scratch: Path) -> None:
        """Starts; the loopback's addresses are in the environment."""
        self._process = subprocess.Popen(
            [sys.executable, __file__, bucket, name, str(scratch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "PushProcess":
        return self

    def __exit__(self, *_) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def push(self, content, run_id="", step=None, after="", **changes) -> bool:
        """Pushes; says whether it got through.

        Args:
            content: The model.
            run_id: The run.
            step: How many calls it makes that change something before it dies; None for all.
            after: The operation behind which it dies, before the next call that changes something.
            **changes: Settings.
        """
        return self._do({"push": content, "run_id": run_id, "step": step, "after": after,
                         "changes": changes})  # fmt: skip

    def roll_back(self, to: int, step=None) -> bool:
        """Rolls back, as `push`."""
        return self._do({"roll_back": to, "step": step, "after": ""})

    def _do(self, order: dict) -> bool:
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline().strip()
        assert said in ("done", "killed"), said or "the process ended"
        return said == "done"


def _arm(step: int | None, after: str) -> None:
    import botocore.client

    real = botocore.client.BaseClient._make_api_call
    count, seen = 0, False

    def call(client, operation, arguments):
        nonlocal count, seen
        if changes_something(operation, arguments):
            if count == step or seen:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
            seen = operation == after
        return real(client, operation, arguments)

    botocore.client.BaseClient._make_api_call = call


def _work(bucket: str, name: str, scratch: Path, aws, order: dict) -> None:
    from endpoint_desk import EndpointDesk

    desk = EndpointDesk(SimpleNamespace(aws=aws), bucket, name, scratch)
    if "roll_back" in order:
        desk.rollout().roll_back(order["roll_back"], "wrong")
    else:
        desk.push(order["push"], order["run_id"], **order["changes"])


def _answer(child: int) -> str:
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "killed" if os.WTERMSIG(status) == signal.SIGKILL else "another signal"
    return "done" if os.WEXITSTATUS(status) == 0 else "the work failed by itself"


def main(bucket: str, name: str, scratch: Path) -> None:
    """Carries out orders until there are no more."""
    from sagemaker_loopback import REGION

    from tfx_loop.deployment.sagemaker_pusher.client import RUNTIME, S3, SAGEMAKER, Aws

    # Made before the fork, and not connected: they are what takes longest.
    aws = Aws(REGION)
    for service in (SAGEMAKER, RUNTIME, S3):
        aws._client(service)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                _arm(order["step"], order["after"])
                _work(bucket, name, scratch, aws, order)
                os._exit(0)
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(1)
        print(_answer(child), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
