"""The report's numbers as gauges: read back by Prometheus' parser and OpenTelemetry's SDK."""

import re
from dataclasses import replace

import pytest
from drift_page_run import reference_profile, reports
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client.parser import text_string_to_metric_families

from tfx_loop.contracts.drift_report import FeatureDrift
from tfx_loop.monitoring.drift.telemetry import (
    MOST_FEATURES,
    PREFIX,
    Gauge,
    gauges,
    prometheus_text,
    record,
)


@pytest.fixture(scope="module")
def chain():
    return reports(reference_profile())


def parsed(found):
    """Returns the samples that a Prometheus server would read, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(prometheus_text(found))
        for sample in family.samples
    }


def one(samples, name, **labels):
    [value] = [
        value
        for (found, pairs), value in samples.items()
        if found == PREFIX + name and labels.items() <= dict(pairs).items()
    ]
    return value


def test_prometheus_reads_the_numbers_of_the_report(chain):
    drifted = chain[2]
    samples = parsed(gauges(drifted))
    weight = next(f for f in drifted.features if f.feature == "weight")
    assert one(samples, "psi", feature="weight") == weight.psi
    assert one(samples, "q_value", feature="weight") == weight.q_value
    assert one(samples, "drifted", feature="weight") == 1
    assert one(samples, "rows", side="current") == 3_000
    assert one(samples, "rows", side="failed") == 3
    assert one(samples, "drifted_features") == len(drifted.drifted)
    auc = drifted.estimated.metrics["auc"]
    assert one(samples, "estimated_quality", metric="auc") == auc.value
    assert one(samples, "estimated_quality_reference", metric="auc") == auc.reference
    assert one(samples, "realised_quality", metric="auc") == 0.74
    assert one(samples, "label_coverage_ratio") == 0.966
    assert one(samples, "label_delay_seconds", quantile="0.5") == 72_000
    assert one(samples, "error_rise_alarm") == 0


def test_the_verdict_is_a_state_set(chain):
    for made in chain:
        samples = parsed(gauges(made))
        states = {
            dict(pairs)["verdict"]: value
            for (name, pairs), value in samples.items()
            if name == PREFIX + "verdict"
        }
        assert [state for state, value in states.items() if value] == [made.verdict.value]
        assert len(states) == 4


def test_a_broken_feature_names_its_fault(chain):
    samples = parsed(gauges(chain[3]))
    assert one(samples, "fault", feature="age", fault="constant_value") == 1
    assert one(samples, "faulty_features") == 1


def test_names_keep_to_prometheus_rules_and_every_series_is_told_once(chain):
    found = gauges(chain[3])
    assert all(re.fullmatch(r"tfx_loop_drift_[a-z_]+", gauge.name) for gauge in found)
    assert all(gauge.help.endswith(".") for gauge in found)
    series = [(gauge.name, tuple(gauge.labels.items())) for gauge in found]
    assert len(set(series)) == len(series)
    by_name = {}
    for gauge in found:
        by_name.setdefault(gauge.name, set()).add((tuple(gauge.labels), gauge.help, gauge.unit))
    assert all(len(kinds) == 1 for kinds in by_name.values())
    assert {"model", "version"} <= set(found[0].labels)


def test_thousands_of_features_and_endless_names_are_bounded(chain):
    many = tuple(
        FeatureDrift(feature="x" * 500 + str(number), type="numeric", psi=0.1)
        for number in range(1_000)
    ) + tuple(FeatureDrift(feature=f"f{number}", type="numeric", psi=0.1) for number in range(500))
    found = gauges(replace(chain[0], features=tuple(reversed(many))))
    named = [gauge for gauge in found if gauge.name == f"{PREFIX}psi"]
    assert len(named) == MOST_FEATURES
    assert max(len(value) for gauge in found for value in gauge.labels.values()) <= 120
    same = gauges(replace(chain[0], features=many))
    assert len([gauge for gauge in same if gauge.name == f"{PREFIX}psi"]) == 1


def test_odd_names_come_back_as_they_were():
    odd = 'a"b\\c\nd'
    samples = parsed([Gauge("g", 'Help \\ "x".', "1", 2.5, {"feature": odd})])
    assert samples == {("g", (("feature", odd),)): 2.5}


def test_opentelemetry_gets_the_same_numbers(chain):
    reader = InMemoryMetricReader()
    found = gauges(chain[3])
    record(found, MeterProvider([reader]))
    [resource] = reader.get_metrics_data().resource_metrics
    [scope] = resource.scope_metrics
    assert scope.scope.name == "tfx_loop.drift_monitor"
    points = {
        (metric.name.replace("tfx_loop.drift.", PREFIX), tuple(point.attributes.items())): (
            point.value
        )
        for metric in scope.metrics
        for point in metric.data.data_points
    }
    assert points == {(gauge.name, tuple(gauge.labels.items())): gauge.value for gauge in found}
    units = {metric.name: metric.unit for metric in scope.metrics}
    assert units["tfx_loop.drift.rows"] == "{row}"


def test_without_a_provider_nothing_happens(chain):
    record(gauges(chain[0]))
