"""A catalogue that was written anew is a flood in a window, too, among however many values."""

import numpy as np
import pyarrow as pa
import pytest
from counted_rows import counted_window
from hypothesis import given, settings
from hypothesis import strategies as st

from tfx_loop.contracts.drift_report import DriftVerdict
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.window_report import monitor
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.profile.reference import REFERENCE_PROFILE
from tfx_loop.monitoring.profile.value_sample import (
    KEPT,
    FreshValues,
    fresh_values,
    merge_fresh,
    value_sample,
)
from tfx_loop.monitoring.profile.window_json import from_json, to_json

NAMES = st.lists(st.integers(0, 5_000).map(lambda n: f"v{n}"), max_size=60)


def catalogue(seed, rows, prefix="v", kind="even", values=4_000):
    random = np.random.default_rng(seed)
    places = random.integers(0, values, rows) if kind == "even" else random.zipf(1.4, rows) % values
    return pa.array([f"{prefix}{place}" for place in places])


def judged(old, new):
    profile, _ = build(pa.table({"sku": old}), ProfileRequest())
    return profile, monitor(profile, counted_window(profile, {"sku": new}), DriftSettings())


@pytest.mark.parametrize("kind", ["even", "Zipf"])
def test_every_value_replaced_is_a_flood_and_the_same_catalogue_is_none(kind):
    old = catalogue(0, 20_000, kind=kind)
    assert judged(old, catalogue(1, 5_000, kind=kind))[1].verdict is DriftVerdict.STABLE
    replaced = judged(old, catalogue(1, 5_000, "w", kind))[1]
    assert "new_category_flood" in {feature.fault for feature in replaced.features}


def test_a_third_of_the_values_replaced_is_a_flood():
    old, new = catalogue(0, 20_000), catalogue(1, 6_000).to_pylist()
    mixed = [f"w{text}" if int(text[1:]) % 3 == 0 else text for text in new]
    found = judged(old, pa.array(mixed))[1]
    (entry,) = [feature for feature in found.features if feature.fault]
    assert (entry.feature, entry.fault) == ("sku#token", "new_category_flood")
    share = int(entry.note.split("about ")[1].split("%")[0])
    assert 20 <= share <= 47


def test_prose_and_keys_that_never_repeat_are_no_flood():
    for prefix, words in (("r", 1), ("a b ", 3)):
        old = pa.array([f"{prefix}{place}" * words for place in range(5_000)])
        new = pa.array([f"{prefix}{place}" * words for place in range(5_000, 8_000)])
        faults = {feature.fault for feature in judged(old, new)[1].features}
        assert "new_category_flood" not in faults


@pytest.mark.slow
def test_one_frequent_new_value_is_no_flood():
    profile, _ = build(pa.table({"sku": catalogue(0, 20_000)}), ProfileRequest())
    known = catalogue(1, 4_850).to_pylist()
    for place in range(40):
        new = pa.array([*known, *[f"new{place}"] * 150])
        window = counted_window(profile, {"sku": new})
        faults = {feature.fault for feature in monitor(profile, window, DriftSettings()).features}
        assert "new_category_flood" not in faults


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(NAMES, NAMES, NAMES)
def test_what_is_fresh_adds_up_in_any_order(old, first, second):
    known = value_sample(pa.array([*old, "v1"]))
    parts = [fresh_values(pa.array(part, pa.string()), known) for part in (first, second)]
    whole = fresh_values(pa.array([*first, *second], pa.string()), known)
    assert merge_fresh(*parts) == merge_fresh(*reversed(parts)) == whole
    assert merge_fresh(whole, FreshValues()) == whole


def test_a_sample_is_bounded_and_is_written_with_the_profile():
    column = catalogue(0, 20_000)
    known = value_sample(column)
    assert KEPT / 2 < len(known.keys) <= KEPT
    profile, _ = build(pa.table({"sku": column}), ProfileRequest())
    again = REFERENCE_PROFILE.value(REFERENCE_PROFILE.content(profile))
    assert again == profile
    assert again.digest() == profile.digest()
    window = counted_window(profile, {"sku": catalogue(1, 3_000, "w")}).profile
    assert from_json(to_json(window)).total("sku#token").fresh == window.total("sku#token").fresh
    assert window.total("sku#token").fresh.fresh > 100
