"""Pushes to a bucket, with a server that looks at it as TF Serving does."""

from push_desk import Clock
from watching_server import Status

from tfx_loop.core.bucket.client import open_bucket
from tfx_loop.deployment.serving_pusher.push import push


class BucketWatcher:
    """Serves the highest number that has saved_model.pb, as TF Serving on a bucket does."""

    def __init__(self, uri):
        self.bucket, self.seen = open_bucket(uri), []

    @property
    def serving(self):
        return next((s.version for s in self.status() if s.state == "AVAILABLE"), None)

    def status(self):
        versions = {}
        for name in self.bucket.names(""):
            head, _, rest = name.partition("/")
            if head.isdecimal():
                versions.setdefault(int(head), set()).add(rest)
        self.seen.append(versions)
        whole = sorted((v for v, files in versions.items() if "saved_model.pb" in files))
        return [
            Status(version, "AVAILABLE" if version == whole[-1] else "END") for version in whole
        ]

    def loads_candidates(self):
        return False

    def routes_by_record(self):
        return False


class FastClock(Clock):
    """Of who sleeps half a minute passes: a lock of the dead is looked at a few times."""

    def sleep(self, seconds):
        super().sleep(max(seconds, 30.0))


def pusher(desk, base, clock=None):
    """Returns a function of a model's content and a run's id that pushes to a bucket."""
    server, clock = BucketWatcher(base), clock or Clock()

    def run(content, run_id, check=lambda _: None, **changes):
        order = desk.order(content, run_id, base_path=base, **changes)
        return push(order, server, check, clock.now_ms, clock.monotonic, clock.sleep)

    return run
