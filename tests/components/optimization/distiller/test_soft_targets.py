"""A teacher's answer means the same, whether it comes as probabilities or as logits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfx_loop.core.errors import ConfigError
from tfx_loop.optimization.distiller.settings import (
    DistillationSettings,
    DistillerSettings,
    FeaturePair,
)
from tfx_loop.optimization.distiller.soft_targets import teacher_logits
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.metrics.scoring import PredictionKind, Scoring, sigmoid, softmax

LOGITS = arrays.arrays(np.float64, (5, 4), elements=st.floats(-6, 6))
TEMPERATURES = st.floats(0.5, 20)


@given(LOGITS, TEMPERATURES)
def test_probabilities_of_classes_soften_as_their_logits_do(logits, temperature):
    from_probabilities = teacher_logits(softmax(logits), Scoring(kind=PredictionKind.CLASSES))
    from_logits = teacher_logits(logits, Scoring(kind=PredictionKind.CLASSES, from_logits=True))
    first, second = softmax(from_probabilities / temperature), softmax(from_logits / temperature)
    assert np.allclose(first, second, atol=1e-4)


@given(LOGITS, TEMPERATURES)
def test_a_probability_of_yes_softens_as_its_logit_does(logits, temperature):
    from_probabilities = teacher_logits(sigmoid(logits), Scoring(kind=PredictionKind.BINARY))
    assert np.allclose(sigmoid(from_probabilities / temperature), sigmoid(logits / temperature))


def test_numbers_are_learned_as_they_are():
    values = np.array([[3.5], [-20.0]])
    assert np.array_equal(teacher_logits(values, Scoring(kind=PredictionKind.NUMBER)), values)


def test_exact_zeros_of_a_quantised_teacher_stay_finite():
    outputs = np.array([[1.0, 0.0, 0.0]])
    assert np.isfinite(teacher_logits(outputs, Scoring(kind=PredictionKind.CLASSES))).all()
    assert np.isfinite(teacher_logits(outputs[0], Scoring(kind=PredictionKind.BINARY))).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"student_fn": ""}, "student_fn"),
        ({"temperature": 0}, "temperature above 0"),
        ({"alpha": 1.1}, "alpha from 0 to 1"),
        ({"feature_weight": -1}, "feature_weight"),
        ({"augmented_copies": 0}, "augmented_copies"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        DistillationSettings(**{"student_fn": "a.b", **changes})


def test_settings_survive_execution_properties():
    given_ones = DistillerSettings(
        student_fn="a.b",
        features=(FeaturePair(teacher="t", student="s"),),
        fine_tuning=FineTuningSettings(epochs=3),
    )
    assert DistillerSettings.from_properties(given_ones.to_properties()) == given_ones
    with pytest.raises(ConfigError, match="warmth"):
        DistillerSettings.of({"student_fn": "a.b", "warmth": 2})
