"""Labels of every task become one number a row, and what may be either is refused."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.contracts.task import ModelTask
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.models.task_labels import encoded_labels, held_labels, inferred_task, label_named

NAN = float("nan")


@pytest.mark.parametrize(
    ("task", "column", "expected"),
    [
        ("binary", pa.array([0, 1, None, 7]), [0, 1, NAN, NAN]),
        ("binary", pa.array([True, False]), [1, 0]),
        ("binary:no,yes", pa.array(["yes", "no", "maybe"]), [1, 0, NAN]),
        ("classes:3", pa.array([0, 2, 3, -1]), [0, 2, NAN, NAN]),
        ("classes:3", pa.array([0.0, 1.5]), [0, NAN]),
        ("classes:3", pa.array([[0, 1, 0], [1, 0, 0], [1, 1, 0]]), [1, 0, NAN]),
        ("classes:red,green", pa.array([b"green", b"red", b"blue"]), [1, 0, NAN]),
        ("classes:red,green", pa.array([["green"], None]), [1, NAN]),
        ("classes:1,2,5", pa.array([5, 1, 3]), [2, 0, NAN]),
        ("labels:a,b,c", pa.array([["a", "c"], [], ["x"]]), [5, 0, NAN]),
        ("labels:a,b,c", pa.array([[1, 0, 1], [0, 1, 0]]), [5, 2]),
        ("labels:3", pa.array([5, 9]), [5, NAN]),
        ("regression", pa.array([-3, None, 4]), [-3, NAN, 4]),
        ("regression", pa.array([[1.5], [2.5]]), [1.5, 2.5]),
    ],
)
def test_labels_of_each_form_are_numbers(task, column, expected):
    found = encoded_labels(column, ModelTask.of_text(task))
    np.testing.assert_array_equal(found, np.array(expected, dtype=float))


@pytest.mark.parametrize(
    ("task", "column", "said"),
    [
        ("classes:3", pa.array(["red"]), "Name the classes in the order"),
        ("regression", pa.array(["red"]), "numbers for the task regression"),
        ("regression", pa.array([[1.0, 2.0]]), "one label a row"),
        ("binary", pa.array([[1, 0]]), "one label a row"),
    ],
)
def test_labels_that_the_task_cannot_have_are_refused(task, column, said):
    with pytest.raises(DataError, match=said):
        encoded_labels(column, ModelTask.of_text(task))


@given(st.lists(st.sets(st.integers(0, 19)), min_size=1, max_size=20))
def test_sets_of_labels_come_back(sets):
    task = ModelTask.of_text("labels:20")
    hot = pa.array([[int(n in held) for n in range(20)] for held in sets])
    encoded = encoded_labels(hot, task)
    assert [set(np.flatnonzero(row)) for row in held_labels(encoded, task)] == sets
    assert label_named(encoded[0], task) == ",".join(map(str, sorted(sets[0])))


IDS = np.repeat([0.0, 1.0, 2.0], 50)


def test_what_may_be_ids_or_amounts_is_refused_and_never_guessed():
    for labels in (IDS, IDS + 1, np.arange(30.0)):
        with pytest.raises(DataError, match=r"may be ids of classes.* Say which it is"):
            inferred_task(labels)
    # Beside the probability of a class, and beside an id as the answer, too.
    for answers in (np.full(150, 0.7), IDS):
        with pytest.raises(DataError, match="ids of classes"):
            inferred_task(IDS, answers)


@pytest.mark.parametrize(
    ("labels", "answers", "task"),
    [
        (np.array([0.0, 1.0, 1.0]), None, "binary"),
        (IDS, np.full((150, 3), 1 / 3), "classes:3"),
        (IDS, np.linspace(-1.2, 3.3, 150), "regression"),
        (np.array([0.25, 3.0]), None, "regression"),
        (np.array([-12.0, 40.0]), None, "regression"),
        (np.arange(0.0, 90_000.0, 499.0), None, "regression"),
    ],
)
def test_what_labels_and_answers_show_needs_no_name(labels, answers, task):
    assert inferred_task(labels, answers) == ModelTask.of_text(task)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clases:3", "Did you mean 'classes'"),
        ("classes", "how many there are"),
        ("classes:1", "how many there are"),
        ("labels:60", "at most 50"),
        ("classes:a,a", "must differ"),
        ("regression:cubic", "among squared, absolute, quantile, poisson"),
        ("regression:quantile=2", r"in \(0, 1\)"),
        ("binary:a,b,c", "Use kind 'classes'"),
    ],
)
def test_a_task_that_cannot_be_is_one_line(text, said):
    with pytest.raises(ConfigError, match=said):
        ModelTask.of_text(text)
