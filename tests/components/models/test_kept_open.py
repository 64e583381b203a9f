"""A model that is asked again and again is opened once, and anew when its file changes."""

import numpy as np
import pytest
import tf_keras as keras

from tfx_loop.models import kept_open
from tfx_loop.models.formats import detect
from tfx_loop.models.kept_open import kept_keras, kept_predictor

pytestmark = pytest.mark.tensorflow

ROWS = {"x": np.eye(3, dtype=np.float32)}


def save(path, weight):
    network = keras.Sequential([keras.layers.Input((3,), name="x"), keras.layers.Dense(1)])
    network.layers[0].set_weights([np.full((3, 1), weight, np.float32), np.zeros(1, np.float32)])
    network.save(path)
    return detect(path)


def answer(predictor):
    return float(next(iter(predictor.predict(ROWS).values()))[0, 0])


def test_the_same_file_is_opened_once(tmp_path):
    file = save(tmp_path / "model.keras", 2.0)
    first = kept_predictor(file)
    assert kept_predictor(file) is first
    assert first.model is kept_keras(file)
    assert answer(first) == 2.0


def test_a_file_that_changed_is_opened_anew(tmp_path):
    assert answer(kept_predictor(save(tmp_path / "model.keras", 2.0))) == 2.0
    assert answer(kept_predictor(save(tmp_path / "model.keras", 5.0))) == 5.0


def test_a_large_model_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_open, "_MOST_BYTES", 10)
    file = save(tmp_path / "model.keras", 2.0)
    assert kept_predictor(file) is not kept_predictor(file)
    assert kept_keras(file) is not kept_keras(file)
