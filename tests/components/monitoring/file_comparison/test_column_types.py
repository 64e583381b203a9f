"""Durations, times of day, bytes of a fixed size and numbers beyond 2^53 are tested as values."""

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from tfx_loop.contracts.drift_report import DriftVerdict
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.file_comparison.compare_files import compare_paths
from tfx_loop.monitoring.file_comparison.number_cells import from_origin, origin_of
from tfx_loop.monitoring.profile.bins import BinSettings, CategoryBins
from tfx_loop.monitoring.profile.build import profile_feature
from tfx_loop.monitoring.profile.counts import count

ROWS = 2_500


def duration(seed, moved, unit="us"):
    ticks = {"ms": 1e3, "us": 1e6}[unit]
    seconds = np.random.default_rng(seed).gamma(2, 40 + 20 * moved, ROWS)
    return pa.array((seconds * ticks).astype(np.int64)).cast(pa.duration(unit))


def time_of_day(seed, moved):
    hours = np.random.default_rng(seed).normal(11 + 2 * moved, 2, ROWS) % 24
    return pa.array((hours * 3_600).astype(np.int64) * 1_000_000).cast(pa.time64("us"))


def fixed_bytes(seed, moved):
    shares = [0.1, 0.2, 0.3, 0.4] if moved else [0.25] * 4
    codes = np.random.default_rng(seed).choice(4, ROWS, p=shares)
    return pa.array([bytes([65 + code]) * 4 for code in codes], pa.binary(4))


def few_large(seed, moved):
    return pa.array(2**60 + 5 * moved + np.random.default_rng(seed).integers(0, 10, ROWS))


def many_large(seed, moved):
    return pa.array(2**60 + 300 * moved + np.random.default_rng(seed).integers(0, 1_000, ROWS))


def unsigned(seed, moved):
    codes = np.uint64(2**64 - 100) + np.arange(12, dtype=np.uint64)
    return pa.array(np.random.default_rng(seed).choice(codes[: 8 if moved else 12], ROWS))


def verdict(tmp_path, old, new, kind="parquet"):
    paths = []
    for name, column in (("old", old), ("new", new)):
        paths.append(str(tmp_path / f"{name}.{kind}"))
        table = pa.table({"x": column})
        pq.write_table(table, paths[-1]) if kind == "parquet" else csv.write_csv(table, paths[-1])
    return compare_paths(*paths, DriftSettings()).report.verdict


@pytest.mark.parametrize(
    "column", [duration, time_of_day, fixed_bytes, few_large, many_large, unsigned]
)
def test_a_drift_is_found_and_none_without_one(tmp_path, column):
    assert verdict(tmp_path, column(0, False), column(1, False)) is DriftVerdict.STABLE
    assert verdict(tmp_path, column(0, False), column(1, True)) is DriftVerdict.DRIFT


def test_durations_are_compared_in_seconds_whatever_their_unit(tmp_path):
    assert verdict(tmp_path, duration(0, False), duration(1, False, "ms")) is DriftVerdict.STABLE
    assert verdict(tmp_path, duration(0, False), duration(1, True, "ms")) is DriftVerdict.DRIFT


@pytest.mark.parametrize("moved", [False, True])
def test_a_clock_in_csv_is_seconds_also_with_a_bad_cell(tmp_path, moved):
    texts = [column.cast(pa.string()) for column in (time_of_day(0, False), time_of_day(1, moved))]
    spoilt = pa.array([*texts[1].to_pylist()[1:], "noon"])
    expected = DriftVerdict.DRIFT if moved else DriftVerdict.STABLE
    assert verdict(tmp_path, texts[0], texts[1], "csv") is expected
    assert verdict(tmp_path, texts[0], spoilt, "csv") is expected


def test_whole_numbers_are_exact_from_an_origin():
    large = pa.array([2**60, 2**60 + 1, None, 2**60 + 900])
    assert origin_of(large) == 2**60
    assert from_origin(large, 2**60).to_pylist() == [0, 1, None, 900]
    far = from_origin(pa.array([2**60 - 1, -(2**62), 5]), 2**60)
    assert far.to_pylist() == [-1, -(2**62), 5 - 2**60]
    top = pa.array([2**64 - 1, 2**64 - 3], pa.uint64())
    assert from_origin(top, origin_of(top)).to_pylist() == [2, 0]
    # Doubles tell these apart by themselves.
    for column in ([1, 2, 3], [2**60, 2**61], [None, 5]):
        assert origin_of(pa.array(column, pa.int64())) == 0


def test_a_profile_has_a_bin_for_each_of_few_large_numbers():
    large = pa.array([2**60, 2**60 + 1, 2**60 + 2] * 20 + [2**60 + 1])
    profile = profile_feature("x", large, BinSettings())
    assert profile.bins == CategoryBins((2**60, 2**60 + 1, 2**60 + 2))
    assert profile.counts.bins == (20, 21, 20, 0)
    new = count(pa.array([2**60 + 3, None, 2**60 + 2]), profile.type, profile.bins)
    assert (new.bins, new.missing) == ((0, 0, 1, 1), 1)
