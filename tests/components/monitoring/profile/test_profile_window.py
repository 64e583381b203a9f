"""Window profiles are exact, whole, and the same to the bit however rows are split and ordered."""

import json
from datetime import datetime, timezone
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from example_counts import scaled
from hypothesis import given, settings
from hypothesis import strategies as st

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.profile.distinct_rows import distinct, parts
from tfx_loop.monitoring.profile.layout import PLAIN, PREDICTION_LOG, Layout
from tfx_loop.monitoring.profile.profiler import Profiler, profile_batch
from tfx_loop.monitoring.profile.window_json import (
    digest,
    from_bytes,
    from_json,
    to_bytes,
    to_json,
)
from tfx_loop.monitoring.profile.window_profile import (
    CellKey,
    WindowProfile,
    daily,
    empty,
    merge,
    regrouped,
)

HOURLY = Layout(window="hour", sample_rows=5)
COLUMNS = {
    "request_id": pa.string(),
    "instance_index": pa.int32(),
    "event_time_ms": pa.int64(),
    "model_version": pa.int64(),
    "sampling_rate": pa.float64(),
    "status": pa.string(),
    "x": pa.float64(),
    "code": pa.int64(),
    "far": pa.int64(),
    "word": pa.string(),
    "flag": pa.bool_(),
    "tags": pa.list_(pa.string()),
    "note": pa.string(),
    "new": pa.string(),
}
ROW = st.fixed_dictionaries(
    {
        "request_id": st.sampled_from([f"r{i}" for i in range(12)]),
        "instance_index": st.integers(0, 1),
        "event_time_ms": st.sampled_from([0, 3_599_999, 3_600_000, 90_000_000]),
        "model_version": st.sampled_from([1, 2]),
        "sampling_rate": st.sampled_from([1.0, 0.1, 0.25, None]),
        "status": st.sampled_from(["ok", "ok", "error"]),
        "x": st.one_of(st.none(), st.floats(), st.sampled_from([0.0, 0.5, 1e300])),
        "code": st.one_of(st.none(), st.integers(0, 9)),
        "far": st.one_of(st.none(), st.integers(-(2**50), 2**50)),
        "word": st.one_of(st.none(), st.sampled_from("abcdefgh"), st.text(max_size=2)),
        "flag": st.one_of(st.none(), st.booleans()),
        "tags": st.one_of(st.none(), st.lists(st.sampled_from("pqrs"), max_size=3)),
        "note": st.one_of(st.none(), st.text(alphabet="ab é", max_size=9)),
        "new": st.one_of(st.none(), st.just("here")),
    }
)


def batch_of(rows):
    columns = [pa.array([row[name] for row in rows], kind) for name, kind in COLUMNS.items()]
    return pa.RecordBatch.from_arrays(columns, names=list(COLUMNS))


def trained(count=600):
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "x": rng.normal(size=count),
            "code": rng.integers(0, 6, count),
            "far": rng.integers(-(10**6), 10**6, count),
            "word": rng.choice(["a", "b", "c"], count),
            "flag": rng.random(count) < 0.5,
            "tags": pa.array([["p", "q"][: i % 3] for i in range(count)]),
            "note": [f"{i} note" for i in range(count)],
        }
    )


@pytest.fixture(scope="module")
def reference():
    return build(trained(), ProfileRequest(slices=("word",)))[0]


REFERENCE = build(trained(), ProfileRequest(slices=("word",)))[0]
PROFILER = Profiler(REFERENCE, HOURLY)


def split(rows, data):
    """Rows in any order in any number of shards, some of them empty."""
    rows = data.draw(st.permutations(rows))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=5)))
    return [rows[a:b] for a, b in pairwise([0, *cuts, len(rows)])]


def once(rows):
    return list({(row["request_id"], row["instance_index"]): row for row in rows}.values())


@pytest.mark.slow
@settings(max_examples=scaled(25))
@given(st.lists(ROW, min_size=1, max_size=24), st.data())
def test_any_split_and_order_gives_the_same_bits(rows, data):
    rows = once(rows)
    whole = PROFILER.profile(batch_of(rows))
    shards = [PROFILER.profile(batch_of(part)) for part in split(rows, data)]
    merged = empty(REFERENCE)
    for shard in shards:
        merged = merge(shard, merged) if data.draw(st.booleans()) else merge(merged, shard)
    assert to_json(merged) == to_json(whole)
    assert to_bytes(merged) == to_bytes(whole)
    assert digest(merged) == digest(whole)
    assert whole.rows + whole.failed_rows == len(rows)


@pytest.mark.slow
@settings(max_examples=scaled(25))
@given(st.lists(ROW, min_size=3, max_size=18), st.data())
def test_merging_is_associative_and_commutative_with_an_identity(rows, data):
    a, b, c = (
        PROFILER.profile(batch_of(part)) for part in [*split(once(rows), data), [], [], []][:3]
    )
    assert to_bytes(merge(merge(a, b), c)) == to_bytes(merge(a, merge(b, c)))
    assert to_bytes(merge(a, b)) == to_bytes(merge(b, a))
    assert to_bytes(merge(empty(REFERENCE), a)) == to_bytes(merge(a, empty(REFERENCE)))
    assert to_bytes(merge(a, empty(REFERENCE))) == to_bytes(a)


@pytest.mark.slow
@settings(max_examples=scaled(25))
@given(st.lists(ROW, min_size=1, max_size=24), st.integers(1, 5), st.data())
def test_repeated_rows_count_once_wherever_they_were_delivered(rows, count, data):
    """Even rows of one identity that differ: the earliest, then the first by content, is kept."""
    single = Profiler(REFERENCE, Layout(sample_rows=5)).profile_all(
        distinct([batch_of(rows)], PLAIN)
    )
    again = [*rows, *data.draw(st.lists(st.sampled_from(rows), max_size=10))]
    held = {}
    for shard in split(again, data):
        for number, part in parts(batch_of(shard), count, PLAIN):
            held.setdefault(number, []).append(part)
    profiler = Profiler(REFERENCE, Layout(sample_rows=5))
    merged = empty(REFERENCE)
    for batches in held.values():
        merged = merge(merged, profiler.profile_all(distinct(batches, PLAIN)))
    assert to_bytes(merged) == to_bytes(single)
    assert merged.rows + merged.failed_rows == len(once(rows))


@pytest.mark.slow
@settings(max_examples=scaled(25))
@given(st.lists(ROW, min_size=1, max_size=24))
def test_hours_make_days_without_touching_rows(rows):
    rows = once(rows)
    by_hour = PROFILER.profile(batch_of(rows))
    by_day = Profiler(REFERENCE, Layout(window="day", sample_rows=5)).profile(batch_of(rows))
    assert to_bytes(daily(by_hour)) == to_bytes(by_day)
    hours = {key.window for key in by_hour.cells}
    assert hours <= {"1970-01-01T00", "1970-01-01T01", "1970-01-02T01"}


@pytest.mark.slow
@settings(max_examples=scaled(25))
@given(st.lists(ROW, min_size=1, max_size=24))
def test_written_and_read_it_is_the_same(rows):
    profile = PROFILER.profile(batch_of(rows))
    assert to_bytes(from_bytes(to_bytes(profile))) == to_bytes(profile)
    again = from_json(json.loads(json.dumps(to_json(profile), allow_nan=False)))
    assert to_json(again) == to_json(profile)


@pytest.mark.slow
@settings(max_examples=scaled(25))
@given(st.lists(ROW, min_size=1, max_size=24))
def test_every_row_is_in_one_bin_or_missing(rows):
    profile = PROFILER.profile(batch_of(rows))
    for cell in profile.cells.values():
        for feature in cell.features.values():
            assert sum(feature.counts.bins) + feature.counts.missing == cell.rows
    answered = [row for row in rows if row["status"] == "ok"]
    assert profile.rows == len(answered)
    if answered:
        words = [row["word"] for row in answered]
        counts = profile.total("word").counts
        assert counts.missing == words.count(None)
        assert counts.bins[:3] == tuple(words.count(word) for word in REFERENCE_WORDS)
    for key, cell in profile.cells.items():
        if key.slice:
            word = key.slice.removeprefix("word=")
            assert cell.rows == sum(
                row["word"] == word
                and row["model_version"] == key.model_version
                and (row["sampling_rate"] or 1.0) == key.sampling_rate
                and hour_of(row) == key.window
                for row in answered
            )


REFERENCE_WORDS = next(f.bins.categories for f in REFERENCE.features if f.name == "word")


def hour_of(row):
    moment = datetime.fromtimestamp(row["event_time_ms"] / 1000, tz=timezone.utc)
    return moment.strftime("%Y-%m-%dT%H")


def test_rows_that_are_lost_are_an_error():
    content = to_json(PROFILER.profile(batch_of([row()])))
    content["cells"][0]["rows"] += 1
    with pytest.raises(DataError, match="lost or counted twice"):
        from_json(content)


def row(**changed):
    base = {name: None for name in COLUMNS}
    return {**base, "request_id": "r", "instance_index": 0, "status": "ok", **changed}


def test_zeros_of_both_signs_are_one_value():
    zeros = [row(request_id="a", x=0.0), row(request_id="b", x=-0.0)]
    first, second = (PROFILER.profile(batch_of([one])) for one in zeros)
    assert to_bytes(merge(first, second)) == to_bytes(merge(second, first))


def test_profiles_of_other_references_do_not_merge(reference):
    other = build(trained().slice(0, 500), ProfileRequest())[0]
    with pytest.raises(DataError, match="on one reference"):
        merge(empty(reference), empty(other))


def test_sampled_rows_weigh_more_and_tell_less(reference):
    rows = [row(request_id=f"a{i}", word="a", sampling_rate=0.1) for i in range(10)]
    rows += [row(request_id=f"b{i}", word="b") for i in range(100)]
    profile = profile_batch(batch_of(rows), reference, PLAIN)
    weighted = profile.weighted("word")
    by_word = dict(zip((*REFERENCE_WORDS, "other", "missing"), weighted.vector, strict=True))
    assert (by_word["a"], by_word["b"], by_word["c"]) == (100.0, 100.0, 0.0)
    assert weighted.effective_rows == pytest.approx(200**2 / (10 * 100 + 100))
    equal = profile_batch(batch_of(rows[:10]), reference, PLAIN).weighted("word")
    assert equal.effective_rows == pytest.approx(10)


def test_moments_are_those_of_the_window_and_do_not_depend_on_the_split(reference):
    rng = np.random.default_rng(5)
    values = rng.normal(3.0, 2.0, 200_000)
    table = pa.table({"x": values})
    profile = Profiler(reference).profile_all(table.to_batches(max_chunksize=7_777))
    frozen = next(f for f in reference.features if f.name == "x")
    moments = profile.total("x").moments(frozen.moments)
    assert moments.mean == pytest.approx(values.mean(), abs=1e-4)
    assert moments.std == pytest.approx(values.std(), rel=1e-4)
    whole = Profiler(reference).profile_all([table.to_batches()[0]])
    assert to_bytes(whole) == to_bytes(profile)


def test_distinct_values_and_unseen_ones_are_told(reference):
    words = [f"new{i % 500}" for i in range(5_000)] + ["flood"] * 5_000 + ["a"] * 10
    rows = [row(request_id=f"r{i}", word=word) for i, word in enumerate(words)]
    feature = profile_batch(batch_of(rows), reference, PLAIN).total("word")
    named = len(REFERENCE_WORDS)
    assert feature.distinct(named) == pytest.approx(502, rel=0.15)
    seen = [value for _, value in feature.unseen]
    assert len(seen) == 16
    assert 3 <= seen.count("flood") <= 13


def test_the_sample_is_drawn_by_request_and_holds_whole_rows(reference):
    rows = [row(request_id=f"r{i}", x=float(i), word="abc"[i % 3], flag=True) for i in range(400)]
    profile = Profiler(reference, Layout(sample_rows=50)).profile(batch_of(rows))
    table = profile.sample.rows
    assert table.num_rows == 50
    for got in table.to_pylist():
        assert got["word"] == "abc"[int(got["x"]) % 3]
        assert got["flag"] == 1.0
    assert len(set(table.column("x").to_pylist())) == 50
    fewer = Profiler(reference, Layout(sample_rows=50)).profile(batch_of(rows[:200]))
    assert set(fewer.sample.rows.column("x").to_pylist()) >= {
        x for x in table.column("x").to_pylist() if x < 200
    }


def test_columns_that_lack_change_or_appear_are_told(reference):
    absent = profile_batch(pa.RecordBatch.from_arrays([pa.array([1.0])], names=["x"]), reference)
    assert absent.total("word").counts.absent == 1
    assert absent.total("word").counts.missing == 1
    wrong = pa.RecordBatch.from_pydict(
        {"x": ["1", None], "code": [1.5, 2.0], "word": [1, 2], "flag": [0, 7], "extra": [1, None]}
    )
    profile = profile_batch(wrong, reference)
    unfit = {name: profile.total(name).counts.unfit for name in ("x", "code", "word", "flag")}
    assert unfit == {"x": 1, "code": 1, "word": 2, "flag": 1}
    assert profile.total("x").counts.missing == 2
    assert profile.unknown == {"extra": 1}


@pytest.mark.parametrize(
    "column",
    [
        pa.array([np.inf, -np.inf, np.nan, None]),
        pa.array([None] * 4, pa.float64()),
        pa.nulls(4),
        pa.array([1e300, -1e300, 5e-324, 0.0]),
        pa.array([[1.0, 2.0], [], None, [3.0]]),
        pa.array([0, 1, 2, 3], pa.timestamp("ms")),
        pa.array([True, False, None, True]),
        pa.array([1, 2, 3, 4], pa.uint8()),
        pa.array([1, 2, None, 4], pa.float32()),
        pa.array(["a", "b", "a", None]).dictionary_encode(),
    ],
)
def test_odd_columns_are_counted_whole(reference, column):
    for name in ("x", "far", "code", "word", "flag", "tags", "note"):
        profile = profile_batch(pa.RecordBatch.from_arrays([column], names=[name]), reference)
        assert profile.rows == 4
        assert from_bytes(to_bytes(profile)).rows == 4


def test_no_rows_and_one_row(reference):
    none = profile_batch(batch_of([]), reference)
    assert to_bytes(none) == to_bytes(merge(none, empty(reference)))
    assert (none.rows, dict(none.cells)) == (0, {})
    assert profile_batch(batch_of([row(x=1.0)]), reference).rows == 1


def test_the_prediction_log_s_columns_are_found(reference):
    table = pa.table({"x": pa.array(np.linspace(0, 1, 50))})
    scored, _ = build(
        table.append_column("late", pa.array([0, 1] * 25)),
        ProfileRequest(label="late", score="p"),
        scores=pa.array(np.linspace(0, 1, 50)),
        score_labels=pa.array([0, 1] * 25),
    )
    log = pa.RecordBatch.from_pydict(
        {
            "request_id": ["a", "b"],
            "instance_index": [0, 0],
            "event_time_ms": [0, 1],
            "model_name": ["m", "m"],
            "model_version": [3, 3],
            "variant": ["", ""],
            "sampling_rate": [1.0, 1.0],
            "status": ["ok", "ok"],
            "latency_ms": [1.0, 1.0],
            "feature.x": [0.1, 0.9],
            "feature.y": [1, 1],
            "output.probability": [0.5, 0.75],
            "output.other": [1.0, 1.0],
        }
    )
    profile = profile_batch(log, scored, PREDICTION_LOG)
    assert list(profile.cells) == [CellKey(model_version=3)]
    assert profile.unknown == {"y": 2}
    place = int(np.searchsorted(scored.score.bins.edges, 0.75))
    assert profile.total("output.probability").counts.bins[place] == 1
    assert sum(scored.score_positives) == 25


@pytest.mark.slow
def test_a_profile_is_under_a_kilobyte_a_feature(reference):
    rng = np.random.default_rng(1)
    count = 50_000
    columns = {f"x{i}": rng.normal(size=count) for i in range(20)}
    columns |= {f"k{i}": rng.integers(0, 60, count) for i in range(10)}
    columns |= {f"w{i}": rng.choice([f"value {n}" for n in range(300)], count) for i in range(10)}
    columns["request_id"] = [f"r{i}" for i in range(count)]
    table = pa.table(columns)
    wide = build(table.drop(["request_id"]).slice(0, 20_000), ProfileRequest())[0]
    content = to_json(Profiler(wide).profile_all(table.to_batches()))
    sizes = {
        name: len(json.dumps(entry, separators=(",", ":")))
        for name, entry in content["cells"][0]["features"].items()
    }
    assert max(sizes.values()) < 1_024 * 1.5
    assert sum(sizes.values()) / len(sizes) < 1_024


def test_versions_can_be_taken_together():
    rows = [row(request_id=f"r{i}", model_version=1 + i % 2, x=0.5) for i in range(10)]
    profile = PROFILER.profile(batch_of(rows))
    assert {key.model_version for key in profile.cells} == {1, 2}
    together = regrouped(profile, lambda key: CellKey(0, key.window, key.slice, key.sampling_rate))
    assert (len([k for k in together.cells if not k.slice]), together.rows) == (1, 10)
    assert isinstance(together, WindowProfile)


@pytest.mark.parametrize("wrong", [{"window": "week"}, {"sample_rows": -1}])
def test_layouts_say_what_they_allow(wrong):
    with pytest.raises(ConfigError, match="must be"):
        Layout(**wrong)


def counted_in_pieces(table, size, layout):
    reference, _ = build(
        pa.table({"x": np.arange(500) % 97 / 7, "g": ["a", "b"] * 250}), ProfileRequest()
    )
    profiler = Profiler(reference, layout)
    return profiler.profile_all(table.combine_chunks().to_batches(max_chunksize=size))


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 7, 299, 300])
def test_a_row_of_several_values_is_unfit_alone_however_rows_are_sharded(size):
    lists = [[float(row % 13)] for row in range(300)]
    lists[110] = [1.0, 2.0]
    table = pa.table({"row": range(300), "x": pa.array(lists), "g": ["a"] * 300})
    found = counted_in_pieces(table, size, Layout(identity=("row",), event_time=""))
    counts = found.total("x").counts
    assert (counts.unfit, counts.missing, counts.present) == (1, 1, 299)
    others = counted_in_pieces(table, 75, Layout(identity=("row",), event_time=""))
    assert to_bytes(found) == to_bytes(others)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 7, 100, 240])
def test_repeated_ids_within_a_batch_give_the_same_bits(size):
    random = np.random.default_rng(0)
    table = pa.table(
        {
            "row": random.integers(0, 60, 240),
            "x": random.normal(size=240),
            "g": [f"new{i}" for i in random.integers(0, 9, 240)],
        }
    )
    layout = Layout(identity=("row",), event_time="", sample_rows=20)
    found = counted_in_pieces(table, size, layout)
    assert to_bytes(found) == to_bytes(counted_in_pieces(table, 45, layout))
    assert found.sample.rows.num_rows == 20
