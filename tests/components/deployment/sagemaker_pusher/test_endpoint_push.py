"""Pushes to an endpoint: it answers with the old or the new version, and the record says which."""

import dataclasses

import pytest
from endpoint_desk import EndpointDesk, Traffic
from sagemaker_container import answer_of
from sagemaker_loopback import arn, sagemaker_loopback

from tfx_loop.contracts.deployment_record import SharedRecord
from tfx_loop.core.bucket.files import conditional_files
from tfx_loop.core.errors import ConfigError, ModelRejected, ServerUnavailable, ServingError
from tfx_loop.deployment.sagemaker_pusher.live_state import live_endpoint

pytestmark = pytest.mark.slow

CANARY = {"canary_percent": 25, "wait_seconds": 600, "termination_wait_seconds": 60}


@pytest.fixture(scope="module")
def service():
    with sagemaker_loopback("pushes") as loopback:
        yield loopback


@pytest.fixture
def desk(service, tmp_path, request):
    name = request.node.name.partition("[")[0].replace("test_", "").replace("_", "-")[:40]
    return EndpointDesk(service, "pushes", name.rstrip("-"), tmp_path)


def test_first_push_makes_the_endpoint_and_the_second_updates_it(desk, service):
    first = desk.push("m1")
    assert (first.version, first.replaced, desk.serves("m1")) == (1, None, True)
    second = desk.push("m2", **CANARY)
    assert (second.version, second.replaced, desk.serves("m2")) == (2, 1, True)
    assert desk.states == {1: "retired", 2: "stable"}
    assert desk.actions == [
        "upload_archive",
        "create_model",
        "create_endpoint_config",
        "create_endpoint",
        "golden_rows",
        "promote",
        "upload_archive",
        "create_model",
        "create_endpoint_config",
        "update_endpoint",
        "golden_rows",
        "promote",
    ]
    assert desk.record.endpoint == f"us-east-1/{desk.name}"
    told = service.call("DescribeEndpoint", {"EndpointName": desk.name})
    assert told["DataCaptureConfig"]["CaptureStatus"] == "Started"
    found = live_endpoint(desk.record, desk.base, desk.aws)
    assert (found.status, found.disagreement) == ("InService", "")
    assert [(variant.version, variant.traffic) for variant in found.variants] == [(2, 1.0)]


@pytest.mark.parametrize(
    "traffic",
    [CANARY, {"linear_percent": 25, "wait_seconds": 120}],
    ids=["canary", "linear"],
)
def test_no_request_is_lost_while_traffic_moves(desk, traffic):
    desk.name += "-" + str(len(traffic))
    desk.base += "-" + str(len(traffic))
    desk.push("m1")
    with Traffic(desk) as client:
        desk.push("m2", **traffic)
    assert client.lost == []
    assert set(client.answers) <= {answer_of(b"m1"), answer_of(b"m2")}
    # Both fleets answered for a while, the new one more as time went by.
    assert len(set(client.answers)) == 2


def test_alarm_takes_the_update_back(desk, service):
    service.put_alarm("latency")
    desk.push("m1", rollback_alarms=("latency",))
    with Traffic(desk) as client:
        service.put_alarm_in("latency", seconds=0.05)
        with pytest.raises(ModelRejected, match="went back: Alarm latency was in ALARM") as error:
            desk.push("m2", rollback_alarms=("latency",), canary_percent=10, wait_seconds=3600)
    assert f"/aws/sagemaker/Endpoints/{desk.name}" in str(error.value)
    assert desk.states == {1: "stable", 2: "failed"}
    assert desk.serves("m1")
    assert client.lost == []


@pytest.mark.parametrize("state", ["ALARM", "INSUFFICIENT_DATA", "none"])
def test_alarm_that_is_not_ok_is_refused_before_anything_changes(desk, service, state):
    if state != "none":
        service.put_alarm(f"alarm-{state}", state)
    calls = len(service.calls)
    with pytest.raises(ConfigError, match=f"alarm-{state}: {state}"):
        desk.push("m1", rollback_alarms=(f"alarm-{state}",))
    assert service.calls[calls:] == []
    assert desk.record.versions == ()


def test_golden_rows_that_differ_take_the_update_back(desk):
    desk.push("m1")
    with Traffic(desk) as client, pytest.raises(ModelRejected, match="received"):
        desk.push("m2", wrong=True)
    assert desk.states == {1: "stable", 2: "failed"}
    assert desk.serves("m1")
    assert client.lost == []


def test_version_is_proven_before_it_takes_traffic(desk):
    desk.push("m1", prove_first=True)
    with Traffic(desk) as client, pytest.raises(ModelRejected):
        desk.push("m2", prove_first=True, wrong=True, **CANARY)
    # No client ever saw it.
    assert set(client.answers) == {answer_of(b"m1")}
    assert client.lost == []
    assert desk.push("m3", prove_first=True, **CANARY).version == 3
    assert desk.serves("m3")
    # What the proof ran under is gone.
    assert [name for name in desk.configs if name.endswith("-proof")] == []


def test_first_version_that_fails_leaves_no_endpoint(desk, service):
    with pytest.raises(ModelRejected):
        desk.push("m1", wrong=True)
    assert desk.name not in service.endpoints
    desk.push("m2")
    assert desk.serves("m2")


def test_model_that_does_not_load_leaves_the_version_before(desk):
    desk.push("m1")
    with pytest.raises(ModelRejected, match="did not pass the ping health check") as error:
        desk.push("does not load")
    assert "/aws/sagemaker/Endpoints/" in str(error.value)
    assert desk.serves("m1")
    assert desk.record.version(2).reason == str(error.value)


def test_first_model_that_does_not_load_is_taken_away_again(desk, service):
    with pytest.raises(ModelRejected, match=r"received Failed: .* ping health check"):
        desk.push("does not load")
    assert desk.name not in service.endpoints
    desk.push("m2")
    assert desk.serves("m2")


def test_rollback_that_failed_says_that_it_is_not_known_what_serves(desk, service):
    desk.push("m1")
    service.outcomes.append("UpdateRollbackFailed")
    with pytest.raises(ModelRejected, match="not known which version serves"):
        desk.push("m2")
    assert "not known which version serves" in desk.record.version(2).reason
    with pytest.raises(ServingError, match="UpdateRollbackFailed"):
        desk.push("m3")


def test_update_of_somebody_else_is_waited_for_and_named(desk, service):
    desk.push("m1")
    service.next_error["UpdateEndpoint"] = ["in-progress"]
    with pytest.raises(ServerUnavailable, match="an update by somebody else"):
        desk.push("m2")
    assert desk.serves("m1")


def test_configs_before_the_last_are_deleted_and_none_in_use(desk, service):
    for number in range(1, 4):
        desk.push(f"m{number}", tags={"team": str(number), f"only-{number}": "x"})
    assert len(desk.configs) == 2
    tags = service.configs[desk.endpoint.config]["Tags"]
    held = {tag["Key"]: tag["Value"] for tag in tags}
    # Those of the config before are kept.
    assert held["team"] == held["tfx-loop:version"] == "3"
    assert {"only-1", "only-2", "only-3"} <= set(held)
    assert desk.endpoint.config in desk.configs
    assert service.deleted_in_use == []


def test_name_of_another_model_is_refused_and_nothing_is_replaced(desk, service):
    desk.push("m1")
    taken = next(name for name in service.models if name.startswith(f"{desk.name}-1"))
    before = dict(service.models[taken])
    service.models[taken.replace("-1-", "-2-")] = before
    digest = taken.rpartition("-")[2]
    other = EndpointDesk(service, "pushes", desk.name, desk.scratch)
    # The same archive as another version: its name is taken by a model of another role.
    before["ModelName"] = taken.replace("-1-", "-2-")
    before["ExecutionRoleArn"] = "arn:aws:iam::123456789012:role/other"
    with pytest.raises(ConfigError, match="found another of that name: ExecutionRoleArn differ"):
        other.push("m1", run_id="again")
    assert service.models[f"{desk.name}-2-{digest}"] is before
    assert desk.serves("m1")


def test_endpoint_of_others_is_taken_over_and_given_back(desk, service):
    desk.push("theirs")
    theirs = desk.endpoint.config
    mine = EndpointDesk(service, "pushes", desk.name, desk.scratch)
    mine.base += "-mine"
    mine.push("m1")
    assert mine.serves("m1")
    with pytest.raises(ModelRejected):
        mine.push("m2", wrong=True)
    assert mine.serves("m1")
    assert theirs in service.configs


def test_more_tags_than_aws_takes_with_those_kept_are_refused_and_nothing_is_made(desk, service):
    desk.push("m1")
    kept = service.tags[arn("endpoint-config", desk.endpoint.config)]
    # AWS' limit is 50; three are the push's own.
    kept |= {f"team-{number}": "a" for number in range(40)}
    desk.push("m2", tags={f"new-{number}": "a" for number in range(7)})
    configs, models = desk.configs, dict(service.models)
    with pytest.raises(ConfigError, match=r"at most 50 tags, with those kept.*received 51"):
        desk.push("m3", tags={"one-more": "a"})
    assert (desk.configs, service.models) == (configs, models)
    assert desk.serves("m2")


def test_base_path_of_another_endpoint_or_of_a_server_is_refused(desk, service):
    desk.push("m1")
    other = EndpointDesk(service, "pushes", f"{desk.name}-2", desk.scratch)
    other.base = desk.base
    calls = len(service.calls)
    with pytest.raises(ConfigError, match=f"those of the endpoint us-east-1/{desk.name}") as error:
        other.push("m2", model_name=desk.name)
    assert "\n" not in str(error.value)
    files = conditional_files(desk.base)
    shared = SharedRecord(files, desk.base, desk.name)
    shared.write(dataclasses.replace(shared.content, endpoint=""))
    with pytest.raises(ConfigError, match="those of a model server"):
        desk.push("m2")
    assert service.calls[calls:] == []


def test_endpoint_with_other_variants_is_refused(desk):
    desk.push("m1")
    with pytest.raises(ConfigError, match="guardrails want names to stay"):
        desk.push("m2", variant_name="Blue")


def test_endpoint_whose_config_is_gone_is_refused_with_what_to_do(desk, service):
    desk.push("m1")
    del service.configs[desk.endpoint.config]
    with pytest.raises(ConfigError, match="somebody deleted it"):
        desk.push("m2")
    assert desk.serves("m1")


def test_same_run_pushes_once(desk, service):
    desk.push("m1", run_id="run")
    calls = len(service.calls)
    assert desk.push("m1", run_id="run").version == 1
    assert set(service.calls[calls:]) <= {"DescribeEndpoint"}
    # Another run of the same model is another version of the same archive.
    assert desk.push("m1", run_id="other").version == 2
    assert desk.actions.count("upload_archive") == 1


def test_rollback_lets_an_earlier_version_serve(desk):
    for name in ("m1", "m2", "m3"):
        desk.push(name)
    with Traffic(desk) as client:
        record = desk.rollout().roll_back(1, "too many refunds")
    assert record.stable_version == 1
    assert desk.serves("m1")
    assert client.lost == []
    # Its config had been deleted, and was made anew; the next push goes on from there.
    assert desk.push("m4").replaced == 1
    with pytest.raises(ConfigError, match="SageMaker's clients cannot ask for one"):
        desk.rollout().label("blue", 1)


def test_shadow_is_compared_with_production_by_what_was_captured(desk):
    desk.push("m1")
    with Traffic(desk) as client:
        desk.push("m2", shadow_seconds=600)
    (report,) = desk.reports
    assert (report.champion, report.candidate) == (1, 2)
    assert report.requests == report.rows > 0
    assert report.agreement == {"score": report.agreement["score"]}
    assert client.lost == []
    assert desk.serves("m2")


def test_shadow_that_decides_otherwise_never_takes_traffic(desk):
    low, high = _far_apart()
    desk.push(low)
    with Traffic(desk) as client, pytest.raises(ModelRejected, match="shadowed rows"):
        desk.push(high, shadow_seconds=600, min_agreement=0.9)
    assert set(client.answers) == {answer_of(low.encode())}
    assert client.lost == []
    assert desk.serves(low)


def _far_apart():
    names = [f"n{number}" for number in range(20)]
    return min(names, key=lambda n: answer_of(n.encode())), max(
        names, key=lambda n: answer_of(n.encode())
    )


def test_serverless_has_neither_capture_nor_isolation(desk, service):
    changes = {"instance_type": "", "serverless_memory_mb": 2048, "instance_count": 1}
    desk.push("m1", prove_first=True, **changes)
    assert desk.serves("m1")
    config = service.configs[desk.endpoint.config]
    assert "DataCaptureConfig" not in config
