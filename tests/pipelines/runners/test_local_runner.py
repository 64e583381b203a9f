"""Pipelines in this process, on real TFX: they resume, and say which node failed and why."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.tensorflow

tfx = pytest.importorskip("tfx.v1", reason="needs TFX")
Model = tfx.types.standard_artifacts.Model
Examples = tfx.types.standard_artifacts.Examples

RAN: list[str] = []
BROKEN: dict[str, BaseException] = {}


def work(node, artifact, text):
    RAN.append(node)
    found = list(Path(artifact.uri).iterdir())
    assert found == [], f"{node} starts among {found}"
    (Path(artifact.uri) / "first.txt").write_text(text)
    if node in BROKEN:
        raise BROKEN[node]
    (Path(artifact.uri) / "second.txt").write_text(text)


@tfx.dsl.components.component
def Gather(examples: tfx.dsl.components.OutputArtifact[Examples]):  # noqa: N802 - a node
    work("Gather", examples, "rows")


@tfx.dsl.components.component
def Learn(  # noqa: N802 - a node
    examples: tfx.dsl.components.InputArtifact[Examples],
    model: tfx.dsl.components.OutputArtifact[Model],
):
    work("Learn", model, (Path(examples.uri) / "second.txt").read_text() + " learned")


@tfx.dsl.components.component
def Push(  # noqa: N802 - a node
    model: tfx.dsl.components.InputArtifact[Model],
    examples: tfx.dsl.components.OutputArtifact[Examples],
):
    work("Push", examples, (Path(model.uri) / "second.txt").read_text() + " pushed")


@tfx.dsl.components.component
def Compare(  # noqa: N802 - a node
    model: tfx.dsl.components.OutputArtifact[Model],
    examples: tfx.dsl.components.InputArtifact[Examples] = None,
):
    found = (Path(examples.uri) / "second.txt").read_text() if examples else "nothing"
    work("Compare", model, f"beside {found}")


@pytest.fixture(autouse=True)
def _nothing_ran():
    RAN.clear()
    BROKEN.clear()


@pytest.fixture
def metadata(tmp_path):
    return tfx.orchestration.metadata.sqlite_metadata_connection_config(
        str(tmp_path / "metadata.sqlite")
    )


@pytest.fixture
def pipeline(tmp_path, metadata):
    def declared(nodes=None):
        gather = Gather()
        learn = Learn(examples=gather.outputs["examples"])
        push = Push(model=learn.outputs["model"])
        return tfx.dsl.Pipeline(
            pipeline_name="small",
            pipeline_root=str(tmp_path / "root"),
            components=nodes or [gather, learn, push],
            metadata_connection_config=metadata,
        )

    return declared


def executions(metadata):
    from tfx.orchestration import metadata as connections

    with connections.Metadata(metadata) as handle:
        types = {t.id: t.name.split(".")[-1] for t in handle.store.get_execution_types()}
        return [
            (types[e.type_id].removesuffix("_Executor"), e.State.Name(e.last_known_state))
            for e in handle.store.get_executions()
        ]


def pushed(tmp_path):
    return [path.read_text() for path in sorted(tmp_path.glob("root/Push/examples/*/second.txt"))]


def test_nodes_run_in_order_and_their_times_are_told(pipeline, metadata, tmp_path):
    from tfx_loop.pipelines.runners.local import run_pipeline

    told = []
    times = run_pipeline(pipeline(), "run-1", told.append)
    assert RAN == ["Gather", "Learn", "Push"]
    assert [time.node for time in times] == RAN
    assert told == times
    assert all(time.seconds > 0 for time in times)
    assert executions(metadata) == [(node, "COMPLETE") for node in RAN]
    assert pushed(tmp_path) == ["rows learned pushed"]


def test_a_node_that_raises_is_named_with_its_reason_and_nothing_runs_after_it(pipeline, metadata):
    from tfx_loop.pipelines.runners.local import NodeFailed, run_pipeline

    BROKEN["Learn"] = ValueError("Expected labels, found none.")
    with pytest.raises(NodeFailed, match=r"Node Learn of run run-1 failed: .*found none") as failed:
        run_pipeline(pipeline(), "run-1")
    assert failed.value.node == "Learn"
    assert failed.value.reason == "ValueError: Expected labels, found none."
    assert RAN == ["Gather", "Learn"]
    assert executions(metadata) == [("Gather", "COMPLETE"), ("Learn", "FAILED")]


def test_a_run_resumes_under_its_id_and_skips_what_is_complete(pipeline, metadata, tmp_path):
    from tfx_loop.pipelines.runners.local import NodeFailed, run_pipeline

    BROKEN["Learn"] = ValueError("once")
    with pytest.raises(NodeFailed):
        run_pipeline(pipeline(), "run-1")
    BROKEN.clear()
    RAN.clear()
    times = run_pipeline(pipeline(), "run-1")
    assert RAN == ["Learn", "Push"] == [time.node for time in times]
    assert pushed(tmp_path) == ["rows learned pushed"]
    states = dict(executions(metadata))
    assert states == {"Gather": "COMPLETE", "Learn": "COMPLETE", "Push": "COMPLETE"}


def test_a_run_that_was_killed_in_a_node_resumes_in_that_node(pipeline, metadata, tmp_path):
    """A BaseException passes every handler of TFX: the execution stays as SIGKILL leaves it."""
    from tfx_loop.pipelines.runners.local import run_pipeline

    class Killed(BaseException):
        pass

    BROKEN["Push"] = Killed()
    with pytest.raises(Killed):
        run_pipeline(pipeline(), "run-1")
    BROKEN.clear()
    RAN.clear()
    run_pipeline(pipeline(), "run-1")
    assert RAN == ["Push"]
    assert pushed(tmp_path) == ["rows learned pushed"]


def test_a_run_that_is_complete_does_nothing_again(pipeline, metadata):
    from tfx_loop.pipelines.runners.local import run_pipeline

    run_pipeline(pipeline(), "run-1")
    RAN.clear()
    assert run_pipeline(pipeline(), "run-1") == []
    assert RAN == []


def test_another_run_id_runs_everything_anew(pipeline, metadata, tmp_path):
    from tfx_loop.pipelines.runners.local import run_pipeline

    run_pipeline(pipeline(), "run-1")
    run_pipeline(pipeline(), "run-2")
    assert RAN == ["Gather", "Learn", "Push"] * 2
    assert len(pushed(tmp_path)) == 2


def test_an_input_that_cannot_be_resolved_fails_the_run(pipeline):
    """TFX's own local runner returns as if all were well."""
    from tfx_loop.pipelines.runners.local import NodeFailed, run_pipeline

    latest = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestArtifactStrategy,
        model=tfx.dsl.Channel(type=Model),
    ).with_id("LatestModel")
    push = Push(model=latest.outputs["model"])
    with pytest.raises(NodeFailed) as failed:
        run_pipeline(pipeline([latest, push]), "run-1")
    assert failed.value.node == "Push"
    assert failed.value.reason
    assert RAN == []


def newest(kind):
    return tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestArtifactStrategy, found=tfx.dsl.Channel(type=kind)
    ).with_id("Newest")


def test_an_optional_input_of_which_there_is_none_yet_stays_empty(pipeline, metadata, tmp_path):
    """As under TFX's own runner: in the first run a Resolver finds nothing, in the next it does."""
    from tfx.orchestration import metadata as connections

    from tfx_loop.pipelines.control.launcher import RunState
    from tfx_loop.pipelines.control.run_state import mlmd_run_state
    from tfx_loop.pipelines.runners.local import run_pipeline

    def nodes():
        before = newest(Examples)
        return [before, Compare(examples=before.outputs["found"])]

    run_pipeline(pipeline(nodes()), "run-1")
    assert executions(metadata) == [("Resolver", "FAILED"), ("Compare", "COMPLETE")]
    with connections.Metadata(metadata) as handle:
        assert mlmd_run_state(handle.store, "run-1").state is RunState.SUCCEEDED
    gather = Gather()
    run_pipeline(pipeline([gather]), "run-2")
    run_pipeline(pipeline(nodes()), "run-3")
    compared = [path.read_text() for path in sorted(tmp_path.glob("root/Compare/model/*/second*"))]
    assert compared == ["beside nothing", "beside rows"]


def test_a_resolver_that_breaks_fails_the_run(pipeline):
    from tfx_loop.pipelines.runners.local import NodeFailed, run_pipeline

    broken = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.SpanRangeStrategy,
        config={"range_config": tfx.proto.RangeConfig()},
        found=Gather().outputs["examples"],
    ).with_id("Broken")
    with pytest.raises(NodeFailed) as failed:
        run_pipeline(pipeline([Gather(), broken]), "run-1")
    assert failed.value.node == "Broken"


def test_an_import_that_is_not_there_fails_the_run(pipeline, tmp_path):
    from tfx_loop.pipelines.runners.local import NodeFailed, run_pipeline

    importer = tfx.dsl.Importer(source_uri=str(tmp_path / "none"), artifact_type=Model).with_id(
        "Champion"
    )
    push = Push(model=importer.outputs["result"])
    with pytest.raises(NodeFailed) as failed:
        run_pipeline(pipeline([importer, push]), "run-1")
    assert failed.value.node in ("Champion", "Push")
