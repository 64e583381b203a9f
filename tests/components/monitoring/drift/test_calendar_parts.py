"""Months and quarters that stand still, or move on, are no fault; broken ones are."""

import numpy as np
import pyarrow as pa
import pytest

from tfx_loop.monitoring.drift.data_faults.checks import find_fault
from tfx_loop.monitoring.drift.data_faults.observed_feature import ObservedFeature
from tfx_loop.monitoring.drift.data_faults.sample_statistics import sample_statistics
from tfx_loop.monitoring.drift.settings import FaultSettings
from tfx_loop.monitoring.profile.bins import BinSettings
from tfx_loop.monitoring.profile.build import profile_feature
from tfx_loop.monitoring.profile.counts import count

TRAINED = np.repeat(np.arange(1, 7), 300)


def fault(name, current, trained=TRAINED):
    profile = profile_feature(name, pa.array(trained), BinSettings())
    column = current if isinstance(current, pa.Array) else pa.array(current)
    counts = count(column, profile.type, profile.bins)
    sampled = sample_statistics(column, profile.type, profile.bins)
    found = find_fault(ObservedFeature(profile, counts, sampled), FaultSettings())
    return found.code if found else None


@pytest.mark.parametrize(
    "name", ["month", "trip_start_month", "SaleMonth", "month_of_year", "iso week", "dayofyear"]
)
def test_months_that_stand_still_or_move_on_are_no_fault(name: str) -> None:
    assert fault(name, np.full(600, 3)) is None
    assert fault(name, np.full(600, 7)) is None
    assert fault(name, np.repeat([9, 10], 300)) is None


def test_the_same_of_another_column_is_one() -> None:
    assert fault("rooms", np.full(600, 3)) == "constant_value"
    # Months of a contract are an amount.
    assert fault("months", np.full(600, 3)) == "constant_value"
    assert fault("visits_last_month", np.full(600, 3)) == "constant_value"
    assert fault("claimsPerWeek", np.full(600, 3)) == "constant_value"


@pytest.mark.parametrize("broken", [TRAINED * 1000, -TRAINED, np.full(600, 13)])
def test_values_that_are_no_months_are_a_fault(broken) -> None:
    assert fault("month", broken) is not None


def test_missing_months_are_a_fault() -> None:
    assert fault("month", pa.nulls(600, pa.int64())) == "all_missing"


def test_months_as_words() -> None:
    words = ["Jan", "Feb", "Mar", "Apr"] * 300
    assert fault("when", ["Jan"] * 600, words) is None
    assert fault("shop", ["north"] * 600, ["north", "south", "east"] * 300) == "constant_value"
