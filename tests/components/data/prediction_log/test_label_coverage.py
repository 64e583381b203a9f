"""Coverage by age, and corrections, from the rows of a log and their label files."""

import pyarrow as pa

from tfx_loop.data.prediction_log.label_coverage import label_coverage, nth_event_ms
from tfx_loop.data.prediction_log.labels import LabelRows, join_labels

HOUR = 3_600_000


def log(times):
    return pa.table(
        {
            "request_id": pa.array([f"r{number}" for number in range(len(times))], pa.string()),
            "instance_index": pa.array([0] * len(times), pa.int32()),
            "event_time_ms": pa.array(times, pa.int64()),
        }
    )


def labels(*rows):
    names = ("request_id", "instance_index", "label", "label_time_ms")
    columns = list(zip(*rows, strict=True))
    kinds = (pa.string(), pa.int64(), pa.float64(), pa.int64())
    table = pa.table({n: pa.array(c, k) for n, c, k in zip(names, columns, kinds, strict=True)})
    return LabelRows(table=table, wrong_type=0, unusable={})


def test_shares_are_known_at_ages_that_every_row_has():
    rows = log([0, 0, HOUR, HOUR])
    known = labels(("r0", 0, 1.0, HOUR), ("r1", 0, 0.0, 7 * HOUR), ("r2", 0, 1.0, 7 * HOUR))
    found = label_coverage(rows, known, end_ms=2 * HOUR, now_ms=10 * HOUR)
    assert (found.rows, found.labelled, found.share) == (4, 3, 0.75)
    # An hour: r0; six hours: r0 and r2, whose label took exactly six; a day is not over.
    assert {one.age_ms // HOUR: one.share for one in found.by_age} == {1: 0.25, 6: 0.5}


def test_labels_that_have_not_arrived_do_not_count():
    rows = log([0])
    known = labels(("r0", 0, 1.0, 5 * HOUR))
    assert label_coverage(rows, known, HOUR, 4 * HOUR).labelled == 0
    assert label_coverage(rows, known, HOUR, 5 * HOUR).labelled == 1


def test_a_correction_counts_once_it_came():
    rows = log([0, 0])
    known = labels(("r0", 0, 0.0, HOUR), ("r0", 0, 1.0, 3 * HOUR), ("r1", 0, 1.0, HOUR))
    for as_of, value in ((2 * HOUR, 0.0), (3 * HOUR, 1.0)):
        joined, _ = join_labels(rows, known, as_of, corrections=True)
        assert joined.column("label").to_pylist()[0] == value
    # Without, what was said first stands, as before.
    assert join_labels(rows, known)[0].column("label").to_pylist()[0] == 0.0
    assert label_coverage(rows, known, HOUR, 4 * HOUR).corrected == 1


def test_an_empty_window_has_no_coverage():
    found = label_coverage(log([]), labels(("r0", 0, 1.0, HOUR)), HOUR, 9 * HOUR)
    assert (found.rows, found.share, found.by_age) == (0, 0.0, ())


def test_the_time_of_the_nth_event_is_found_in_any_order():
    assert nth_event_ms(log([5, 1, 3]), 2) == 3
    assert nth_event_ms(log([5, 1]), 3) is None
