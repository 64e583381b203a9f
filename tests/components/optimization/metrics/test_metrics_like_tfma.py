"""Our metrics on some rows are TFMA's on the same rows."""

import numpy as np
import pandas as pd
import pytest

from tfx_loop.optimization.metrics.metrics import metric
from tfx_loop.optimization.metrics.scoring import PredictionKind, Scoring

pytestmark = pytest.mark.tensorflow

COUNTED = ["BinaryAccuracy", "Precision", "Recall", "F1Score", "BalancedAccuracy"]
SMOOTH = ["AUC", "BinaryCrossEntropy", "MeanSquaredError", "MeanAbsoluteError"]


def of_tfma(names, labels, scores):
    """Returns TFMA's values by class name: one pass over the rows for all of them."""
    import tensorflow_model_analysis as tfma
    from tensorflow_model_analysis.proto import config_pb2

    config = config_pb2.EvalConfig(
        model_specs=[config_pb2.ModelSpec(label_key="label", prediction_key="score")],
        slicing_specs=[config_pb2.SlicingSpec()],
        metrics_specs=[
            config_pb2.MetricsSpec(
                metrics=[
                    config_pb2.MetricConfig(class_name=name, config=f'{{"name": "{name}"}}')
                    for name in names
                ]
            )
        ],
    )
    frame = pd.DataFrame({"label": list(labels), "score": list(scores)})
    ((_, values),) = tfma.analyze_raw_data(frame, config).slicing_metrics
    return {name: value["doubleValue"] for name, value in values[""][""].items()}


@pytest.fixture(scope="module")
def binary():
    rng = np.random.default_rng(7)
    labels = (rng.random(400) < 0.3).astype(float)
    scores = 1 / (1 + np.exp(-(rng.normal(size=400) + 1.5 * labels - 1)))
    scores[:100] = np.round(scores[:100] * 254 + 1) / 256  # as an int8 output has them
    return labels, scores, of_tfma([*COUNTED, *SMOOTH], labels, scores)


@pytest.mark.parametrize("name", COUNTED)
def test_metrics_that_count_decisions_are_tfma_s(binary, name):
    labels, scores, theirs = binary
    assert metric(name).compute(labels, scores) == pytest.approx(theirs[name], abs=1e-9)


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_metrics_are_tfma_s(binary, name):
    labels, scores, theirs = binary
    assert metric(name).compute(labels, scores) == pytest.approx(theirs[name], abs=2e-4, rel=1e-5)


def test_accuracy_of_classes_is_keras_s_in_tfma():
    rng = np.random.default_rng(8)
    labels = rng.integers(0, 4, size=200)
    scores = rng.dirichlet(np.ones(4), size=200)
    name = "SparseCategoricalAccuracy"
    ours = metric(name, scoring=Scoring(kind=PredictionKind.CLASSES)).compute(labels, scores)
    assert ours == pytest.approx(of_tfma([name], labels.astype(float), scores)[name], abs=1e-6)


def test_the_auc_counts_ties_of_its_buckets_as_tfma_does():
    """Scores closer than a ten thousandth are ties in TFMA: the exact area would be 1."""
    labels = np.repeat([0.0, 1.0], 100)
    scores = np.repeat([0.000031, 0.000042], 100)
    ours = metric("AUC").compute(labels, scores)
    assert ours == pytest.approx(of_tfma(["AUC"], labels, scores)["AUC"], abs=1e-6)


def test_scores_of_exactly_no_and_yes_fall_on_tfma_s_side_of_the_thresholds():
    rng = np.random.default_rng(9)
    labels = rng.integers(0, 2, size=300).astype(float)
    scores = rng.choice([0.0, 0.25, 0.5, 1.0], size=300)
    theirs = of_tfma(["AUC", "BinaryAccuracy"], labels, scores)
    for name, value in theirs.items():
        assert metric(name).compute(labels, scores) == pytest.approx(value, abs=1e-6)
