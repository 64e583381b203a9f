"""Rows that come in groups, or depend on those before, count as fewer in every test."""

import numpy as np
import pyarrow as pa
import pytest
from counted_rows import counted_window
from scipy import signal, stats

from tfx_loop.contracts.drift_report import DriftVerdict
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.statistics.multivariate import compare_samples
from tfx_loop.monitoring.drift.statistics.row_dependence import dependence_of
from tfx_loop.monitoring.drift.statistics.two_sample import weighted_chi_square_tail
from tfx_loop.monitoring.drift.window_report import monitor
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.profile.column_roles import ColumnRoles
from tfx_loop.monitoring.profile.layout import Layout
from tfx_loop.monitoring.profile.profiler import Profiler
from tfx_loop.monitoring.profile.training_counts import training_counts

GROUP, TIME = ColumnRoles(group="customer"), ColumnRoles(time="event_time_ms")


def grouped(seed, groups, rows=10, shift=0.0):
    """Numbers, categories and gaps that a customer's rows share."""
    random = np.random.default_rng(seed)
    own = np.repeat(random.normal(shift, 1, groups), rows)
    return {
        "x": 0.8 * own + 0.6 * random.normal(size=groups * rows),
        "country": np.repeat(random.choice(list("abcdef"), groups), rows),
        "gaps": np.where(np.repeat(random.random(groups) < 0.1, rows), np.nan, own),
        "customer": np.repeat(random.integers(0, 1 << 40, groups), rows),
    }


def series(seed, rows, phi, shift=0.0):
    """An autoregression that begins in its own distribution, of variance 1."""
    noise = np.random.default_rng(seed).normal(size=(2, rows))
    noise[:, 0] /= np.sqrt(1 - phi**2)
    values = signal.lfilter([1], [1, -phi], noise) * np.sqrt(1 - phi**2)
    state = np.where(values[1] > 0.5, "high", "low")
    return {"x": values[0] + shift, "state": state, "event_time_ms": np.arange(rows) * 60_000}


def report(old, new, roles, seed=0, **settings):
    columns = {name: pa.array(values) for name, values in old.items()}
    table = pa.table(columns)
    profile, sample = build(table, ProfileRequest(roles=roles, seed=seed))
    baseline = training_counts(table, profile, "", roles)
    log = {name: values for name, values in new.items() if name != "event_time_ms"}
    window = counted_window(
        profile, log, times=new.get("event_time_ms"), roles=roles, sample_rows=2_000
    )
    return monitor(
        profile, window, DriftSettings(roles=roles), baseline=baseline, **settings
    ), sample


def alarms(make, roles, windows=20):
    return sum(
        report(*make(seed), roles)[0].verdict is not DriftVerdict.STABLE for seed in range(windows)
    )


@pytest.mark.slow
def test_rows_in_groups_raise_no_alarm_once_the_group_is_named():
    def make(seed):
        return grouped(seed, 400), grouped(1_000 + seed, 150)

    assert alarms(make, GROUP) <= 1
    unnamed = [{k: v for k, v in side.items() if k != "customer"} for side in make(0)]
    assert report(*unnamed, ColumnRoles())[0].verdict is DriftVerdict.DRIFT


@pytest.mark.slow
@pytest.mark.parametrize(("phi", "rows"), [(0.5, 2_000), (0.9, 2_000), (0.99, 5_000)])
def test_autocorrelated_rows_raise_no_alarm_once_the_time_is_named(phi, rows):
    def make(seed):
        return series(seed, 5_000, phi), series(1_000 + seed, rows, phi)

    assert alarms(make, TIME) <= 1
    if phi > 0.5:
        assert alarms(make, ColumnRoles(ids=("event_time_ms",)), 4) == 4


@pytest.mark.slow
@pytest.mark.parametrize("roles", [GROUP, TIME])
def test_a_shift_is_found_all_the_same(roles):
    for seed in range(5):
        if roles.group:
            found, _ = report(grouped(seed, 400), grouped(50 + seed, 150, shift=0.8), roles)
        else:
            moved = series(50 + seed, 3_000, 0.9, 0.8)
            found, _ = report(series(seed, 5_000, 0.9), moved, roles)
        assert "x" in found.drifted


@pytest.mark.slow
def test_independent_rows_keep_their_power_when_a_group_or_the_time_is_named():
    """A shift of 0.15 at 2,000 rows is found in nearly each window, named or not."""
    for roles in (GROUP, TIME):
        found = 0
        for seed in range(10):
            random = np.random.default_rng(seed)
            sides = [
                {
                    "x": random.normal(shift, 1, rows),
                    "customer": np.arange(rows),
                    "event_time_ms": np.arange(rows) * 1_000,
                }
                for rows, shift in ((5_000, 0.0), (2_000, 0.15))
            ]
            if roles.group:
                sides = [{k: v for k, v in side.items() if "time" not in k} for side in sides]
            else:
                sides = [{k: v for k, v in side.items() if k != "customer"} for side in sides]
            found += report(*sides, roles)[0].drifted == ("x",)
        assert found >= 8


def profiled(columns, roles):
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    profile, _ = build(table, ProfileRequest(roles=roles))
    layout = Layout(group=roles.group, in_order=bool(roles.time), sample_rows=0)
    return Profiler(profile, layout).profile_all(table.to_batches())


def test_ten_copies_of_each_row_are_a_design_effect_of_ten():
    random = np.random.default_rng(0)
    once = {"x": random.normal(size=3_000), "customer": np.arange(3_000)}
    tenfold = {name: np.repeat(values, 10) for name, values in once.items()}
    assert dependence_of(profiled(tenfold, GROUP), "x").design_effect == pytest.approx(10, rel=0.2)
    assert dependence_of(profiled(once, GROUP), "x").design_effect == pytest.approx(1, abs=0.2)


def test_the_covariance_of_independent_rows_is_the_multinomial_one():
    values = {"x": np.random.default_rng(1).integers(0, 4, 40_000), "customer": np.arange(40_000)}
    found = dependence_of(profiled(values, GROUP), "x")
    shares = np.array([0.25] * 4 + [0.0, 0.0])
    expected = np.diag(shares) - np.outer(shares, shares)
    assert np.abs(found.covariance - expected).max() < 0.06
    assert 40 <= found.freedom <= 63


@pytest.mark.slow
def test_the_mean_of_an_autoregression_has_its_long_run_variance():
    """(1 + phi) / (1 - phi) rows stand for one in a share that rises with the values."""
    effects = []
    for seed in range(8):
        window = profiled(series(seed, 20_000, 0.9), TIME)
        found = dependence_of(window, "state")
        high = found.covariance[0, 0] / (0.31 * 0.69)
        effects.append(high)
    # Of the indicator of a normal beyond 0.5: somewhat less than 19, which is of the mean itself.
    assert 9 <= np.mean(effects) <= 19


def test_few_groups_are_known_with_few_degrees_of_freedom():
    found = dependence_of(profiled(grouped(0, 12, rows=50), GROUP), "x")
    assert found.freedom <= 12


def test_no_fault_from_what_a_few_groups_have_alone():
    """New cities of eight new customers, each of whom lives in another one."""
    cities = {f: np.repeat([f"{f}{n}" for n in range(40)], 50) for f in "ab"}
    old = {"city": cities["a"], "customer": np.repeat(np.arange(40), 50)}
    new = np.concatenate([cities["a"][:1_600], cities["b"][:400]])
    named = report(old, {"city": new, "customer": np.repeat(np.arange(100, 140), 50)}, GROUP)[0]
    assert named.verdict is DriftVerdict.STABLE
    assert report({"city": old["city"]}, {"city": new}, ColumnRoles())[0].faulty == ("city",)


def test_rows_that_a_group_repeats_are_no_flood_where_the_group_is_named():
    def copies(seed, groups):
        random = np.random.default_rng(seed)
        values = {"x": random.normal(size=groups), "y": random.normal(size=groups)}
        columns = {**values, "customer": random.integers(0, 1 << 40, groups)}
        return {name: np.repeat(column, 10) for name, column in columns.items()}

    assert report(copies(0, 600), copies(1, 150), GROUP)[0].verdict is DriftVerdict.STABLE
    twice = {name: np.tile(column, 2) for name, column in grouped(1, 150).items()}
    assert "(rows)" in report(grouped(0, 600), twice, GROUP)[0].faulty


def test_what_the_reference_lacks_is_taken_from_the_window():
    old = {name: pa.array(values) for name, values in grouped(0, 400).items()}
    profile, _ = build(pa.table(old), ProfileRequest(roles=GROUP))
    window = counted_window(profile, grouped(1, 150), roles=GROUP)
    found = monitor(profile, window, DriftSettings(roles=GROUP), baseline=None)
    assert found.verdict is DriftVerdict.STABLE
    entry = next(feature for feature in found.features if feature.feature == "country")
    assert entry.design_effect == pytest.approx(10, rel=0.3)


@pytest.mark.parametrize("value", [0.5, 3.0, 9.0, 25.0])
@pytest.mark.parametrize("freedom", [5, 20, 200])
def test_the_tail_of_estimated_weights_is_that_of_f(value, freedom):
    """Equal weights estimated with few degrees of freedom make the F distribution."""
    terms = 6
    found = weighted_chi_square_tail(np.ones(terms), value, freedom)
    assert found == pytest.approx(stats.f.sf(value / terms, terms, freedom), rel=0.03)
    exact = weighted_chi_square_tail(np.ones(terms), value)
    assert exact == pytest.approx(stats.chi2.sf(value, terms), rel=0.03)


def test_a_window_in_order_that_nobody_named_is_warned_of():
    rest = ColumnRoles(ids=("event_time_ms",))
    for phi, warned in ((0.95, 1), (0.0, 0)):
        found = report(series(0, 5_000, phi), series(1, 2_000, phi), rest)[0]
        assert len(found.warnings) == warned
    assert report(series(0, 5_000, 0.95), series(1, 2_000, 0.95), TIME)[0].warnings == ()


@pytest.mark.slow
def test_all_features_together_know_of_groups():
    chances = {"named": [], "not": []}
    for seed in range(6):
        random = np.random.default_rng(seed)
        sides, blocks = [], []
        for groups in (150, 100):
            own = np.repeat(random.normal(size=(groups, 3)), 10, axis=0)
            sides.append(0.8 * own + 0.6 * random.normal(size=own.shape))
            blocks.append(np.repeat(random.integers(0, 1 << 60, groups), 10).astype(np.uint64))
        chances["named"].append(compare_samples(*sides, seed=seed, blocks=tuple(blocks)).p_value)
        chances["not"].append(compare_samples(*sides, seed=seed).p_value)
    assert np.mean(np.array(chances["named"]) < 0.05) <= 0.2
    assert np.mean(np.array(chances["not"]) < 0.05) >= 0.5
