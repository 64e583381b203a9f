"""A broken champion is named by its own logged answers, a sound one is not, whatever the world."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tfx_loop.contracts.measured_loss import SavingState, ServedLoss
from tfx_loop.contracts.retrain_decision import (
    WORSE_THAN_STAND_IN,
    DecisionAction,
    RetrainVerdict,
)
from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.retrain_decider.avoidable_loss import (
    AvoidableLoss,
    measure_avoidable_loss,
)
from tfx_loop.monitoring.retrain_decider.decision import carried_state, decide
from tfx_loop.monitoring.retrain_decider.hold_gates import Evidence
from tfx_loop.monitoring.retrain_decider.model_fault import model_is_faulty
from tfx_loop.monitoring.retrain_decider.served_loss import ServedAnswers
from tfx_loop.monitoring.retrain_decider.settings import DecisionSettings, PolicySettings
from tfx_loop.monitoring.retrain_decider.thinning import LabelledSample

FEATURES = ["amount", "visits", "age", "shop"]
NUMBERS = FEATURES[:3]
EVIDENCE = Evidence(
    model_name="cards",
    model_version=3,
    window="w-06",
    label_window="w-05",
    rows=5000,
    labelled_rows=2000,
)


def make_rows(
    count: int, seed: int, *, noise: float = 1.0, turned: bool = False, moved: float = 0.0
) -> pd.DataFrame:
    """Rows with a linear and a crossed effect, hard enough that a good model has an AUC of 0.85."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "amount": rng.normal(40 + 15 * moved, 15, count),
            "visits": rng.integers(0, 9, count).astype(float),
            "age": rng.normal(50, 12, count),
            "shop": rng.choice(["north", "south", "east"], count).astype(object),
        }
    )
    amount, age = (rows["amount"] - 40) / 15, (rows["age"] - 50) / 12
    score = (-1 if turned else 1) * 1.5 * amount + 0.8 * age * (rows["shop"] == "north") - 0.7
    score = score + 0.3 * (rows["visits"] - 4) + noise * rng.logistic(size=count)
    return rows.assign(label=(score > 0).astype(float))


def fitted(rows: pd.DataFrame, seed: int, *, network: bool = True):
    """A champion of another kind than its stand-in."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(), ["shop"]))
    model = MLPClassifier((16,), early_stopping=True, random_state=seed)
    return make_pipeline(columns, model if network else LogisticRegression()).fit(
        rows[FEATURES], rows["label"]
    )


def shuffled_labels(trained, newest, seed):
    rng = np.random.default_rng(seed)
    wrong = trained.assign(label=rng.permutation(trained["label"].to_numpy()))
    return fitted(wrong, seed), newest


def other_preprocessing(trained, newest, seed):
    # The server standardises what the model was trained to standardise itself.
    scaled = newest.copy()
    scaled[NUMBERS] = (newest[NUMBERS] - newest[NUMBERS].mean()) / newest[NUMBERS].std()
    return fitted(trained, seed), scaled


def skewed_server(trained, newest, seed):
    # What is logged is right; what reaches the model is not.
    return fitted(trained, seed), newest.assign(amount=0.0)


def sound(trained, newest, seed):
    return fitted(trained, seed, network=seed % 2 == 0), newest


def measured(seed: int, break_it, **world: object) -> AvoidableLoss:
    """What RetrainDecider measures of a champion that was broken in one way, on 1,500 rows."""
    trained, newest = make_rows(3000, 2 * seed), make_rows(1500, 2 * seed + 1, **world)
    model, seen = break_it(trained, newest, seed)
    scores = model.predict_proba(seen[FEATURES])[:, 1]
    sample = LabelledSample(rows=trained)
    answers = ServedAnswers(scores=scores)
    return measure_avoidable_loss(
        sample, sample, newest, label="label", features=FEATURES, answers=answers
    )


def named(seeds: range, break_it, **world: object) -> int:
    return sum(
        model_is_faulty(measured(seed, break_it, **world), PolicySettings()) for seed in seeds
    )


# Other seeds than the limits were looked at with (0 to 19).
SEEDS = range(200, 220)


@pytest.mark.slow
@pytest.mark.parametrize(
    "break_it",
    [
        shuffled_labels,
        pytest.param(other_preprocessing, marks=pytest.mark.long),
        pytest.param(skewed_server, marks=pytest.mark.long),
    ],
)
def test_broken_champions_are_named_in_each_of_twenty_seeds(break_it) -> None:
    assert named(SEEDS, break_it) == len(SEEDS)


@pytest.mark.slow
def test_sound_champions_are_not_named_whatever_the_world_does() -> None:
    worlds = ({}, {"noise": 2.0}, {"turned": True}, {"moved": 1.0})
    assert sum(named(SEEDS[:10], sound, **world) for world in worlds) == 0


def loss(served: float, *, stand_in: float = 0.25, expected: float = 0.25) -> AvoidableLoss:
    """A measurement on a model that can save nothing, and whose answers lost so much."""
    return AvoidableLoss(
        mean=-0.001,
        standard_error=0.004,
        champion_loss=stand_in,
        champion_loss_error=0.01,
        expected_loss=expected,
        expected_loss_error=0.01,
        rows=2000,
        served=ServedLoss(
            mean=served,
            standard_error=0.011,
            stand_in=stand_in,
            excess_error=0.01,
            constant=0.661,
            promised=0.69,
            promised_error=0.01,
            rows=1900,
        ),
    )


def decided(measured: AvoidableLoss, before: SavingState | None = None, **policy: object):
    return decide(EVIDENCE, lambda serving: measured, before, DecisionSettings(**policy))


def test_fault_is_a_verdict_of_its_own_that_tells_whose_loss_is_whose() -> None:
    decision = decided(loss(0.687))
    assert (decision.verdict, decision.reason) == (RetrainVerdict.MODEL_FAULT, WORSE_THAN_STAND_IN)
    text = decision.explanation
    assert "version 3 lost 0.687 on 1,900 rows that it answered and 0.690 on its held-out" in text
    assert "a stand-in with the same training rows lost 0.250" in text
    assert "one constant answer 0.661" in text
    kept = decision.evidence.avoidable_loss
    assert kept
    assert kept.served == loss(0.687).served


def test_three_losses_stand_side_by_side_in_every_other_sentence() -> None:
    text = decided(loss(0.26)).explanation
    assert "by stand-ins: that for version 3 lost 0.250 there, 0.250 on rows held out" in text
    assert "version 3 itself lost 0.260 on the 1,900 rows that it answered, 0.690 on its" in text
    unknown = decided(replace(loss(0.26), served=None)).explanation
    assert "what version 3 itself lost there is not known from the log" in unknown


@pytest.mark.parametrize("action", ["retrain", "roll_back", "alarm"])
def test_setting_says_what_a_fault_asks_for(action: str) -> None:
    decision = decided(loss(0.687), on_model_fault=DecisionAction(action))
    assert decision.asks_for is DecisionAction(action)
    assert decision.properties.retrain == (action == "retrain")


def test_fault_that_a_new_version_has_again_asks_for_a_person() -> None:
    first = decided(loss(0.687))
    assert carried_state(first, "cards", 3).faulty_version == 3
    assert decided(loss(0.687), carried_state(first, "cards", 3)).asks_for is DecisionAction.RETRAIN
    assert carried_state(first, "cards", 4) == SavingState(faulty_version=3)
    other = decided(loss(0.687), SavingState(faulty_version=2))
    assert other.asks_for is DecisionAction.ALARM
    assert "as version 2 had the same fault" in other.explanation
    assert decided(loss(0.26), SavingState(faulty_version=2)).evidence.saving.faulty_version is None


def test_a_model_that_was_weak_from_the_start_is_told_from_one_that_broke_on_the_way() -> None:
    weak = decided(loss(0.687), SavingState()).explanation
    assert "a training that ends too early" in weak
    assert "where the stand-in lost 0.250" in weak
    sound = replace(loss(0.687).served or pytest.fail("no answers"), promised=0.26)
    broken = decided(replace(loss(0.687), served=sound), SavingState()).explanation
    assert "bad weights, other preprocessing" in broken


def test_excess_that_a_moved_world_explains_is_no_fault() -> None:
    settings = PolicySettings()
    assert model_is_faulty(loss(0.5), settings)
    # The stand-in rose by 0.2, so the served model may be nearly that much worse off.
    assert not model_is_faulty(loss(0.7, stand_in=0.45), settings)
    assert model_is_faulty(loss(0.7, stand_in=0.45, expected=0.45), settings)
    assert not model_is_faulty(replace(loss(0.9), served=None), settings)


@pytest.mark.slow
def test_answers_that_are_no_probabilities_are_not_judged() -> None:
    rows = make_rows(400, 1)
    sample = LabelledSample(rows=rows)
    for scores in (np.full(400, 3.2), np.full(400, np.nan)):
        found = measure_avoidable_loss(
            sample,
            sample,
            rows,
            label="label",
            features=FEATURES,
            answers=ServedAnswers(scores=scores),
        )
        assert found.served is None


def test_fault_without_an_answer_to_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="'alarm'"):
        DecisionSettings(on_model_fault=DecisionAction.NONE)
