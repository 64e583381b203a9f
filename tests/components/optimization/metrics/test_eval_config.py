"""The metric, label and slices are the Evaluator's own."""

import pytest

from tfx_loop.core.errors import ConfigError
from tfx_loop.optimization.metrics.eval_config import from_eval_config

SNAKE = """{"model_specs": [{"signature_name": "serving_default", "label_key": "late"}],
"slicing_specs": [{}, {"feature_keys": ["origin"]}, {"feature_keys": ["origin", "carrier"]}],
"metrics_specs": [{"metrics": [{"class_name": "ExampleCount"}, {"class_name": "BinaryAccuracy",
"config": "{\\"threshold\\": 0.3}"},
{"class_name": "AUC", "threshold": {"value_threshold": {}}}]}]}"""


def test_the_metric_with_a_threshold_is_the_one_that_is_judged():
    found = from_eval_config(SNAKE)
    assert (found.metric_name, found.label, found.signature) == ("AUC", "late", "serving_default")
    assert found.slice_columns == ("origin",)


def test_a_named_metric_comes_with_its_own_threshold():
    found = from_eval_config(SNAKE, "BinaryAccuracy")
    assert found.metric_settings == {"threshold": 0.3}


def test_protobufs_camel_case_is_read_as_well():
    found = from_eval_config(
        '{"modelSpecs": [{"labelKey": "y", "predictionKey": "score"}], "slicingSpecs": [{}],'
        '"metricsSpecs": [{"metrics": [{"className": "F1Score"}]}]}'
    )
    assert (found.metric_name, found.label, found.output) == ("F1Score", "y", "score")


@pytest.mark.parametrize("text", ["{", "[]", '{"metrics_specs": [{"metrics": []}]}'])
def test_a_config_without_a_known_metric_is_refused(text):
    with pytest.raises(ConfigError, match="Expected"):
        from_eval_config(text)


@pytest.mark.tensorflow
def test_the_json_that_an_evaluator_node_holds_is_read():
    from google.protobuf import json_format
    from tensorflow_model_analysis.proto import config_pb2

    config = config_pb2.EvalConfig(
        model_specs=[config_pb2.ModelSpec(label_key="tips")],
        slicing_specs=[config_pb2.SlicingSpec(feature_keys=["company"])],
        metrics_specs=[config_pb2.MetricsSpec(metrics=[config_pb2.MetricConfig(class_name="AUC")])],
    )
    for preserving in (True, False):
        text = json_format.MessageToJson(config, preserving_proto_field_name=preserving)
        found = from_eval_config(text)
        assert (found.metric_name, found.label, found.slice_columns) == (
            "AUC",
            "tips",
            ("company",),
        )


SEVERAL = """{"modelSpecs": [{"name": "baseline", "isBaseline": true}, {"name": "candidate",
"labelKeys": {"clickRate": "clicked", "stars": "rating"},
"predictionKeys": {"stars": "rating_head"}}], "metricsSpecs": [
{"outputNames": ["clickRate"], "metrics": [{"className": "AUC", "threshold": {}}]},
{"outputNames": ["stars"], "metrics": [{"className": "MeanSquaredError"}]}]}"""


@pytest.mark.parametrize(
    ("metric", "label", "output"),
    [(None, "clicked", "clickRate"), ("MeanSquaredError", "rating", "rating_head")],
)
def test_of_several_outputs_the_metric_tells_label_and_output(metric, label, output):
    found = from_eval_config(SEVERAL, metric)
    assert (found.label, found.output) == (label, output)


def test_the_one_label_of_a_mapping_needs_no_output():
    found = from_eval_config(
        '{"model_specs": [{"label_keys": {"click": "clicked"}}],'
        '"metrics_specs": [{"metrics": [{"class_name": "AUC"}]}]}'
    )
    assert (found.label, found.output) == ("clicked", None)
