"""Seasons raise the floor, hysteresis keeps an alarm, a broken correlation is found."""

import numpy as np
import pyarrow as pa
import pytest
from counted_rows import counted_window

from tfx_loop.contracts import drift_report
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.monitoring.drift.season_floors import (
    effects_of_reports,
    season_floors,
    training_floors,
)
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.statistics.multivariate import compare_samples
from tfx_loop.monitoring.drift.window_report import monitor
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.profile.profile_files import load
from tfx_loop.monitoring.profile.training_counts import COUNTS_FILE, training_counts
from tfx_loop.monitoring.profile.window_json import to_bytes


def rows(seed, shift=0.0, n=2_000):
    random = np.random.default_rng(seed)
    return {"x": pa.array(random.normal(shift, 1, n)), "y": pa.array(random.normal(size=n))}


@pytest.fixture(scope="module")
def reference():
    return build(pa.table(rows(0, n=20_000)), ProfileRequest())[0]


DAY_MS = 86_400_000


def days(count, seed, moves, per_day=1_000):
    """Training rows of `count` days, x moved on each day as `moves(day)` says."""
    table = rows(seed, n=count * per_day)
    day = np.repeat(np.arange(count), per_day)
    x = table["x"].to_numpy() + np.array([moves(d) for d in range(count)])[day]
    times = day * DAY_MS + np.arange(count * per_day) % DAY_MS
    return pa.table({"x": x, "y": table["y"], "event_time_ms": times})


def weekly(day):
    """Higher by 0.8 sigma at the weekend, as the days of the week go by."""
    return 0.8 * (day % 7 >= 5)


def test_days_of_training_say_how_far_a_day_lies_from_the_others():
    trained = days(70, 3, weekly)
    reference, _ = build(trained, ProfileRequest())
    floors = training_floors(reference, training_counts(trained, reference), DAY_MS)
    sunday = counted_window(reference, rows(10, 0.8))
    assert monitor(reference, sunday, DriftSettings()).drifted == ("x",)
    calibrated = DriftSettings(season_floors=floors)
    usual = monitor(reference, sunday, calibrated)
    assert usual.verdict is drift_report.DriftVerdict.STABLE
    assert usual.features[0].held_by == drift_report.SEASON
    beyond = counted_window(reference, rows(11, 1.6))
    assert monitor(reference, beyond, calibrated).drifted == ("x",)
    assert floors["y"] < 0.02 < floors["x"]


@pytest.mark.slow
def test_a_slice_has_a_season_of_its_own():
    trained = days(70, 3, weekly, per_day=2_000)
    random = np.random.default_rng(1)
    site = random.choice(["north", "south"], trained.num_rows)
    x = np.where(site == "south", trained["x"], random.normal(size=len(site)))
    trained = trained.set_column(0, "x", pa.array(x)).append_column("site", pa.array(site))
    reference, _ = build(trained, ProfileRequest(slices=("site",)))
    counts = training_counts(trained, reference)
    floors = training_floors(reference, counts, DAY_MS)
    assert floors["x where site=south"] > 0.2 > floors["x"]
    assert floors["x where site=north"] < 0.1
    moved = np.where(np.arange(2_000) % 2, rows(11)["x"], rows(10, 0.8)["x"])
    columns = {**rows(10), "x": pa.array(moved), "site": pa.array(["south", "north"] * 1_000)}
    window = counted_window(reference, columns)
    found = monitor(reference, window, DriftSettings(season_floors=floors), baseline=counts)
    south = next(f for f in found.features if f.title == "x where site=south")
    assert (south.held_by, south.drifted) == (drift_report.SEASON, False)


def test_weeks_of_training_are_alike_where_days_are_not():
    trained = days(70, 3, weekly)
    reference, _ = build(trained, ProfileRequest())
    counts = training_counts(trained, reference)
    by_day, by_week = (training_floors(reference, counts, n * DAY_MS) for n in (1, 7))
    assert by_week["x"] < 0.02 < by_day["x"]


def test_training_without_days_gives_no_floors():
    trained = days(10, 3, weekly)
    reference, _ = build(trained, ProfileRequest())
    counts = training_counts(trained, reference)
    assert training_floors(reference, counts, 8 * DAY_MS) == {}
    assert training_floors(reference, counts, DAY_MS // 24) == {}
    timeless = training_counts(trained.drop(["event_time_ms"]), reference)
    assert training_floors(reference, timeless, DAY_MS) == {}


def test_a_rest_of_two_thirds_of_a_window_counts_as_one():
    trained = days(59, 3, lambda day: 0.0)  # January and February
    reference, _ = build(trained, ProfileRequest())
    counts = training_counts(trained, reference)
    assert set(training_floors(reference, counts, 31 * DAY_MS)) == {"x", "y"}
    assert training_floors(reference, counts, 40 * DAY_MS) == {}


def test_of_two_windows_each_is_compared_with_the_other():
    trained = days(60, 3, lambda day: 0.8 * (day >= 30))
    reference, _ = build(trained, ProfileRequest())
    floors = training_floors(reference, training_counts(trained, reference), 30 * DAY_MS)
    assert floors["x"] == pytest.approx(0.64, abs=0.1)  # PSI of 0.8 sigma


def test_training_counts_come_back_from_their_file(tmp_path):
    trained = days(3, 3, weekly)
    reference, _ = build(trained, ProfileRequest())
    packed = to_bytes(training_counts(trained, reference))
    (tmp_path / COUNTS_FILE).write_bytes(packed)
    assert to_bytes(load(str(tmp_path), COUNTS_FILE)) == packed
    (tmp_path / COUNTS_FILE).write_bytes(packed[:-9])
    with pytest.raises(DataError, match="Expected a packed window profile"):
        load(str(tmp_path), COUNTS_FILE)
    with pytest.raises(DataError, match="this release"):
        load(str(tmp_path / "elsewhere"), COUNTS_FILE)


def test_earlier_reports_calibrate_as_their_counts_do(reference):
    windows = [counted_window(reference, rows(seed, 0.5)) for seed in range(1, 5)]
    reports = [monitor(reference, window, DriftSettings()) for window in windows]
    floors = season_floors(effects_of_reports(reports))
    seen = [f.psi_corrected for r in reports for f in r.features if f.feature == "x"]
    assert floors["x"] >= max(seen)
    assert floors["y"] < 0.02


def test_a_single_window_makes_no_season():
    with pytest.raises(ConfigError, match="at least 2"):
        season_floors([{"x": 0.1}])


def test_an_alarm_stays_until_the_effect_is_clearly_gone(reference):
    """A PSI of 0.3 alarms; one of 0.14 alone does not at this floor, after it it does."""
    settings = DriftSettings(psi_floor=0.25, release=0.4)
    first = monitor(reference, counted_window(reference, rows(1, 0.6, 8_000), "w1"), settings)
    assert first.drifted == ("x",)
    weaker = counted_window(reference, rows(2, 0.38, 8_000), "w2")
    assert monitor(reference, weaker, settings).features[0].held_by == drift_report.EFFECT_FLOOR
    assert monitor(reference, weaker, settings, first).drifted == ("x",)
    without = DriftSettings(psi_floor=0.25, release=1.0)
    assert monitor(reference, weaker, without, first).drifted == ()
    gone = monitor(reference, counted_window(reference, rows(3, 0.0, 8_000), "w2"), settings, first)
    assert gone.drifted == ()


def linked(seed, share, n=1_500):
    values = np.random.default_rng(seed).normal(size=(n, 4))
    values[:, 1] = share * values[:, 0] + np.sqrt(1 - share**2) * values[:, 1]
    return values


@pytest.mark.slow
def test_a_broken_correlation_is_found_and_none_is_not_invented():
    quiet = [compare_samples(linked(s, 0.8), linked(s + 50, 0.8)).p_value for s in range(12)]
    assert np.sum(np.array(quiet) < 0.05) <= 3
    found = compare_samples(linked(1, 0.8), linked(2, 0.1), ("a", "b", "c", "d"))
    assert found.p_value < 1e-6
    assert found.reconstruction > 1.3
    assert set(found.top[:2]) == {"a", "b"}
    assert compare_samples(linked(1, 0.8, 50), linked(2, 0.1, 50)) is None
