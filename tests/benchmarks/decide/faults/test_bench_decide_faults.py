"""The benchmark of planted faults, small: what it plants is named by the loop's own rules."""

import numpy as np
import pandas as pd
import pytest

from tests.benchmarks.decide.faults.__main__ import tabulate
from tests.benchmarks.decide.faults.trials import Trial, trials_of
from tests.benchmarks.decide.streams import LABEL, WINDOW, Stream

ROWS, WINDOWS = 400, 10


def small_stream() -> Stream:
    """Two numbers, one of which tells nearly all of the label, and nothing that drifts."""
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(
        {
            "amount": rng.uniform(10, 20, ROWS * WINDOWS),
            "age": rng.uniform(20, 60, ROWS * WINDOWS),
            "shop": rng.choice(["north", "south"], ROWS * WINDOWS).astype(object),
        }
    )
    score = 1.5 * (rows["amount"] - 15) + rng.logistic(size=len(rows))
    rows[LABEL] = (score > 0).astype(float)
    rows[WINDOW] = np.arange(len(rows)) // ROWS
    return Stream(
        name="small",
        kind="none",
        seed=1,
        rows=rows,
        initial_windows=4,
        training_windows=0,
        champion="logistic",
    )


@pytest.mark.slow
def test_planted_faults_are_named_and_sound_windows_left_alone() -> None:
    trials = {(each.kind, each.fault): each for each in trials_of(small_stream())}
    sound = trials.pop(("sound", ""))
    assert (sound.quarantined, sound.called_faulty, sound.windows) == ((), 0, 4)
    # A number that tells nothing harms nobody with zeros; few labels may be lost unseen.
    missed = {fault for (_, fault), trial in trials.items() if not trial.found}
    assert missed <= {"half zero, weak", "half zero"}
    assert not any(trial.trained_on for trial in trials.values() if trial.found)
    assert trials["champion", "wrong preprocessing"].harm > 0.5


def test_tables_count_what_was_found_and_what_was_trained_on() -> None:
    trials = [
        Trial(stream="a", seed=1, kind="sound", windows=5, quarantined=("7: x: stuck",)),
        Trial(stream="a", seed=1, kind="label", fault="turned over", found=True),
        Trial(stream="a", seed=2, kind="label", fault="turned over", trained_on=2),
        Trial(stream="a", seed=1, kind="champion", fault="skewed server", found=True, harm=0.5),
    ]
    text = tabulate(pd.DataFrame([vars(trial) for trial in trials]))
    assert "| a | 1 | 5 | 1 (20.0%) | 0 (0.0%) |" in text
    assert "| label: turned over | 1 of 2 | 1 of 2 | 1 of 2 |" in text
    assert "| skewed server | 1 of 1 (+50%) | 1 of 1 |" in text
