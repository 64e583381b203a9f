"""Avoidable loss is found where there is some, and not where there is none."""

import numpy as np
import pandas as pd
import pytest

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.monitoring.retrain_decider.avoidable_loss import (
    AvoidableLoss,
    MeasureSettings,
    column_faults,
    measure_avoidable_loss,
    one_class_only,
)
from tfx_loop.monitoring.retrain_decider.surrogate import SurrogateSettings, fit_surrogate
from tfx_loop.monitoring.retrain_decider.thinning import (
    LabelledSample,
    NumberedRows,
)

FEATURES = ["amount", "visits", "shop"]


def make_rows(
    count: int, seed: int, *, sign: float = 1.0, noise: float = 1.0, binary: bool = True
) -> pd.DataFrame:
    """Rows whose label hangs on a number, an integer and a category, by `sign`."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "amount": rng.normal(size=count),
            "visits": rng.integers(0, 9, count),
            "shop": rng.choice(["north", "south", "east"], count).astype(object),
        }
    )
    score = sign * (2 * rows["amount"] + (rows["shop"] == "north") + 0.3 * (rows["visits"] - 4))
    score = score + noise * rng.logistic(size=count)
    rows["label"] = (score > 0).astype(float) if binary else score
    return rows


def measure(
    champion: pd.DataFrame,
    newest: pd.DataFrame,
    *,
    kept: pd.DataFrame | None = None,
    champion_fraction: float = 1.0,
    settings: MeasureSettings | None = None,
) -> AvoidableLoss:
    return measure_avoidable_loss(
        LabelledSample(rows=champion, fraction=champion_fraction),
        LabelledSample(rows=champion if kept is None else kept, fraction=champion_fraction),
        newest,
        label="label",
        features=FEATURES,
        settings=settings,
    )


@pytest.mark.slow
def test_nothing_to_save_without_drift() -> None:
    scores = [measure(make_rows(3000, s), make_rows(1000, 100 + s)).z for s in range(8)]
    assert np.mean(np.array(scores) > 3) <= 1 / 8
    assert abs(np.mean(scores)) < 2


@pytest.mark.slow
def test_changed_concept_is_avoidable_loss() -> None:
    found = measure(make_rows(3000, 1), make_rows(1000, 2, sign=-1.0))
    assert found.z > 5
    assert found.relative > 0.1
    assert found.rows == 1000


@pytest.mark.slow
def test_harder_world_is_not_avoidable_loss() -> None:
    # The labels of the newest window are coin flips around the same concept: loss rises, but no
    # retraining would lower it much.
    found = measure(make_rows(4000, 1, noise=0.3), make_rows(2000, 2, noise=0.9))
    assert found.champion_loss > found.expected_loss
    # What is left to save is only a softened probability, not a new concept.
    changed = measure(make_rows(4000, 1, noise=0.3), make_rows(2000, 2, noise=0.3, sign=-1.0))
    assert found.mean < 0.2 * changed.mean


@pytest.mark.slow
def test_more_data_helps_is_seen_because_fractions_are_equal() -> None:
    champion, older = make_rows(500, 1, noise=2.0), make_rows(6000, 2, noise=2.0)
    kept, newest = pd.concat([champion, older], ignore_index=True), make_rows(800, 3, noise=2.0)
    found = measure(champion, newest, kept=kept)
    assert found.z > 2
    # Samples of equal size (100 rows and half of 800) would see next to nothing.
    blind = measure(champion, newest, kept=kept.sample(100, random_state=0))
    assert blind.z < 1.5
    assert blind.mean < 0.7 * found.mean


def test_same_fraction_is_kept_of_both_samples() -> None:
    sizes = []

    def record(rows, label, features, settings):
        sizes.append(len(rows))
        return fit_surrogate(rows, label, features, settings)

    measure_avoidable_loss(
        LabelledSample(rows=make_rows(1000, 1), fraction=0.5),
        LabelledSample(rows=make_rows(3000, 2), fraction=0.5),
        make_rows(800, 3),
        label="label",
        features=FEATURES,
        settings=MeasureSettings(max_rows=1000),
        fit=record,
    )
    champion, first, second = sizes
    # 2,000 rows stand behind the champion; 6,000 and half of 800 behind the challenger.
    # A tenth of both is held out.
    assert champion / 2000 == pytest.approx(0.9 * 1000 / 6400, rel=0.15)
    # Each row is drawn by itself: sizes are right on average.
    assert (first, second) == (pytest.approx(900, rel=0.1), pytest.approx(900, rel=0.1))


@pytest.mark.slow
def test_rows_that_share_their_causes_do_not_fake_precision() -> None:
    rng = np.random.default_rng(0)
    champion = make_rows(3000, 1)
    alone = make_rows(2048, 2)
    # The same 64 rows over and over within each block: 32 facts, not 2,048.
    repeated = alone.iloc[np.repeat(rng.integers(0, 2048, 32), 64)].reset_index(drop=True)
    assert measure(champion, repeated).standard_error > 3 * measure(champion, alone).standard_error


@pytest.mark.slow
def test_deterministic() -> None:
    settings = MeasureSettings(max_rows=900)
    champion, newest = make_rows(3000, 1), make_rows(700, 2)
    assert measure(champion, newest, settings=settings) == measure(
        champion, newest, settings=settings
    )


def test_missing_values_and_unseen_categories_are_no_error() -> None:
    champion, newest = make_rows(2000, 1), make_rows(600, 2)
    champion.loc[::5, "amount"] = np.nan
    champion.loc[::7, "shop"] = None
    newest.loc[::3, "amount"] = np.inf
    newest.loc[::4, "shop"] = "a shop that nobody saw"
    found = measure(champion, newest)
    assert np.isfinite([found.mean, found.standard_error, found.champion_loss]).all()


def test_a_feature_without_any_value_is_no_error() -> None:
    champion, newest = make_rows(1000, 1), make_rows(400, 2)
    champion["amount"] = np.nan
    champion["shop"] = None
    assert np.isfinite(measure(champion, newest).mean)


def test_a_champion_that_saw_one_class_only() -> None:
    champion, newest = make_rows(1000, 1), make_rows(800, 2)
    champion["label"] = 0.0
    assert measure(champion, newest, kept=make_rows(1000, 3)).z > 5


@pytest.mark.slow
def test_numeric_label_is_measured_by_squared_error() -> None:
    champion = make_rows(2000, 1, binary=False)
    assert abs(measure(champion, make_rows(1000, 2, binary=False)).z) < 3
    assert measure(champion, make_rows(1000, 2, binary=False, sign=-1.0)).z > 5


@pytest.mark.slow
def test_loss_has_fallen_or_risen_as_the_window_is_of_the_easy_kind_or_the_hard() -> None:
    easy, hard = make_rows(2000, 1, noise=0.1), make_rows(2000, 2, noise=6.0)
    both = pd.concat([easy, hard], ignore_index=True).sample(frac=1.0, random_state=0)
    assert measure(both, make_rows(1000, 3, noise=0.1)).risen_z < -3
    assert measure(both, make_rows(1000, 3, noise=6.0)).risen_z > 3


def test_missing_column_names_it_and_the_remedy() -> None:
    newest = make_rows(600, 2).drop(columns="shop")
    with pytest.raises(DataError, match=r"shop \(missing\).*Log the same raw features"):
        measure(make_rows(1000, 1), newest)


def test_changed_type_is_a_fault() -> None:
    newest = make_rows(600, 2).assign(amount="12 EUR")
    assert column_faults(make_rows(9, 1), newest, FEATURES) == {"amount": "type_changed"}


@pytest.mark.slow
def test_unknown_columns_are_left_aside() -> None:
    newest = make_rows(600, 2)
    champion = make_rows(1000, 1)
    assert measure(champion, newest.assign(novelty=1.0)) == measure(champion, newest)


def test_too_few_rows_is_an_error() -> None:
    with pytest.raises(DataError, match="at least 64 labelled rows"):
        measure(make_rows(1000, 1), make_rows(63, 2))
    with pytest.raises(DataError, match="at least 20 training rows, received 0"):
        measure(make_rows(0, 1), make_rows(600, 2))


@pytest.mark.parametrize(
    "settings",
    [
        lambda: MeasureSettings(max_rows=5),
        lambda: MeasureSettings(blocks=7),
        lambda: SurrogateSettings(iterations=0),
        lambda: SurrogateSettings(learning_rate=0.0),
        lambda: LabelledSample(rows=make_rows(5, 1), fraction=0.0),
    ],
)
def test_settings_that_cannot_work(settings) -> None:
    with pytest.raises(ConfigError, match="got"):
        settings()


def test_one_class_only() -> None:
    assert one_class_only(pd.Series([1.0, 1.0]))
    assert not one_class_only(pd.Series([1.0, 0.0]))
    assert not one_class_only(pd.Series([7.5, 7.5]))


@pytest.mark.slow
def test_order_of_the_rows_changes_nothing() -> None:
    champion, older, newest = make_rows(2500, 1), make_rows(2500, 2), make_rows(800, 3)
    # 5,900 rows for 1,500: each side keeps a quarter, and each draw could differ.
    settings = MeasureSettings(max_rows=1500, repeats=2)
    scores = set()
    for seed in range(3):
        rng = np.random.default_rng(seed)
        both = pd.concat([champion, older], ignore_index=True)
        found = measure(
            champion.iloc[rng.permutation(2500)],
            newest,
            kept=both.iloc[rng.permutation(5000)],
            settings=settings,
        )
        scores.add((found.z, found.risen_z, found.relative))
    assert len(scores) == 1


def test_both_sides_keep_and_hold_out_the_same_rows() -> None:
    champion, older = make_rows(1000, 1), make_rows(1000, 2)
    kept = pd.concat([older, champion]).sample(frac=1.0, random_state=1)
    columns = [*FEATURES, "label"]
    learnt, held = NumberedRows.of(champion, columns, 0).thinned(0.3).split()
    both = NumberedRows.of(kept, columns, 0).thinned(0.3).split()[0].rows
    assert 220 < len(learnt.rows) + len(held) < 380
    assert 12 < len(held) < 60
    # Amounts are all different: they name the rows.
    assert set(learnt.rows["amount"]) <= set(both["amount"])
    assert not set(held["amount"]) & set(both["amount"])
    again = NumberedRows.of(champion, columns, 1).thinned(0.3).split()[0]
    assert set(again.rows["amount"]) != set(learnt.rows["amount"])


@pytest.mark.slow
def test_copies_of_one_row_are_drawn_one_by_one() -> None:
    rows = pd.concat([make_rows(1, 1)] * 4000, ignore_index=True)
    drawn = NumberedRows.of(rows, [*FEATURES, "label"], 0).thinned(0.25)
    assert 900 < len(drawn.rows) < 1100


@pytest.mark.slow
def test_repeats_widen_the_error_by_their_spread() -> None:
    champion, newest = make_rows(6000, 1), make_rows(800, 3, sign=-1.0)
    found = [
        measure(champion, newest, settings=MeasureSettings(max_rows=800, seed=seed)).mean
        for seed in range(3)
    ]
    several = measure(champion, newest, settings=MeasureSettings(max_rows=800, repeats=3))
    assert several.mean == pytest.approx(np.mean(found))
    single = measure(champion, newest, settings=MeasureSettings(max_rows=800))
    assert several.standard_error**2 > np.var(found, ddof=1) / 3
    assert single.standard_error > 0
