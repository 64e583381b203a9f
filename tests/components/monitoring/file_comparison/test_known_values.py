"""Values of columns with more categories than bins: a flood of new ones is a fault, not luck."""

import numpy as np
import pyarrow as pa
import pytest

from tfx_loop.monitoring.drift.settings import FaultSettings
from tfx_loop.monitoring.file_comparison import known_values
from tfx_loop.monitoring.file_comparison.known_values import KnownValues, UnseenRows

ROWS = 20_000


def codes(form, numbers):
    return pa.array([form.format(number) for number in numbers])


def known(*columns):
    found = KnownValues()
    for column in columns:
        found.add(column)
    return found


def unseen(column, reference):
    found = UnseenRows()
    for start in range(0, len(column), 700):
        found.add(column.slice(start, 700), reference)
    return found


def test_counts_are_the_same_however_the_rows_come():
    column = codes("{}", np.random.default_rng(0).integers(0, 3_000, ROWS))
    whole = known(column)
    parts = known(*(column.slice(start, 999) for start in range(0, ROWS, 999)))
    assert np.array_equal(whole.keys, parts.keys)
    assert np.array_equal(whole.counts, parts.counts)
    distinct, times = np.unique(column.to_pylist(), return_counts=True)
    assert (len(whole.keys), whole.rows) == (len(distinct), ROWS)
    assert whole.single() == np.count_nonzero(times == 1)


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_a_catalogue_that_was_written_anew_is_a_flood(share):
    random = np.random.default_rng(1)
    reference = known(codes("SKU-{:06d}", random.integers(0, 4_000, ROWS)))
    current = random.integers(0, 4_000, 3_000)
    changed = random.random(3_000) < share
    texts = [
        f"sku_{n:06d}" if new else f"SKU-{n:06d}" for n, new in zip(current, changed, strict=True)
    ]
    found = unseen(pa.array([*texts, None]), reference)
    fault = found.fault(reference, FaultSettings())
    assert fault.code == "new_category_flood"
    # All 4,000 are in the reference but for some 30, so what is new is what was changed.
    assert found.unseen == pytest.approx(changed.sum(), abs=60)
    assert f"{found.unseen / 3_000:.0%} are values" in fault.note
    assert fault.note.count("sku_") == 3


@pytest.mark.parametrize("seed", range(5))
def test_values_that_are_always_new_are_no_flood(seed):
    """Names, search words, identifiers: most values are rare, and each window brings its own."""
    random = np.random.default_rng(seed)
    for draw in (
        lambda count: random.zipf(1.3, count) % 10**9,
        lambda count: random.integers(0, 10**12, count),
        lambda count: random.integers(0, 15_000, count),
    ):
        reference = known(codes("u{}", draw(ROWS)))
        assert (
            unseen(codes("u{}", draw(5_000)), reference).fault(reference, FaultSettings()) is None
        )


def test_a_few_new_values_in_a_small_window_are_luck():
    reference = known(codes("{}", np.arange(ROWS) % 500))
    few = pa.array([*map(str, range(20)), "new 1", "new 2", "new 3", "new 4"])
    assert unseen(few, reference).fault(reference, FaultSettings()).code == "new_category_flood"
    few = pa.array([*map(str, range(10)), "new 1", "new 2"])
    found = unseen(few, reference)
    assert found.unseen / found.rows > 0.15
    assert found.fault(known(codes("{}", range(40))), FaultSettings()) is None


def test_more_values_than_are_kept_say_nothing(monkeypatch):
    monkeypatch.setattr(known_values, "MOST_VALUES", 100)
    reference = known(codes("{}", range(90)), codes("{}", range(50, 200)), codes("{}", range(9)))
    assert (reference.overflown, reference.rows) == (True, 0)
    assert UnseenRows(100, 100).fault(reference, FaultSettings()) is None
