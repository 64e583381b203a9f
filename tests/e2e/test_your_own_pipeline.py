"""The tutorial's code does what the tutorial says: it adds the loop to a stock TFX pipeline."""

import json
import os
import re
import subprocess
import sys
import time

import pytest
from documents import TUTORIAL, commands, fences, section
from time_limits import seconds

SECTION = section(TUTORIAL, "Your own pipeline")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GAPS = {"company", "dropoff_census_tract", "dropoff_latitude", "trip_seconds"}

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow]


def server_command(ready_file):
    """The tutorial's own line, on free ports."""
    ((program, *flags),) = commands(SECTION)
    assert program == "loop-model-server"
    flags = [re.sub(r"^--(port|rest_api_port)=\d+$", r"--\1=0", flag) for flag in flags]
    module = "tfx_loop.deployment.model_server.main"
    return [sys.executable, "-m", module, *flags, f"--ready_file={ready_file}"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Runs the tutorial's section in an empty folder; gives what its code left behind."""
    folder = tmp_path_factory.mktemp("tutorial")
    ready, output = folder / "ready.json", folder / "server.log"
    before = os.getcwd()
    os.chdir(folder)
    environment = {**os.environ, "PYTHONPATH": ROOT, "TF_USE_LEGACY_KERAS": "1"}
    with output.open("wb") as sink:
        server = subprocess.Popen(
            server_command(ready), stdout=sink, stderr=subprocess.STDOUT, env=environment
        )
    try:
        deadline = time.monotonic() + seconds(120)
        while not ready.exists():
            assert server.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        port = json.loads(ready.read_text())["rest_api_port"]
        names = {"__name__": "tutorial"}
        for block in fences(SECTION, "python"):
            exec(compile(block.replace("8501", str(port)), "docs/tutorial.md", "exec"), names)  # noqa: S102
        yield names
    finally:
        os.chdir(before)
        server.terminate()
        server.wait(seconds(30))


def test_the_loop_is_stated_in_thirty_lines(ran):
    stated = next(text for text in fences(SECTION, "python") if "Loop.from_pipeline" in text)
    assert len([line for line in stated.splitlines() if line.strip()]) <= 30


def test_a_step_decides_on_the_oldest_window(ran):
    report = ran["stepped"]
    assert (report.window, report.monitoring) == ("2014-01-01", "SUCCEEDED"), report.told
    assert any(report.told == text.strip() for text in fences(SECTION, "text")), report.told


def features_of(report):
    return {feature["feature"]: feature for feature in report["features"]}


def test_the_reports_say_what_the_tutorial_shows(ran):
    shown = [text for text in fences(SECTION, "text") if "DRIFT" in text][-1]
    reports = {report["window"]: report for report in ran["reports"]}
    window, compared = "", 0
    for line in shown.splitlines():
        if verdict := re.match(r"(\d{4}) ([A-Z_]+) - \d+ of \d+ features drifted: (.*)\.$", line):
            window = verdict[1]
            drifted = set(verdict[3].split(", "))
            assert reports[window]["verdict"] == verdict[2]
            told = {f["feature"] for f in reports[window]["features"] if f["drifted"]}
            assert inputs(drifted) == inputs(told)
        elif psi := re.match(r"\s+(\S+)\s+PSI (-?[\d.]+)$", line):
            if not psi[1].startswith("output."):
                measured = features_of(reports[window])[psi[1]]["psi_corrected"]
                assert measured == pytest.approx(float(psi[2]), abs=0.0011), line
                compared += 1
        else:
            pytest.fail(f"The tutorial shows a line that the code does not print: {line!r}")
    assert set(reports) == {"2014", "2016"}
    assert compared >= 6


def inputs(names):
    """Leaves the model's output out: two trainings differ a little."""
    return {name for name in names if not name.startswith("output.")}


def test_card_payments_are_seen_to_drift_as_they_double(ran):
    by_window = {report["window"]: features_of(report) for report in ran["reports"]}
    earlier, later = (by_window[year]["payment_type"] for year in ("2014", "2016"))
    assert later["drifted"]
    assert later["psi_corrected"] > 4 * earlier["psi_corrected"]
    assert all(f["fault"] is None for found in by_window.values() for f in found.values())


def test_every_trip_is_counted_and_a_gap_is_a_missing_value(ran):
    from tfx_loop.pipelines.examples.taxi.trips import trips_of

    for report in ran["reports"]:
        trips = trips_of(int(report["window"]))
        assert report["rows"]["current"] == len(trips)
        for name in GAPS:
            gaps = sum(not trip[name] for trip in trips)
            share = features_of(report)[name]["missing_share"]
            assert share == pytest.approx(gaps / len(trips)), name


def test_the_deployment_record_names_model_and_profile(ran):
    from tfx_loop.contracts.deployment_record import read_record

    champion = read_record(str(ran["FOLDER"] / "serving"), "taxi").stable
    assert champion.version == 1
    assert os.path.isfile(os.path.join(champion.reference_profile_uri, "reference_profile.json"))


def compiled_tasks(pipeline, path):
    """Returns the tasks of a pipeline as Kubeflow V2 would run it."""
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as kubeflow

    kubeflow.KubeflowV2DagRunner(
        config=kubeflow.KubeflowV2DagRunnerConfig(), output_filename=str(path)
    ).run(pipeline, write_out=True)
    return json.loads(path.read_text())["pipelineSpec"]["root"]["dag"]["tasks"]


def test_both_pipelines_compile_for_kubeflow(ran, tmp_path):
    nodes = ran["with_loop"](ran["taxi_nodes"](ran["FOLDER"] / "data"))
    pipeline = ran["taxi_pipeline"]("taxi-training", nodes, ran["FOLDER"])
    training = compiled_tasks(pipeline, tmp_path / "training.json")
    assert {"CsvExampleGen", "Trainer", "Evaluator", "ReferenceProfiler"} <= set(training)
    assert set(training["ServingPusher"]["inputs"]["artifacts"]) == {
        "examples",
        "model",
        "model_blessing",
        "reference_profile",
    }
    monitoring = compiled_tasks(ran["monitoring"](2016), tmp_path / "monitoring.json")
    assert set(monitoring) == {"ReferenceProfile", "PredictionLogGen", "DriftMonitor"}
