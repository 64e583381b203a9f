"""Do seasons raise the floor, does hysteresis keep an alarm, is a broken correlation found?"""

import numpy as np
import pyarrow as pa
import pytest

from components.drift_monitor import report
from components.drift_monitor.calibration import (
    effects_of_reports,
    effects_of_windows,
    season_floors,
)
from components.drift_monitor.drift import monitor
from components.drift_monitor.multivariate import compare_samples
from components.drift_monitor.settings import DriftSettings
from components.drift_monitor.window import WindowRows
from components.errors import ConfigError
from components.profile.build import ProfileRequest, build
from components.profile.counts import count


def rows(seed, shift=0.0, n=2_000):
    random = np.random.default_rng(seed)
    return {"x": pa.array(random.normal(shift, 1, n)), "y": pa.array(random.normal(size=n))}


def window(columns, name="w"):
    return WindowRows(name, "m", columns, len(columns["x"]), 0, {1: len(columns["x"])})


@pytest.fixture(scope="module")
def reference():
    return build(pa.table(rows(0, n=20_000)), ProfileRequest())[0]


def test_what_a_season_always_does_is_no_alarm(reference):
    """Decembers are half a sigma higher, give or take; this one is, too; the next is two."""
    decembers = [rows(seed, 0.5 + 0.05 * (seed % 3)) for seed in range(1, 7)]
    counts = [
        {p.name: count(columns[p.name], p.type, p.bins) for p in reference.features}
        for columns in decembers
    ]
    floors = season_floors(effects_of_windows(reference, counts))
    settings = DriftSettings(season_floors=floors)
    usual = monitor(reference, window(rows(10, 0.55)), settings)
    assert usual.verdict is report.Verdict.STABLE
    assert usual.features[0].held_by == report.SEASON
    assert monitor(reference, window(rows(10, 0.55)), DriftSettings()).drifted == ("x",)
    assert monitor(reference, window(rows(11, 2.0)), settings).drifted == ("x",)


def test_earlier_reports_calibrate_as_their_counts_do(reference):
    reports = [monitor(reference, window(rows(s, 0.5)), DriftSettings()) for s in range(1, 5)]
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
    first = monitor(reference, window(rows(1, 0.6, 8_000), "w1"), settings)
    assert first.drifted == ("x",)
    weaker = window(rows(2, 0.38, 8_000), "w2")
    assert monitor(reference, weaker, settings).features[0].held_by == report.EFFECT_FLOOR
    assert monitor(reference, weaker, settings, first).drifted == ("x",)
    without = DriftSettings(psi_floor=0.25, release=1.0)
    assert monitor(reference, weaker, without, first).drifted == ()
    gone = monitor(reference, window(rows(3, 0.0, 8_000), "w2"), settings, first)
    assert gone.drifted == ()


def linked(seed, share, n=1_500):
    values = np.random.default_rng(seed).normal(size=(n, 4))
    values[:, 1] = share * values[:, 0] + np.sqrt(1 - share**2) * values[:, 1]
    return values


def test_a_broken_correlation_is_found_and_none_is_not_invented():
    quiet = [compare_samples(linked(s, 0.8), linked(s + 50, 0.8)).p_value for s in range(12)]
    assert np.sum(np.array(quiet) < 0.05) <= 3
    found = compare_samples(linked(1, 0.8), linked(2, 0.1), ("a", "b", "c", "d"))
    assert found.p_value < 1e-6
    assert found.reconstruction > 1.3
    assert set(found.top[:2]) == {"a", "b"}
    assert compare_samples(linked(1, 0.8, 50), linked(2, 0.1, 50)) is None
