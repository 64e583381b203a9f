"""A short run of the benchmark of membership inference: one table, one seed."""

import pytest

from tests.benchmarks.privacy.experiment import findings_of
from tests.benchmarks.privacy.models import NULL_MODELS

pytestmark = pytest.mark.slow


def test_forests_are_warned_of_and_models_of_other_rows_are_not():
    found = {finding.model: finding for finding in findings_of(("phishing", 100))}
    assert found["forest"].ours
    assert not any(found[f"null: {name}"].ours for name in NULL_MODELS)
    assert found["forest"].calibrated.auc > found["null: forest"].calibrated.auc
