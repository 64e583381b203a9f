"""Captures go on through the updates of an endpoint; rows know which version answered."""

import json
import time

import pytest
from endpoint_desk import EndpointDesk
from sagemaker_loopback import sagemaker_loopback

from tfx_loop.contracts.capture_source import CaptureSource
from tfx_loop.data.prediction_log.importers.capture_window import read_captures
from tfx_loop.pipelines.runners.captures import served_versions

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]


def ask(desk, inference_id):
    desk.loopback.runtime.invoke_endpoint(
        EndpointName=desk.name,
        Body=json.dumps({"instances": [[1.0], [2.0]]}),
        ContentType="application/json",
        InferenceId=inference_id,
    )


def test_captures_go_on_through_an_update_with_the_version_that_answered(tmp_path):
    with sagemaker_loopback("capturing") as loopback:
        desk = EndpointDesk(loopback, "capturing", "taxi", tmp_path)
        desk.push("one")
        # Captures have whole seconds: a version counts from the second after its promotion on.
        time.sleep(1.1)
        ask(desk, "before")
        desk.push("two")
        time.sleep(1.1)
        ask(desk, "after")
        source = CaptureSource(
            prefix=f"{desk.base}/capture/taxi",
            variants=("AllTraffic",),
            feature_names=("x",),
            output_names=("score",),
            versions=served_versions(desk.record),
        )
        now_ms = time.time_ns() // 1_000_000
        found = read_captures(source, "taxi", now_ms - 600_000, now_ms + 600_000)
        versions = sorted(v.version for v in desk.record.versions)
    rows = found.table.to_pylist()
    assert [(row["request_id"], row["instance_index"]) for row in rows] == [
        ("before", 0),
        ("before", 1),
        ("after", 0),
        ("after", 1),
    ]
    assert [row["model_version"] for row in rows] == [v for v in versions for _ in range(2)]
    assert len({row["output.score"] for row in rows}) == 2, "two models answered"
    assert found.losses.golden_rows >= 2, "the pusher's own requests are no traffic"
    assert found.losses.rejected_captures == {}
