"""Files that go, files that stay, and the walk from a version to its raw data: it stays whole."""

import json
from pathlib import Path

import pytest
from object_stores import GCS, S3, object_store
from recorder import RecordedRun, monitoring_nodes, open_store, training_nodes

from tfx_loop.core.bucket.client import open_bucket
from tfx_loop.core.conditional_files import ABSENT
from tfx_loop.core.errors import ConfigError, PipelineFailed
from tfx_loop.pipelines.cli import main
from tfx_loop.pipelines.lineage.explain import explain
from tfx_loop.pipelines.lineage.graph import load
from tfx_loop.pipelines.lineage.retention import RetentionSettings, plan
from tfx_loop.pipelines.lineage.starting_points import starting_points
from tfx_loop.pipelines.lineage.walk import walk_up

SETTINGS = RetentionSettings(keep_runs=1, keep_days=0)
LATER_MS = 4_000_000_000_000


@pytest.fixture
def place(tmp_path):
    """Pushed, refused, monitored, failed, pushed again, and monitored again: six runs."""
    store = open_store(tmp_path / "metadata.sqlite")
    root = tmp_path / "root"

    def run(name, nodes):
        RecordedRun(store, "p", name, root / name).run(nodes)

    def fails():
        raise PipelineFailed("the disk is full")

    run("first", training_nodes(1, pushed_at_ms=1))
    run("refused", training_nodes(9, blessed=False))
    run("monitor-1", monitoring_nodes({"window": "2013-03", "verdict": "HOLD"}))
    with pytest.raises(PipelineFailed):
        run("failed", training_nodes(9, work=fails))
    run("second", training_nodes(2, pushed_at_ms=2))
    run("monitor-2", monitoring_nodes({"window": "2013-04", "verdict": "HOLD"}))
    return tmp_path


def removable(place, settings=SETTINGS, now_ms=LATER_MS):
    graph = load(open_store(place / "metadata.sqlite"))
    return [(one.run_id, one.node) for one in plan(graph, settings, now_ms).removable]


def folders(place):
    return {
        "/".join(path.parts[-4:-1]) for path in (place / "root").glob("*/*/*/*") if path.is_dir()
    }


def test_what_led_nowhere_goes_and_what_served_or_was_decided_stays(place) -> None:
    assert removable(place) == [
        ("refused", "SpanExampleGen"),
        ("refused", "Trainer"),
        ("refused", "Evaluator"),
        ("refused", "Evaluator"),
        # The decision was made from the report; the rows behind the report are the log's.
        ("monitor-1", "PredictionLogGen"),
        ("failed", "SpanExampleGen"),
    ]


def test_newest_runs_and_young_artifacts_stay(place) -> None:
    assert removable(place, RetentionSettings(keep_runs=4, keep_days=0)) == []
    graph = load(open_store(place / "metadata.sqlite"))
    now = max(artifact.created_at_ms for artifact in graph.artifacts.values())
    assert removable(place, RetentionSettings(keep_runs=1, keep_days=1), now) == []


def test_nothing_goes_without_delete_and_the_walk_stays_whole_with_it(place, capsys) -> None:
    words = ["gc", "--metadata", str(place / "metadata.sqlite"), "--keep", "1", "--keep-days", "0"]
    before = folders(place)
    assert main.main(words) == 0
    assert "6 artifacts" in capsys.readouterr().out
    assert folders(place) == before
    assert main.main([*words, "--delete", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == 6
    assert before - folders(place) == {
        "refused/SpanExampleGen/examples",
        "refused/Trainer/model",
        "refused/Evaluator/evaluation",
        "refused/Evaluator/blessing",
        "monitor-1/PredictionLogGen/log",
        "failed/SpanExampleGen/examples",
    }
    graph = load(open_store(place / "metadata.sqlite"))
    for version in ("1", "2"):
        walk = walk_up(graph, starting_points(graph, "flights", version))
        reached = [node.uri for node in walk.nodes if node.kind == "artifact"]
        assert any("SpanExampleGen" in uri for uri in reached)
        assert all(Path(uri).is_dir() for uri in reached)
        assert explain(graph, "flights", int(version)).trained_on[0].spans == "1,2"
    # TFX hands out live artifacts alone.
    store = open_store(place / "metadata.sqlite")
    gone = [a for a in store.get_artifacts() if not Path(a.uri).exists()]
    assert len(gone) == 6
    assert {a.State.Name(a.state) for a in gone} == {"DELETED"}
    assert main.main([*words, "--delete"]) == 0
    assert "0 artifacts" in capsys.readouterr().out


def test_folder_that_no_node_wrote_for_itself_stays(place) -> None:
    store = open_store(place / "metadata.sqlite")
    found = load(store)
    refused = next(
        a for e in found.executions.values() if e.run_id == "refused" and e.node == "Trainer"
        for a in found.outputs(e)
    )  # fmt: skip
    # As after a move: the folder's name is not the execution's, or a link stands in its place.
    folder = Path(refused.uri)
    elsewhere = place / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    assert ("refused", "Trainer") not in removable(place)


def test_what_lies_around_something_kept_stays(place) -> None:
    store = open_store(place / "metadata.sqlite")
    [model, *_] = [a for a in store.get_artifacts_by_type("Model") if "/refused/" in a.uri]
    # A decision's own file below a folder that would go.
    [decision, *_] = store.get_artifacts_by_type("tfx_loop.RetrainDecision")
    decision.uri = f"{model.uri}/inside"
    store.put_artifacts([decision])
    assert ("refused", "Trainer") not in removable(place)


def test_run_that_has_not_ended_stays(place) -> None:
    store = open_store(place / "metadata.sqlite")
    [execution, *_] = [
        e
        for e in store.get_executions_by_context(
            store.get_context_by_type_and_name("pipeline_run", "refused").id
        )
    ]
    execution.last_known_state = execution.RUNNING
    store.put_executions([execution])
    assert {run for run, _ in removable(place)} == {"monitor-1", "failed"}


def test_model_of_a_stock_pusher_and_one_that_passed_stay(tmp_path) -> None:
    store = open_store(tmp_path / "metadata.sqlite")
    for name in ("stock", "newer"):
        nodes = training_nodes(1)
        nodes[-1].name = "Pusher"
        nodes[-1].outputs["pushed_model"].properties = {"pushed_version": "1700000000"}
        RecordedRun(store, "p", name, tmp_path / name).run(nodes)
    passed = training_nodes(1)[:-1]
    RecordedRun(store, "p", "passed", tmp_path / "passed").run(passed)
    RecordedRun(store, "p", "newest", tmp_path / "newest").run(training_nodes(1))
    graph = load(store)
    found = [(one.run_id, one.node) for one in plan(graph, SETTINGS, LATER_MS).removable]
    assert found == [("passed", "SpanExampleGen"), ("passed", "Evaluator")]


def test_settings_that_keep_nothing_are_refused() -> None:
    for wrong in ({"keep_runs": 0}, {"keep_days": -1}, {"keep_days": float("nan")}):
        with pytest.raises(ConfigError):
            RetentionSettings(**wrong)


@pytest.mark.parametrize("content", [None, "{"])
def test_a_record_that_was_named_and_cannot_be_read_lets_nothing_go(place, capsys, content) -> None:
    base, before = place / "mistyped", folders(place)
    base.mkdir()
    if content:
        (base / "deployment.json").write_text(content)
    words = ["--metadata", str(place / "metadata.sqlite"), "--keep=1", "--keep-days=0", "--delete"]
    assert main.main(["gc", *words, "--record", str(base)]) == 1
    assert str(base) in capsys.readouterr().err
    assert folders(place) == before


@pytest.mark.slow
@pytest.mark.parametrize("kind", [S3, GCS])
def test_what_led_nowhere_goes_from_a_bucket_too(place, kind, capsys) -> None:
    with object_store(kind, "runs") as address:
        store = open_store(place / "metadata.sqlite")
        bucket = open_bucket(address)
        for artifact in store.get_artifacts():
            if not artifact.uri.startswith(str(place / "root")):
                continue
            # One model that goes stays on this machine until then.
            if "/refused/Trainer/" in artifact.uri:
                continue
            name = artifact.uri.removeprefix(f"{place}/")
            bucket.put(f"{name}/file", b"12345", ABSENT)
            artifact.uri = f"{address}/{name}"
            store.put_artifacts([artifact])
        words = ["gc", "--metadata", str(place / "metadata.sqlite"), "--keep=1", "--keep-days=0"]
        before = set(bucket.names(""))
        assert main.main([*words, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert {one["bytes"] for one in told["removable"] if "://" in one["folder"]} == {5}
        assert set(bucket.names("")) == before
        assert main.main([*words, "--delete", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["removed"] == 6
        gone = {"/".join(name.split("/")[1:4]) for name in before - set(bucket.names(""))}
        assert gone == {
            "refused/SpanExampleGen/examples",
            "refused/Evaluator/evaluation",
            "refused/Evaluator/blessing",
            "monitor-1/PredictionLogGen/log",
            "failed/SpanExampleGen/examples",
        }
        assert "refused/Trainer/model" not in folders(place)
