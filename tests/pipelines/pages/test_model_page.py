"""The pages of any model, from its store: what stands on them, and what a browser makes of it."""

import json
import re
from pathlib import Path

import pytest
from chromium import needs_chromium, run_chromium
from paged_store import paged_store
from recorder import RecordedNode, RecordedOutput, RecordedRun, open_store, training_nodes

from tfx_loop.contracts.quality_report import QUALITY_REPORT, MetricInterval, QualityResult
from tfx_loop.contracts.task import ModelTask
from tfx_loop.pipelines.cli import main
from tfx_loop.pipelines.lineage.graph import load
from tfx_loop.pipelines.lineage.sources import open_graph
from tfx_loop.pipelines.pages.model_page import file_name, render_index, render_model_page
from tfx_loop.pipelines.pages.model_report import model_names, model_report

HOSTILE = "<script>alert(1)</script>/../x"
# CSS pixels of a common phone.
PHONE = 390


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("paged")
    address = paged_store(folder)
    hostile = training_nodes(1)
    hostile[-1].outputs["pushed_model"].properties["model_name"] = HOSTILE
    RecordedRun(open_store(address), "other", "other", folder / "other").run(hostile)
    return address


@pytest.fixture(scope="module")
def pages(store, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    assert main.main(["page", "--metadata", store, "--out", str(folder)]) == 0
    return folder


def test_page_shows_each_window_with_its_own_labels(store) -> None:
    report = model_report(open_graph(store), "flights")
    assert [window.name for window in report.windows] == [f"2013-{n:02d}" for n in range(3, 13)]
    # What a decision measured is of the window whose labels had come, the one before.
    measured = [window.quality.get("auc", {}).get("measured") for window in report.windows]
    assert measured == [*(0.7 + n / 200 for n in range(1, 10)), None]
    assert [window.version for window in report.windows] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4]
    page = render_model_page(report, "today")
    assert page.count("<svg") == 4
    assert "alarm in 8 of 10" in page
    assert "flights, version 4" in page


def test_page_of_a_former_day_ends_there(store) -> None:
    graph = open_graph(store)
    decisions = graph.artifacts_of_type("tfx_loop.RetrainDecision")
    then = graph.as_of(decisions[5].created_at_ms - 1)
    assert [window.name for window in model_report(then, "flights").windows][-1] == "2013-07"


def test_index_links_to_a_page_of_each_model(store, pages) -> None:
    assert model_names(open_graph(store)) == [HOSTILE, "flights"]
    index = (pages / "index.html").read_text()
    links = re.findall(r'href="([^"]+\.html)"', index)
    assert sorted(links) == sorted(p.name for p in pages.glob("*.html") if p.name != "index.html")
    assert "<script" not in "".join(page.read_text() for page in pages.glob("*.html"))


def test_no_two_models_share_a_page() -> None:
    names = ["a", "a/b", "a_b", "a?b", "index", "Index", "..", "é"]
    files = [file_name(name) for name in names]
    assert len({file.lower() for file in files}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+\.html", file) for file in files)
    assert "index.html" not in {file.lower() for file in files}


def test_page_of_one_model_leaves_the_index_alone(store, pages, capsys) -> None:
    before = (pages / "index.html").read_text()
    words = ["page", "--metadata", store, "--out", str(pages), "--model", "flights", "--json"]
    assert main.main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["models"] == [{"name": "flights", "version": 4, "windows": 10}]
    assert (pages / "index.html").read_text() == before
    assert main.main([*words[:-2], "taxi"]) == 1
    assert "Expected a model of the store" in capsys.readouterr().err


def test_index_of_an_empty_store_says_so() -> None:
    assert "No model was pushed" in render_index([], "today")


@needs_chromium
@pytest.mark.e2e
@pytest.mark.parametrize("name", ["flights.html", "index.html"])
def test_phone_scrolls_plots_and_tables_and_not_the_page(pages, tmp_path, name) -> None:
    frame = tmp_path / "phone.html"
    frame.write_text(
        f'<iframe id="p" src="{(pages / name).as_uri()}" width="{PHONE}" height="800"></iframe>'
        "<script>onload = () => { const d = document.getElementById('p').contentDocument;"
        "document.title = 'wide ' + d.documentElement.scrollWidth + ' plots '"
        " + d.querySelectorAll('svg').length; }</script>"
    )
    flags = ("--dump-dom", "--allow-file-access-from-files", "--virtual-time-budget=5000")
    seen = run_chromium(frame, tmp_path / "profile", *flags)
    found = re.search(r"wide (\d+) plots (\d+)", seen.stdout)
    assert found is not None
    assert int(found[1]) <= PHONE
    assert int(found[2]) == (4 if name == "flights.html" else 0)
    assert "CONSOLE" not in seen.stderr


def test_what_was_measured_stands_in_the_place_of_the_estimate(tmp_path) -> None:
    quality = QualityResult(
        window="2013-05",
        rows=800,
        slices={"overall": {"sparse_categorical_accuracy": 0.245, "example_count": 800.0}},
        task=ModelTask.of_text("classes:3"),
        intervals={"cross_entropy": MetricInterval(value=2.7, blocks=1)},
    )
    store = open_store(tmp_path / "metadata.sqlite")
    log = {"window": "2013-05", "model_name": "flights"}
    said = {"window": "2013-05", "model_name": "flights", "verdict": "HOLD", "reason": "r"}
    nodes = [
        RecordedNode(
            "PredictionLogGen", outputs={"log": RecordedOutput("tfx_loop.PredictionLog", log)}
        ),
        RecordedNode(
            "QualityMonitor",
            inputs={"prediction_log": "PredictionLogGen.log"},
            outputs={
                "evaluation": RecordedOutput(
                    "ModelEvaluation", {}, {QUALITY_REPORT.name: QUALITY_REPORT.content(quality)}
                )
            },
        ),
        RecordedNode(
            "RetrainDecider",
            outputs={"decision": RecordedOutput("tfx_loop.RetrainDecision", said)},
        ),
    ]
    RecordedRun(store, "monitor", "m", tmp_path / "m").run(nodes)
    (window,) = model_report(load(store), "flights").windows
    assert window.quality["accuracy"]["measured"] == 0.245
    assert window.quality["cross_entropy"]["measured"] == 2.7
