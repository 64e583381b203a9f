"""A training that went wrong is not pushed, and the store says why: the flights' own pipeline."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfx_loop.pipelines.config import ModelSettings, QualityGate
from tfx_loop.pipelines.examples.flights.data import LABEL
from tfx_loop.pipelines.examples.flights.demo.replay import write_span
from tfx_loop.pipelines.examples.flights.settings import MODEL, MODEL_NAME, flights_settings
from tfx_loop.pipelines.lineage.explain import explain

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow, pytest.mark.timeout(900)]

# A gate that lets everything else pass: what is told apart here is the training.
GATE = QualityGate(min_auc=0.0, max_calibration_error=9.0, detect_faults=True)


def trained(
    folder: Path,
    flights: Any,
    url: str = "http://127.0.0.1:9",
    model: ModelSettings = MODEL,
    gate: QualityGate = GATE,
) -> Any:
    """Runs the training pipeline on January, as the demo does; returns what is in the store."""
    from recorder import open_store

    from tfx_loop.pipelines.runners.local import run_pipeline
    from tfx_loop.pipelines.training import TrainingRequest, training_pipeline

    settings = replace(flights_settings(folder, url), model=model, gate=gate)
    write_span(flights, 1, folder / "spans")
    run_pipeline(training_pipeline(settings, TrainingRequest(spans=(1,))), "first")
    (path,) = folder.glob("artifacts/**/fault_report.json")
    versions = [path.name for path in (folder / "serving" / MODEL_NAME).glob("[0-9]*")]
    store = open_store(settings.pipeline.metadata_path)
    (artifact,) = store.get_artifacts_by_type("tfx_loop.FaultReport")
    said = artifact.custom_properties
    return SimpleNamespace(
        report=json.loads(path.read_text()),
        versions=versions,
        store=store,
        refused_because=said["refused_because"].string_value,
    )


@pytest.fixture(scope="module")
def flights() -> Any:
    from tfx_loop.pipelines.examples.flights.data import load_flights

    return load_flights(fraction=0.2)


def stopped(found: Any, reasons: set[str]) -> None:
    stops = {
        ":".join(filter(None, (finding["kind"], finding["feature"])))
        for finding in found.report["findings"]
        if finding["blocks"]
    }
    assert found.report["verdict"] == "BLOCK", found.report["explanation"]
    assert reasons <= stops
    assert found.report["reason"] in {reason.split(":")[0] for reason in reasons}
    assert found.refused_because == found.report["explanation"]
    assert found.versions == []


@pytest.mark.long
def test_a_sound_training_is_pushed_and_explain_tells_the_report(
    flights: Any, tmp_path: Path
) -> None:
    from tfx_loop.pipelines.lineage.show import render_explanation
    from tfx_loop.pipelines.runners.model_server import model_server

    base_path = tmp_path / "serving" / MODEL_NAME
    with model_server(MODEL_NAME, base_path, tmp_path / "log", tmp_path) as url:
        found = trained(tmp_path, flights, url)
    assert found.report["verdict"] in ("SOUND", "WARN"), found.report["explanation"]
    assert found.versions == ["1"]
    told = explain(found.store, MODEL_NAME, 1)
    assert told.faults is not None
    assert told.faults.verdict == found.report["verdict"]
    # The blessing that the pusher read is FaultDetector's; the evaluation behind it is told.
    assert told.contest.blessed is True
    assert told.faults.uri in render_explanation(told)


def test_a_delay_smuggled_in_and_days_split_by_row_stop_the_push(
    flights: Any, tmp_path: Path
) -> None:
    # Known only after departure, in the column of a feature, as a wrong join makes it.
    late = flights[LABEL].fillna(0).to_numpy()
    minutes = np.random.default_rng(0).gamma(2.0, 20.0, len(late))
    smuggled = flights.assign(wind_gust=np.where(late > 0, 15 + minutes, -minutes / 10))
    by_row = replace(MODEL, group_column="")
    gate = replace(GATE, fault_group_column="date")
    found = trained(tmp_path, smuggled, model=by_row, gate=gate)
    stopped(found, {"feature_tells_label:wind_gust", "groups_overlap"})


@pytest.mark.long
def test_a_network_trained_ten_times_too_long_stops_the_push(flights: Any, tmp_path: Path) -> None:
    too_long = replace(MODEL, run_fn="overtrained_flights.run_fn")
    found = trained(tmp_path, flights, model=too_long)
    stopped(found, {"over_fitted"})
    # Trainer's event files came to FaultDetector with its model_run.
    assert len(found.report["curve"]["validation"]) == 60
    assert "Its own validation loss was lowest after epoch" in found.report["explanation"]
