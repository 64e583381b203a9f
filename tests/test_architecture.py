"""Who may import whom, read from the syntax trees: the picture in the design stays true."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    path.relative_to(ROOT)
    for room in ("components", "pipelines")
    for path in ROOT.glob(f"{room}/**/*.py")
    if not path.is_relative_to(ROOT / "components/pipelines")
)

# The ground floors, and what each may stand on; every other room of components/ is a theme.
GROUND = {
    "core": set(),
    "presentation": {"core"},
    "contracts": {"core"},
    "data": {"core", "contracts"},
    "models": {"core", "contracts", "data"},
}

# Modules, and rooms that end in `/`, that may import TFX or TensorFlow although they are neither
# node nor executor, and why.
WITH_TENSORFLOW = {
    "components/core/artifacts.py": "artifact types are TFX's",
    "components/core/node.py": "nodes are TFX components",
    "components/optimization/distiller/losses.py": "losses of a training",
    "components/optimization/distiller/teacher.py": "reads a teacher's layer, in the child process",
    "components/optimization/distiller/training.py": "trains, in the child process",
    "components/monitoring/drift_monitor/counting.py": "the log's rows go through Beam",
    "components/monitoring/drift/data_faults/schema.py": "TFDV's schema, imported when given",
    "components/edge/edge_bundle/store.py": "buckets go through TFX's fileio, imported late",
    "components/optimization/fine_tuning/": "trains, in the child process",
    "components/models/": "writes models and reads their weights, imported when one comes",
    "components/models/keras/": "opens Keras files",
    "components/models/rows/": "tf.Examples are parsed, imported when some come",
    "components/models/saved_model/": "opens SavedModels",
    "components/models/tflite/": "TensorFlow Lite where LiteRT is absent",
    "components/deployment/model_server/tflite_model.py": "answers in TF Serving's messages",
    "components/monitoring/profile/beam_profile.py": "the window profile as a Beam transform",
    "components/optimization/pruner/training.py": "trains with TFMOT, in the child process",
    "components/optimization/pruner/wrapping.py": "wraps layers with TFMOT, in the child process",
    "components/optimization/quantizer/convert.py": "converts, in the child process",
    "components/data/tables/example_files.py": "tfx_bsl decodes tf.Examples where it is there",
    "components/data/tables/opening.py": "remote files go through TFX's fileio, imported late",
    "components/core/storage.py": "remote files go through TFX's fileio, imported late",
    "components/data/prediction_log/files.py": "remote folders go through TFX's fileio, the same",
    "components/data/prediction_log/label_joiner.py": "the node LabelJoiner",
    "components/deployment/serving_pusher/golden.py": "the model's own answers are expected",
    "components/monitoring/reference_profiler/examples_reader.py": "reads TFRecords of Examples",
    "components/monitoring/reference_profiler/scoring.py": "scores rows with the SavedModel",
    "components/deployment/model_server/saved_model.py": "loads and runs the SavedModel",
    "components/deployment/model_server/metadata.py": "answers in TF Serving's messages",
    "components/deployment/model_server/grpc_service.py": "speaks TF Serving's protocol",
    "components/deployment/model_server/features.py": "reads tf.Examples, imported when one comes",
}
TENSORFLOW = (
    "tensorflow",
    "tf_keras",
    "tfx",
    "tfx_bsl",
    "tensorflow_transform",
    "tensorflow_model_analysis",
    "tensorflow_data_validation",
    "tensorflow_metadata",
    "tensorflow_serving",
    "apache_beam",
)

# Rooms that touch ML Metadata: control and lineage write and read it, runners record into it, the
# demo opens the store that it hands to all of them.
WITH_MLMD = (
    "pipelines/control/",
    "pipelines/lineage/",
    "pipelines/cli/lineage.py",
    "pipelines/runners/",
    "pipelines/examples/flights/demo/",
)
MLMD = ("ml_metadata", "tfx.orchestration.metadata")

# Who touches the environment, and why.
WITH_ENVIRONMENT = {
    "components/core/child_process/worker.py": "hands our environment to its child, with Keras 2",
    "pipelines/config.py": "the one reader",
    "components/__init__.py": "Keras 2, before anybody imports TensorFlow",
    "components/deployment/model_server/main.py": "process entry: quiet TensorFlow, Keras 2",
    "pipelines/cli/main.py": "process entry: quiet TensorFlow",
    "pipelines/examples/flights/demo/policies.py": "process entry: Keras 2",
}

# These two read it; the others only choose for TensorFlow.
ENVIRONMENT_READERS = {"pipelines/config.py", "components/core/child_process/worker.py"}


@functools.cache
def tree_of(path):
    return ast.parse((ROOT / path).read_text(), str(path))


@functools.cache
def imports_of(path):
    """Returns the modules that a file imports, wherever in the file, names as dotted strings."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; say from where."
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_of(name, modules):
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def offences(rule):
    """Returns 'file imports module' for each import that a rule forbids."""
    return [
        f"{path} imports {name}"
        for path in SOURCES
        for name in sorted(imports_of(path))
        if rule(path, name)
    ]


def is_domain(path):
    """Says whether a module is about the matter itself: no node, no executor."""
    return path.parts[0] == "components" and not (
        path.name in ("component.py", "executor.py", "artifacts.py")
        or path.name.endswith("_executor.py")
    )


def may_import_tensorflow(path):
    return str(path) in WITH_TENSORFLOW or f"{path.parent}/" in WITH_TENSORFLOW


def test_components_never_import_pipelines():
    found = offences(
        lambda p, name: p.parts[0] == "components" and is_of(name, ["tfx_loop.pipelines"])
    )
    assert found == []


def room_of(path):
    """Returns the room of components/ that a file lies in; empty elsewhere."""
    inside = path.parts[0] == "components" and len(path.parts) > 2
    return path.parts[1] if inside else ""


def test_a_theme_imports_the_ground_floors_and_never_another_theme():
    def forbidden(path, name):
        room, target = room_of(path), name.split(".")[1] if is_of(name, ["tfx_loop"]) else ""
        return bool(room and target) and target not in {room, *GROUND.get(room, GROUND)}

    assert offences(forbidden) == []


def test_pipelines_declare_nodes_and_never_call_their_executors():
    def forbidden(path, name):
        return path.parts[0] == "pipelines" and bool(
            re.match(r"tfx_loop\.(?!pipelines).*executor", name)
        )

    assert offences(forbidden) == []


def test_nothing_is_imported_by_the_names_of_the_folders():
    """`components` and `pipelines` belong to the user's project; ours is imported as tfx_loop."""
    assert offences(lambda path, name: is_of(name, ["components", "pipelines"])) == []


def test_domain_modules_know_no_tfx_and_no_tensorflow():
    found = offences(
        lambda path, name: (
            is_domain(path) and is_of(name, TENSORFLOW) and not may_import_tensorflow(path)
        )
    )
    assert found == []


def test_only_control_lineage_runners_and_the_demo_touch_ml_metadata():
    found = offences(lambda path, name: is_of(name, MLMD) and not str(path).startswith(WITH_MLMD))
    # The pipelines name the SQLite file of the metadata through `tfx.v1`; they open nothing.
    assert found == []


def test_only_runners_import_orchestrators():
    found = offences(
        lambda path, name: (
            is_of(name, ["kfp", "google.cloud", "tfx.orchestration.kubeflow"])
            and not str(path).startswith("pipelines/runners/")
        )
    )
    assert found == []


def test_the_loop_and_lineage_start_without_tfx():
    """They answer in a second what TFX would take 15 s to import for."""
    light = (
        "pipelines/control/",
        "pipelines/lineage/",
        "pipelines/examples/flights/demo/page/",
        "pipelines/control/loop.py",
    )
    found = offences(lambda path, name: str(path).startswith(light) and is_of(name, TENSORFLOW))
    assert found == []


def test_vendor_clients_live_in_client_modules():
    vendors = ("boto3", "google.cloud", "http.client", "requests", "urllib.request", "httpx")
    # The one file that is copied to devices has nothing of ours to import.
    allowed = {"client.py", "on_device.py"}
    found = offences(lambda path, name: is_of(name, vendors) and path.name not in allowed)
    assert found == []


def environment_uses(path):
    return [
        node.lineno
        for node in ast.walk(tree_of(path))
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "putenv"))
        or (isinstance(node, ast.alias) and node.name in ("environ", "getenv"))
    ]


def test_only_config_and_process_entries_touch_the_environment():
    found = {str(path) for path in SOURCES if environment_uses(path)}
    assert found - set(WITH_ENVIRONMENT) == set()


@pytest.mark.parametrize("path", sorted({*WITH_ENVIRONMENT} - ENVIRONMENT_READERS))
def test_entries_only_set_defaults_of_tensorflow_s_variables(path):
    """They choose for TensorFlow; no setting of ours hides in the environment."""
    calls = [
        node
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and "os.environ" in ast.unparse(node.func)
    ]
    assert len(calls) == len(environment_uses(path))
    for call in calls:
        assert ast.unparse(call.func) == "os.environ.setdefault"
        assert call.args[0].value in ("TF_USE_LEGACY_KERAS", "TF_CPP_MIN_LOG_LEVEL")


@pytest.mark.parametrize("path", WITH_TENSORFLOW)
def test_exceptions_are_needed(path):
    files = [p for p in SOURCES if str(p) == path or f"{p.parent}/" == path]
    assert any(is_of(name, TENSORFLOW) for p in files for name in imports_of(p)), (
        f"{path} needs no exception."
    )


def test_no_pipeline_builds_a_wheel_of_a_module_file():
    """`module_file=` packs a wheel at each run and breaks without pip; import paths do not."""
    found = [
        f"{path}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.keyword) and node.arg == "module_file"
    ]
    assert found == []


def test_every_module_says_which_question_it_answers():
    missing = [str(path) for path in SOURCES if not ast.get_docstring(tree_of(path))]
    assert missing == []


def test_print_is_for_processes_alone():
    """Long work shows progress in commands and entries; everything else logs."""
    allowed = {
        "components/edge/edge_bundle/on_device.py",
        "pipelines/cli/main.py",
        "pipelines/cli/lineage.py",
        "components/deployment/model_server/main.py",
    }
    found = {
        str(path)
        for path in SOURCES
        if str(path.parent) != "pipelines/cli"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    }
    assert found - allowed == set()
