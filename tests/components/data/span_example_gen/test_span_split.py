"""Rows are split by their keys alone; none is lost and none counted twice."""

import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.data.span_example_gen.spans import (
    EVAL,
    TRAIN,
    SplitRule,
    format_spans,
    parse_spans,
    split_rows,
)

RULE = SplitRule(key_column="id", label_column="late", eval_fraction=0.3, seed=4)

RULES_OF_NO_COLUMN = [
    {"key_column": "no"},
    {"key_column": "id", "label_column": "no"},
    {"key_column": "id", "group_column": "no"},
]

labels = st.one_of(st.none(), st.just(math.nan), st.sampled_from([0.0, 1.0]))
keys = st.lists(st.text(max_size=8), min_size=1, max_size=30, unique=True)


def table(rows):
    ids, late = zip(*rows, strict=True) if rows else ((), ())
    return pa.table(
        {
            "id": pa.array(ids, pa.string()),
            "row": pa.array(range(len(ids)), pa.int64()),
            "late": pa.array(late, pa.float64()),
        }
    )


def split_of_each_key(rows, rule=RULE):
    parts = split_rows(table(rows), rule)
    return {
        rows[number][0]: split
        for split, part in parts.items()
        for number in part["row"].to_pylist()
    }


@given(keys, st.data())
def test_a_row_s_split_never_depends_on_other_rows(ids, data):
    rows = [(key, 1.0) for key in ids]
    some = data.draw(st.permutations(rows).map(lambda mixed: mixed[: max(1, len(mixed) // 2)]))
    everywhere = split_of_each_key(rows)
    assert split_of_each_key(some) == {key: everywhere[key] for key, _ in some}


@given(st.lists(st.tuples(st.text(max_size=5), labels), max_size=40))
def test_every_labelled_row_lands_in_exactly_one_split(rows):
    parts = split_rows(table(rows), RULE)
    landed = sorted(row for part in parts.values() for row in part["row"].to_pylist())
    expected = [i for i, (_, y) in enumerate(rows) if y is not None and not math.isnan(y)]
    assert landed == expected
    assert set(parts) == {TRAIN, EVAL}


def test_a_key_that_occurs_twice_is_in_one_split():
    parts = split_rows(table([(f"k{number % 50}", 1.0) for number in range(200)]), RULE)
    by_split = [{number % 50 for number in part["row"].to_pylist()} for part in parts.values()]
    assert not by_split[0] & by_split[1]


def test_the_share_held_out_is_the_one_asked_for():
    parts = split_rows(table([(str(n), 0.0) for n in range(5000)]), RULE)
    assert parts[EVAL].num_rows / 5000 == pytest.approx(0.3, abs=0.03)


def test_another_seed_holds_out_other_rows():
    rows = [(str(n), 0.0) for n in range(200)]
    other = SplitRule(key_column="id", eval_fraction=0.3, seed=5)
    assert split_of_each_key(rows) != split_of_each_key(rows, other)


def test_without_a_label_column_every_row_is_kept():
    rule = SplitRule(key_column="id")
    parts = split_rows(table([("a", None), ("b", math.nan), ("c", 1.0)]), rule)
    assert sum(part.num_rows for part in parts.values()) == 3


def test_the_key_is_no_feature():
    assert split_rows(table([("a", 1.0)]), RULE)[TRAIN].column_names == ["row", "late"]


def test_a_key_may_be_a_number():
    rows = pa.table({"id": pa.array(range(100), pa.int64()), "x": pa.array([0.0] * 100)})
    parts = split_rows(rows, SplitRule(key_column="id"))
    assert 0 < parts[EVAL].num_rows < 50


def test_a_null_key_is_a_data_error():
    with pytest.raises(DataError, match="Expected a key in every row of 'id', found 1 nulls"):
        split_rows(table([("a", 1.0), (None, 1.0)]), RULE)


def test_a_row_without_a_label_needs_no_key():
    parts = split_rows(table([("a", 1.0), (None, None)]), RULE)
    assert sum(part.num_rows for part in parts.values()) == 1


@pytest.mark.parametrize("rule", RULES_OF_NO_COLUMN)
def test_a_column_that_is_not_there_is_named_beside_those_that_are(rule):
    with pytest.raises(DataError, match=r"Expected a column 'no' in the span, found \['id', 'row'"):
        split_rows(table([("a", 1.0)]), SplitRule(**rule))


def grouped(rows):
    """Rows of (key, group)."""
    ids, groups = zip(*rows, strict=True)
    return pa.table({"id": list(ids), "day": list(groups), "row": range(len(ids))})


GROUPED = SplitRule(key_column="id", group_column="day", eval_fraction=0.3, seed=4)


def days_of(parts, rows):
    return {
        split: {rows[number][1] for number in part["row"].to_pylist()}
        for split, part in parts.items()
    }


@given(st.lists(st.tuples(st.text(max_size=4), st.integers(0, 20)), min_size=2, max_size=60))
def test_a_group_is_in_one_split_and_stays_there_when_more_rows_come(rows):
    all_days = days_of(split_rows(grouped(rows), GROUPED), rows)
    assert not all_days[TRAIN] & all_days[EVAL]
    some = rows[: len(rows) // 2]
    some_days = days_of(split_rows(grouped(some), GROUPED), some)
    assert all(some_days[split] <= all_days[split] for split in some_days)


def test_the_key_does_not_matter_once_a_group_is_named():
    rows = [(f"k{number}", number % 40) for number in range(400)]
    renamed = [(f"other {number}", number % 40) for number in range(400)]
    parts = split_rows(grouped(rows), GROUPED)
    assert days_of(parts, rows) == days_of(split_rows(grouped(renamed), GROUPED), renamed)
    assert all(part.num_rows for part in parts.values())


def test_key_and_group_are_no_features():
    assert split_rows(grouped([("a", 1)]), GROUPED)[TRAIN].column_names == ["row"]
    same = SplitRule(key_column="id", group_column="id")
    assert split_rows(grouped([("a", 1)]), same)[TRAIN].column_names == ["day", "row"]


def test_a_key_is_kept_where_rows_are_to_be_found_again():
    kept = SplitRule(key_column="id", group_column="day", keep_key=True)
    assert split_rows(grouped([("a", 1)]), kept)[TRAIN].column_names == ["id", "row"]


def test_a_null_group_is_a_data_error():
    with pytest.raises(DataError, match="Expected a group in every row of 'day', found 1 nulls"):
        split_rows(grouped([("a", 1), ("b", None)]), GROUPED)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, math.nan])
def test_a_fraction_that_holds_out_nothing_or_all_is_refused(fraction):
    with pytest.raises(ConfigError, match="eval_fraction must be between 0 and 1"):
        SplitRule(key_column="id", eval_fraction=fraction)


@pytest.mark.parametrize(
    ("text", "spans"), [("1,2,3", (1, 2, 3)), ("3, 1,1", (1, 3)), ("0", (0,)), ("7,", (7,))]
)
def test_spans_are_read_sorted_and_once(text, spans):
    assert parse_spans(text) == spans


@given(st.sets(st.integers(0, 999), min_size=1))
def test_spans_survive_a_round_trip(spans):
    assert parse_spans(format_spans(sorted(spans))) == tuple(sorted(spans))


@pytest.mark.parametrize("text", ["", ",", "one", "1-3", "-1,2", "1.5"])
def test_rubbish_for_spans_is_a_config_error_that_shows_it(text):
    with pytest.raises(ConfigError, match=r"spans must .*got '"):
        parse_spans(text)
