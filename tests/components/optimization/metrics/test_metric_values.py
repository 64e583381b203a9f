"""What outputs mean is read off the parent, and metrics agree with scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics as sk

from tfx_loop.contracts.optimization_report import SliceStatus
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.optimization.compression_target import CompressionTarget
from tfx_loop.optimization.metrics.budget import Budget, judge
from tfx_loop.optimization.metrics.metrics import infer_metric, metric
from tfx_loop.optimization.metrics.scoring import PredictionKind, infer_scoring, softmax

RNG = np.random.default_rng(5)
LOGITS = RNG.normal(size=(300, 3)) * 2
DIGITS = RNG.integers(0, 3, size=300)


def test_classes_from_logits_and_from_probabilities_are_the_same():
    for outputs, logits in ((LOGITS, True), (softmax(LOGITS), False)):
        found = infer_scoring(DIGITS, {"out": outputs})
        assert (found.kind, found.from_logits) == (PredictionKind.CLASSES, logits)
        loss = infer_metric(DIGITS, {"out": outputs}, "LogLoss").compute(DIGITS, {"out": outputs})
        assert loss == pytest.approx(sk.log_loss(DIGITS, softmax(LOGITS)), rel=1e-6)


@pytest.mark.parametrize("shape", [(300,), (300, 1)])
def test_yes_or_no_from_logits_is_decided_at_zero(shape):
    labels, logits = RNG.integers(0, 2, size=300), RNG.normal(size=shape) * 3
    found = infer_metric(labels, logits)
    assert (found.name, found.scoring.from_logits) == ("BinaryAccuracy", True)
    assert found.compute(labels, logits) == ((logits.ravel() > 0) == labels).mean()


def test_numbers_are_judged_by_r2():
    labels = RNG.normal(size=200)
    outputs = (labels + RNG.normal(size=200))[:, None]
    found = infer_metric(labels, outputs)
    assert found.compute(labels, outputs) == pytest.approx(sk.r2_score(labels, outputs))


def test_one_hot_labels_are_classes():
    one_hot = np.eye(3)[DIGITS]
    found = infer_metric(one_hot, LOGITS)
    assert found.compute(one_hot, LOGITS) == (LOGITS.argmax(axis=1) == DIGITS).mean()


def test_auc_of_two_columns_is_that_of_the_second():
    labels, scores = RNG.integers(0, 2, size=300), RNG.random(300)
    outputs = np.stack([1 - scores, scores], axis=1)
    found = infer_metric(labels, outputs, "AUC").compute(labels, outputs)
    assert found == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-3)


def test_plain_names_are_understood():
    assert infer_metric(DIGITS, LOGITS, "accuracy").name == "SparseCategoricalAccuracy"
    assert metric("r2").name == "R2Score"
    assert metric("f1_score").name == "F1Score"


@pytest.mark.parametrize(
    ("labels", "outputs", "name", "error", "message"),
    [
        (DIGITS, LOGITS, "AUC", ConfigError, "metric for one of several classes"),
        (DIGITS, LOGITS, "R2Score", ConfigError, "received R2Score"),
        (DIGITS, LOGITS, "nonsense", ConfigError, "received 'nonsense'"),
        (DIGITS + 1, LOGITS, None, DataError, "class numbers 0 to 2 .* from 1 to 3"),
        (DIGITS + 0.5, LOGITS, None, DataError, "class numbers 0 to 2"),
        (DIGITS[:9], LOGITS, None, DataError, "Expected one label a row"),
        (DIGITS, np.full((300, 3), np.nan), None, DataError, "Expected finite outputs"),
        (DIGITS, {"a": LOGITS, "b": LOGITS}, None, DataError, "one of a, b"),
    ],
)
def test_what_does_not_fit_is_refused(labels, outputs, name, error, message):
    with pytest.raises(error, match=message):
        infer_metric(labels, outputs, name)


def test_slices_are_judged_by_their_own_limit():
    labels = np.zeros(400, int)
    good = np.tile([1.0, 0.0], (400, 1))
    bad = good.copy()
    bad[:10] = [0.0, 1.0]
    found = judge(
        good,
        bad,
        labels,
        Budget(
            metric=infer_metric(labels, good, "SparseCategoricalAccuracy"),
            max_metric_drop=0.03,
            max_slice_drop=0.05,
        ),
        {"shop": np.repeat(["a", "b", "c"], [100, 290, 10])},
    )
    assert found.overall.drop.value == pytest.approx(0.025)
    assert {part.slice: part.status for part in found.slices} == {
        "shop:a": SliceStatus.OVER,
        "shop:b": SliceStatus.WITHIN,
        "shop:c": SliceStatus.TOO_FEW_ROWS,
    }
    assert [part.slice for part in found.over] == ["shop:a"]


def test_a_drop_of_exactly_the_limit_is_within():
    labels = np.zeros(1000, int)
    good = np.tile([1.0, 0.0], (1000, 1))
    bad = good.copy()
    bad[:3] = [0.0, 1.0]
    budget = Budget(metric=infer_metric(labels, good), max_metric_drop=0.003)
    assert judge(good, bad, labels, budget).overall.status is SliceStatus.WITHIN


@pytest.mark.parametrize("limit", [-0.1, float("nan"), float("inf")])
def test_a_budget_that_means_nothing_is_refused(limit):
    with pytest.raises(ConfigError, match="max_metric_drop of at least 0"):
        Budget(metric=metric("AUC"), max_metric_drop=limit, target=CompressionTarget.FASTEST)
