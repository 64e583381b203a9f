"""TF Serving that is told which versions to serve: none answers before it is proven."""

import time
from pathlib import Path

import pytest
from object_stores import S3, object_store
from push_desk import Desk
from reloaded_server import ReloadedServer

from tfx_loop.contracts.deployment_record import DeploymentState, read_record
from tfx_loop.core.bucket.client import open_bucket
from tfx_loop.core.errors import ConfigError, ModelRejected, ServerUnavailable
from tfx_loop.deployment.live_rollout import LiveRollout
from tfx_loop.deployment.model_server.client import ModelClient
from tfx_loop.deployment.serving_pusher.pinned_server import PinnedServer
from tfx_loop.deployment.serving_pusher.push import push
from tfx_loop.deployment.serving_pusher.settings import ServingPusherSettings

# The stand-in of TF Serving speaks its protos, which import TensorFlow.
pytestmark = pytest.mark.tensorflow

CANDIDATE = "flights-candidate"


def whole_versions(base_path):
    """Returns the numbers whose model is there and is not broken."""
    names = open_bucket(base_path).names("") if "://" in base_path else files_of(base_path)
    for name in names:
        head, _, rest = name.partition("/")
        if head.isdecimal() and rest == "saved_model.pb" and not broken(base_path, name):
            yield int(head)


def files_of(base_path):
    found = (path for path in Path(base_path).rglob("*") if path.is_file())
    return [path.relative_to(base_path).as_posix() for path in found]


def broken(base_path, name):
    if "://" in base_path:
        return open_bucket(base_path).get(name)[0] == b"broken"
    return (Path(base_path) / name).read_text() == "broken"


class Place:
    """A base path, the server that is told, and pushes to it."""

    def __init__(self, base, scratch, **server):
        self.base, self.desk = base, Desk(scratch)
        self.server = ReloadedServer(whole_versions, **server)
        self.client = PinnedServer("http://127.0.0.1:9", "flights", self.server.address, base)

    def push(self, content, run_id, check=lambda version: None, **changes):
        order = self.desk.order(
            content, run_id, base_path=self.base, pinned_at=self.server.address, **changes
        )
        times = (lambda: 0, time.monotonic, time.sleep)
        return push(order, self.client, check, *times, follow=self.client.follow)

    @property
    def record(self):
        return read_record(self.base, "flights")


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    if request.param == "folder":
        made = Place(str(tmp_path / "serving" / "flights"), tmp_path)
        yield made
        made.server.stop()
        return
    with object_store(S3, "models") as address:
        made = Place(f"{address}/{request.node.name.partition('[')[0]}", tmp_path)
        yield made
        made.server.stop()


def rejected(version):
    raise ModelRejected("Expected another answer.")


def test_a_version_answers_its_own_name_alone_until_it_is_proven(place):
    asked = []

    def check(version):
        asked.append((place.server.serving("flights"), place.server.serving(CANDIDATE)))

    assert place.push("m1", "run-1", check).version == 1
    assert place.push("m2", "run-2", check).version == 2
    assert asked == [(None, 1), (1, 2)]
    assert place.server.serving("flights") == 2
    assert place.server.labels["flights"] == {"stable": 2}
    assert place.server.serving(CANDIDATE) is None
    with pytest.raises(ModelRejected):
        place.push("m3", "run-3", rejected)
    assert place.push("m4", "run-4").version == 4
    assert place.record.stable_version == 4
    answered = place.server.answered["flights"]
    assert 3 not in answered
    assert answered == sorted(answered), "nothing that was replaced comes back"


def test_a_version_that_does_not_load_is_withdrawn_and_the_one_before_serves(place):
    place.push("m1", "run-1")
    with pytest.raises(ModelRejected, match="cannot parse"):
        place.push("broken", "run-2")
    assert (place.server.serving("flights"), place.record.stable_version) == (1, 1)
    assert place.record.version(2).state is DeploymentState.FAILED


def test_roll_back_and_labels_are_told_to_the_server(place):
    for number in (1, 2):
        place.push(f"m{number}", f"run-{number}")
    rollout = LiveRollout(base_path=place.base)
    rollout.label("old", 1)
    assert place.server.labels["flights"] == {"stable": 2, "old": 1}
    assert place.server.serving("flights") == 2
    rollout.roll_back(1, "wrong")
    assert (place.server.serving("flights"), place.record.stable_version) == (1, 1)
    assert set(place.server.loaded["flights"]) == {1}
    assert list(whole_versions(place.base)), "nothing is hidden: the server is told"


def test_a_killed_push_leaves_what_served_and_the_next_one_goes_on(place):
    class Killed(BaseException):
        pass

    def killed(version):
        raise Killed

    place.push("m1", "run-1")
    with pytest.raises(Killed):
        place.push("m2", "run-2", killed)
    assert (place.server.serving("flights"), place.record.stable_version) == (1, 1)
    assert place.push("m3", "run-3").version == 3
    assert place.server.serving("flights") == 3
    assert place.record.version(2).state is DeploymentState.FAILED


def test_a_server_that_takes_no_labels_serves_without_them(tmp_path):
    place = Place(str(tmp_path / "serving"), tmp_path, takes_labels=False)
    for number in (1, 2):
        place.push(f"m{number}", f"run-{number}")
    assert (place.server.serving("flights"), place.server.labels["flights"]) == (2, {})
    place.server.stop()
    with pytest.raises(ServerUnavailable, match="Expected TF Serving to answer"):
        LiveRollout(base_path=place.base).roll_back(1, "wrong")
    assert place.record.stable_version == 2


def test_a_candidate_is_asked_under_its_own_name(tmp_path, monkeypatch):
    place, asked = Place(str(tmp_path / "serving"), tmp_path), []
    monkeypatch.setattr(
        ModelClient, "predict", lambda self, **kw: asked.append((self.model_name, kw["version"]))
    )
    place.push("m1", "run-1", lambda version: place.client.predict(version=version))
    place.client.predict(version=1)
    assert asked == [(CANDIDATE, 1), ("flights", 1)]
    place.server.stop()


@pytest.mark.parametrize("changes", [{"canary_share": 0.1}, {"server_url": ""}])
def test_settings_that_a_told_server_cannot_keep_are_refused(changes):
    given = {"base_path": "/x", "server_url": "http://s:8501", "pinned_at": "s:8500"}
    with pytest.raises(ConfigError, match="pinned_at"):
        ServingPusherSettings(**{**given, **changes})
