"""The sequential test goes on from window to window, and starts anew with another model."""

import json

import numpy as np
import pyarrow as pa
import pytest

from tfx_loop.contracts.task import ModelTask
from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.quality_monitor.error_stream import (
    SEQUENTIAL_STATE,
    follow_rows,
    resume_stream,
    start_stream,
)
from tfx_loop.monitoring.quality_monitor.judged_rows import JudgedWindow, labelled_rows

ROWS = 3_000


def answered(rows, seed, harder=0.0):
    """Scores that mean what they say, or labels that are that much more often flipped."""
    random = np.random.default_rng(seed)
    scores = random.beta(2, 5, rows)
    labels = (random.random(rows) < scores).astype(float)
    flipped = random.random(rows) < harder
    return scores, np.where(flipped, 1 - labels, labels), np.arange(rows, dtype=np.int64)


def profile_of(seed=1, labels=True):
    scores, truth, _ = answered(20_000, seed)
    table = pa.table({"x": np.random.default_rng(seed).normal(size=500)})
    return build(
        table,
        ProfileRequest(score="probability"),
        scores=pa.array(scores),
        score_labels=pa.array(truth) if labels else None,
    )[0]


@pytest.fixture(scope="module")
def begun():
    return start_stream(profile_of(), 0.0, 100_000)


def window(stream, seed, number, harder=0.0):
    scores, labels, times = answered(ROWS, seed, harder)
    start = number * ROWS
    return follow_rows(stream, scores, labels, times + start, start + ROWS)


def test_the_promise_is_the_squared_error_of_held_out_rows(begun):
    scores, labels, _ = answered(20_000, 1)
    assert begun.settings.promised == pytest.approx(np.mean((scores - labels) ** 2), abs=1e-4)
    assert begun.settings.promised_rows == 20_000


def test_no_alarm_while_the_promise_holds_and_one_where_a_rise_spans_windows(begun):
    stream = begun
    for number in range(4):
        stream = window(resume_stream(begun, stream), 50 + number, number)
    assert stream.state.rows == 4 * ROWS
    assert stream.state.alarm_at_row is None
    for number in range(4, 6):
        stream = window(resume_stream(begun, stream), 50 + number, number, harder=0.15)
    assert 4 * ROWS < stream.state.alarm_at_row <= 6 * ROWS


def test_two_windows_are_one_stream_whatever_its_border(begun):
    scores, labels, times = answered(ROWS, 3)
    whole = follow_rows(begun, scores, labels, times, ROWS)
    half = follow_rows(begun, scores[:1000], labels[:1000], times[:1000], 1000)
    rest = follow_rows(resume_stream(begun, half), scores[1000:], labels[1000:], times[1000:], ROWS)
    assert rest.state.rows == whole.state.rows
    assert rest.state.log_evidence == pytest.approx(whole.state.log_evidence)


def test_rows_are_followed_in_order_of_time_and_once(begun):
    scores, labels, times = answered(ROWS, 4, harder=0.3)
    mixed = np.random.default_rng(0).permutation(ROWS)
    ordered = follow_rows(begun, scores, labels, times, ROWS)
    shuffled = follow_rows(begun, scores[mixed], labels[mixed], times[mixed], ROWS)
    assert shuffled == ordered
    again = follow_rows(resume_stream(begun, ordered), scores, labels, times, ROWS)
    assert again.state == ordered.state
    assert again.mean_error is None


def test_another_model_starts_anew(begun):
    old = window(begun, 1, 0)
    other = start_stream(profile_of(seed=2), 0.0, 100_000)
    assert resume_stream(other, old) == other


def test_without_labels_at_training_nothing_was_promised():
    assert start_stream(profile_of(labels=False), 0.0, 100_000) is None


def test_the_state_comes_back_from_json(begun):
    stream = window(begun, 9, 0, harder=0.2)
    text = json.dumps(SEQUENTIAL_STATE.content(stream))
    assert SEQUENTIAL_STATE.value(json.loads(text)) == stream


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": 9}, "schema_version 1 in .*, received 9"),
        ({"state": {"rows": "many"}}, "Expected a whole number in .*state, rows"),
        ({"settings": None}, "Expected an object in .*settings.*without previous_evaluation"),
        ({"settings": {"promised": 7.0, "promised_rows": 9}}, "between 0 and 1.*to start anew"),
    ],
)
def test_a_damaged_state_is_one_line(begun, change, said):
    with pytest.raises(DataError, match=said):
        SEQUENTIAL_STATE.value({**SEQUENTIAL_STATE.content(begun), **change})


def test_what_is_no_probability_is_refused(begun):
    times = np.arange(2, dtype=np.int64)
    with pytest.raises(DataError, match="Expected probabilities and labels of 0 and 1"):
        follow_rows(begun, np.array([0.5, 1.5]), np.array([0.0, 1.0]), times, 2)
    with pytest.raises(DataError, match="Expected probabilities and labels of 0 and 1"):
        follow_rows(begun, np.array([0.5, 0.5]), np.array([0.0, 2.0]), times, 2)


@pytest.mark.parametrize("task", ["binary", "classes:4", "labels:3", "regression"])
def test_a_window_without_rows_changes_no_error(begun, task):
    nobody = JudgedWindow(start_ms=0, end_ms=9, score="score", task=ModelTask.of_text(task))
    rows = labelled_rows(pa.table({"label": pa.array([], pa.float64())}), nobody)
    after = follow_rows(
        begun, rows.scores, rows.labels, rows.event_times_ms, 9, ModelTask.of_text(task)
    )
    assert (after.state, after.mean_error) == (begun.state, None)
