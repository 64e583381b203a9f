"""Graphs, impacts and states of a former day, of a store with a variant, a bundle, a decision."""

import json
import time
from dataclasses import replace

import pytest
from recorder import (
    RecordedNode,
    RecordedOutput,
    RecordedRun,
    monitoring_nodes,
    open_store,
    training_nodes,
)

from tfx_loop.core.errors import DataError
from tfx_loop.pipelines.cli import main
from tfx_loop.pipelines.lineage.explain import explain
from tfx_loop.pipelines.lineage.graph import load
from tfx_loop.pipelines.lineage.impact import impact
from tfx_loop.pipelines.lineage.sources import open_graph
from tfx_loop.pipelines.lineage.starting_points import starting_points
from tfx_loop.pipelines.lineage.walk import walk_down, walk_up


def training(version, spans, **more):
    """A training whose spans are files, which also makes a variant and a bundle for devices."""
    nodes = training_nodes(version, spans=spans, pushed_at_ms=version, **more)
    place = next(n for n, node in enumerate(nodes) if node.name == "Trainer")
    quantizer = RecordedNode(
        "Quantizer",
        inputs={"parent": "Trainer.model", "examples": "SpanExampleGen.examples"},
        outputs={
            "model": RecordedOutput("Model", {"variant": "int8"}),
            "optimization_report": RecordedOutput("tfx_loop.OptimizationReport"),
        },
    )
    bundler = RecordedNode(
        "EdgeBundler",
        inputs={"model": "Quantizer.model", "examples": "SpanExampleGen.examples"},
        outputs={"bundle": RecordedOutput("Model")},
    )
    return [*nodes[: place + 1], quantizer, bundler, *nodes[place + 1 :]]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Version 1 on spans 1 and 2; a window asks for version 2, on span 3 alone."""
    folder = tmp_path_factory.mktemp("walks")
    path = folder / "metadata.sqlite"
    store = open_store(path)
    RecordedRun(store, "train", "first", folder / "1").run(training(1, "1,2"))
    champion = store.get_artifacts_by_type("Model")[0].uri
    monitor = monitoring_nodes({"window": "2013-03", "verdict": "RETRAIN", "model_version": 1})
    monitor[0].outputs["log"].properties = {"window": "2013-03", "model_name": "flights"}
    RecordedRun(store, "monitor", "monitor-flights-2013-03", folder / "m").run(monitor)
    between = int(time.time() * 1000)
    time.sleep(0.01)
    [decision] = store.get_artifacts_by_type("tfx_loop.RetrainDecision")
    RecordedRun(store, "train", "second", folder / "2").run(
        training(2, "3", decision_uri=decision.uri, baseline_uri=champion)
    )
    return str(path), between


def names(walk):
    return [(node.kind, node.type, node.label) for node in walk.nodes]


@pytest.mark.slow
def test_sqlite_is_read_as_the_client_of_ml_metadata_reads_it(told) -> None:
    quick, slow = open_graph(told[0], parameters=True), load(open_store(told[0]))
    assert quick.executions == slow.executions
    assert quick.artifacts == slow.artifacts
    assert sorted(quick.edges) == sorted(slow.edges)
    assert {execution.node for execution in quick.executions.values()} >= {"Trainer", "champion"}
    for version in (1, 2):
        assert explain(quick, "flights", version) == explain(slow, "flights", version)


def test_way_up_ends_at_the_spans_and_keeps_out_of_other_trainings(told) -> None:
    graph = open_graph(told[0])
    found = names(walk_up(graph, starting_points(graph, "flights", "2")))
    assert ("artifact", "Examples", "spans 3") in found
    assert ("artifact", "Examples", "spans 1,2") not in found
    everything = names(walk_up(graph, starting_points(graph, "flights", "2"), everything=True))
    assert ("artifact", "Examples", "spans 1,2") in everything
    assert ("artifact", "PredictionLog", "window 2013-03") in everything


def test_way_up_goes_on_to_raw_files(tmp_path) -> None:
    store = open_store(tmp_path / "metadata.sqlite")
    RecordedRun(store, "train", "run", tmp_path / "1").run(training_nodes(1, spans="4,5"))
    (generator,) = [e for e in store.get_executions() if "spanexamplegen" in e.type]
    for name, value in (("input_base", "/data"), ("pattern", "s-{SPAN}.parquet"), ("spans", "4,5")):
        generator.custom_properties[name].string_value = value
    store.put_executions([generator])
    graph = load(store)
    found = names(walk_up(graph, starting_points(graph, "flights", "1")))
    assert [label for kind, _, label in found if kind == "file"] == [
        "/data/s-4.parquet",
        "/data/s-5.parquet",
    ]
    assert starting_points(graph, "flights", "/data/s-5.parquet")[0].type == "Examples"


def test_way_down_ends_at_decisions_and_champions(told) -> None:
    graph = open_graph(told[0])
    found = names(walk_down(graph, starting_points(graph, "flights", "window:2013-03")))
    assert [label for _, kind, label in found if kind == "RetrainDecision"] == [
        "window 2013-03, RETRAIN"
    ]
    assert not [kind for _, kind, _ in found if kind in ("Model", "Examples")]
    everything = walk_down(
        graph, starting_points(graph, "flights", "window:2013-03"), everything=True
    )
    assert ("artifact", "PushedModel", "flights version 2") in names(everything)


def test_bad_span_names_models_variants_bundles_and_what_passed_beside_them(told) -> None:
    found = impact(open_graph(told[0]), "flights", "2")
    assert [(m.what, m.how, m.run_id, m.versions) for m in found.models] == [
        ("model", "learned", "first", ("flights 1",)),
        ("variant", "learned", "first", ()),
        ("bundle", "learned", "first", ()),
        ("model", "compared", "second", ("flights 2",)),
    ]


def test_bad_window_names_its_decision_and_the_training_that_it_asked_for(told) -> None:
    found = impact(open_graph(told[0]), "flights", "2013-03")
    assert [(d.window, d.verdict, d.how) for d in found.decisions] == [
        ("2013-03", "RETRAIN", "measured_on_it")
    ]
    assert [(m.what, m.how, m.versions) for m in found.models] == [
        ("model", "asked", ("flights 2",)),
        ("variant", "asked", ()),
        ("bundle", "asked", ()),
    ]


@pytest.mark.parametrize("named", ["9", "span:7", "window:2014", "decision:x", "/no/such", "run:r"])
def test_name_that_the_store_does_not_know_is_refused(told, named) -> None:
    with pytest.raises(DataError, match="which it does not know"):
        starting_points(open_graph(told[0]), "flights", named)


def test_state_of_a_former_day_knows_nothing_of_what_came_later(told, capsys) -> None:
    path, between = told
    then = open_graph(path, between)
    assert explain(then, "flights", 1) == replace(
        explain(open_graph(path), "flights", 1), served_until_ms=None, replaced_by=0
    )
    with pytest.raises(DataError, match="known versions: 1"):
        explain(then, "flights", 2)
    assert main.main(["explain", "1", "--metadata", path, "--as-of", "2001-01-01"]) == 1
    assert "no model was pushed yet" in capsys.readouterr().err


def test_execution_that_ended_later_was_running(tmp_path) -> None:
    store = open_store(tmp_path / "metadata.sqlite")
    seen = []
    node = RecordedNode(
        "Trainer",
        outputs={"model": RecordedOutput("Model")},
        work=lambda: (time.sleep(0.01), seen.append(int(time.time() * 1000)), time.sleep(0.01)),
    )
    RecordedRun(store, "train", "run", tmp_path / "1").run([node])
    graph = load(store)
    (then,) = graph.as_of(seen[0]).executions.values()
    (now,) = graph.executions.values()
    assert (then.state, now.state) == ("RUNNING", "COMPLETE")
    assert graph.as_of(seen[0]).artifacts == {}


def test_commands_print_text_dot_json_and_a_page(told, tmp_path, capsys) -> None:
    page = tmp_path / "graph.html"
    flags = ["--metadata", told[0]]
    assert main.main(["graph", "2", *flags, "--page", str(page)]) == 0
    assert "examples: Examples spans 3" in capsys.readouterr().out
    assert "spans 3" in page.read_text()
    assert main.main(["graph", "2", *flags, "--dot"]) == 0
    dot = capsys.readouterr().out
    assert dot.startswith("digraph lineage {")
    assert dot.count("{") == dot.count("}")
    assert main.main(["graph", "2", "--down", *flags, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["starts"]
    # A version that serves, or is the newest of its name, wants attention; version 1 is neither.
    assert main.main(["impact", "2", *flags]) == 0
    assert main.main(["impact", "3", *flags, "--json"]) == 3
    out = capsys.readouterr().out
    assert [m["how"] for m in json.loads(out[out.index("{") :])["models"]] == ["learned"] * 3


def test_gates_of_a_former_day_are_those_that_had_answered(told, capsys) -> None:
    path = told[0]
    assert main.main(["why-not", "--metadata", path, "--json"]) == 0
    assert [one["window"] for one in json.loads(capsys.readouterr().out)] == ["2013-03"]
    assert main.main(["why-not", "--metadata", path, "--as-of", "2001-01-01"]) == 1
    assert "Expected a decision about 'flights'" in capsys.readouterr().err
