"""The monitor finds drift, stays quiet without it, and keeps faults apart."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from counted_rows import counted_window

from tfx_loop.contracts.drift_report import (
    DRIFT_REPORT,
    EMPTY_WINDOW,
    FEATURES_DRIFTED,
    FEATURES_FAULTY,
    NO_FEATURES,
    TOO_FEW_REFERENCE_ROWS,
    TOO_FEW_ROWS,
    DriftVerdict,
    FeatureDrift,
)
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.monitoring.drift.settings import DriftSettings, FaultSettings
from tfx_loop.monitoring.drift.window_report import monitor
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.profile.training_counts import training_counts

FEATURES = 10


def rows(n, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    columns = {f"x{i}": rng.normal(size=n) for i in range(FEATURES - 4)}
    columns["x0"] = columns["x0"] + shift
    columns["spiky"] = np.where(rng.uniform(size=n) < 0.8, 0.0, rng.exponential(size=n))
    columns["gaps"] = np.where(rng.uniform(size=n) < 0.3, np.nan, rng.normal(size=n))
    columns["hour"] = rng.integers(0, 24, n)
    columns["dest"] = rng.choice([f"D{i}" for i in range(100)], n, p=weights())
    return {name: pa.array(values) for name, values in columns.items()}


def weights():
    shares = 1 / np.arange(1, 101)
    return shares / shares.sum()


@pytest.fixture(scope="module")
def reference():
    return build(pa.table(rows(20_000, seed=0)), ProfileRequest())[0]


def judged(reference, columns, **settings):
    return monitor(reference, counted_window(reference, columns), DriftSettings(**settings))


def fault_of(result, name):
    return next(feature.fault for feature in result.features if feature.feature == name)


@pytest.mark.slow
def test_no_drift_raises_alarms_in_at_most_five_percent_of_windows(reference):
    alarms = [
        judged(reference, rows(m, seed)).verdict is not DriftVerdict.STABLE
        for seed in range(1, 61)
        for m in (300, 1_000)
    ]
    assert np.mean(alarms) <= 0.05


@pytest.mark.slow
def test_no_drift_without_the_effect_floor_still_holds_the_false_discovery_rate(reference):
    alarms = [
        judged(reference, rows(1_000, seed), psi_floor=0.0).verdict is not DriftVerdict.STABLE
        for seed in range(1, 101)
    ]
    assert np.mean(alarms) <= 0.11


@pytest.mark.slow
def test_half_a_sigma_in_one_of_ten_features_is_found_at_a_thousand_rows(reference):
    found = [judged(reference, rows(1_000, seed, 0.5)) for seed in range(1, 51)]
    assert np.mean(["x0" in result.drifted for result in found]) >= 0.97
    others = [name for result in found for name in result.drifted if name != "x0"]
    assert len(others) <= 2
    assert all(result.features[0].feature == "x0" for result in found)


def test_a_shift_too_small_to_matter_is_reported_and_not_an_alarm(reference):
    result = judged(reference, rows(50_000, 1, 0.1))
    small = next(feature for feature in result.features if feature.feature == "x0")
    assert small.q_value < 0.001
    assert result.verdict is DriftVerdict.STABLE


def test_the_reference_rows_themselves_are_stable(reference):
    result = judged(reference, rows(20_000, seed=0))
    assert result.verdict is DriftVerdict.STABLE
    assert {feature.psi for feature in result.features} == {0.0}
    assert {feature.q_value for feature in result.features} == {1.0}


def test_drift_names_what_moved_and_what_it_rests_on(reference):
    result = judged(reference, rows(1_000, 1, 1.0))
    assert (result.verdict, result.reason) == (DriftVerdict.DRIFT, FEATURES_DRIFTED)
    assert result.drifted == ("x0",)
    assert "x0" in result.explanation
    assert (result.rows.reference, result.rows.current, result.model_version) == (20_000, 1_000, 3)


def broken(name, change):
    columns = rows(1_000, seed=1)
    columns[name] = change(columns[name])
    return columns


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("x1", lambda c: pa.array([0.5] * len(c)), "constant_value"),
        ("dest", lambda c: pa.array(["D7"] * len(c)), "constant_value"),
        ("hour", lambda c: pa.array([3] * len(c)), "constant_value"),
        ("x1", lambda c: pa.array([None] * 400 + c.to_pylist()[400:]), "missing_flood"),
        ("x1", lambda c: pa.array([np.nan] * 400 + c.to_pylist()[400:]), "missing_flood"),
        ("x1", lambda c: pa.nulls(len(c)), "all_missing"),
        ("gaps", lambda c: pa.nulls(len(c), pa.float64()), "all_missing"),
        ("dest", lambda c: pa.array(["new"] * 300 + c.to_pylist()[300:]), "new_category_flood"),
        ("hour", lambda c: pa.array([99] * 300 + c.to_pylist()[300:]), "out_of_range"),
        ("hour", lambda c: pa.array([-9] * 300 + c.to_pylist()[300:]), "out_of_range"),
        ("x1", lambda c: pa.array([1e6] * 60 + c.to_pylist()[60:]), "out_of_range"),
        ("x1", lambda c: pa.array([np.inf, *c.to_pylist()[1:]]), "infinite_values"),
        ("x1", lambda c: pa.array([-np.inf] * len(c)), "infinite_values"),
        ("x1", lambda c: pa.array(["warm"] * len(c)), "type_changed"),
        ("dest", lambda c: pa.array(range(len(c))), "type_changed"),
        ("hour", lambda c: pa.array(np.linspace(0, 23, len(c))), "type_changed"),
        ("x1", lambda c: pa.array([[1.0, 2.0]] * len(c)), "type_changed"),
    ],
)
def test_a_broken_feature_is_a_fault_and_no_drift(reference, name, change, fault):
    columns = rows(1_000, seed=1)
    columns[name] = change(columns.get(name))
    result = judged(reference, columns)
    assert fault_of(result, name) == fault
    assert result.faulty == (name,)
    assert result.drifted == ()
    assert (result.verdict, result.reason) == (
        DriftVerdict.DATA_FAULT,
        FEATURES_FAULTY,
    )
    assert f"{name} ({fault})" in result.explanation
    assert result.features[0].feature == name


def test_an_absent_feature_is_a_fault_however_few_the_rows(reference):
    columns = rows(20, seed=1)
    del columns["x1"]
    result = judged(reference, columns)
    assert fault_of(result, "x1") == "absent_feature"
    assert result.verdict is DriftVerdict.DATA_FAULT


def test_a_rare_feature_that_no_request_carried_is_missing_not_absent():
    columns = rows(3_000, seed=0)
    columns["rare"] = pa.array([1.0] + [None] * 2_999)
    trained = build(pa.table(columns), ProfileRequest())[0]
    result = judged(trained, rows(1_000, seed=1))
    assert fault_of(result, "rare") is None
    assert result.verdict is DriftVerdict.STABLE


def test_a_usual_feature_that_no_request_carried_is_a_fault_though_it_has_gaps(reference):
    columns = rows(1_000, seed=1)
    del columns["gaps"]
    result = judged(reference, columns)
    assert fault_of(result, "gaps") == "all_missing"
    assert result.verdict is DriftVerdict.DATA_FAULT


def test_a_broken_feature_does_not_hide_that_others_drifted(reference):
    columns = {**rows(1_000, 1, 1.0), "x1": pa.nulls(1_000)}
    result = judged(reference, columns)
    assert result.verdict is DriftVerdict.DATA_FAULT
    assert result.drifted == ("x0",)


def test_a_feature_that_training_had_constant_is_not_stuck():
    columns = {"year": pa.array([2013] * 1_000), "level": pa.array([1.5] * 1_000)}
    reference, _ = build(pa.table(columns), ProfileRequest())
    assert judged(reference, columns).verdict is DriftVerdict.STABLE


def test_values_that_never_repeat_are_neither_new_nor_stuck():
    reference, _ = build(pa.table({"tail": [f"N{i:04d}" for i in range(2_000)]}), ProfileRequest())
    result = judged(reference, {"tail": pa.array([f"M{i:04d}" for i in range(1_000)])})
    assert result.faulty == ()


def test_what_moves_with_the_calendar_can_be_ignored():
    reference, _ = build(
        pa.table({**rows(5_000, 0), "month": pa.array([1, 2] * 2_500)}), ProfileRequest()
    )
    march = {**rows(1_000, 1), "month": pa.array([3] * 1_000)}
    # Another month has moved and is not broken.
    assert judged(reference, march).verdict is DriftVerdict.DRIFT
    assert judged(reference, march, ignore_features=("month",)).verdict is DriftVerdict.STABLE


def test_what_the_profile_ignored_or_skipped_is_no_fault_in_the_window():
    table = pa.table(
        {
            **rows(1_000, 0),
            "span": [1] * 1_000,
            "words": [["a", "b"]] * 1_000,
            "never": pa.nulls(1_000),
        }
    )
    reference, _ = build(table, ProfileRequest())
    current = rows(1_000, 1)
    current |= {"span": pa.array([9] * 1_000), "words": pa.array([["b", "a"]] * 1_000)}
    current["never"] = pa.chunked_array([pa.nulls(1_000)])
    result = judged(reference, current)
    assert result.verdict is DriftVerdict.STABLE
    assert result.skipped == {"never": "no_values"}
    appeared = judged(reference, {**current, "never": pa.array([1.0] * 1_000)})
    assert fault_of(appeared, "never") == "not_in_reference"


def test_a_column_that_the_reference_never_had_is_told_and_no_fault(reference):
    result = judged(reference, {**rows(1_000, 1), "extra": pa.array([1.0] * 1_000)})
    assert result.verdict is DriftVerdict.STABLE
    (extra,) = [feature for feature in result.features if feature.feature == "extra"]
    assert extra.note == "new: the reference has no such column"


def test_times_and_keys_are_named_and_differ_without_a_fault():
    def moving(first, seed):
        shuffled = np.random.default_rng(seed).permutation(1_000)
        return {
            **rows(1_000, seed),
            "trip_id": pa.array(first + shuffled),
            "started": pa.array(1_672_531_200 + 60 * (first + shuffled)),
            "quarter": pa.array([f"{2020 + first // 1_000}Q1"] * 1_000),
        }

    reference, sample = build(pa.table(moving(0, 0)), ProfileRequest())
    current = moving(90_000, 1)
    result = judged(reference, current)
    assert result.verdict is DriftVerdict.STABLE
    assert result.skipped == {"trip_id": "key", "started": "time", "quarter": "time"}
    assert {"trip_id", "started", "quarter"} <= set(sample.column_names)
    asked, _ = build(pa.table(moving(0, 0)), ProfileRequest(profile_features=("trip_id",)))
    assert fault_of(judged(asked, current), "trip_id") == "out_of_range"


def test_an_empty_window_is_not_enough_data(reference):
    result = monitor(reference, counted_window(reference, {}, failed=5), DriftSettings())
    assert (result.verdict, result.reason) == (
        DriftVerdict.NOT_ENOUGH_DATA,
        EMPTY_WINDOW,
    )
    assert "5 were answered with an error" in result.explanation
    assert result.model_version == 0


def test_a_tiny_window_is_not_enough_data(reference):
    result = judged(reference, rows(99, 1, 5.0))
    assert (result.verdict, result.reason) == (
        DriftVerdict.NOT_ENOUGH_DATA,
        TOO_FEW_ROWS,
    )
    assert {feature.p_value for feature in result.features} == {None}


def test_infinities_in_a_tiny_window_are_still_a_fault(reference):
    columns = {**rows(20, 1), "x1": pa.array([np.inf] * 20)}
    assert judged(reference, columns).verdict is DriftVerdict.DATA_FAULT


def test_a_tiny_reference_is_not_enough_data():
    reference, _ = build(pa.table(rows(99, 0)), ProfileRequest())
    result = judged(reference, rows(1_000, 1))
    assert result.reason == TOO_FEW_REFERENCE_ROWS


def test_a_monitor_with_nothing_to_watch_does_not_call_it_stable(reference):
    everything = tuple(feature.name for feature in reference.features)
    result = judged(reference, rows(1_000, 1), ignore_features=everything)
    assert (result.verdict, result.reason) == (
        DriftVerdict.NOT_ENOUGH_DATA,
        NO_FEATURES,
    )


def test_the_latest_of_several_versions_is_named_and_all_are_counted(reference):
    window = counted_window(reference, rows(1_000, 1), versions={3: 900, 4: 100})
    result = monitor(reference, window, DriftSettings())
    assert result.model_version == 4
    assert result.model_versions == {3: 900, 4: 100}


def test_rows_that_came_twice_are_a_fault_of_the_whole_window(reference):
    baseline = training_counts(pa.table(rows(20_000, seed=0)), reference)
    once = rows(1_000, seed=1)
    twice = {name: pa.concat_arrays([values, values]) for name, values in once.items()}
    for columns, expected in ((once, ()), (twice, ("(rows)",))):
        window = counted_window(reference, columns)
        result = monitor(reference, window, DriftSettings(), baseline=baseline)
        assert result.faulty == expected
    assert fault_of(result, "(rows)") == "duplicate_flood"
    assert monitor(reference, window, DriftSettings()).faulty == ()


def test_breaches_of_the_schema_are_faults_of_the_window(reference):
    breach = FeatureDrift(feature="x1", type="schema", fault="schema_anomaly")
    window = counted_window(reference, rows(1_000, 1))
    result = monitor(reference, window, DriftSettings(), breaches=[breach])
    assert (result.verdict, result.faulty) == (DriftVerdict.DATA_FAULT, ("x1",))
    nothing = counted_window(reference, {})
    assert monitor(reference, nothing, DriftSettings(), breaches=[breach]).features == ()


def test_few_values_of_another_type_are_noted_and_many_are_a_fault(reference):
    def hours(odd):
        values = rows(1_000, 1)["hour"].to_numpy().astype(float)
        values[:odd] += 0.5
        return {**rows(1_000, 1), "hour": pa.array(values)}

    few, many = (judged(reference, hours(odd)) for odd in (5, 20))
    assert fault_of(few, "hour") is None
    assert next(f.note for f in few.features if f.feature == "hour") == "5 values are not integer"
    assert fault_of(many, "hour") == "type_changed"


def test_times_where_numbers_were_are_of_another_type(reference):
    times = pa.array(np.arange(1_000), pa.timestamp("ms"))
    assert fault_of(judged(reference, {**rows(1_000, 1), "x1": times}), "x1") == "type_changed"


def test_a_window_is_silent_by_its_rows_and_not_by_those_sampled(reference):
    def arrived(count, name, previous=None):
        bounds = (0, 3_600_000)
        times = np.linspace(*bounds, count, endpoint=False)
        window = counted_window(
            reference, rows(count, 1), name, bounds=bounds, times=times, sample_rows=200
        )
        return monitor(reference, window, DriftSettings(), previous)

    first = arrived(5_000, "w1")
    assert arrived(4_000, "w2", first).faulty == ()
    assert arrived(400, "w2", first).faulty == ("(source)",)


def test_hysteresis_of_a_slice_is_its_own():
    def sited(seed, shift):
        random = np.random.default_rng(seed)
        site = random.choice(["north", "south"], 6_000)
        moved = np.where(site == "south", shift, 0.0)
        return {"x": pa.array(random.normal(size=6_000) + moved), "site": pa.array(site)}

    trained = pa.table(sited(0, 0.0))
    reference, _ = build(trained, ProfileRequest(slices=("site",)))
    baseline = training_counts(trained, reference)
    settings = DriftSettings(windows_needed=2, windows_looked_at=2)
    previous, drifted = None, []
    for name, seed in (("w1", 1), ("w2", 2)):
        window = counted_window(reference, sited(seed, 0.6), name)
        previous = monitor(reference, window, settings, previous, baseline=baseline)
        drifted.append({(f.feature, f.slice) for f in previous.features if f.drifted})
    assert drifted == [set(), {("x", ""), ("x", "site=south")}]
    assert set(previous.history[-1].drifted) == {"x", "x where site=south"}


@pytest.fixture(scope="module")
def scored():
    rng = np.random.default_rng(5)
    table = pa.table({**rows(20_000, 0), "score": rng.beta(2, 5, 20_000)})
    return build(table, ProfileRequest(score="score"))[0]


def with_score(seed, a=2.0):
    return {
        **rows(1_000, seed),
        "output.probability": np.random.default_rng(seed).beta(a, 5, 1_000),
    }


@pytest.mark.slow
def test_prediction_drift_is_reported_as_a_feature(scored):
    settings = {"score_output": "output.probability"}
    quiet = [judged(scored, as_arrow(with_score(seed)), **settings) for seed in range(40)]
    assert np.mean([bool(result.drifted) for result in quiet]) <= 0.05
    moved = judged(scored, as_arrow(with_score(1, a=4.0)), **settings)
    assert moved.drifted == ("output.probability",)


def as_arrow(columns):
    return {
        name: values if isinstance(values, pa.Array) else pa.array(values)
        for name, values in columns.items()
    }


def test_a_log_without_the_scores_that_the_reference_has_is_a_fault(scored):
    result = judged(scored, rows(1_000, 1), score_output="output.probability")
    assert fault_of(result, "output.probability") == "absent_feature"


def test_scores_that_are_no_probabilities_are_a_fault(scored):
    logits = {**rows(1_000, 1), "output.probability": pa.array(np.linspace(-5, 5, 1_000))}
    result = judged(scored, logits, score_output="output.probability")
    assert fault_of(result, "output.probability") == "out_of_range"


def test_answers_all_alike_are_drift_where_inputs_moved_and_a_broken_model_where_not(scored):
    alike = pa.array(np.full(1_000, 0.02))
    for shift, verdict in ((1.0, DriftVerdict.DRIFT), (0.0, DriftVerdict.DATA_FAULT)):
        log = {**rows(1_000, 1, shift), "output.probability": alike}
        result = judged(scored, log, score_output="output.probability")
        assert result.verdict is verdict
        drifted = {"x0", "output.probability"} if shift else set()
        assert set(result.drifted) == drifted
        assert fault_of(result, "output.probability") == (None if shift else "constant_value")


def test_k_of_n_windows_asks_for_persistence(reference):
    settings = DriftSettings(windows_needed=2, windows_looked_at=3)
    shifts = {"w1": 1.0, "w2": 0.0, "w3": 1.0, "w4": 0.0, "w5": 0.0, "w6": 1.0}
    drifted, previous = {}, None
    for seed, (name, shift) in enumerate(shifts.items(), start=1):
        previous = monitor(
            reference, counted_window(reference, rows(1_000, seed, shift), name), settings, previous
        )
        previous = DRIFT_REPORT.value(json.loads(json.dumps(DRIFT_REPORT.content(previous))))
        drifted[name] = previous.drifted
    assert drifted == {"w1": (), "w2": (), "w3": ("x0",), "w4": (), "w5": (), "w6": ()}
    assert [past.window for past in previous.history] == ["w4", "w5", "w6"]


def test_a_window_monitored_again_counts_once(reference):
    settings = DriftSettings(windows_needed=2, windows_looked_at=3)
    first = monitor(reference, counted_window(reference, rows(1_000, 1, 1.0)), settings)
    assert (
        monitor(reference, counted_window(reference, rows(1_000, 1, 1.0)), settings, first).drifted
        == ()
    )


def test_the_history_starts_anew_with_another_reference(reference):
    settings = DriftSettings(windows_needed=2, windows_looked_at=3)
    other, _ = build(pa.table(rows(5_000, seed=9)), ProfileRequest())
    first = monitor(other, counted_window(other, rows(1_000, 1, 1.0), "w1"), settings)
    assert (
        monitor(
            reference, counted_window(reference, rows(1_000, 2, 1.0), "w2"), settings, first
        ).drifted
        == ()
    )


def test_report_json_round_trip(reference):
    result = judged(reference, {**rows(1_000, 1, 1.0), "x1": pa.nulls(1_000)})
    text = json.dumps(DRIFT_REPORT.content(result), allow_nan=False)
    assert DRIFT_REPORT.value(json.loads(text)) == replace(
        result, settings=json.loads(text)["settings"]
    )


def test_report_json_has_the_keys_of_the_contract(reference):
    content = DRIFT_REPORT.content(judged(reference, rows(1_000, 1, 1.0)))
    assert {
        "schema_version", "verdict", "reason", "window", "model_name", "model_version", "rows",
        "features", "settings",
    } <= set(content)  # fmt: skip
    assert {
        "feature", "type", "psi", "psi_corrected", "ks", "js", "p_value", "q_value", "drifted",
        "fault",
    } <= set(content["features"][0])  # fmt: skip
    assert content["rows"] == {"reference": 20_000, "current": 1_000, "failed": 0}
    assert content["verdict"] == "DRIFT"


@pytest.mark.parametrize("change", [{"schema_version": 2}, {"verdict": "FINE"}, {"rows": {}}])
def test_a_report_that_is_none_is_refused(reference, change):
    content = {**DRIFT_REPORT.content(judged(reference, rows(1_000, 1))), **change}
    with pytest.raises(DataError, match="Run DriftMonitor"):
        DRIFT_REPORT.value(content)


@pytest.mark.parametrize(
    "wrong",
    [
        {"q": 0.0}, {"q": 1.0}, {"psi_floor": -0.1}, {"min_rows": 10},
        {"windows_needed": 0}, {"windows_needed": 2}, {"psi_floor": float("nan")},
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(ConfigError, match="must be"):
        DriftSettings(**wrong)


def test_fault_settings_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="missing_rise"):
        FaultSettings(missing_rise=0)
