"""A pusher that dies before each of its calls: the endpoint answers with old or new, 0 lost.

By SIGKILL, in processes of their own, before every call (`long`); in the suite once, and in this
process before some of them.
"""

import threading

import botocore.client
import pytest
from endpoint_desk import EndpointDesk, Traffic
from endpoint_push_process import PushProcess, changes_something
from push_desk import Killed
from sagemaker_container import answer_of
from sagemaker_loopback import sagemaker_loopback

pytestmark = pytest.mark.slow

# Between a client's requests, in seconds: to capture each costs more than the push itself.
PAUSE = 0.1
# Proof and canary take three updates; a push without a proof takes one.
PLAIN, PROVEN = {}, {"prove_first": True, "canary_percent": 10, "wait_seconds": 30}


@pytest.fixture(scope="module")
def service():
    with sagemaker_loopback("killed", pace=0.0001) as loopback:
        yield loopback


class Death:
    """Lets whoever calls AWS from a thread of the push die before the n-th call."""

    def __init__(self, monkeypatch) -> None:
        self.count, self.last, self.dead = 0, None, False
        self._pusher = threading.get_ident()
        real = botocore.client.BaseClient._make_api_call

        def call(client, operation, arguments):
            here = threading.current_thread()
            if self.dead and (here.ident == self._pusher or here.name == "lock"):
                # No handler and no renewing thread of the dead gets to call.
                raise Killed
            if here.ident == self._pusher and changes_something(operation, arguments):
                if self.count == self.last:
                    self.dead = True
                    raise Killed
                self.count += 1
            return real(client, operation, arguments)

        monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", call)

    def at(self, step) -> None:
        self.count, self.last, self.dead = 0, step, False


class InThisProcess:
    """Pushes of the test's own process, which a raised exception ends."""

    def __init__(self, desk, monkeypatch) -> None:
        self._desk, self._death = desk, Death(monkeypatch)

    def push(self, content, run_id="", step=None, **changes) -> bool:
        self._death.at(step)
        return self._gets_through(lambda: self._desk.push(content, run_id, **changes))

    def roll_back(self, to, step=None) -> bool:
        self._death.at(step)
        return self._gets_through(lambda: self._desk.rollout().roll_back(to, "wrong"))

    def _gets_through(self, work) -> bool:
        try:
            work()
        except Killed:
            return False
        finally:
            self._death.at(None)
        return True


def die_at_each_call(desk, pusher, changes, stride):
    """Pushes until one gets through, each dying `stride` calls later than the one before."""
    pusher.push("m")
    known, step, killed = {answer_of(b"m")}, 0, 0
    with Traffic(desk, PAUSE) as client:
        while True:
            content, run_id = f"m{step}", f"run-{step}"
            known.add(answer_of(content.encode()))
            if pusher.push(content, run_id, step=step, **changes):
                break
            # Every other one is gone on with; else the next push finds what was left.
            if killed % 2:
                assert pusher.push(content, run_id, **changes)
                assert desk.record.stable.run_id == run_id, f"killed before call {step}"
                assert desk.serves(content)
            killed, step = killed + 1, step + stride
    assert step > 12
    assert client.lost == []
    assert set(client.answers) <= known
    states = list(desk.states.values())
    assert states.count("stable") == 1
    assert "pushing" not in states
    assert desk.endpoint.config in desk.configs
    assert len(desk.configs) <= 2
    assert desk.loopback.deleted_in_use == []


def roll_back_dying(desk, pusher, stride):
    """Rolls back until one gets through."""
    for name in ("m1", "m2", "m3"):
        assert pusher.push(name)
    with Traffic(desk, PAUSE) as client:
        for step in range(0, 12 * stride, stride):
            if pusher.roll_back(1, step=step):
                break
            assert desk.record.stable_version in (1, 3)
    assert desk.record.stable_version == 1
    assert desk.serves("m1")
    assert client.lost == []
    assert set(client.answers) <= {answer_of(b"m1"), answer_of(b"m3")}


# One stride shows each kind of call in one of the two, the other the places between them.
@pytest.mark.parametrize(
    ("changes", "stride"), [(PLAIN, 4), (PROVEN, 11)], ids=["once", "with a proof"]
)
def test_endpoint_answers_when_the_pusher_dies(service, tmp_path, monkeypatch, changes, stride):
    desk = EndpointDesk(service, "killed", f"died-{stride}", tmp_path)
    die_at_each_call(desk, InThisProcess(desk, monkeypatch), changes, stride)


def test_push_that_is_killed_while_the_endpoint_is_updated_is_gone_on_with(service, tmp_path):
    desk = EndpointDesk(service, "killed", "killed-once", tmp_path)
    desk.push("m1")
    with Traffic(desk, PAUSE) as client, PushProcess("killed", desk.name, tmp_path) as pusher:
        assert not pusher.push("m2", "run", after="UpdateEndpoint")
        assert desk.states == {1: "stable", 2: "pushing"}
        assert pusher.push("m2", "run")
    assert desk.states == {1: "retired", 2: "stable"}
    assert desk.serves("m2")
    assert client.lost == []
    assert set(client.answers) <= {answer_of(b"m1"), answer_of(b"m2")}


def test_rollback_that_dies_is_repeated(service, tmp_path, monkeypatch):
    desk = EndpointDesk(service, "killed", "rolled-back", tmp_path)
    roll_back_dying(desk, InThisProcess(desk, monkeypatch), stride=2)


@pytest.mark.long
@pytest.mark.parametrize("changes", [PLAIN, PROVEN], ids=["once", "with a proof"])
def test_endpoint_answers_whenever_the_pusher_is_killed(service, tmp_path, changes):
    desk = EndpointDesk(service, "killed", f"killed-{len(changes)}", tmp_path)
    with PushProcess("killed", desk.name, tmp_path) as pusher:
        die_at_each_call(desk, pusher, changes, stride=1)


@pytest.mark.long
def test_rollback_that_is_killed_is_repeated(service, tmp_path):
    desk = EndpointDesk(service, "killed", "killed-back", tmp_path)
    with PushProcess("killed", desk.name, tmp_path) as pusher:
        roll_back_dying(desk, pusher, stride=1)
