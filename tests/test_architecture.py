"""Who may import whom, read from the syntax trees: the picture in the design stays true."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    path.relative_to(ROOT)
    for room in ("components", "pipelines")
    for path in ROOT.glob(f"{room}/**/*.py")
)

# Rooms that everybody may import from: no node, no pipeline, no knowledge of who asks.
SHARED_ROOMS = {
    "artifacts",
    "child_process",
    "edge_bundle",
    "errors",
    "fine_tuning",
    "hashing",
    "model_formats",
    "optimization",
    "page",
    "prediction_log",
    "profile",
    "storage",
    "tables",
    "tfma_results",
}
# What one component may import of another: the client of a served model, and what the Edge TPU
# would run of a file.
SHARED_MODULES = {
    "components.edgetpu_compiler.preparation.prepared_share",
    "components.model_server.client",
}
# What pipelines and commands ask of a component without running its node, besides its `settings`.
FRONT_DOORS = {
    "components.drift_monitor.two_files.files": "loop monitor compares two files",
    "components.drift_monitor.merged": "loop monitor judges counted windows",
    "components.drift_monitor.printed": "loop monitor prints what it found",
    "components.edgetpu_compiler.analyser": "loop edge analyses a file",
    "components.edgetpu_compiler.report": "loop edge prints it as the node writes it",
    "components.edgetpu_compiler.rules": "what the analyser says of an operator",
    "components.quantizer.ladder": "loop compress searches without a pipeline",
    "components.quantizer.modes": "what loop compress may try",
    "components.serving_pusher.deployment": "which version serves",
    "components.skew_monitor.report": "loop skew prints it as the node writes it",
    "components.skew_monitor.skew": "loop skew compares the same rows",
    "components.span_example_gen.spans": "how spans are written",
}

# Modules, and rooms that end in `/`, that may import TFX or TensorFlow although they are neither
# node nor executor, and why.
WITH_TENSORFLOW = {
    "components/artifacts.py": "artifact types are TFX's",
    "components/distiller/losses.py": "losses of a training",
    "components/distiller/teacher.py": "a layer of the teacher is asked, in the child process",
    "components/distiller/training.py": "trains, in the child process",
    "components/drift_monitor/counting.py": "the log's rows go through Beam",
    "components/drift_monitor/data_faults/schema.py": "TFDV's schema, imported when given",
    "components/edge_bundle/store.py": "buckets go through TFX's fileio, imported when asked for",
    "components/fine_tuning/": "trains, in the child process",
    "components/model_formats/": "opens and writes models, imported when one comes",
    "components/model_server/tflite_model.py": "answers in TF Serving's messages",
    "components/profile/beam_profile.py": "the window profile as a Beam transform",
    "components/pruner/training.py": "trains with TFMOT, in the child process",
    "components/pruner/wrapping.py": "wraps layers with TFMOT, in the child process",
    "components/quantizer/convert.py": "converts, in the child process",
    "components/tables/example_files.py": "tf.Examples are decoded by tfx_bsl where it is there",
    "components/tables/opening.py": "remote files go through TFX's fileio, imported when asked for",
    "components/storage.py": "remote files go through TFX's fileio, imported when asked for",
    "components/prediction_log/files.py": "remote folders go through TFX's fileio, the same",
    "components/prediction_log/label_joiner.py": "the node LabelJoiner, beside PredictionLogGen",
    "components/serving_pusher/golden.py": "the model's own answers are the expected ones",
    "components/reference_profiler/examples_reader.py": "reads TFRecords of Examples",
    "components/reference_profiler/scoring.py": "scores rows with the SavedModel",
    "components/model_server/saved_model.py": "loads and runs the SavedModel",
    "components/model_server/metadata.py": "answers in TF Serving's messages",
    "components/model_server/grpc_service.py": "speaks TF Serving's protocol",
    "components/model_server/features.py": "reads tf.Examples, imported when one comes",
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
    "pipelines/runners/",
    "pipelines/flights/demo/",
)
MLMD = ("ml_metadata", "tfx.orchestration.metadata")

# Who touches the environment, and why.
WITH_ENVIRONMENT = {
    "components/child_process/worker.py": "hands our environment to its child, with Keras 2",
    "pipelines/config.py": "the one reader",
    "components/__init__.py": "Keras 2, before anybody imports TensorFlow",
    "components/model_server/main.py": "process entry: quiet TensorFlow, Keras 2",
    "pipelines/cli.py": "process entry: quiet TensorFlow",
    "pipelines/flights/demo/policies.py": "process entry: Keras 2",
}

# These two read it; the others only choose for TensorFlow.
ENVIRONMENT_READERS = {"pipelines/config.py", "components/child_process/worker.py"}


def tree_of(path):
    return ast.parse((ROOT / path).read_text(), str(path))


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
    found = offences(lambda p, name: p.parts[0] == "components" and is_of(name, ["pipelines"]))
    assert found == []


def test_components_do_not_import_each_other_s_insides():
    def forbidden(path, name):
        if path.parts[0] != "components" or not is_of(name, ["components"]):
            return False
        room = name.split(".")[1]
        own = path.parts[1].removesuffix(".py")
        return not (room in {own, *SHARED_ROOMS} or is_of(name, SHARED_MODULES))

    assert offences(forbidden) == []


def test_shared_rooms_import_only_shared_rooms():
    def forbidden(path, name):
        inside = path.parts[0] == "components" and path.parts[1].removesuffix(".py") in SHARED_ROOMS
        return inside and is_of(name, ["components"]) and name.split(".")[1] not in SHARED_ROOMS

    assert offences(forbidden) == []


def test_pipelines_use_components_through_nodes_and_shared_rooms():
    """Of a component they know the node, its settings, and what FRONT_DOORS lists."""
    known = {*SHARED_MODULES, *FRONT_DOORS}

    def forbidden(path, name):
        if path.parts[0] != "pipelines" or not is_of(name, ["components"]):
            return False
        if name.split(".")[1] in SHARED_ROOMS or is_of(name, known):
            return False
        return name.split(".")[2] not in ("component", "settings")

    assert offences(forbidden) == []


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
        "pipelines/flights/demo/page/",
        "pipelines/loop.py",
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


@pytest.mark.parametrize("module", FRONT_DOORS)
def test_front_doors_are_used(module):
    users = [p for p in SOURCES if p.parts[0] == "pipelines"]
    assert any(is_of(name, [module]) for p in users for name in imports_of(p)), module


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
        "components/edge_bundle/on_device.py",
        "pipelines/cli.py",
        "pipelines/lineage/commands.py",
        "components/model_server/main.py",
    }
    found = {
        str(path)
        for path in SOURCES
        if str(path.parent) != "pipelines/commands"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    }
    assert found - allowed == set()
