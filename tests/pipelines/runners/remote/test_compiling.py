"""Real pipelines through TFX's compiler, in both dialects, and the command that does it."""

import json
import sys

import pytest
import yaml
from tfx import v1 as tfx
from tfx.types import artifact as tfx_artifact

from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.cli.main import main
from tfx_loop.pipelines.runners.remote import compiling
from tfx_loop.pipelines.runners.remote.compiling import (
    CompileSettings,
    compile_pipeline,
    write_spec,
)
from tfx_loop.pipelines.runners.remote.node_recording import node_type_of
from tfx_loop.pipelines.runners.remote.node_settings import NodeResources
from tfx_loop.pipelines.runners.remote.targets import Target

pytestmark = pytest.mark.tensorflow

IMAGE = "registry.example/loop@sha256:" + "1" * 64
ROOT = "gs://bucket/root"


class _Listed(tfx_artifact.Artifact):
    """An artifact of a user's own."""

    TYPE_NAME = "mine.Listed"


def pipeline(*more, root=ROOT, schema="gs://bucket/schema", name="mini"):
    """Returns a stock pipeline with an Importer, and nodes beside it."""
    imported = tfx.dsl.Importer(
        source_uri=schema, artifact_type=tfx.types.standard_artifacts.Schema
    ).with_id("SchemaImporter")
    examples = tfx.components.CsvExampleGen(input_base="gs://bucket/data")
    statistics = tfx.components.StatisticsGen(
        examples=examples.outputs["examples"], schema=imported.outputs["result"]
    )
    nodes = [imported, examples, statistics, *more]
    return tfx.dsl.Pipeline(pipeline_name=name, pipeline_root=root, components=nodes)


def compiled(made, target=Target.KUBEFLOW, **settings):
    return compile_pipeline(made, CompileSettings(target=target, image=IMAGE, **settings))


def rules(made, **settings):
    return [(breach.rule, breach.place) for breach in compiled(made, **settings).breaches]


@pytest.mark.parametrize("target", Target)
def test_stock_pipeline_keeps_all_rules(target):
    assert compiled(pipeline(), target).breaches == []


def test_kubeflow_s_names_hang_together():
    spec = compiled(pipeline()).spec
    tasks = spec["root"]["dag"]["tasks"]
    assert {task["componentRef"]["name"] for task in tasks.values()} == set(spec["components"])
    assert all(name.startswith("comp-") for name in spec["components"])
    for task in tasks.values():
        for given in task.get("inputs", {}).get("artifacts", {}).values():
            source = given["taskOutputArtifact"]
            maker = spec["components"][tasks[source["producerTask"]]["componentRef"]["name"]]
            assert source["outputArtifactKey"] in maker["outputDefinitions"]["artifacts"]


@pytest.mark.parametrize("target", Target)
def test_defaults_of_runtime_parameters_are_kept(target):
    from tfx.orchestration.data_types import RuntimeParameter

    base = RuntimeParameter(name="base", ptype=str, default="gs://bucket/data")
    example_gen = tfx.components.CsvExampleGen(input_base=base)
    made = tfx.dsl.Pipeline("flights", pipeline_root="gs://bucket/root", components=[example_gen])
    declared = compiled(made, target).spec["root"]["inputDefinitions"]["parameters"]
    assert declared["base"] == {"parameterType": "STRING", "defaultValue": "gs://bucket/data"}


def test_every_container_knows_its_node_for_the_record():
    spec = compiled(pipeline()).spec
    for name, task in spec["root"]["dag"]["tasks"].items():
        label = spec["components"][task["componentRef"]["name"]]["executorLabel"]
        container = spec["deploymentSpec"]["executors"][label].get("container")
        if container:
            assert f"--loop_node={name}" in container["args"]
            assert node_type_of(container["args"]).endswith(f".{name}")


def test_secrets_are_a_second_document_that_clients_and_submit_read(tmp_path):
    from tfx_loop.pipelines.runners.remote.services import Submission, check_submission

    nodes = {"StatisticsGen": NodeResources(secrets={"KEY": "store/key"}, cpu=2)}
    path = tmp_path / "p.yaml"
    write_spec(compiled(pipeline(), nodes=nodes), path)
    first, second = yaml.safe_load_all(path.read_text())
    assert first["root"]["dag"]["tasks"].keys() >= {"StatisticsGen"}
    assert "secretAsEnv" in str(second["platforms"]["kubernetes"])
    wanted = Submission(spec=path, run_id="r", root="gs://bucket/root")
    assert check_submission(wanted, Target.KUBEFLOW) == first


def test_vertex_keeps_the_names_of_tfx():
    spec = compiled(pipeline(), Target.VERTEX).spec
    assert set(spec["components"]) == {"SchemaImporter", "CsvExampleGen", "StatisticsGen"}


def test_every_container_begins_at_our_entry_point():
    spec = compiled(pipeline()).spec
    commands = [
        executor["container"]["command"]
        for executor in spec["deploymentSpec"]["executors"].values()
        if "container" in executor
    ]
    assert commands == [list(compiling.ENTRY_POINT)] * 2


def test_resolver_is_refused_by_kubeflow_and_taken_by_vertex():
    resolver = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("Baseline")
    assert {rule for rule, _ in rules(pipeline(resolver))} == {"resolver"}
    assert rules(pipeline(resolver), target=Target.VERTEX) == []


def test_query_for_a_type_of_one_s_own_is_refused_by_vertex():
    resolver = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestArtifactStrategy,
        listed=tfx.dsl.Channel(type=_Listed),
    ).with_id("Last")
    assert ("resolver", "Last") in rules(pipeline(resolver), target=Target.VERTEX)


def test_node_named_with_a_dot_is_refused():
    again = tfx.components.CsvExampleGen(input_base="gs://bucket/more").with_id("Csv.more")
    assert rules(pipeline(again)) == [("node-id", "Csv.more")]


def test_local_folder_is_copied_by_its_content(tmp_path, monkeypatch):
    folder = tmp_path / "schema"
    folder.mkdir()
    (folder / "schema.pbtxt").write_text("feature {}\n")
    written = {}
    monkeypatch.setattr(compiling.storage, "write_bytes", written.__setitem__)
    made = compiled(pipeline(schema=str(folder)), stage=True)
    [uri] = made.staged.values()
    assert made.breaches == []
    assert uri.startswith(f"{ROOT}/inputs/sha256-")
    assert written == {f"{uri}/schema.pbtxt": b"feature {}\n"}
    assert str(tmp_path) not in json.dumps(made.spec)
    assert compiled(pipeline(schema=str(folder)), stage=True).staged == made.staged


def test_link_in_a_folder_to_copy_is_refused(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("s")
    folder = tmp_path / "schema"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    monkeypatch.setattr(compiling.storage, "write_bytes", None)
    with pytest.raises(ConfigError, match="received the link"):
        compiled(pipeline(schema=str(folder)), stage=True)


def test_what_is_no_pipeline_is_refused():
    with pytest.raises(ConfigError, match="received dict"):
        compiled({})


MODULE = """
from tfx import v1 as tfx

def make(root="gs://bucket/root", data="gs://bucket/data"):
    examples = tfx.components.CsvExampleGen(input_base=data)
    return tfx.dsl.Pipeline(pipeline_name="mini", pipeline_root=root, components=[examples])
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A user's folder with a module in it, which is where the command is called."""
    (tmp_path / "mini_project.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("mini_project", None)


def call(*arguments):
    return main(["compile", "mini_project:make", "--target", "vertex", *arguments])


def test_command_writes_the_file_of_a_pipeline(project, capsys):
    assert call("--image", IMAGE, "--out", "p.yaml") == 0
    spec = yaml.safe_load((project / "p.yaml").read_text())
    assert spec["pipelineInfo"]["name"] == "mini"
    assert "1 nodes, for vertex, in p.yaml" in capsys.readouterr().out


def test_command_tells_breaches_and_writes_nothing(project, capsys):
    status = call("--image", "loop:latest", "--set", "data=/home/me/data", "--json")
    told = json.loads(capsys.readouterr().out)
    assert status == 3
    assert [one["rule"] for one in told["breaches"]] == ["local-path", "image-digest"]
    assert list(project.glob("*.yaml")) == []


def test_missing_compiler_is_one_line(project, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tfx_loop.pipelines.runners.remote.compiling", None)
    assert call("--image", IMAGE) == 1
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert told[0].endswith("Install tfx-loop[kubeflow].")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--set", "rows=3"], 1, "Expected arguments of mini_project:make(root='gs://bucket/root'"),
        (["--set", "rows"], 2, "expected NAME=VALUE"),
        (["--out", "p.json"], 2, "ends in .yaml"),
    ],
)
def test_command_tells_wrong_arguments_in_a_line(project, capsys, arguments, status, message):
    try:
        code = call("--image", IMAGE, *arguments)
    except SystemExit as error:
        code = error.code
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == status
    assert message in told


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def make():\n    return len(3)\n", "received TypeError from mini_project.py line 2: "),
        ("def make():\n    return {}['gone']\n", "received KeyError from mini_project.py line 2: "),
        ("def make(:\n", "which raises SyntaxError: "),
        ("1 / 0\n", "which raises ZeroDivisionError: "),
    ],
)
def test_what_the_user_s_module_raises_is_one_line(project, capsys, body, message):
    (project / "mini_project.py").write_text(body)
    assert call("--image", IMAGE) == 1
    [line] = capsys.readouterr().err.strip().splitlines()
    assert message in line
