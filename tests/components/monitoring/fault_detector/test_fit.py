"""FaultDetector tells over-fitted and under-fitted models from sound ones, on real tables."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeRegressor

from tfx_loop.contracts.fault_report import FAULT_REPORT, FaultVerdict
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.monitoring.fault_detector.detection import detect_faults
from tfx_loop.monitoring.fault_detector.page import render
from tfx_loop.monitoring.fault_detector.rows import SplitRows, mean_and_error, no_rows
from tfx_loop.monitoring.fault_detector.settings import DetectionSettings

# Each test fits a reference: the file takes half a minute.
pytestmark = pytest.mark.slow


def halves(table, seed=0):
    """Training and held-out rows of a table, standardised by the training rows."""
    order = np.random.default_rng(seed).permutation(len(table.target))
    sides = order[: len(order) // 2], order[len(order) // 2 :]
    x = [table.data[rows] for rows in sides]
    center, scale = x[0].mean(axis=0), x[0].std(axis=0) + 1e-9
    return [
        ((part - center) / scale, table.target[rows].astype(float))
        for part, rows in zip(x, sides, strict=True)
    ]


def judged(model, sides, **settings):
    ask = getattr(model, "predict_proba", None) or model.predict
    return detect_faults(*(rows(x, y, ask(x)) for x, y in sides), DetectionSettings(**settings))


def rows(x, y, outputs, **other):
    features = {f"x{place}": x[:, place] for place in range(x.shape[1])}
    return SplitRows(features=features, labels=y, outputs=outputs, **other)


class Memory:
    """A network's extreme: sure of the nearest training row's label."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def predict_proba(self, asked):
        near = ((asked[:, None, :] - self.x[None]) ** 2).sum(axis=-1).argmin(axis=1)
        sure = np.where(self.y[near] > 0, 1 - 1e-6, 1e-6)
        return np.stack([1 - sure, sure], axis=1)


@pytest.fixture(scope="module")
def cancer():
    return halves(load_breast_cancer())


@pytest.fixture(scope="module")
def diabetes():
    return halves(load_diabetes())


def test_sound_models_pass_with_whatever_gap_they_have(cancer):
    for model in (LogisticRegression(), RandomForestClassifier(100, random_state=0)):
        found = judged(model.fit(*cancer[0]), cancer)
        assert (found.verdict, found.reason) == (FaultVerdict.SOUND, "sound")
        assert found.findings == ()
    # The forest, which came last, has learnt its rows nearly by heart, and is sound.
    assert found.fit.training < 0.5 * found.fit.held_out


def test_a_model_that_learnt_its_rows_by_heart_is_over_fitted(cancer):
    found = judged(Memory(*cancer[0]), cancer)
    assert (found.verdict, found.reason) == (FaultVerdict.BLOCK, "over_fitted")
    (finding,) = found.findings
    assert finding.evidence["lost_share"] > 0.25
    assert "fewer epochs" in found.explanation
    assert found.fit.training < found.fit.reference_training < found.fit.held_out


def test_a_model_that_hardly_learnt_is_under_fitted(cancer):
    found = judged(LogisticRegression(C=1e-4).fit(*cancer[0]), cancer)
    assert (found.verdict, found.reason) == (FaultVerdict.BLOCK, "under_fitted")
    assert "Train longer" in found.explanation


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Ridge(), "sound"),
        (DecisionTreeRegressor(random_state=0), "over_fitted"),
        (Ridge(alpha=1e4), "under_fitted"),
    ],
)
def test_models_of_numbers_are_judged_by_their_squared_error(diabetes, model, reason):
    found = judged(model.fit(*diabetes[0]), diabetes)
    assert found.reason == reason
    assert found.fit.loss == "squared_error"
    given = np.var(diabetes[1][1])
    assert found.fit.constant_held_out == pytest.approx(given, rel=0.05)


def test_swapped_classes_are_worse_and_neither_over_nor_under_fitted(cancer):
    """A wrong input or label: the model fails on training rows as on others."""

    class Shifted:
        def predict_proba(self, asked):
            return LogisticRegression().fit(*cancer[0]).predict_proba(asked + 0.35)

    found = judged(Shifted(), cancer)
    assert found.reason in ("worse_than_reference", "under_fitted")
    assert found.verdict is FaultVerdict.BLOCK


@pytest.mark.parametrize("change", [lambda told: 1 - told, lambda told: 50 + 40 * told])
def test_answers_of_another_output_or_unit_are_not_under_fitted(cancer, change):
    model = LogisticRegression().fit(*cancer[0])
    sides = [rows(x, y, change(model.predict_proba(x)[:, 1])) for x, y in cancer]
    found = detect_faults(*sides, DetectionSettings())
    assert (found.verdict, found.reason) == (FaultVerdict.BLOCK, "worse_than_reference")
    assert "asked for another thing" in found.explanation


def test_numbers_in_another_unit_are_not_under_fitted_and_an_untrained_model_is(diabetes):
    model = Ridge().fit(*diabetes[0])
    sides = [rows(x, y, model.predict(x) / 1000) for x, y in diabetes]
    assert detect_faults(*sides, DetectionSettings()).reason == "worse_than_reference"
    # Weights as they are drawn at the start.
    drawn = np.random.default_rng(0).normal(size=diabetes[0][0].shape[1])
    sides = [rows(x, y, np.tanh(x @ drawn)) for x, y in diabetes]
    assert detect_faults(*sides, DetectionSettings()).reason == "under_fitted"


def test_labels_by_chance_are_no_signal_and_no_fault():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(600, 3)), random.integers(0, 2, 600).astype(float)
    sides = [(x[:300], y[:300]), (x[300:], y[300:])]
    found = judged(LogisticRegression().fit(*sides[0]), sides)
    assert (found.verdict, found.reason) == (FaultVerdict.WARN, "no_signal")
    assert judged(Memory(*sides[0]), sides).reason == "over_fitted"


def test_without_training_rows_the_kind_is_not_told(cancer):
    model = Memory(*cancer[0])
    held_out = rows(*cancer[1], model.predict_proba(cancer[1][0]))
    found = detect_faults(no_rows(held_out), held_out, DetectionSettings())
    assert (found.verdict, found.reason) == (FaultVerdict.BLOCK, "worse_than_reference")
    assert found.fit.training is None
    assert any("no training rows" in said for said in found.untested)


def test_fewer_than_100_held_out_rows_and_one_class_are_not_judged(cancer):
    model = LogisticRegression().fit(*cancer[0])
    few = [cancer[0], (cancer[1][0][:99], cancer[1][1][:99])]
    assert judged(model, few).reason == "too_few_rows"
    one = [(x, np.zeros(len(y))) for x, y in cancer]
    found = judged(model, one)
    assert (found.verdict, found.reason) == (FaultVerdict.NOT_ENOUGH_DATA, "one_class")


def test_held_out_rows_of_one_class_are_not_judged(cancer):
    """A model that always says so would look perfect there."""
    x, y = cancer[1]
    one = [cancer[0], (x[y == 1], y[y == 1])]
    sure = type("Sure", (), {"predict_proba": lambda _, x: np.tile([0.01, 0.99], (len(x), 1))})()
    found = judged(sure, one)
    assert (found.verdict, found.reason) == (FaultVerdict.NOT_ENOUGH_DATA, "one_class")


def test_two_classes_that_are_not_0_and_1_are_no_numbers(cancer):
    named = [(x, y + 1) for x, y in cancer]
    half = type("Half", (), {"predict_proba": lambda _, x: np.full(len(x), 0.5)})()
    with pytest.raises(DataError, match="labels 0 and 1 beside outputs from 0 to 1, received 1"):
        judged(half, named)


def test_a_model_worse_than_a_constant_on_its_own_rows_is_told_to_check_its_inputs(diabetes):
    model = Ridge().fit(*diabetes[0])
    mirrored = type("Mirrored", (), {"predict": lambda _, x: model.predict(-3 * x)})()
    found = judged(mirrored, diabetes)
    assert found.verdict is FaultVerdict.BLOCK
    # A linear model's answers cannot tell whether its inputs or its output have another scale.
    assert "its unit, how the classes" in found.explanation
    assert "the order and the scale of its inputs" in found.explanation


def test_outputs_that_are_not_finite_are_one_line(cancer):
    model = LogisticRegression().fit(*cancer[0])
    answers = model.predict_proba(cancer[1][0])
    answers[3] = np.nan
    sides = rows(*cancer[0], model.predict_proba(cancer[0][0])), rows(*cancer[1], answers)
    with pytest.raises(DataError, match="Expected finite outputs"):
        detect_faults(*sides, DetectionSettings())


def test_rows_of_a_group_count_as_one():
    values = np.repeat(np.random.default_rng(0).normal(size=50), 8)
    groups = np.repeat(np.arange(50), 8)
    assert mean_and_error(values)[1] < 0.5 * mean_and_error(values, groups)[1]
    once = mean_and_error(values[::8])
    assert mean_and_error(values, groups) == pytest.approx(once)


def test_an_acknowledged_fault_warns_and_says_who(cancer):
    found = judged(Memory(*cancer[0]), cancer, acknowledged={"over_fitted": "a trial, Ann"})
    assert (found.verdict, found.reason) == (FaultVerdict.WARN, "over_fitted")
    assert "a trial, Ann" in found.explanation
    assert "a trial, Ann" in render(found)


def test_a_report_is_read_as_it_was_written(cancer, tmp_path):
    found = judged(LogisticRegression().fit(*cancer[0]), cancer)
    FAULT_REPORT.write(found, str(tmp_path))
    assert FAULT_REPORT.read(str(tmp_path)).fit == found.fit


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"tolerance": 0.0}, "tolerance"),
        ({"max_rows": 0}, "max_rows"),
        ({"acknowledged": {"over_fited": "why"}}, "did you mean"),
        ({"acknowledged": {"over_fitted": " "}}, "who acknowledges"),
        ({"blocking": ("dominates",)}, "kinds of finding"),
    ],
)
def test_settings_that_cannot_work_are_one_line(settings, told):
    with pytest.raises(ConfigError, match=f"(?i){told}"):
        DetectionSettings(**settings)
