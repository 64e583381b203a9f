"""Pictures, estimated quality and the windows before: right numbers, and back from JSON."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from drift_page_run import SCORE, SETTINGS, reference_profile, report_of, reports, rows
from example_counts import scaled
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from tfx_loop.contracts.drift_report import CATEGORIES, DRIFT_REPORT, NUMBERS, PastWindow
from tfx_loop.contracts.quality_report import ErrorTest, LabelArrivals, QualityResult
from tfx_loop.contracts.window_quality import RealisedQuality
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.monitoring.drift.history import MOST_WINDOWS, merged_history, with_window
from tfx_loop.monitoring.drift.page import render
from tfx_loop.monitoring.drift.quality.estimation import CONCEPT, corrected_by_labels
from tfx_loop.monitoring.drift.quality.realised import realised_quality
from tfx_loop.monitoring.drift.shapes import MOST_NAMES, shape_of
from tfx_loop.monitoring.profile.bins import BinSettings, freeze
from tfx_loop.monitoring.profile.columns import FeatureType
from tfx_loop.monitoring.profile.counts import count
from tfx_loop.monitoring.profile.reference import FeatureProfile


@pytest.fixture(scope="module")
def profile():
    return reference_profile()


@pytest.fixture(scope="module")
def chain(profile):
    return reports(profile)


def shape(reference, current, kind):
    arrow = pa.float64() if kind is FeatureType.NUMERIC else None
    reference, current = pa.array(reference, arrow), pa.array(current, arrow)
    bins = freeze(reference, kind, BinSettings())
    profile = FeatureProfile("x", kind, bins, count(reference, kind, bins))
    return shape_of(profile, count(current, kind, bins))


numbers = st.lists(
    st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0])), min_size=1, max_size=60
)


@settings(max_examples=scaled(30), deadline=None)
@given(numbers.filter(lambda v: any(x is not None for x in v)), numbers)
def test_all_rows_are_in_the_bars_of_numbers(reference, current):
    found = shape(reference, current, FeatureType.NUMERIC)
    assert found.kind == NUMBERS
    assert len(found.reference) == len(found.current) == len(found.edges) + 1
    for bars, missing in (
        (found.reference, found.reference_missing),
        (found.current, found.current_missing),
    ):
        assert min(bars) >= 0
        assert sum(bars) + missing == pytest.approx(1.0, abs=1e-3)


@settings(max_examples=scaled(30), deadline=None)
@given(
    st.lists(st.integers(0, 30).map(str), min_size=1, max_size=80),
    st.lists(st.integers(0, 40).map(str), min_size=1, max_size=80),
)
def test_all_rows_are_in_the_bars_of_categories(reference, current):
    found = shape(reference, current, FeatureType.CATEGORICAL)
    assert found.kind == CATEGORIES
    assert len(found.names) <= MOST_NAMES + 1
    assert sum(found.reference) == pytest.approx(1.0, abs=1e-3)
    assert sum(found.current) == pytest.approx(1.0, abs=1e-3)


def test_bars_are_where_the_values_are():
    values = np.random.default_rng(0).normal(size=20_000)
    found = shape(values, values + 1.0, FeatureType.NUMERIC)
    middles = (np.array(found.edges[1:]) + np.array(found.edges[:-1])) / 2
    for bars, mean in ((found.reference, 0.0), (found.current, 0.6)):
        inner = np.array(bars[1:-1])
        assert np.average(middles, weights=inner) == pytest.approx(mean, abs=0.08)
    assert found.current[-1] > 5 * found.reference[-1]


def test_many_whole_numbers_are_drawn_as_a_line_and_few_by_name():
    random = np.random.default_rng(0)
    many = random.integers(0, 50, 4_000)
    found = shape(many, many, FeatureType.INTEGER)
    assert found.kind == NUMBERS
    assert found.reference == found.current
    assert sum(found.reference) == pytest.approx(1.0, abs=1e-3)
    few = random.integers(0, 4, 4_000)
    assert shape(few, few, FeatureType.INTEGER).names == ("0", "1", "2", "3")


def test_the_estimate_is_what_labels_give_where_scores_mean_what_they_meant(profile):
    found = rows(30_000, 5, shift=0.7)
    estimated = report_of(profile, "w", found).estimated
    truth, scores = found["label"], found[SCORE]
    for name, value, off in (
        ("auc", roc_auc_score(truth, scores), 0.015),
        ("accuracy", accuracy_score(truth, scores > 0.5), 0.015),
        ("f1", f1_score(truth, scores > 0.5), 0.02),
    ):
        assert estimated.metrics[name].value == pytest.approx(value, abs=off)
        assert estimated.metrics[name].low < estimated.metrics[name].high
    held = rows(4_000, 2)
    promised = roc_auc_score(held["label"], held[SCORE])
    assert estimated.metrics["auc"].reference == pytest.approx(promised, abs=0.002)
    assert (estimated.rows, estimated.held_out_rows) == (30_000, 4_000)
    assert estimated.unseen == (CONCEPT,)


def test_what_the_estimate_cannot_count_is_said(profile):
    found = rows(3_000, 5)
    found[SCORE] = np.where(np.arange(3_000) < 30, np.nan, found[SCORE])
    said = report_of(profile, "w", found).estimated.unseen
    assert said[1] == "30 answered rows have no score and are not in it."
    found[SCORE] = np.full(3_000, 0.9999)
    said = report_of(profile, "w", found).estimated.unseen
    assert said[1] == "100% of the scores are beyond nearly all held-out ones: a guess there."


def test_the_threshold_moves_what_is_answered_and_not_the_auc(profile):
    found = rows(20_000, 6)
    low = report_of(profile, "w", found, settings=replace(SETTINGS, score_threshold=0.2))
    metrics = low.estimated.metrics
    decided = found[SCORE] > 0.2
    assert metrics["accuracy"].value == pytest.approx(
        accuracy_score(found["label"], decided), abs=0.02
    )
    usual = report_of(profile, "w", found).estimated.metrics
    assert metrics["auc"] == usual["auc"]
    with pytest.raises(ConfigError, match="score_threshold must be between 0 and 1"):
        replace(SETTINGS, score_threshold=1.0)


def test_without_labels_at_training_or_scores_now_nothing_is_estimated(profile):
    found = rows(500, 7)
    assert report_of(reference_profile(labels=False), "w", found).estimated is None
    silent = report_of(profile, "w", found, settings=replace(SETTINGS, score_output=""))
    assert silent.estimated is None
    assert all(shape.feature != SCORE for shape in silent.shapes)


def test_a_report_comes_back_from_json_with_all_parts(chain):
    for made in chain:
        text = json.dumps(DRIFT_REPORT.content(made), allow_nan=False)
        assert DRIFT_REPORT.value(json.loads(text)) == made


def test_a_report_of_before_has_no_parts(chain):
    content = DRIFT_REPORT.content(chain[0])
    for name in ("shapes", "estimated", "realised", "past"):
        del content[name]
    assert DRIFT_REPORT.value(content).past == ()


def test_a_damaged_part_is_one_line(chain):
    content = DRIFT_REPORT.content(chain[0])
    content["past"][0] = {"windows": "w1"}
    with pytest.raises(DataError, match="Expected the field 'window' in drift_report"):
        DRIFT_REPORT.value(content)


def test_reports_carry_the_windows_before_and_the_labels_that_came(chain):
    past = chain[-1].past
    assert [window.window for window in past] == ["w1", "w2", "w3", "w4"]
    assert [window.verdict for window in past] == ["STABLE", "STABLE", "DRIFT", "DATA_FAULT"]
    assert [window.realised.get("auc") for window in past] == [0.74, 0.74, 0.74, None]
    assert past[3].faults == {"age": "constant_value"}
    assert {"weight", "colour", SCORE} <= set(past[2].drifted)
    assert merged_history(chain) == past


def test_a_window_is_carried_once_and_not_for_ever():
    windows = [PastWindow(window=f"w{number:02d}") for number in range(40)]
    past = ()
    for window in windows:
        past = with_window(past, window)
    assert past == tuple(windows[-MOST_WINDOWS:])
    again = replace(windows[-1], rows=5)
    assert with_window(past, again) == (*past[:-1], again)
    early = RealisedQuality(window="before all", labelled_rows=1, metrics={"auc": 0.5})
    assert with_window((), again, early)[0].realised == {"auc": 0.5}


def test_quality_json_is_read_under_the_names_of_the_estimate():
    found = realised_quality(
        QualityResult(
            window="2013-03",
            rows=90,
            slices={
                "overall": {"auc": 0.7, "binary_accuracy": 0.8, "f1_score": 0.3, "loss": 1.0},
                "origin=JFK": {"auc": 0.6},
            },
            labels=LabelArrivals(labelled_rows=90, rows=100, delay_hours={"p50": 3.0}),
            sequential=ErrorTest(
                promised_error=0.1,
                mean_error=0.2,
                rows=90,
                evidence=2.0,
                alarm_at_row=7,
                rows_since_quiet=3,
            ),
        )
    )
    assert found.metrics == {"auc": 0.7, "accuracy": 0.8, "f1": 0.3}
    assert found.slices == {"origin=JFK": {"auc": 0.6}}
    assert (found.coverage, found.evidence, found.alarm_at_row) == (0.9, 2.0, 7)


def test_a_window_without_labels_has_no_quality():
    assert realised_quality(QualityResult(window="2013-03", rows=0, slices={})) is None


def labelled_windows(first, off, versions):
    """Windows before whose labels were `off` from an estimate such as that of the first report."""
    value, chance = (getattr(first.estimated.metrics["auc"], n) for n in ("value", "chance"))
    return tuple(
        PastWindow(
            window=f"p{number}",
            verdict="STABLE",
            model_version=version,
            # What was reported had been corrected already.
            estimated={"auc": (value + off, value - 0.3, value + 0.3, 2.0)},
            from_scores={"auc": (value, chance)},
            realised={"auc": value + off},
        )
        for number, version in enumerate(versions)
    )


def after(first, past, profile, found):
    previous = replace(first, past=past)
    return report_of(profile, "w1", found, previous).estimated


def test_labels_of_windows_before_correct_the_estimate(profile):
    found = rows(2_000, 5)
    first = report_of(profile, "w0", found)
    usual = first.estimated.metrics["auc"]
    past = labelled_windows(first, -0.1, (7,) * 5)
    told = after(first, past, profile, found)
    auc = told.metrics["auc"]
    assert usual.value - 0.1 < auc.value < usual.value - 0.07
    assert auc.low < usual.value - 0.1 < auc.high
    assert auc.from_scores == usual.from_scores == usual.value
    assert told.unseen[0].startswith("Corrected by labels of 5 earlier windows")
    assert told.metrics["f1"].value == first.estimated.metrics["f1"].value
    right = after(first, labelled_windows(first, 0.0, (7,) * 8), profile, found)
    assert right.metrics["auc"].value == pytest.approx(usual.value, abs=1e-3)
    assert right.metrics["auc"].factor < 0.8 * usual.factor


def test_the_labels_of_another_model_correct_nothing(profile):
    found = rows(2_000, 5)
    first = report_of(profile, "w0", found)
    others = after(first, labelled_windows(first, -0.1, (8,) * 5), profile, found)
    assert others.metrics == after(first, (), profile, found).metrics
    assert others.unseen == (CONCEPT,)


def test_what_the_map_leaves_open_stays_open_without_labels(profile):
    known = report_of(profile, "w0", rows(2_000, 5)).estimated
    unsure = replace(known.metrics["auc"], value=0.7, low=0.5, high=0.9, chance=0.01)
    found = corrected_by_labels(replace(known, metrics={"auc": unsure}), ()).metrics["auc"]
    assert found.low < 0.51
    assert found.high > 0.89
    assert found.factor == pytest.approx((found.high - found.low) / 0.4, abs=1e-5)


def test_a_report_of_before_corrections_is_read_and_counts(profile):
    found = rows(2_000, 5)
    first = report_of(profile, "w0", found)
    value = first.estimated.metrics["auc"].value
    past = tuple(
        replace(window, estimated={"auc": (value, value - 0.04, value + 0.04, 2.0)})
        for window in labelled_windows(first, -0.1, (7,) * 5)
    )
    content = DRIFT_REPORT.content(replace(first, past=past))
    for window in content["past"]:
        del window["from_scores"]
    for metric in content["estimated"]["metrics"].values():
        del metric["from_scores"], metric["chance"]
    read = DRIFT_REPORT.value(content)
    told = report_of(profile, "w1", found, read).estimated.metrics["auc"]
    assert told.value < value - 0.07


def test_shapes_say_what_the_model_rests_on(profile):
    weighed = replace(profile, importances={"weight": 0.3, "colour": 0.1, "age": -0.01})
    made = report_of(weighed, "w", rows(2_000, 5))
    found = {shape.feature: shape.importance for shape in made.shapes}
    assert found == {"weight": 0.75, "colour": 0.25, "age": 0.0, SCORE: None}
    assert "Weight is a feature" in render(made)
    assert "Weight is a feature" not in render(report_of(profile, "w", rows(2_000, 5)))
