"""The flights behind an endpoint: requests, captures, ground truth, and the pipelines' nodes.

`make demo-sagemaker` runs the whole loop, with training and a real server in the container.
"""

import json

import pytest
from endpoint_desk import EndpointDesk
from sagemaker_loopback import IMAGE, REGION, ROLE, sagemaker_loopback

from tfx_loop.contracts.capture_source import CaptureSource
from tfx_loop.data.prediction_log.importers.capture_window import read_captures
from tfx_loop.data.prediction_log.labels import join_labels, read_labels
from tfx_loop.pipelines.examples.flights.calendar import FlightMonths
from tfx_loop.pipelines.examples.flights.data import FEATURES, LABEL, load_flights
from tfx_loop.pipelines.examples.flights.sagemaker import (
    ask_endpoint,
    sagemaker_settings,
    write_ground_truth,
)
from tfx_loop.pipelines.monitoring import MonitoringRequest, monitoring_pipeline
from tfx_loop.pipelines.training import TrainingRequest, training_pipeline

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

ENDPOINT = {
    "endpoint": "flights",
    "region": REGION,
    "role_arn": ROLE,
    "image": IMAGE,
    "instance_type": "ml.c5.large",
}


@pytest.fixture(scope="module")
def march():
    flights = load_flights(0.002, 0)
    return flights[flights["span"] == 3]


def test_requests_of_a_month_are_captured_and_meet_their_labels(march, tmp_path):
    window = FlightMonths().window_of_span(3)
    with sagemaker_loopback("flights") as loopback:
        desk = EndpointDesk(loopback, "flights", "flights", tmp_path)
        desk.push("model")
        settings = sagemaker_settings(tmp_path, desk.base, ENDPOINT)
        asked = ask_endpoint(loopback.runtime, "flights", march, loopback.capture_at)
        told = write_ground_truth(settings.pipeline.labels, march, window.end_ms)
        source = settings.serving.capture
        found = read_captures(source, "flights", window.start_ms, window.end_ms)
        labels = read_labels(settings.pipeline.labels)
    rows = found.table
    assert (len(rows), len(set(rows.column("request_id").to_pylist()))) == (len(march), asked)
    assert found.losses.rejected_captures == {}
    assert {f"feature.{name}" for name in FEATURES} <= set(rows.column_names)
    labelled, counts = join_labels(rows, labels, window.end_ms)
    assert (counts.matched, counts.unknown_ids) == (told, 0)
    assert told == int(march[LABEL].notna().sum())
    assert sum(labelled.column("label").to_pylist()) == march[LABEL].sum()
    assert join_labels(rows, labels, window.end_ms - 1)[1].after_as_of == told


def test_the_pipelines_push_to_the_endpoint_and_read_its_captures(tmp_path):
    settings = sagemaker_settings(tmp_path, "s3://bucket/flights", ENDPOINT)
    training = training_pipeline(settings, TrainingRequest(spans=(1, 2)))
    nodes = {node.id: node for node in training.components}
    assert "ServingPusher" not in nodes
    pushed = nodes["SageMakerPusher"].exec_properties
    assert pushed["base_path"] == "s3://bucket/flights"
    assert pushed["capture_uri"] == "s3://bucket/flights/capture"
    window = FlightMonths().window_of_span(4)
    request = MonitoringRequest(
        window=window, label_window=window, labelled_since_ms=0, reference_profile_uri="p"
    )
    read = {n.id: n.exec_properties for n in monitoring_pipeline(settings, request).components}
    source = CaptureSource(**json.loads(read["PredictionLogGen"]["capture"]))
    assert source.prefix == "s3://bucket/flights/capture/flights"
    assert read["LabelJoiner"]["labels_dir"] == "s3://bucket/flights/ground_truth"
