"""Settings check themselves when made, and say what to do."""

import dataclasses
import math

import pytest

from tfx_loop.contracts.capture_source import CaptureSource
from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.config import (
    ModelSettings,
    QualityGate,
    RetrainingSettings,
    ServingSettings,
    output_folder,
    quiet_environment,
)
from tfx_loop.pipelines.examples.flights.settings import MODEL, flights_settings


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("run_fn", "run", "run_fn must be an import path such as .*, got 'run'"),
        ("preprocessing_fn", "fn", "preprocessing_fn must be an import path .*, got 'fn'"),
        ("eval_fraction", 0.0, "eval_fraction must be between 0 and 1.*got 0.0"),
        ("eval_fraction", 1.0, "eval_fraction must be between 0 and 1.*got 1.0"),
        ("eval_fraction", math.nan, "eval_fraction must be between 0 and 1.*got nan"),
    ],
)
def test_a_model_that_cannot_be_trained_is_refused(name, value, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(MODEL, **{name: value})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: QualityGate(min_auc=1.5), "min_auc must be from 0 to 1, got 1.5"),
        (lambda: QualityGate(min_auc=math.nan), "min_auc must be from 0 to 1, got nan"),
        (lambda: QualityGate(max_auc_drop=-0.1), "max_auc_drop must not be below 0"),
        (lambda: QualityGate(max_calibration_error=-1), "max_calibration_error must not be below"),
        (lambda: RetrainingSettings(training_windows=-1), "training_windows must not be below 0"),
        (lambda: serving(server_url="127.0.0.1:8501"), "server_url must be a REST address such"),
        (lambda: serving(capture=CaptureSource(prefix="c")), "or capture .* received both"),
        (lambda: serving(prediction_log=""), "or capture .* received neither"),
        (lambda: serving(load_timeout_seconds=0), "load_timeout_seconds must be at least 1, got 0"),
    ],
)
def test_values_that_cannot_work_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def serving(**changes):
    values = {"base_path": "/b", "server_url": "http://host:8501", "prediction_log": "/l"}
    return ServingSettings(**{**values, **changes})


def test_settings_are_frozen_and_given_by_name():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MODEL.seed = 1
    with pytest.raises(TypeError):
        ModelSettings("flights")


def test_the_output_folder_is_the_environment_s_or_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert output_folder({}) == tmp_path / "out"
    assert output_folder({"TFX_LOOP_OUT": ""}) == tmp_path / "out"
    assert output_folder({"TFX_LOOP_OUT": str(tmp_path / "x")}) == tmp_path / "x"


def test_child_processes_get_keras_2_and_the_parent_s_environment(monkeypatch):
    monkeypatch.setenv("SOMETHING", "kept")
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    environment = quiet_environment()
    assert environment["SOMETHING"] == "kept"
    assert environment["TF_USE_LEGACY_KERAS"] == "1"


def test_all_files_of_a_run_go_below_its_folder(tmp_path):
    settings = flights_settings(tmp_path, "http://127.0.0.1:1")
    paths = [
        settings.serving.base_path,
        settings.serving.prediction_log,
        *(getattr(settings.pipeline, n) for n in ("root", "metadata_path", "data", "labels")),
    ]
    assert len(set(paths)) == 6
    assert all(path.startswith(f"{tmp_path}/") for path in paths)
