"""A fault needs more than chance, and a conversion of units is told from a drift."""

import numpy as np
import pyarrow as pa
import pytest

from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.drift.data_faults import faults
from tfx_loop.monitoring.drift.data_faults.arrivals import judge_arrivals
from tfx_loop.monitoring.drift.data_faults.checks import find_fault
from tfx_loop.monitoring.drift.data_faults.duplicates import duplicate_rise
from tfx_loop.monitoring.drift.data_faults.observed_feature import ObservedFeature, surely_above
from tfx_loop.monitoring.drift.data_faults.sample_statistics import sample_statistics
from tfx_loop.monitoring.drift.data_faults.units import unit_change
from tfx_loop.monitoring.drift.settings import ArrivalSettings, DriftSettings, FaultSettings
from tfx_loop.monitoring.drift.verdict import assess
from tfx_loop.monitoring.profile.bins import BinSettings
from tfx_loop.monitoring.profile.build import ProfileRequest, build, profile_feature
from tfx_loop.monitoring.profile.columns import FeatureType
from tfx_loop.monitoring.profile.counts import count
from tfx_loop.monitoring.profile.layout import Layout
from tfx_loop.monitoring.profile.profiler import Profiler
from tfx_loop.monitoring.profile.row_contents import (
    RowContents,
    content_keys,
    contents_of,
    merge_contents,
)


def seen(reference, current):
    profile = profile_feature("x", pa.array(reference), BinSettings())
    column = pa.array(current)
    counts = count(column, profile.type, profile.bins)
    return ObservedFeature(profile, counts, sample_statistics(column, profile.type, profile.bins))


def fault(reference, current):
    found = find_fault(seen(reference, current), FaultSettings())
    return found.code if found else None


def normal(seed, n=2_000, mean=0.0, spread=1.0):
    return np.random.default_rng(seed).normal(mean, spread, n)


@pytest.mark.parametrize(
    ("convert", "name"),
    [
        (lambda v: v * 1_000, "x1000"),
        (lambda v: v / 1_000, "inverse of x1000"),
        (lambda v: v * 1.8 + 32, "Celsius to Fahrenheit"),
        (lambda v: (v - 32) / 1.8, "Fahrenheit to Celsius"),
        (lambda v: v * 2.54, "inches to centimetres"),
        (lambda v: v + 273.15, "Celsius to Kelvin"),
        (lambda v: np.round(v, 1) * 1.609344, "miles to kilometres"),
        (lambda v: np.round(np.round(v, 1) * 1.609344, 2), "miles to kilometres"),
    ],
)
def test_a_unit_is_named(convert, name):
    old = normal(1, 4_000, mean=20, spread=2)
    # Decimals, where the window's tell the unit by them.
    old = np.round(old, 1) if "miles" in name else old
    result = seen(old, convert(normal(2, 4_000, mean=20, spread=2)))
    assert name in unit_change(result.profile, result.counts, result.sampled.values)
    assert find_fault(result, FaultSettings()).code == faults.UNIT_CHANGED


@pytest.mark.parametrize("factor", [1.2, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_a_drift_is_no_unit(factor, shift):
    assert fault(normal(1), normal(2) * factor + shift) is None


@pytest.mark.slow
@pytest.mark.parametrize("decimals", [1, None])
def test_growth_by_any_factor_is_drift(decimals):
    """Factors of units are known to a fraction of a per cent, so few others come as near."""
    random = np.random.default_rng(7)
    found = []
    for _ in range(60):
        old, new = random.gamma(3, 5, 10_000), random.gamma(3, 5, 4_000)
        if decimals is not None:
            old, new = np.round(old, decimals), np.round(new, decimals)
        factor = np.exp(random.uniform(-np.log(8), np.log(8)))
        result = seen(old, new * factor)
        found.append(unit_change(result.profile, result.counts, result.sampled.values))
    # 4 % of the factors lie as near to a unit's as a window can tell; 21 % were called units.
    assert sum(name is not None for name in found) <= (0 if decimals else 5)


def test_amounts_with_their_sign_turned_are_named_and_what_has_both_signs_is_not():
    rng = np.random.default_rng(5)
    amounts = rng.lognormal(2, 0.6, 4_000).round(2)
    assert fault(amounts[:3_000], -amounts[3_000:]) == faults.UNIT_CHANGED
    visits = rng.poisson(6, 4_000)
    assert fault(visits[:3_000], -visits[3_000:]) == faults.UNIT_CHANGED
    degrees = rng.normal(8, 6, 4_000)
    assert fault(degrees[:3_000], -degrees[3_000:]) is None


def test_a_factor_of_no_unit_is_drift_however_large():
    result = seen(normal(1, mean=20, spread=5), normal(2, mean=20, spread=5) * 17)
    assert unit_change(result.profile, result.counts, result.sampled.values) is None


@pytest.mark.parametrize(("few", "more"), [(5, 10), (5, 11), (6, 14), (8, 29), (9, 21)])
def test_more_of_few_whole_numbers_are_no_unit(few, more):
    # Counts of 0 to 4 that reach 9: many factors make these of those.
    random = np.random.default_rng(few)
    result = seen(random.integers(0, few, 2_000), random.integers(0, more, 2_000))
    assert unit_change(result.profile, result.counts, result.sampled.values) is None


@pytest.mark.parametrize("seed", range(5))
def test_whole_numbers_of_another_unit_are_named(seed):
    random = np.random.default_rng(seed)
    ages = [random.integers(18, 90, 1_500) for _ in range(2)]
    assert fault(ages[0], ages[1] * 12) == faults.UNIT_CHANGED


def test_a_few_odd_rows_in_a_small_window_are_no_flood():
    reference = normal(1)
    few = normal(2, 60)
    few[:14] = np.nan
    assert fault(np.where(np.arange(2_000) % 8 == 0, np.nan, reference), few) is None
    assert surely_above(40, 60, 10, 2_000)
    assert not surely_above(1, 60, 10, 2_000)
    assert not surely_above(0, 60, 0, 2_000)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.02, None), (0.1, faults.MISSING_FLOOD), (0.5, faults.MISSING_FLOOD)]
)
def test_missing_values_where_training_had_none(share, expected):
    current = normal(2)
    current[np.random.default_rng(0).random(2_000) < share] = np.nan
    assert fault(normal(1), current) == expected


def test_a_sensor_that_stuck_for_a_third_of_the_rows():
    current = normal(2)
    current[600:1_300] = 0.25
    assert fault(normal(1), current) == faults.STUCK_VALUE


def test_rows_sorted_by_a_value_are_not_stuck():
    names = [f"c{i}" for i in np.random.default_rng(0).integers(0, 3, 2_000)]
    assert fault(names, sorted(names)) is None
    zeros = np.maximum(normal(1), 0)
    assert fault(zeros, np.sort(np.maximum(normal(2), 0))) is None


def test_the_longest_run_is_of_one_value_and_not_of_missing_ones():
    current = np.round(normal(3), 1)
    current[300:700] = 1.0
    current[800:1_900] = np.nan
    profile = profile_feature("x", pa.array(normal(1)), BinSettings())
    found = sample_statistics(pa.array(current), FeatureType.NUMERIC, profile.bins)
    assert 400 <= found.longest_run < 410
    assert found.run_bin == np.searchsorted(profile.bins.edges, 1.0)
    assert (found.rows, found.present, len(found.values)) == (2_000, 900, 900)
    nothing = sample_statistics(pa.nulls(5, pa.float64()), FeatureType.NUMERIC, profile.bins)
    assert (nothing.longest_run, nothing.run_bin) == (0, None)


def test_a_code_for_missing_is_out_of_range():
    ages = np.random.default_rng(0).integers(18, 90, 4_000)
    coded = np.where(np.random.default_rng(1).random(4_000) < 0.1, -1, ages)
    assert fault(ages, coded) == faults.OUT_OF_RANGE
    assert fault(ages, ages[:1_000]) is None


@pytest.mark.parametrize(
    ("code", "share", "expected"),
    [
        (-999.0, 0.02, faults.OUT_OF_RANGE),
        (99.0, 0.02, faults.OUT_OF_RANGE),
        (-999.0, 0.003, None),
        (4.5, 0.02, None),
    ],
)
def test_one_number_far_out_is_a_fault_in_few_rows(code, share, expected):
    coded = np.where(np.random.default_rng(1).random(4_000) < share, code, normal(2, 4_000))
    assert fault(normal(1, 4_000), coded) == expected


def test_one_outlier_is_no_fault():
    for side in range(2):
        both = [normal(1), normal(2)]
        both[side][17] = 1e9
        assert fault(*both) is None


@pytest.mark.parametrize("categories", [3, 30, 300, 3_000])
def test_values_that_the_reference_missed_by_chance_are_no_flood(categories):
    random = np.random.default_rng(categories)
    names = [[f"c{i}" for i in random.integers(0, categories, 300)] for _ in range(2)]
    assert fault(*names) is None


def test_new_values_in_a_third_of_the_rows_are_a_flood():
    random = np.random.default_rng(0)
    old = [f"c{i}" for i in random.integers(0, 30, 2_000)]
    new = [f"n{i}" if random.random() < 0.33 else name for i, name in enumerate(old)]
    assert fault(old, new) == faults.NEW_CATEGORY_FLOOD


def counted(values, parts=1):
    found = RowContents()
    for part in np.array_split(values, parts):
        found = merge_contents(found, contents_of(content_keys([pa.array(part)], len(part))))
    return found


@pytest.mark.parametrize(("n", "m"), [(5_000, 5_000), (20_000, 1_000), (1_000, 20_000)])
def test_rows_sent_twice_are_seen_at_any_size(n, m):
    once, twice = normal(1, n), np.tile(normal(2, m // 2), 2)
    assert duplicate_rise(counted(once), counted(normal(3, m))) <= 0
    rise = duplicate_rise(counted(once), counted(twice, parts=7))
    assert rise == pytest.approx(0.5, abs=0.1)


def test_rows_that_are_often_equal_by_nature_are_no_flood():
    random = np.random.default_rng(0)
    few = [random.integers(0, 200, size) for size in (3_000, 500, 30_000)]
    for size in (1, 2):
        assert duplicate_rise(counted(few[0]), counted(few[size])) <= 0.02


HOUR = 3_600_000


@pytest.mark.parametrize(
    ("times", "history", "expected"),
    [
        (np.linspace(0, 23.9, 500), {}, None),
        (np.linspace(0, 23.9, 500), {"baseline_rows": 500, "baseline_gap_share": 0.01}, None),
        (
            np.linspace(0, 12.0, 500),
            {"baseline_rows": 500, "baseline_gap_share": 0.01},
            "silent_source",
        ),
        (np.linspace(0, 12.0, 500), {"baseline_rows": 500, "baseline_gap_share": 0.5}, None),
        (np.linspace(0, 23.9, 20), {"baseline_rows": 500}, "silent_source"),
        (np.linspace(-12, 23.9, 500), {}, "late_source"),
        (np.zeros(0), {"baseline_rows": 500}, "silent_source"),
    ],
)
def test_a_source_that_falls_silent_or_comes_late(times, history, expected):
    events = (np.asarray(times) * HOUR).astype(np.int64)
    found = judge_arrivals(events, 0, 24 * HOUR, ArrivalSettings(), **history)
    assert found.fault == expected


def test_settings_of_arrivals_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="late_share"):
        ArrivalSettings(late_share=0)
    with pytest.raises(ConfigError, match="end after"):
        judge_arrivals(np.zeros(1, np.int64), 5, 5, ArrivalSettings())


def test_a_summer_after_a_winter_is_drift_and_no_code():
    """Rounded degrees repeat, as all flights of an hour share their weather."""
    random = np.random.default_rng(3)
    winter = np.rint(random.normal(35, 8, 8_000))
    summer = np.rint(random.normal(76, 3, 4_000))
    assert np.bincount(summer.astype(int)).max() > 0.1 * len(summer)
    assert fault(winter, summer) is None


def flood(reference, current):
    """The fault of whole rows, of two tables counted as files are."""
    layout = Layout(identity=("row",), event_time="", sample_rows=5_000)
    profile, _ = build(pa.table(reference), ProfileRequest())
    profiler = Profiler(profile, layout)
    sides = [
        profiler.profile(
            pa.RecordBatch.from_pydict({**side, "row": range(len(next(iter(side.values()))))})
        )
        for side in (reference, current)
    ]
    found = assess(profile, sides[1], DriftSettings(), baseline=sides[0])
    return next((f.fault for f in found.features if f.feature == "(rows)"), None)


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_a_value_that_becomes_common_in_a_narrow_table_is_no_flood_of_rows(columns):
    def table(seed, zeros):
        random = np.random.default_rng(seed)
        values = np.where(random.random(3_000) < zeros, 0.0, random.lognormal(size=3_000))
        others = {name: random.choice(["a", "b"], 3_000, p=[0.7, 0.3]) for name in "gh"}
        return dict(list({"x": values, **others}.items())[:columns])

    reference, current = table(0, 0.1), table(1, 0.5)
    assert flood(reference, current) is None
    twice = {name: np.concatenate([values[:1_500]] * 2) for name, values in current.items()}
    assert flood(table(0, 0.5), twice) == faults.DUPLICATE_FLOOD


def test_one_row_again_and_again_is_a_flood_though_its_values_are_common():
    def table(seed):
        random = np.random.default_rng(seed)
        return {name: random.choice(20, 2_000) for name in "abcd"}

    current = table(1)
    for values in current.values():
        values[:600] = 3
    assert flood(table(0), current) == faults.DUPLICATE_FLOOD
