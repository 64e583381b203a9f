"""Versions that one pipeline trained and another deployed; windows without a decision."""

import pytest
from recorder import RecordedNode, RecordedOutput, RecordedRun, open_store, training_nodes

from tfx_loop.pipelines.lineage.explain import explain
from tfx_loop.pipelines.lineage.show import render_explanation


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "metadata.db")


def imported(name, uri, kind):
    return RecordedNode(name, import_uri=uri, outputs={"result": RecordedOutput(kind)})


def train(store, folder, run_id="trained", **options):
    """Runs a training that pushes nothing; returns the model's place."""
    nodes = training_nodes(1, **options)[:-1]
    RecordedRun(store, "training", run_id, folder / run_id).run(nodes)
    return store.get_artifacts_by_type("Model")[-1].uri


def deploy(store, folder, model, *between, source="trained_model.result", **inputs):
    """Runs a pipeline that imports the model and pushes it."""
    pusher = training_nodes(1, pushed_at_ms=1)[-1]
    pusher.inputs = {"model": source, **inputs}
    nodes = [imported("trained_model", model, "Model"), *between, pusher]
    RecordedRun(store, "deployment", "deployed", folder / "deployed").run(nodes)


def test_version_of_another_pipeline_is_walked_back_to_its_data(store, tmp_path):
    deploy(store, tmp_path, train(store, tmp_path, spans="4,5"))
    found = explain(store, "flights", 1)
    assert [data.spans for data in found.trained_on] == ["4,5"]
    assert (found.training_run_id, found.run_id) == ("trained", "deployed")
    assert (found.contest.metrics, found.contest.blessed) == ({"auc": 0.71}, True)
    assert "run trained, pushed by run deployed" in render_explanation(found)


def test_model_that_was_optimised_in_a_third_pipeline_leads_through_it(store, tmp_path):
    report = RecordedOutput("tfx_loop.OptimizationReport", {"verdict": "KEPT", "variant": "int8"})
    quantizer = RecordedNode(
        "Quantizer",
        inputs={"model": "trained_model.result"},
        outputs={"model": RecordedOutput("Model"), "optimization_report": report},
    )
    deploy(store, tmp_path, train(store, tmp_path), quantizer, source="Quantizer.model")
    found = explain(store, "flights", 1)
    assert [step.by for step in found.optimised] == ["Quantizer"]
    assert [data.spans for data in found.trained_on] == ["1,2"]
    assert found.training_run_id == "trained"


def test_copy_elsewhere_is_known_by_the_digest_of_another_push(store, tmp_path):
    RecordedRun(store, "training", "trained", tmp_path / "t").run(
        training_nodes(1, spans="7", pushed_at_ms=1)
    )
    deploy(store, tmp_path, str(tmp_path / "copied"))
    assert [data.spans for data in explain(store, "flights", 1).trained_on] == ["7"]


def test_model_that_the_infra_blessing_brought_is_the_validated_one(store, tmp_path):
    validator = RecordedNode(
        "InfraValidator",
        inputs={"model": "trained_model.result"},
        outputs={"blessing": RecordedOutput("InfraBlessing")},
    )
    model = train(store, tmp_path)
    pusher = training_nodes(1, pushed_at_ms=1)[-1]
    pusher.inputs = {"infra_blessing": "InfraValidator.blessing"}
    nodes = [imported("trained_model", model, "Model"), validator, pusher]
    RecordedRun(store, "deployment", "deployed", tmp_path / "d").run(nodes)
    assert explain(store, "flights", 1).model_uri == model


def test_neither_champion_nor_schema_lead_to_another_training_s_data(store, tmp_path):
    """A warm start and a schema come from an earlier run, on data that this model never saw."""
    champion = train(store, tmp_path, "first", spans="1")
    *nodes, pusher = training_nodes(2, spans="2", pushed_at_ms=1)
    trainer = next(node for node in nodes if node.name == "Trainer")
    schema = RecordedNode(
        "SchemaGen",
        inputs={"statistics": "SpanExampleGen.examples"},
        outputs={"schema": RecordedOutput("Schema")},
    )
    RecordedRun(store, "schemas", "of-first", tmp_path / "s").run(
        [training_nodes(1, spans="0")[0], schema]
    )
    made = store.get_artifacts_by_type("Schema")[-1].uri
    trainer.inputs = {**trainer.inputs, "base_model": "base.result", "schema": "schema.result"}
    imports = [imported("base", champion, "Model"), imported("schema", made, "Schema")]
    RecordedRun(store, "training", "second", tmp_path / "2").run([*imports, *nodes, pusher])
    found = explain(store, "flights", 2)
    assert [data.spans for data in found.trained_on] == ["2"]
    assert found.training_run_id == "second"


def window(name, version, model_name="flights"):
    """A DriftMonitor with a log, in a pipeline that decides nothing."""
    report = {"window": name, "verdict": "DRIFT", "reason": "moved", "rows": 1200}
    counts = {"model_version": version, "drifted_features": 2, "faulty_features": 0}
    return [
        RecordedNode(
            "PredictionLogGen",
            outputs={"log": RecordedOutput("tfx_loop.PredictionLog", {"model_name": model_name})},
        ),
        RecordedNode(
            "DriftMonitor",
            inputs={"prediction_log": "PredictionLogGen.log"},
            outputs={"drift_report": RecordedOutput("tfx_loop.DriftReport", report | counts)},
        ),
    ]


def test_drift_reports_that_name_a_version_are_its_windows(store, tmp_path):
    RecordedRun(store, "training", "a", tmp_path / "a").run(training_nodes(1, pushed_at_ms=1))
    nodes = {"2013-03": (1,), "2013-04": (2,), "other": (1, "trains")}
    for name, about in nodes.items():
        RecordedRun(store, "monitoring", name, tmp_path / name).run(window(name, *about))
    found = explain(store, "flights", 1)
    assert [fact.window for fact in found.windows] == ["2013-03"]
    text = " ".join(render_explanation(found).split())
    assert "watched 2013-03 DRIFT (moved): 1,200 rows, 2 features drifted" in text
    assert "since then nothing was decided about it" in text
    assert "no window was judged" not in text
