"""Which rows of a labelled log are judged."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.quality_monitor.judged_rows import (
    JudgedWindow,
    finite_metrics,
    judged_rows,
    labelled_rows,
    row_count,
)

CHOICE = {
    "window": JudgedWindow(start_ms=10, end_ms=20, score="probability"),
    "label": "late",
}


def log(rows):
    names = ("event_time_ms", "label", "output.probability", "feature.origin", "feature.hour")
    columns = list(zip(*rows, strict=True)) if rows else [()] * 5
    kinds = (pa.int64(), pa.float64(), pa.float32(), pa.string(), pa.int32())
    return pa.table({n: pa.array(c, k) for n, c, k in zip(names, columns, kinds, strict=True)})


def test_only_rows_of_the_half_open_window_are_judged():
    rows = [(time, 1.0, 0.5, "JFK", time) for time in (9, 10, 19, 20)]
    judged = judged_rows(log(rows), **CHOICE, slice_features=["hour"])
    assert sorted(judged.to_pydict()["hour"]) == [[10], [19]]


def test_rows_without_an_answer_are_not_judged():
    judged = judged_rows(log([(10, 1.0, None, "JFK", 1)]), **CHOICE, slice_features=[])
    assert judged.num_rows == 0


def test_columns_are_lists_of_one_under_the_names_that_tfma_is_told():
    judged = judged_rows(log([(10, 1.0, 0.25, "JFK", 1)]), **CHOICE, slice_features=["origin"])
    assert judged.to_pydict() == {
        "late": [[1.0]],
        "probability": [[0.25]],
        "rows": [[1.0]],
        "origin": [[b"JFK"]],
    }


def log_of_classes(scores):
    rows = log([(10, 1.0, 0.25, "JFK", 1)] * len(scores))
    return rows.set_column(2, "output.probability", pa.array(scores, pa.list_(pa.float64())))


def test_scores_of_several_classes_go_to_tfma_as_they_are():
    scores = [[0.1, 0.9], [0.5, math.nan], None, [0.1, 0.9], []]
    rows = log_of_classes(scores)
    judged = judged_rows(rows, **CHOICE, slice_features=["origin"])
    assert judged.to_pydict() == {
        "origin": [[b"JFK"]] * 2,
        "late": [[1.0]] * 2,
        "rows": [[1.0]] * 2,
        "probability": [[0.1, 0.9]] * 2,
    }
    timed = rows.append_column("label_time_ms", pa.array([30] * 5))
    assert labelled_rows(timed, CHOICE["window"]).scores is None


def test_rows_of_different_classes_are_refused():
    with pytest.raises(DataError, match="the same classes in every row of the output 'probab"):
        judged_rows(log_of_classes([[0.1, 0.9], [0.2]]), **CHOICE, slice_features=[])


def test_an_empty_log_is_judged_as_no_rows():
    assert judged_rows(log([]), **CHOICE, slice_features=["origin", "hour"]).num_rows == 0


def sorted_rows(judged):
    return sorted(map(str, judged.to_pylist()))


def test_chunks_do_not_matter():
    whole = log([(10 + n, float(n % 2), 0.1 * n, "JFK", n) for n in range(6)])
    chunked = pa.concat_tables([whole.slice(0, 2), whole.slice(2, 3), whole.slice(5)])
    choice = {**CHOICE, "slice_features": ["hour"]}
    assert sorted_rows(judged_rows(chunked, **choice)) == sorted_rows(judged_rows(whole, **choice))


rows_of_a_log = st.lists(
    st.tuples(
        st.just(10),
        st.sampled_from([0.0, 1.0]),
        st.floats(0, 1, width=32),
        st.sampled_from(["JFK", "LGA", None]),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=60,
)


@given(rows_of_a_log)
def test_like_rows_counted_together_keep_counts_scores_and_sides_of_one_half(rows):
    judged = judged_rows(log(rows), **CHOICE, slice_features=["origin"])
    columns = judged.to_pydict()
    flat = {name: [v[0] if v else None for v in values] for name, values in columns.items()}
    weight = np.array(flat["rows"])
    assert row_count(judged) == weight.sum() == len(rows)
    for origin in ("JFK", "LGA", None):
        for label in (0.0, 1.0):
            chosen = np.array(
                [
                    (o.decode() if o else None, y) == (origin, label)
                    for o, y in zip(flat["origin"], flat["late"], strict=True)
                ]
            )
            scores = [s for _, y, s, o, _ in rows if (o, y) == (origin, label)]
            found = (np.array(flat["probability"]) * weight)[chosen].sum()
            assert found == pytest.approx(sum(scores), abs=1e-6)
            above = weight[chosen & (np.array(flat["probability"]) >= 0.5)].sum()
            assert above == sum(s >= 0.5 for s in scores)


@pytest.mark.slow
def test_traffic_of_any_size_becomes_a_bounded_number_of_rows():
    scores = np.random.default_rng(0).random(50_000)
    judged = judged_rows(
        log([(10, float(n % 2), s, "JFK", 1) for n, s in enumerate(scores)]),
        **CHOICE,
        slice_features=["origin"],
    )
    assert judged.num_rows <= 2001
    assert row_count(judged) == 50_000


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"window": JudgedWindow(start_ms=10, end_ms=20, score="logit")}, "output.logit"),
        ({"slice_features": ["x"]}, "x"),
    ],
)
def test_a_column_that_is_not_logged_is_named(change, name):
    rows = log([(10, 1.0, 0.5, "JFK", 1)])
    with pytest.raises(DataError, match=f"Expected the columns .* found none of .*{name}"):
        judged_rows(rows, **{**CHOICE, "slice_features": [], **change})


def test_metrics_are_sorted_and_those_that_are_no_number_left_out():
    measured = {"overall": {"b": 1.0, "a": math.nan}, "origin=JFK": {"auc": 0.5}}
    found = finite_metrics(measured)
    assert found == {"origin=JFK": {"auc": 0.5}, "overall": {"b": 1.0}}
    assert list(found) == ["origin=JFK", "overall"]
