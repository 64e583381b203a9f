"""A short run of the benchmark of FaultDetector: one table, one seed that nobody reports."""

import pytest

from tests.benchmarks.faults.__main__ import fit_tables, leak_table
from tests.benchmarks.faults.fit_experiment import judged_models
from tests.benchmarks.faults.leak_experiment import leak_trials

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]


# FaultDetector's own tests (test_fit.py) find such models on made tables in a second each.
@pytest.mark.long
def test_models_that_lose_much_are_found_and_sound_ones_are_not():
    models = judged_models(("diabetes", 100))
    by_name = {model.model: model for model in models}
    assert by_name["rate 2e-5"].kind == "under_fitted"
    assert by_name["rate 2e-5"].harm > 0.5
    assert not any(model.kind for model in models if model.harm < 0.05)
    alarms, _ = fit_tables(models)
    assert len(alarms.rows) == 5


def test_leaks_are_found_in_a_table_that_has_none_itself():
    trials = leak_trials(("diabetes", 100))
    assert trials[0].plant == "clean"
    assert trials[0].kinds == frozenset()
    named = {trial.plant: trial for trial in trials}
    assert named["a feature is the label, 0% redrawn"].kinds == {"feature_tells_label"}
    assert "copied_rows" in named["10.0% of the held-out rows copied"].kinds
    assert len(leak_table(trials).rows) == len(trials)
