"""Every version is explained, and the story of a model told, from MLMD alone."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from recorder import (
    RecordedLauncher,
    RecordedNode,
    RecordedOutput,
    RecordedRun,
    monitoring_nodes,
    open_store,
    training_nodes,
)

from tfx_loop.core.errors import DataError, PipelineFailed
from tfx_loop.core.json_codec import to_json
from tfx_loop.pipelines.cli import main
from tfx_loop.pipelines.control.launcher import RunState
from tfx_loop.pipelines.control.loop import Controller
from tfx_loop.pipelines.control.settings import LoopMode, LoopSettings
from tfx_loop.pipelines.lineage.explain import explain
from tfx_loop.pipelines.lineage.graph import load
from tfx_loop.pipelines.lineage.provenance import provenance
from tfx_loop.pipelines.lineage.show import iso, render_explanation, timeline_table
from tfx_loop.pipelines.lineage.timeline import timeline

DAY = 86_400_000
VERDICTS = {
    "2013-03": "RETRAIN",  # version 1 → 2
    "2013-04": "HOLD",
    "2013-05": "RETRAIN",  # version 2 → 3
    "2013-06": "RETRAIN",  # held back by the cooldown
    "2013-07": "RETRAIN",  # launched, and fails
}


def now_ms():
    return int(time.time() * 1000)


class Story:
    """A model that was trained by hand and then looked after by the loop for five windows."""

    def __init__(self, folder):
        self.folder, self.path = folder, folder / "metadata.db"
        self.store = open_store(self.path)
        self.version, self.day, self.windows = 0, 0, []
        RecordedRun(self.store, "flights-training", "first", folder / "t").run(
            training_nodes(1, spans="1,2", pushed_at_ms=now_ms())
        )
        self.version, self.models = 1, {1: self.model_uri()}
        settings = LoopSettings(
            model_name="flights", mode=LoopMode.ACT, cooldown_seconds=5 * 86_400
        )
        loop = Controller(
            self.store,
            settings,
            RecordedLauncher(self.store, "flights-monitoring", folder / "m", self.monitoring),
            RecordedLauncher(self.store, "flights-training", folder / "t", self.training),
            clock=lambda: 1_362_096_000_000 + self.day * DAY,
        )
        self.results = {}
        for window, day in zip(VERDICTS, [0, 30, 60, 61, 90], strict=True):
            self.day = day
            result = self.results[window] = loop.step(window)
            self.windows.append(window)
            if result.outcome and result.outcome.pushed_version:
                self.version = result.outcome.pushed_version
                self.models[self.version] = self.model_uri()

    def model_uri(self):
        return self.store.get_artifacts_by_type("Model")[-1].uri

    def monitoring(self, run_id, request):
        decision = {
            "window": request.window,
            "verdict": VERDICTS[request.window],
            "reason": "saving_reached_cost"
            if "RETRAIN" in VERDICTS[request.window]
            else "promise_was_wrong",
            "explanation": f"Judged on {request.window}.",
            "model_version": self.version,
        }
        return monitoring_nodes(decision)

    def training(self, run_id, request):
        def work():
            if request.window == "2013-07":
                raise PipelineFailed("the disk is full")

        month = int(request.window[-2:])
        nodes = training_nodes(
            request.model_version + 1,
            spans=",".join(str(span) for span in range(1, month)),
            decision_uri=request.decision_uri,
            baseline_uri=self.models[self.version],
            pushed_at_ms=now_ms(),
            work=work,
        )
        # As in the real pipeline: the trainer reads what Transform made of the examples.
        place = next(i for i, node in enumerate(nodes) if node.name == "Trainer")
        transform = RecordedNode(
            "Transform",
            inputs={"examples": "SpanExampleGen.examples"},
            outputs={"transformed_examples": RecordedOutput("Examples")},
        )
        nodes.insert(place, transform)
        nodes[place + 1].inputs = {"examples": "Transform.transformed_examples"}
        return nodes


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    return Story(tmp_path_factory.mktemp("story"))


def test_story_went_as_told(story):
    outcomes = {w: r.outcome and r.outcome.state for w, r in story.results.items()}
    assert outcomes == {
        "2013-03": RunState.SUCCEEDED,
        "2013-04": None,
        "2013-05": RunState.SUCCEEDED,
        "2013-06": None,
        "2013-07": RunState.FAILED,
    }


def test_first_version_was_made_by_a_person_and_beat_nothing(story):
    found = explain(story.store, "flights", 1)
    assert found.why is None
    assert (found.contest.baseline_version, found.contest.baseline_uri) == (0, "")
    assert [data.spans for data in found.trained_on] == ["1,2"]
    assert (found.replaced, found.replaced_by, found.run_id) == (0, 2, "first")


def test_retrained_version_names_data_decision_and_what_it_beat(story):
    found = explain(story.store, "flights", 3)
    assert [data.spans for data in found.trained_on] == ["1,2,3,4"]
    assert (found.why.window, found.why.model_version) == ("2013-05", 2)
    assert (found.why.reason, found.why.explanation) == (
        "saving_reached_cost",
        "Judged on 2013-05.",
    )
    assert (found.why.admission, found.why.admission_reason) == ("RETRAIN", "admitted")
    assert found.why.pushed_version == 3
    assert found.contest.baseline_version == 2
    assert found.contest.blessed is True
    assert found.contest.metrics == {"auc": 0.71}
    assert found.model_uri == story.models[3]
    assert found.run_id == story.results["2013-05"].run_id


def test_version_served_until_the_next_push(story):
    first, second, third = (explain(story.store, "flights", version) for version in (1, 2, 3))
    assert first.served_until_ms == second.pushed_at_ms
    assert second.served_until_ms == third.pushed_at_ms
    assert third.served_until_ms is None


def test_decisions_since_tell_what_was_done_and_what_not(story):
    assert [
        (fact.window, fact.verdict, fact.admission_reason, fact.outcome)
        for fact in explain(story.store, "flights", 2).decided_since
    ] == [("2013-04", "HOLD", "", ""), ("2013-05", "RETRAIN", "admitted", "SUCCEEDED")]
    held, failed = explain(story.store, "flights", 3).decided_since
    assert (held.window, held.admission_reason, held.run_id) == ("2013-06", "cooldown", "")
    assert (failed.outcome, failed.outcome_node) == ("FAILED", "Trainer")
    assert "the disk is full" in failed.outcome_reason


def test_a_promise_that_was_wrong_is_told_of_the_version_that_gave_it(story):
    told = " ".join(render_explanation(explain(story.store, "flights", 2)).split())
    assert "promise was wrong by window 2013-04: it leaked" in told
    assert "2013-04 HOLD (promise_was_wrong)" in told
    assert "promise" not in render_explanation(explain(story.store, "flights", 1))


def test_timeline_tells_everything_in_order(story):
    events = timeline(story.store, "flights")
    assert [(event.kind, event.window, event.version) for event in events] == [
        ("PUSHED", "", 1),
        ("DECIDED", "2013-03", 1),
        ("ADMITTED", "2013-03", 1),
        ("LAUNCHED", "2013-03", 1),
        ("PUSHED", "", 2),
        ("ENDED", "2013-03", 1),
        ("DECIDED", "2013-04", 2),
        ("DECIDED", "2013-05", 2),
        ("ADMITTED", "2013-05", 2),
        ("LAUNCHED", "2013-05", 2),
        ("PUSHED", "", 3),
        ("ENDED", "2013-05", 2),
        ("DECIDED", "2013-06", 3),
        ("HELD", "2013-06", 3),
        ("DECIDED", "2013-07", 3),
        ("ADMITTED", "2013-07", 3),
        ("LAUNCHED", "2013-07", 3),
        ("FAILED", "2013-07", 3),
    ]
    assert [event.at_ms for event in events] == sorted(event.at_ms for event in events)
    assert events[-1].text == "retraining failed in Trainer: PipelineFailed: the disk is full"
    held = next(event for event in events if event.kind == "HELD")
    assert iso(held.loop_clock_ms) == "2013-05-01T00:00:00Z"
    assert held.text.startswith("cooldown")


def test_failed_monitoring_stands_in_the_timeline(tmp_path):
    def fail():
        raise PipelineFailed("no labels folder")

    store = open_store(tmp_path / "metadata.db")
    nodes = monitoring_nodes({"window": "2013-03", "verdict": "HOLD"}, fail)
    launcher = RecordedLauncher(store, "flights-monitoring", tmp_path, lambda run_id, r: nodes)
    with pytest.raises(PipelineFailed):
        launcher.launch("monitor-flights-2013-03", None)
    [event] = timeline(store, "flights")
    assert (event.kind, event.run_id) == ("FAILED", "monitor-flights-2013-03")
    assert event.text == (
        "DriftMonitor of monitor-flights-2013-03: PipelineFailed: no labels folder"
    )


def test_text_of_an_explanation_answers_the_questions(story):
    text = render_explanation(explain(story.store, "flights", 3))
    for told in (
        "flights, version 3",
        "spans 1, 2, 3, 4",
        "window 2013-05 said RETRAIN of version 2 (saving_reached_cost",
        "Judged on 2013-05.",
        "version 2; the evaluation passed it",
        "and serves now; judged on 2013-06 to 2013-07",
        "2013-06 RETRAIN (saving_reached_cost), avoidable loss 0.03: not done, held back: cooldown",
        "not done, the training failed in Trainer",
    ):
        assert told in " ".join(text.split()), text
    first = render_explanation(explain(story.store, "flights", 1))
    assert "it was started by hand or by another program" in " ".join(first.split())


def test_text_of_a_timeline_has_a_line_an_event(story):
    events = timeline(story.store, "flights")
    lines = str(timeline_table(events)).splitlines()
    assert len(lines) == len(events)
    assert all(line[:20] == iso(event.at_ms) for line, event in zip(lines, events, strict=True))
    assert "the loop's clock: 2013-05-01T00:00:00Z" in lines[13]


def test_json_can_be_read_back(story):
    def again(found):
        return json.loads(json.dumps(to_json(found)))

    assert again(explain(story.store, "flights", 3))["why"]["window"] == "2013-05"
    assert again(timeline(story.store, "flights"))[0]["kind"] == "PUSHED"
    assert to_json([]) == []


def test_unknown_version_and_unknown_model_are_one_clear_line(story, tmp_path):
    with pytest.raises(DataError) as error:
        explain(story.store, "flights", 9)
    assert str(error.value) == "Version 9 of flights was never pushed; known versions: 1, 2, 3."
    with pytest.raises(DataError, match="known models: flights"):
        explain(story.store, "taxi", 1)
    with pytest.raises(DataError, match="no model was pushed yet"):
        explain(open_store(tmp_path / "empty.db"), "flights", 1)
    assert timeline(story.store, "taxi") == []


def test_baseline_reimported_as_its_own_node_is_still_known_by_its_uri(tmp_path):
    store = open_store(tmp_path / "metadata.db")
    run = RecordedRun(store, "flights-training", "first", tmp_path)
    run.run(training_nodes(1, pushed_at_ms=1000))
    [model] = store.get_artifacts_by_type("Model")
    second = training_nodes(2, baseline_uri=f"{model.uri}/", pushed_at_ms=2000)
    RecordedRun(store, "flights-training", "second", tmp_path).run(second)
    assert len(store.get_artifacts_by_type("Model")) == 3, "the import made a node of its own"
    assert explain(store, "flights", 2).contest.baseline_version == 1


def test_explanation_survives_the_loss_of_all_files(tmp_path):
    story = Story(tmp_path)
    for path in tmp_path.rglob("retrain_decision.json"):
        path.unlink()
    found = explain(story.store, "flights", 3)
    assert (found.why.window, found.why.explanation) == ("2013-05", "")


def test_candidate_that_was_not_blessed_is_no_version(tmp_path):
    store = open_store(tmp_path / "metadata.db")
    RecordedRun(store, "flights-training", "a", tmp_path).run(training_nodes(1, pushed_at_ms=1000))
    refused = training_nodes(2, blessed=False)
    refused[-1].outputs = {"pushed_model": RecordedOutput("PushedModel", {"pushed": 0})}
    RecordedRun(store, "flights-training", "b", tmp_path).run(refused)
    with pytest.raises(DataError, match="known versions: 1"):
        explain(store, "flights", 2)
    assert explain(store, "flights", 1).served_until_ms is None


def test_maker_of_an_imported_artifact_is_found_by_uri(story):
    graph = load(story.store)
    imported = [e for e in graph.executions.values() if e.node == "champion"]
    [model] = graph.outputs(imported[0])
    assert graph.maker(model).type == "Trainer"


def optimised_nodes():
    """A training whose model is pruned and quantised; the chooser takes the quantised one."""
    nodes = training_nodes(1, pushed_at_ms=1)
    *first, evaluator, pusher = nodes
    pruned = {"verdict": "KEPT", "sparsity": 0.5}
    small = {"verdict": "KEPT", "variant": "int8", "size_bytes": 9000, "report_path": "hidden"}
    evaluator.inputs = {"model": "Quantizer.small.model", "baseline_model": "Trainer.model"}
    evaluator.type_name = "VariantEvaluator"
    verdict = {"blessed": 0, "variant_blessed": 1}
    evaluator.outputs = {
        **evaluator.outputs,
        "blessing": RecordedOutput("ModelBlessing", verdict),
    }
    pusher.inputs = {"model": "VariantChooser.model"}
    return [
        *first,
        RecordedNode(
            "Pruner",
            inputs={"model": "Trainer.model", "examples": "SpanExampleGen.examples"},
            outputs={
                "model": RecordedOutput("Model"),
                "optimization_report": RecordedOutput("tfx_loop.OptimizationReport", pruned),
            },
        ),
        RecordedNode(
            "Quantizer.small",
            "Quantizer",
            inputs={"model": "Pruner.model", "examples": "SpanExampleGen.examples"},
            outputs={
                "model": RecordedOutput("Model"),
                "optimization_report": RecordedOutput("tfx_loop.OptimizationReport", small),
            },
        ),
        evaluator,
        RecordedNode(
            "VariantChooser",
            inputs={"model_1": "Trainer.model", "model_2": "Quantizer.small.model"},
            outputs={
                "model": RecordedOutput("Model", {"chosen_input": "model_2", "variant": "int8"}),
                "optimization_report": RecordedOutput(
                    "tfx_loop.OptimizationReport", {"verdict": "KEPT", "variant": "quantized"}
                ),
            },
        ),
        pusher,
    ]


def test_what_optimisers_did_is_told_and_the_variant_that_was_evaluated_is_found(tmp_path):
    store = open_store(tmp_path / "metadata.db")
    RecordedRun(store, "flights-training", "a", tmp_path).run(optimised_nodes())
    found = explain(store, "flights", 1)
    assert [step.by for step in found.optimised] == ["VariantChooser", "Quantizer.small", "Pruner"]
    assert found.optimised[1].facts == {"verdict": "KEPT", "variant": "int8", "size_bytes": 9000}
    assert found.contest.metrics == {"auc": 0.71}
    assert found.contest.blessed is True, "under the property of variants"
    assert [data.spans for data in found.trained_on] == ["1,2"]
    text = " ".join(render_explanation(found).split())
    assert "Quantizer.small: verdict KEPT, variant int8, size_bytes 9,000" in text
    assert "Pruner: verdict KEPT, sparsity 0.5" in text
    assert "against the model that it was made from" in text


def test_a_model_as_trained_says_nothing_of_optimisers(story):
    found = explain(story.store, "flights", 1)
    assert found.optimised == ()
    assert "optimised" not in render_explanation(found)


def skew_nodes(verdict, features):
    """A training whose profile was pushed, and then compared with what was served."""
    *nodes, pusher = training_nodes(1, pushed_at_ms=1)
    profile = {"reference_profile": RecordedOutput("tfx_loop.ReferenceProfile")}
    pusher.inputs = {**pusher.inputs, "reference_profile": "ReferenceProfiler.reference_profile"}
    told = {"verdict": verdict, "reason": "why", "window": "2013-03", "rows": 1234}
    report = RecordedOutput("tfx_loop.SkewReport", {**told, "skewed_features": features})
    return [
        *nodes,
        RecordedNode("ReferenceProfiler", inputs={"model": "Trainer.model"}, outputs=profile),
        pusher,
        RecordedNode(
            "SkewMonitor",
            inputs={"reference_profile": "ReferenceProfiler.reference_profile"},
            outputs={"skew_report": report},
        ),
    ]


@pytest.mark.parametrize(
    ("verdict", "features", "line"),
    [
        ("CONSISTENT", 0, "skew CONSISTENT (why): 1,234 rows as trained on and as served in"),
        ("SKEWED", 2, "skew SKEWED (why) in 2 features ("),
    ],
)
def test_skew_of_the_training_rows_is_one_line(tmp_path, verdict, features, line):
    store = open_store(tmp_path / "metadata.db")
    RecordedRun(store, "flights-training", "a", tmp_path).run(skew_nodes(verdict, features))
    found = explain(store, "flights", 1)
    assert (found.skew.verdict, found.skew.skewed_features) == (verdict, features)
    assert line in " ".join(render_explanation(found).split())


def test_a_later_look_at_the_same_profile_from_another_run_counts(tmp_path):
    store = open_store(tmp_path / "metadata.db")
    RecordedRun(store, "flights-training", "a", tmp_path).run(skew_nodes("CONSISTENT", 0))
    [profile] = store.get_artifacts_by_type("tfx_loop.ReferenceProfile")
    *_, monitor = skew_nodes("SKEWED", 1)
    monitor.inputs = {"reference_profile": "profile.result"}
    result = {"result": RecordedOutput("tfx_loop.ReferenceProfile")}
    again = [RecordedNode("profile", import_uri=profile.uri, outputs=result), monitor]
    RecordedRun(store, "flights-monitoring", "b", tmp_path).run(again)
    assert explain(store, "flights", 1).skew.verdict == "SKEWED"


def test_without_a_skew_monitor_nothing_is_said_of_skew(story):
    found = explain(story.store, "flights", 1)
    assert found.skew is None
    assert "skew" not in render_explanation(found)


def test_commands_print_answers_and_errors(story, capsys, tmp_path):
    where = ["--metadata", str(story.path), "--model", "flights"]
    assert main.main(["explain", "3", *where]) == 0
    assert "flights, version 3" in capsys.readouterr().out
    assert main.main(["explain", "3", *where, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == 3
    assert main.main(["timeline", *where]) == 0
    assert "PUSHED" in capsys.readouterr().out
    assert main.main(["explain", "9", *where]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "known versions: 1, 2, 3" in captured.err

    where[1] = str(tmp_path / "none.db")
    assert main.main(["timeline", *where]) == 1
    assert "found none" in capsys.readouterr().err
    (tmp_path / "none.db").write_text("no database at all")
    assert main.main(["timeline", *where]) == 1
    assert "Expected a store of ML Metadata" in capsys.readouterr().err


def test_reading_changes_nothing(story):
    before = story.path.read_bytes()
    where = ["--metadata", str(story.path), "--model", "flights"]
    assert main.main(["timeline", *where]) == 0
    assert story.path.read_bytes() == before


def test_commands_import_nothing_heavy():
    code = (
        "import sys; import tfx_loop.pipelines.cli.explain, tfx_loop.pipelines.cli.timeline\n"
        "heavy = ('ml_metadata', 'tfx', 'tensorflow', 'psutil', 'rich')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "[]"


def another_evaluation(model):
    """An Evaluator of the same model by other rules; no pusher reads its blessing."""
    return RecordedNode(
        "Evaluator.other",
        "Evaluator",
        inputs={"model": model},
        outputs={
            "evaluation": RecordedOutput("ModelEvaluation", {"auc": 0.99}),
            "blessing": RecordedOutput("ModelBlessing", {"blessed": 0}),
        },
    )


def test_the_evaluation_that_is_told_is_the_one_whose_blessing_the_pusher_read(tmp_path):
    store = open_store(tmp_path / "metadata.db")
    *first, pusher = training_nodes(1, pushed_at_ms=1)
    nodes = [*first, another_evaluation("Trainer.model"), pusher]
    RecordedRun(store, "flights-training", "a", tmp_path).run(nodes)
    contest = explain(store, "flights", 1).contest
    assert (contest.metrics, contest.blessed) == ({"auc": 0.71}, True)


def test_behind_a_chooser_it_is_the_one_of_the_variant_passed_on(tmp_path):
    store = open_store(tmp_path / "metadata.db")
    *first, chooser, pusher = optimised_nodes()
    (evaluator,) = [node for node in first if node.type_name == "VariantEvaluator"]
    chooser.inputs = {**chooser.inputs, "blessing_2": f"{evaluator.name}.blessing"}
    chooser.outputs = {**chooser.outputs, "model_blessing": RecordedOutput("ModelBlessing")}
    pusher.inputs = {**pusher.inputs, "model_blessing": "VariantChooser.model_blessing"}
    nodes = [*first, another_evaluation("Quantizer.small.model"), chooser, pusher]
    RecordedRun(store, "flights-training", "a", tmp_path).run(nodes)
    contest = explain(store, "flights", 1).contest
    assert (contest.metrics, contest.blessed) == ({"auc": 0.71}, True)


def test_provenance_names_data_code_parameters_and_parents(story):
    statement = provenance(story.store, "flights", 2, {"sha256": "d" * 64})
    assert statement["subject"] == [{"name": "flights/2", "digest": {"sha256": "d" * 64}}]
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    build = statement["predicate"]["buildDefinition"]
    told = explain(story.store, "flights", 2)
    dependencies = build["resolvedDependencies"]
    data = [d["annotations"]["spans"] for d in dependencies if d["name"] == "data"]
    assert data == [told.trained_on[0].spans]
    assert [d["uri"] for d in dependencies if d["name"] in ("parent", "baseline")] == [
        story.models[1]
    ]
    assert build["externalParameters"]["decision"]["window"] == "2013-03"
    nodes = set(build["internalParameters"])
    assert {"SpanExampleGen", "Trainer", "ServingPusher"} <= nodes
    assert statement["predicate"]["runDetails"]["metadata"]["invocationId"] == told.run_id
    with pytest.raises(DataError, match="never pushed"):
        provenance(story.store, "flights", 99, {})
