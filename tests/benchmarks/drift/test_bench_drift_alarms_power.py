"""The drift benchmarks' claims in a short version."""

import zlib

import numpy as np
import pytest

from tests.benchmarks.drift.false_alarms import alarms
from tests.benchmarks.drift.power import recall, threshold
from tests.benchmarks.drift.sections import table, write_section
from tests.benchmarks.drift.worlds import FIRST_SEED, SHAPES


# test_drift_monitor_verdicts.py holds DriftMonitor to the same rate.
@pytest.mark.slow
@pytest.mark.long
def test_at_most_five_percent_of_windows_without_drift_raise_an_alarm():
    counts = [
        alarms(shape, (rows, rows), 10, {"ours": 12}, FIRST_SEED + zlib.crc32(shape.encode()))
        for shape in SHAPES
        for rows in (200, 1_000)
    ]
    alarmed, seen = np.sum([count["ours"] for count in counts], axis=0)
    assert seen == 144
    assert alarmed / seen <= 0.05


@pytest.mark.slow
def test_large_windows_without_drift_raise_none():
    for shape in SHAPES:
        assert alarms(shape, (100_000, 100_000), 2, {"ours": 1}, FIRST_SEED)["ours"] == (0, 1)


@pytest.mark.slow
def test_half_a_sigma_at_a_thousand_rows_is_found():
    assert recall("ours", "shift 0.5 sigma", 1_000, 40, np.inf)[1] >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    "drift",
    [
        "shift 0.2 sigma",
        pytest.param("scale x1.2", marks=pytest.mark.long),
        pytest.param("category swap", marks=pytest.mark.long),
    ],
)
def test_at_equal_false_alarms_ours_finds_at_least_what_the_exact_test_finds(drift):
    found = {}
    for tool in ("ours", "SciPy KS + BH"):
        limit = threshold(tool, drift, 600, 40)
        found[tool] = recall(tool, drift, 600, 20, limit)[0]
    assert found["ours"] >= found["SciPy KS + BH"]


def test_a_benchmark_replaces_its_own_section_alone(tmp_path):
    path = tmp_path / "RESULTS.md"
    write_section("one", "first", path)
    write_section("two", table(["a"], [[1]]), path)
    write_section("one", "second", path)
    text = path.read_text()
    assert "first" not in text
    assert text.index("second") < text.index("| 1 |")
