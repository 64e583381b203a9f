"""Pushes to a folder with a server that watches it, by a clock that the test moves."""

from pathlib import Path

from watching_server import WatchingServer

from tfx_loop.contracts.deployment_record import read_record
from tfx_loop.deployment.live_rollout import LiveRollout
from tfx_loop.deployment.serving_pusher.push import push
from tfx_loop.deployment.serving_pusher.push_order import ServerPushOrder

NAME = "flights"


class Clock:
    """Time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.slept = 0

    def now_ms(self):
        return int(self.now)

    def monotonic(self):
        return self.now / 1000

    def sleep(self, seconds):
        self.slept += 1
        self.now += seconds * 1000


class Desk:
    """Pushes models to one base path."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.base = scratch / "serving" / NAME
        self.server = WatchingServer(self.base)
        self.clock = Clock()
        self.checked = []

    def model(self, content="good", files=1):
        folder = self.scratch / f"model-{content}"
        (folder / "variables").mkdir(parents=True, exist_ok=True)
        (folder / "saved_model.pb").write_text(content)
        for number in range(files):
            (folder / "variables" / f"part-{number}").write_bytes(b"x" * 1000)
        return folder

    def order(self, content="good", run_id="run-1", **changes):
        values = {
            "model_name": NAME,
            "model_dir": self.model(content),
            "base_path": str(self.base),
            "model_uri": f"/artifacts/{content}",
            "reference_profile_uri": "/artifacts/profile",
            "run_id": run_id,
            "load_timeout_seconds": 5,
        }
        return ServerPushOrder(**{**values, **changes})

    def push(self, *args, check=None, **changes):
        return push(
            self.order(*args, **changes),
            self.server,
            check or self.checked.append,
            self.clock.now_ms,
            self.clock.monotonic,
            self.clock.sleep,
        )

    @property
    def record(self):
        return read_record(str(self.base), NAME)

    def rollout(self):
        return LiveRollout(
            base_path=str(self.base),
            now_ms=self.clock.now_ms,
            clock=self.clock.monotonic,
            sleep=self.clock.sleep,
        )

    @property
    def states(self):
        return {v.version: v.state for v in self.record.versions}

    @property
    def folders(self):
        # The lock's file stays, and is nothing of a model.
        found = self.base.iterdir() if self.base.exists() else ()
        return sorted(p.name for p in found if p.name != ".lock")

    def files(self):
        return {p: p.read_bytes() for p in self.base.rglob("*") if p.is_file()}


class Killed(BaseException):
    """Stands for SIGKILL: no handler of the push gets to run after it."""


def kill(*_):
    raise Killed
