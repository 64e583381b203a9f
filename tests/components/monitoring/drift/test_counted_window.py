"""Merged counts are judged as the rows would be, slices and sampled rows as they weigh."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from tfx_loop.contracts.drift_report import DriftVerdict
from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.window import CountedWindow
from tfx_loop.monitoring.drift.window_report import monitor
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.profile.profiler import profile_batch
from tfx_loop.monitoring.profile.window_profile import empty, merge, regrouped


def rows(seed, n=4_000, shift=0.0, only=None):
    random = np.random.default_rng(seed)
    site = random.choice(["north", "south"], n, p=[0.8, 0.2])
    moved = np.ones(n, bool) if only is None else site == only
    x = random.normal(size=n) + shift * moved
    columns = [pa.array(x), pa.array(random.integers(0, 30, n)), pa.array(site)]
    return pa.RecordBatch.from_arrays(columns, names=["x", "y", "site"])


@pytest.fixture(scope="module")
def reference():
    return build(pa.Table.from_batches([rows(0, 20_000)]), ProfileRequest(slices=("site",)))[0]


def counted(reference, *batches):
    found = empty(reference)
    for batch in batches:
        found = merge(found, profile_batch(batch, reference))
    return found


def judge_profile(reference, profile, settings, **options):
    return monitor(reference, CountedWindow("w", "m", profile), settings, **options)


def test_hours_merged_into_a_day_are_judged_at_once(reference):
    hours = [rows(seed, 500) for seed in range(1, 9)]
    assert judge_profile(reference, counted(reference, *hours), DriftSettings()).verdict is (
        DriftVerdict.STABLE
    )
    moved = [rows(seed, 500, shift=0.3) for seed in range(1, 9)]
    found = judge_profile(reference, counted(reference, *moved), DriftSettings())
    assert found.verdict is DriftVerdict.DRIFT
    assert [feature.feature for feature in found.features if feature.drifted] == ["x"]


def test_a_slice_is_compared_with_the_same_slice_of_training(reference):
    baseline = counted(reference, rows(0, 20_000))
    window = counted(reference, rows(1, shift=0.6, only="south"))
    found = judge_profile(reference, window, DriftSettings(), baseline=baseline)
    slices = {(f.feature, f.slice) for f in found.features if f.drifted}
    assert ("x", "site=south") in slices
    assert ("x", "site=north") not in slices


def test_a_slice_with_few_rows_and_a_slice_of_itself_are_not_compared(reference):
    baseline = counted(reference, rows(0, 20_000))
    window = counted(reference, rows(1, n=300))
    found = judge_profile(reference, window, DriftSettings(), baseline=baseline)
    assert {f.slice for f in found.features} == {"", "site=north"}  # 60 rows are of the south
    assert not any(f.slice for f in found.features if f.feature == "site")


def test_rows_sampled_at_unequal_rates_count_as_fewer(reference):
    """A tenth of the rows of the moved half stand for ten times as many."""
    window = counted(reference, rows(1, 3_600))
    rare = counted(reference, rows(2, 400, shift=0.4))
    rare = regrouped(rare, lambda key: replace(key, sampling_rate=0.1))
    plain = judge_profile(reference, merge(window, counted(
        reference, rows(2, 400, shift=0.4))), DriftSettings())  # fmt: skip
    weighted = judge_profile(reference, merge(window, rare), DriftSettings())
    psi = [next(f.psi for f in j.features if f.feature == "x") for j in (plain, weighted)]
    assert psi[1] > 3 * psi[0]
    assert weighted.verdict is DriftVerdict.DRIFT


def test_counts_on_another_reference_are_refused(reference):
    other = build(pa.Table.from_batches([rows(9, 5_000)]), ProfileRequest())[0]
    with pytest.raises(DataError, match="its own model"):
        judge_profile(other, counted(reference, rows(1)), DriftSettings())
    window, baseline = counted(other, rows(1)), counted(reference, rows(0))
    with pytest.raises(DataError, match="its own model"):
        judge_profile(other, window, DriftSettings(), baseline=baseline)


def test_absent_and_unfit_columns_are_faults_and_unknown_ones_are_told(reference):
    batch = rows(1)
    texts = pa.array([f"t{i}" for i in range(batch.num_rows)])
    odd = pa.RecordBatch.from_arrays(
        [texts, batch.column(2), batch.column(0)], names=["x", "site", "new"]
    )
    found = judge_profile(reference, counted(reference, odd), DriftSettings())
    assert {f.feature: f.fault for f in found.features if f.fault} == {
        "x": "type_changed", "y": "absent_feature",
    }  # fmt: skip
    new = next(f for f in found.features if f.feature == "new")
    assert new.note == "new: the reference has no such column"


def test_no_rows_are_not_enough_data(reference):
    found = judge_profile(reference, empty(reference), DriftSettings())
    assert found.verdict is DriftVerdict.NOT_ENOUGH_DATA
