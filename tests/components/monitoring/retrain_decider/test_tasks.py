"""Avoidable loss of every task: it is there where the world changed, and not where it did not."""

import numpy as np
import pandas as pd
import pytest

from tfx_loop.contracts.task import ModelTask
from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.retrain_decider.avoidable_loss import (
    MeasureSettings,
    measure_avoidable_loss,
)
from tfx_loop.monitoring.retrain_decider.label_faults import label_faults
from tfx_loop.monitoring.retrain_decider.served_loss import ServedAnswers
from tfx_loop.monitoring.retrain_decider.surrogate import SurrogateSettings
from tfx_loop.monitoring.retrain_decider.surrogate_families import LinearQuantile
from tfx_loop.monitoring.retrain_decider.thinning import LabelledSample

FAST = MeasureSettings(surrogate=SurrogateSettings(iterations=8), max_rows=2_000)
TASKS = (
    "binary",
    "classes:3",
    "labels:3",
    "regression",
    "regression:absolute",
    "regression:quantile=0.8",
    "regression:poisson",
)


def world(task, rows, seed, turned=False):
    """Rows whose label hangs on `x` one way, and turned the other; and the mean of the label."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    slope = -x if turned else x
    chance = 1 / (1 + np.exp(-2 * slope))
    labels = {
        "binary": lambda: (rng.random(rows) < chance) * 1.0,
        "classes": lambda: np.digitize(slope + rng.normal(0, 0.5, rows), [-0.7, 0.7]) * 1.0,
        "labels": lambda: (rng.random((rows, 3)) < chance[:, None]) @ [1.0, 2.0, 4.0],
        "regression": lambda: rng.poisson(np.exp(1 + 0.7 * slope)) * 1.0,
    }[task.kind.value]()
    features = {"x": x, "noise": rng.normal(size=rows), "group": rng.choice(["a", "b"], rows)}
    return pd.DataFrame({**features, "y": labels})


def measured(task, before, newest, answers=None):
    return measure_avoidable_loss(
        LabelledSample(rows=before),
        LabelledSample(rows=before),
        newest,
        label="y",
        features=["x", "noise", "group"],
        settings=FAST,
        task=task,
        answers=answers,
    )


@pytest.mark.slow
@pytest.mark.parametrize("text", TASKS)
def test_a_changed_world_shows_and_the_same_one_does_not(text):
    task = ModelTask.of_text(text)
    before = world(task, 1_200, 1)
    same = measured(task, before, world(task, 800, 2))
    turned = measured(task, before, world(task, 800, 3, turned=True))
    assert abs(same.z) < 4
    assert same.risen_z < 3
    assert turned.z > 4
    assert turned.relative > 0.05
    assert turned.risen_z > 3


def test_class_ids_are_refused_where_nobody_says_what_they_are():
    ids = world(ModelTask.of_text("classes:3"), 600, 1)
    with pytest.raises(DataError, match=r"may be ids of classes.* Say which it is"):
        measured(None, ids, ids)


@pytest.mark.slow
def test_the_order_of_class_ids_means_nothing():
    task = ModelTask.of_text("classes:3")
    before, newest = world(task, 1_000, 1), world(task, 800, 2, turned=True)
    plain = measured(task, before, newest)
    swapped = [
        rows.assign(y=rows["y"].map({0.0: 1.0, 1.0: 2.0, 2.0: 0.0})) for rows in (before, newest)
    ]
    permuted = measured(task, *swapped)
    # The subsamples are drawn by content, so the two differ by chance alone.
    assert permuted.relative == pytest.approx(plain.relative, abs=0.1)


@pytest.mark.parametrize("text", ["classes:3", "regression", "labels:3"])
def test_a_broken_model_loses_more_than_its_stand_in(text):
    task = ModelTask.of_text(text)
    before, newest = world(task, 1_200, 1), world(task, 800, 2)
    shape = (800, 3) if task.outputs else (800,)
    answers = np.random.default_rng(5).dirichlet([0.3] * 3, 800) if task.outputs else np.zeros(800)
    served = measured(task, before, newest, ServedAnswers(scores=answers.reshape(shape))).served
    assert served.rows == 800
    assert served.mean > served.constant > served.stand_in


def test_linear_quantiles_hold_their_share_of_rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4_000, 2))
    y = x[:, 0] + rng.gamma(2.0, 1.0, 4_000)
    for share in (0.1, 0.5, 0.9):
        told = LinearQuantile(share).fit(x, y).predict(x)
        assert np.mean(y <= told) == pytest.approx(share, abs=0.02)


def test_a_class_that_training_never_had_is_a_fault():
    task = ModelTask.of_text("classes:3")
    labels = world(task, 600, 1)["y"].to_numpy()
    assert label_faults(labels, labels, task=task) == ()
    assert label_faults(labels, labels, task=task, unknown_share=0.2) == ("unknown_class",)
    assert label_faults(np.zeros(600), labels, task=task) == ("one_class",)
    rare = np.where(np.arange(600) % 50 == 0, 2.0, np.where(labels == 2, 0.0, labels))
    assert label_faults(rare, labels, task=task) == ("class_share",)
