"""Gauges as metrics of CloudWatch: what PutMetricData takes, and what alarms can name."""

import json
import os
from datetime import datetime, timezone
from pathlib import Path

import pytest
from drift_page_run import reference_profile, reports
from object_stores import S3, object_store
from sagemaker_shapes import faults

from tfx_loop.contracts.drift_report import DRIFT_REPORT
from tfx_loop.contracts.model_evaluation import OVERALL
from tfx_loop.contracts.quality_report import (
    QUALITY_REPORT,
    ErrorTest,
    LabelArrivals,
    QualityResult,
)
from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.drift.cloudwatch import MOST_METRICS, metric_data
from tfx_loop.monitoring.drift.telemetry import Gauge, gauges
from tfx_loop.pipelines.cli.main import main

NOW = datetime(2026, 12, 1, tzinfo=timezone.utc)


def gauge(value=1.0, name="g", unit="1", **labels):
    return Gauge(name, "Help.", unit, value, labels)


def sent(found, **dimensions):
    return [metric for batch in metric_data(found, NOW, dimensions) for metric in batch]


def test_the_version_is_no_dimension_so_that_alarms_outlive_a_push():
    (metric,) = sent([gauge(1.0, version="1", model="m"), gauge(2.0, version="2", model="m")])
    assert metric["Dimensions"] == [{"Name": "model", "Value": "m"}]
    assert metric["Value"] == 2.0


def test_labels_become_dimensions_that_cloudwatch_takes():
    long = gauge(model="m", slice="", feature="größe\n" + "x" * 400)
    (metric,) = sent([long], EndpointName="taxi")
    by_name = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
    assert list(by_name) == ["model", "feature", "EndpointName"]
    assert by_name["feature"].startswith("gr\\xf6\\xdfe?x")
    assert all(text.isascii() and len(text) <= 255 for text in by_name.values())
    with pytest.raises(ConfigError, match="at most 30 dimensions"):
        sent([gauge()], **{f"d{i}": "x" for i in range(31)})


def test_values_that_are_no_numbers_are_left_out_and_others_are_bounded():
    found = sent([gauge(float("nan"), "a"), gauge(float("inf"), "b"), gauge(1e-200, "c")])
    assert [(m["MetricName"], m["Value"]) for m in found] == [("b", 1.174271e108), ("c", 0.0)]
    assert [m["Unit"] for m in sent([gauge(unit="s"), gauge(unit="{row}", name="r")])] == [
        "Seconds",
        "Count",
    ]


def test_requests_hold_what_one_call_takes():
    many = [gauge(feature=str(i)) for i in range(2 * MOST_METRICS + 1)]
    batches = list(metric_data(many, NOW))
    assert [len(batch) for batch in batches] == [MOST_METRICS, MOST_METRICS, 1]


@pytest.mark.slow
def test_the_report_fits_the_service_model():
    (batch,) = metric_data(gauges(reports(reference_profile())[3]), NOW)
    request = {"Namespace": "tfx-loop", "MetricData": batch}
    assert faults("PutMetricData", request, "cloudwatch") == []


@pytest.mark.slow
def test_the_command_sends_reports_that_alarms_can_see(tmp_path, capsys, monkeypatch):
    import boto3

    drift, quality = str(tmp_path / "drift"), str(tmp_path / "quality")
    report = reports(reference_profile())[1]
    DRIFT_REPORT.write(report, drift)
    test = ErrorTest(
        promised_error=0.1,
        mean_error=0.2,
        rows=9,
        evidence=30.0,
        alarm_at_row=7,
        rows_since_quiet=2,
    )
    labels = LabelArrivals(labelled_rows=9, rows=10)
    QUALITY_REPORT.write(
        QualityResult(rows=9, slices={OVERALL: {"auc": 0.75}}, labels=labels, sequential=test),
        quality,
    )
    words = ["metrics", drift, quality, "--region", "us-east-1", "--model", "taxi", "--json"]
    with object_store(S3, "metrics"):
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", os.environ["AWS_ENDPOINT_URL_S3"])
        assert main([*words, "--dimension", "EndpointName=e"]) == 0
        told = json.loads(capsys.readouterr().out)
        client = boto3.client("cloudwatch")
        # moto keeps one CloudWatch a process, with what other tests sent to it.
        ours = [{"Name": "EndpointName", "Value": "e"}]
        found = client.list_metrics(Namespace="tfx-loop", Dimensions=ours)["Metrics"]
        assert told["metrics"] == len(found) > 10
        named = {
            (one["MetricName"], tuple((d["Name"], d["Value"]) for d in one["Dimensions"]))
            for one in found
        }
    whose = (("model", "taxi"), ("EndpointName", "e"))
    assert ("tfx_loop_quality_error_rise_alarm", whose) in named
    assert ("tfx_loop_quality_metric", (whose[0], ("metric", "auc"), whose[1])) in named
    assert not any("version" in dict(dimensions) for _, dimensions in named)
    assert main(["metrics", str(Path(tmp_path)), "--region", "us-east-1"]) == 1
    assert "found neither" in capsys.readouterr().err
