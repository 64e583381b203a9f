"""Which request it is by its headers, and who may say that it is golden."""

import pytest

from tfx_loop.deployment.model_server.model_config import ModelConfig
from tfx_loop.deployment.model_server.service import ModelService


def service(push_token):
    return ModelService(
        ModelConfig(name="flights", base_path="base"), None, None, lambda: 5, push_token=push_token
    )


def unreadable():
    raise PermissionError(13, "Permission denied", "/serving/.push.json")


@pytest.mark.parametrize(
    ("held", "sent", "golden"),
    [
        (lambda: "secret", "secret", True),
        (lambda: "secret", "guessed", False),
        (lambda: "", "anything", False),
        (unreadable, "secret", False),
    ],
)
def test_golden_is_what_carries_the_token_that_the_server_reads(held, sent, golden):
    identity = service(held).identify({"x-loop-golden": sent, "x-request-id": "r"})
    assert identity.golden is golden
    assert (identity.request_id, identity.event_time_ms) == ("r", 5)


def test_nobody_s_token_is_read_for_requests_that_claim_nothing():
    assert not service(unreadable).identify({}).golden
