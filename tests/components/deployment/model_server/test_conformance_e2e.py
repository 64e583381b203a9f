"""TF Serving's behaviours, one test each, asked of a real server of that name; and what it logs."""

import json

import pytest
from conformance_cases import CASES
from conformance_cases.case import Case, matches
from conformance_cases.examples import example
from conformance_cases.http_interface import other_log, other_server
from conformance_cases.server import World, opened_world
from conformance_cases.versions import before_any_version

from tfx_loop.data.prediction_log.reader import read_window

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow, pytest.mark.slow]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with opened_world(tmp_path_factory.mktemp("conformance")) as opened:
        yield opened


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.feature}: {case.name}")
def test_conformance(world: World, case: Case):
    got = case.ask(world)
    if case.differs:
        assert not matches(got, case.wanted), "it answers as TF Serving does: drop `differs`"
    else:
        assert matches(got, case.wanted), f"wanted {case.wanted!r}, got {got!r}"


def logged(world: World, request_id: str) -> list[dict]:
    table = read_window(str(other_log(world)), "default", 0, 10**14).table
    return [row for row in table.to_pylist() if row["request_id"] == request_id]


def test_classify_and_regress_are_logged_once_each_by_feature(world: World):
    server = other_server(world)
    for verb, signature in (("regress", "regress_x_to_y"), ("classify", "classify_x_to_y")):
        body = {"signature_name": signature, "examples": [{"x": 2.0}, {"x": 4.0}]}
        # The second one is a repeat.
        for _ in range(2):
            path = f"/v1/models/default:{verb}"
            assert server.rest("POST", path, json.dumps(body), {"x-request-id": verb})[0] == 200
    rows = logged(world, "regress")
    assert [(row["feature.x"], row["output.outputs"]) for row in rows] == [
        ([2.0], 3.0),
        ([4.0], 4.0),
    ]
    assert [row["output.scores"] for row in logged(world, "classify")] == [3.0, 4.0]


def test_multi_inference_is_logged_once_for_each_signature(world: World):
    from tensorflow_serving.apis import inference_pb2, prediction_service_pb2_grpc

    request = inference_pb2.MultiInferenceRequest()
    for verb in ("regress", "classify"):
        task = request.tasks.add(method_name=f"tensorflow/serving/{verb}")
        task.model_spec.name, task.model_spec.signature_name = "default", f"{verb}_x_to_y"
    request.input.example_list.examples.add().CopyFrom(example(x=2.0))
    channel = world.channel(f"127.0.0.1:{other_server(world).grpc_port}")
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    for _ in range(2):
        stub.MultiInference(request, 60, metadata=[("x-request-id", "multi")])
    channel.close()
    rows = logged(world, "multi")
    assert sorted((row["output.outputs"] or 0, row["output.scores"] or 0) for row in rows) == [
        (0, 3.0),
        (3.0, 0),
    ]


def test_requests_without_rows_are_answered_and_not_logged(world: World):
    body = json.dumps({"inputs": []})
    sent = {"x-request-id": "empty"}
    server = other_server(world)
    assert server.rest("POST", "/v1/models/default:predict", body, sent) == (200, {"outputs": []})
    assert logged(world, "empty") == []


def test_a_model_without_versions_tells_pushers_that_it_takes_candidates(world: World):
    code, _, headers = before_any_version(world)
    assert (code, headers.get("x-loop-candidate")) == (404, "")
