"""A pusher that dies before each of its calls: the endpoint answers with old or new, 0 lost."""

import threading

import botocore.client
import pytest
from endpoint_desk import EndpointDesk, Traffic
from push_desk import Killed
from sagemaker_container import answer_of
from sagemaker_loopback import sagemaker_loopback

pytestmark = pytest.mark.slow

# What only asks changes nothing: a death before it is one before the next call.
_ASKING = ("Describe", "Get", "Head", "List")


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
            # The lock's own file is nothing of the push: its steps are tested where it is.
            asks = operation.startswith(_ASKING) or arguments.get("Key", "").endswith("push.json")
            if here.ident == self._pusher and not asks:
                if self.count == self.last:
                    self.dead = True
                    raise Killed
                self.count += 1
            return real(client, operation, arguments)

        monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", call)

    def at(self, step) -> None:
        self.count, self.last, self.dead = 0, step, False


# Proof and canary take three updates; a push without a proof takes one.
ALL = {"prove_first": True, "canary_percent": 10, "wait_seconds": 30}


@pytest.mark.parametrize(("changes", "stride"), [({}, 1), (ALL, 7)], ids=["once", "with a proof"])
def test_endpoint_answers_whenever_the_pusher_dies(service, tmp_path, monkeypatch, changes, stride):
    desk = EndpointDesk(service, "killed", f"killed-{stride}", tmp_path)
    death = Death(monkeypatch)
    death.at(None)
    desk.push("m")
    known, step, done = {answer_of(b"m")}, 0, False
    with Traffic(desk) as client:
        while not done:
            content, run_id = f"m{step}", f"run-{step}"
            known.add(answer_of(content.encode()))
            death.at(step)
            try:
                desk.push(content, run_id=run_id, **changes)
                done = True
            except Killed:
                death.at(None)
                # Every other one is gone on with; else the next push finds what was left.
                if step // stride % 2:
                    desk.push(content, run_id=run_id, **changes)
                    assert desk.record.stable.run_id == run_id, f"killed before call {step}"
                    assert desk.serves(content)
                step += stride
    assert step > 12
    assert client.lost == []
    assert set(client.answers) <= known
    states = list(desk.states.values())
    assert states.count("stable") == 1
    assert "pushing" not in states
    assert desk.endpoint.config in desk.configs
    assert len(desk.configs) <= 2
    assert service.deleted_in_use == []


def test_rollback_that_dies_is_repeated(service, tmp_path, monkeypatch):
    desk = EndpointDesk(service, "killed", "rolled-back", tmp_path)
    for name in ("m1", "m2", "m3"):
        desk.push(name)
    death = Death(monkeypatch)
    with Traffic(desk) as client:
        for step in range(12):
            death.at(step)
            try:
                desk.rollout().roll_back(1, "wrong")
            except Killed:
                death.at(None)
                assert desk.record.stable_version in (1, 3)
                continue
            break
        death.at(None)
    assert desk.record.stable_version == 1
    assert desk.serves("m1")
    assert client.lost == []
    assert set(client.answers) <= {answer_of(b"m1"), answer_of(b"m3")}
