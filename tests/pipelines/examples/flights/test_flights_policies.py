"""The policies beside the loop: the share of the gain it recovered, and fair training rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.pipelines.examples.flights.data import LABEL
from tfx_loop.pipelines.examples.flights.demo import policies
from tfx_loop.pipelines.examples.flights.settings import MODEL

losses = st.floats(0.1, 1.0)


def window(loop, left_alone, every_window):
    return {"loop": loop, "left_alone": left_alone, "every_window": every_window}


def test_the_share_is_of_what_retraining_always_gains():
    by_window = {"a": window(0.45, 0.5, 0.4)}
    assert policies.gain_recovered(by_window, {"a": 10}, True) == pytest.approx(0.5)


def test_a_higher_auc_is_a_gain():
    by_window = {"a": window(0.68, 0.6, 0.7)}
    assert policies.gain_recovered(by_window, {"a": 10}, False) == pytest.approx(0.8)


def test_windows_count_by_their_rows():
    by_window = {"a": window(0.4, 0.5, 0.4), "b": window(0.5, 0.5, 0.4)}
    assert policies.gain_recovered(by_window, {"a": 30, "b": 10}, True) == pytest.approx(0.75)
    assert policies.gain_recovered(by_window, {"b": 30, "a": 10}, True) == pytest.approx(0.25)


@pytest.mark.parametrize("always", [0.5, 0.6])
def test_there_is_no_share_of_no_gain(always):
    assert policies.gain_recovered({"a": window(0.4, 0.5, always)}, {"a": 1}, True) is None


def test_a_loop_that_does_harm_recovers_less_than_nothing():
    by_window = {"a": window(0.55, 0.5, 0.4)}
    assert policies.gain_recovered(by_window, {"a": 1}, True) == pytest.approx(-0.5)


@given(st.lists(st.tuples(losses, losses, st.integers(1, 1000)), min_size=1, max_size=6))
def test_doing_nothing_recovers_0_and_doing_all_recovers_1(rows):
    weights = {str(i): n for i, (_, _, n) in enumerate(rows)}
    idle = {str(i): window(a, a, b) for i, (a, b, _) in enumerate(rows)}
    busy = {str(i): window(b, a, b) for i, (a, b, _) in enumerate(rows)}
    gained = sum(n * (a - b) for a, b, n in rows) / sum(weights.values())
    if gained > 1e-9:
        assert policies.gain_recovered(idle, weights, True) == pytest.approx(0, abs=1e-6)
        assert policies.gain_recovered(busy, weights, True) == pytest.approx(1)


@pytest.mark.slow
def test_training_rows_are_those_that_span_example_gen_trains_on(fifth):
    import pyarrow as pa

    from tfx_loop.data.span_example_gen.spans import TRAIN, SplitRule, split_rows

    march = fifth[fifth["span"] == 3].assign(row=range((fifth["span"] == 3).sum()))
    rule = SplitRule(
        key_column=MODEL.key_column,
        group_column=MODEL.group_column,
        label_column=MODEL.label,
        eval_fraction=MODEL.eval_fraction,
        seed=MODEL.seed,
    )
    split = split_rows(pa.Table.from_pandas(march, preserve_index=False), rule)[TRAIN]
    rows = policies.training_rows(march)
    assert rows["row"].tolist() == split["row"].to_pylist()
    assert rows[LABEL].notna().all()


def test_whole_days_are_held_out_and_about_as_many_as_asked_for(fifth):
    labelled = fifth[fifth[LABEL].notna()]
    trained = policies.training_rows(fifth)
    held_out = labelled.drop(trained.index)
    assert not set(trained["date"]) & set(held_out["date"])
    assert len(trained) / len(labelled) == pytest.approx(1 - MODEL.eval_fraction, abs=0.03)


def test_quality_is_auc_and_log_loss_and_a_sure_mistake_is_finite():
    labels, scores = np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.1, 0.8, 0.3, 0.4])
    found = policies.quality(labels, scores)
    assert found["auc"] == pytest.approx(0.75)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.3, 0.6]).mean())
    assert np.isfinite(policies.quality(labels, np.array([1.0, 0.0, 0.0, 1.0]))["log_loss"])
