"""Each command and node stands in a table: what opens models meets hostile ones, or opens none."""

import hostile_graphs as graphs
import hostile_models as hostile
import pandas as pd
import pytest

import tfx_loop
from tfx_loop.core.errors import DataError
from tfx_loop.models.example_predictor import ExamplePredictor
from tfx_loop.pipelines.cli import main as cli
from tfx_loop.pipelines.cli.main import main

pytestmark = pytest.mark.tensorflow

# Where commands that open models meet hostile ones: here, or in the file that is named.
COMMANDS = {
    "compress": "test_hostile_nodes.py",
    "edge": "test_hostile_nodes.py",
    "report": "test_hostile_nodes.py",
    "scan": "test_hostile_nodes.py",
    "faults": "here",
    "init": "here",
    "privacy": "here",
}
# They read metadata, logs and tables; these of them read the bytes of a model, and open none.
NO_MODEL = {
    *("approve", "compile", "doctor", "explain", "forget", "gc", "graph", "hold", "impact", "log"),
    *("metrics", "monitor", "openlineage", "page", "promote", "release", "retry", "rollback"),
    *("rollout", "schema", "sign", "simulate", "skew", "skip", "status", "submit", "timeline"),
    *("verify", "why-not", "provenance"),
    # These run the nodes of a pipeline.
    *("demo", "digits", "step", "watch"),
}
# Where nodes that open models meet hostile ones, or the openers that they share do: FaultDetector
# and PrivacyReport have ReferenceProfiler's scorer, SageMakerPusher ServingPusher's golden rows.
NODES = {
    "Distiller": "test_hostile_nodes.py",
    "EdgeBundler": "test_hostile_nodes.py",
    "EdgeTPUCompiler": "test_hostile_nodes.py",
    "FaultDetector": "test_hostile_models.py",
    "PrivacyReport": "test_hostile_models.py",
    "Pruner": "test_hostile_nodes.py",
    "Quantizer": "test_hostile_nodes.py",
    "ReferenceProfiler": "test_hostile_nodes.py",
    "RetrainDecider": "here",
    "SageMakerPusher": "test_hostile_models.py",
    "ServingPusher": "test_hostile_nodes.py",
    "VariantChooser": "test_hostile_nodes.py",
}
NO_MODEL_NODES = {
    *("DriftMonitor", "LabelJoiner", "PredictionLogGen", "QualityMonitor", "SkewMonitor"),
    "SpanExampleGen",
}


def test_each_command_stands_in_one_table():
    assert not COMMANDS.keys() & NO_MODEL
    assert {*COMMANDS, *NO_MODEL} == {*cli._COMMANDS}


def test_each_node_stands_in_one_table():
    nodes = {name for name, home in tfx_loop._HOMES.items() if not home.endswith(".artifacts")}
    assert not NODES.keys() & NO_MODEL_NODES
    assert {*NODES, *NO_MODEL_NODES} == nodes - {"Variant"}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pd.DataFrame({"x": [[0.0, 0.0, 0.0]] * 40, "y": [0, 1] * 20}).to_parquet(path)
    return str(path)


def asked(command, model, table):
    """Returns a command line that is right but for the model."""
    sides = {"faults": ("--train", "--eval"), "privacy": ("--training", "--others")}[command]
    return [command, str(model), sides[0], table, sides[1], table, "--label", "y"]


@pytest.mark.parametrize("command", ["faults", "privacy"])
@pytest.mark.parametrize(
    "make",
    [
        hostile.h5_writes,
        hostile.keras_lambda,
        hostile.two_forms,
        hostile.saved_model_initializer,
        graphs.graph_restores_and_writes,
        hostile.tflite_custom_op,
        hostile.tflite_grows,
    ],
    ids=lambda make: make.__name__,
)
def test_command_ends_with_one_line(tmp_path, capsys, table, command, make):
    model = make(tmp_path)
    assert main(asked(command, model, table)) == 1
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 1
    assert "safe to open" in shown[0]
    assert not list(tmp_path.glob("harm*"))


@pytest.mark.parametrize(
    "make",
    [hostile.saved_model_initializer, hostile.saved_model_pipe, hostile.saved_model_asset_link],
    ids=lambda make: make.__name__,
)
def test_init_reads_signatures_and_runs_nothing(tmp_path, capsys, table, make):
    model = make(tmp_path)
    out = tmp_path / "loop.toml"
    arguments = ["init", str(model), table, "--serving", "http://127.0.0.1:9", "--out", str(out)]
    assert main(arguments) in (0, 1)
    assert len(capsys.readouterr().err.splitlines()) <= 1
    assert not list(tmp_path.glob("harm*"))


def test_a_graph_that_is_a_hole_is_not_read(tmp_path, capsys, table):
    """Its signatures would be looked for in as much memory as the file says it has."""
    model = hostile.saved_model_writes(tmp_path)
    with open(model / "saved_model.pb", "r+b") as file:
        file.truncate(1 << 40)
    assert main(["init", str(model), table, "--serving", "http://127.0.0.1:9"]) == 1
    (shown,) = capsys.readouterr().err.splitlines()
    assert "on the disk" in shown


@pytest.mark.parametrize(
    "make", [hostile.saved_model_initializer, hostile.saved_model_asset_leaves]
)
def test_a_former_version_that_the_decider_asks_is_looked_at(tmp_path, make):
    model = make(tmp_path)
    with pytest.raises(DataError, match="safe to open"):
        ExamplePredictor(str(model), "y")([b""])
    assert not list(tmp_path.glob("harm*"))
