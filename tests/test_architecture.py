"""Who may import whom, by folders, read from the syntax trees (tests/architecture_sheet.py)."""

import ast
import collections
import re

import pytest

from tests.architecture_sheet import (
    ROOT,
    SOURCES,
    circles,
    coarse_room,
    file_of,
    graph_of,
    imports_at_start,
    imports_of,
    nodes_of,
    sheet,
    tree_of,
)

# The ground floors, and what each may stand on; every other room of components/ is a theme.
GROUND = {
    "core": set(),
    "presentation": {"core"},
    "contracts": {"core"},
    "data": {"core", "contracts"},
    "models": {"core", "contracts", "data"},
}

TENSORFLOW = (
    "apache_beam",
    "tensorflow",
    "tensorflow_data_validation",
    "tensorflow_metadata",
    "tensorflow_model_analysis",
    "tensorflow_model_optimization",
    "tensorflow_serving",
    "tensorflow_transform",
    "tf_keras",
    "tfx",
    "tfx_bsl",
)
# Rooms that open, train, convert or serve TensorFlow's models.
TENSORFLOW_ROOMS = (
    "components/models/keras/",
    "components/models/preprocessing/",
    "components/models/saved_model/",
    "components/optimization/distiller/",
    "components/optimization/fine_tuning/",
    "components/optimization/pruner/",
    "components/optimization/quantizer/",
    "components/monitoring/reference_profiler/",
    "components/deployment/",
)
# What TFX itself loads, in whichever room; what runs in Beam begins with `beam_`.
NODE_FILES = re.compile(r"component|executor|\w+_executor|beam_\w+")
NODE_FOUNDATION = (
    "components/core/artifacts.py",
    # Derives from TFX's file systems; those that run pipelines load it.
    "components/core/bucket/tfx_filesystem.py",
    "components/core/inputs.py",
    "components/core/node.py",
    "components/core/source_node.py",
)
# Commands and libraries that answer in a second what TFX would take 15 s to import for.
STARTS_LIGHT = (
    "components/contracts/",
    "components/presentation/",
    "components/data/tables/",
    "components/monitoring/drift/",
    "components/monitoring/file_comparison/",
    "components/optimization/metrics/",
    "pipelines/config.py",
    "pipelines/cli/",
    "pipelines/control/",
    "pipelines/lineage/",
)

MLMD = ("ml_metadata", "tfx.orchestration.metadata")
# Control and lineage write and read it, runners record into it, the demo hands a store to them.
MLMD_ROOMS = (
    "pipelines/control/",
    "pipelines/lineage/",
    "pipelines/runners/",
    "pipelines/examples/",
    "pipelines/cli/metadata.py",
)

# One reads our settings, one hands the environment on to its child.
ENVIRONMENT_READERS = (
    "pipelines/config.py",
    "components/core/child_process/",
    # OpenTelemetry's own variables, which its SDK reads, too.
    "components/deployment/model_server/tracing.py",
)


def is_of(name, modules):
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def within(path, rooms):
    return str(path).startswith(rooms)


def offences(rule, imports=imports_of):
    """Returns 'file imports module' for each import that a rule forbids."""
    return [
        f"{path} imports {name}"
        for path in SOURCES
        for name in sorted(imports(path))
        if rule(path, name)
    ]


def is_process_entry(path):
    """Says whether a file is started as a process: by its name, or by `python -m`."""
    return path.name == "main.py" or any(
        isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)
        for node in tree_of(path).body
    )


def test_no_file_imports_relatively():
    assert offences(lambda path, name: name.startswith(".")) == []


def test_components_never_import_pipelines():
    found = offences(
        lambda path, name: path.parts[0] == "components" and is_of(name, ["tfx_loop.pipelines"])
    )
    assert found == []


def test_a_theme_imports_the_ground_floors_and_never_another_theme():
    def forbidden(path, name):
        if path.parts[0] != "components" or not (file := file_of(name)):
            return False
        room, target = coarse_room(path), coarse_room(file)
        return bool(room and target) and target not in {room, *GROUND.get(room, GROUND)}

    assert offences(forbidden) == []


@pytest.mark.parametrize("fine", [False, True], ids=["rooms", "folders and modules beside them"])
def test_rooms_import_each_other_in_no_circle(fine):
    assert circles(graph_of(fine)) == []
    assert ", no circle" in sheet(graph_of(fine))


def test_a_circle_of_rooms_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_pipelines_declare_nodes_and_never_call_their_executors():
    def forbidden(path, name):
        return path.parts[0] == "pipelines" and bool(
            re.match(r"tfx_loop\.(?!pipelines).*executor", name)
        )

    assert offences(forbidden) == []


def test_nothing_is_imported_by_the_names_of_the_folders():
    """`components` and `pipelines` belong to the user's project; ours is imported as tfx_loop."""
    assert offences(lambda path, name: is_of(name, ["components", "pipelines"])) == []


def has_node(path):
    """Says whether TFX loads a file: a node, or its executor beside it under the same name."""
    twin = path.with_name(f"{path.stem}_executor.py")
    return bool(NODE_FILES.fullmatch(path.stem)) or (ROOT / twin).is_file()


def test_domain_modules_import_tfx_and_tensorflow_inside_functions_at_most():
    def forbidden(path, name):
        return (
            path.parts[0] == "components"
            and is_of(name, TENSORFLOW)
            and not (has_node(path) or within(path, NODE_FOUNDATION + TENSORFLOW_ROOMS))
        )

    assert offences(forbidden, imports_at_start) == []


def way_to_tensorflow(path, seen):
    """Returns the files from one to an import of TensorFlow or TFX at start; empty without."""
    seen.add(path)
    for name in sorted(imports_at_start(path)):
        if is_of(name, TENSORFLOW):
            return [str(path), name]
        file = file_of(name)
        if file and file not in seen and (way := way_to_tensorflow(file, seen)):
            return [str(path), *way]
    return []


def test_commands_and_libraries_start_without_tensorflow():
    ways = [way_to_tensorflow(path, set()) for path in SOURCES if within(path, STARTS_LIGHT)]
    assert [" -> ".join(way) for way in ways if way] == []


def test_the_loop_lineage_and_the_demo_s_page_never_import_tensorflow():
    rooms = (
        "pipelines/control/",
        "pipelines/lineage/",
        "pipelines/examples/flights/demo/page/",
    )
    assert offences(lambda path, name: within(path, rooms) and is_of(name, TENSORFLOW)) == []


@pytest.mark.parametrize(
    "room", TENSORFLOW_ROOMS + NODE_FOUNDATION + STARTS_LIGHT + MLMD_ROOMS + ENVIRONMENT_READERS
)
def test_rules_name_rooms_that_exist(room):
    assert any(within(path, room) for path in SOURCES)


@pytest.mark.parametrize("room", TENSORFLOW_ROOMS)
def test_rooms_of_tensorflow_need_it(room):
    files = [path for path in SOURCES if within(path, room) and not has_node(path)]
    assert any(is_of(name, TENSORFLOW) for path in files for name in imports_at_start(path))


def test_only_control_lineage_runners_and_examples_touch_ml_metadata():
    # The pipelines name the SQLite file of the metadata through `tfx.v1`; they open nothing.
    assert offences(lambda path, name: is_of(name, MLMD) and not within(path, MLMD_ROOMS)) == []


def test_only_runners_import_orchestrators():
    orchestrators = ("kfp", "google.cloud.aiplatform", "tfx.orchestration.kubeflow")
    found = offences(
        lambda path, name: is_of(name, orchestrators) and not within(path, "pipelines/runners/")
    )
    assert found == []


def test_vendor_clients_live_in_client_modules():
    vendors = ("boto3", "google.cloud", "http.client", "requests", "urllib.request", "httpx")
    # The one file that is copied to devices has nothing of ours to import.
    allowed = ("client.py", "on_device.py")
    found = offences(lambda path, name: is_of(name, vendors) and not path.name.endswith(allowed))
    assert found == []


def environment_uses(path):
    return [
        node
        for node in nodes_of(path)
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "putenv"))
        or (isinstance(node, ast.alias) and node.name in ("environ", "getenv"))
    ]


def test_entries_only_set_defaults_of_tensorflow_s_variables():
    """They choose for TensorFlow; no setting of ours hides in the environment."""
    defaults = re.compile(
        r"os\.environ\.setdefault\('TF_"
        r"(USE_LEGACY_KERAS|CPP_MIN_LOG_LEVEL|NUM_INT(RA|ER)OP_THREADS)', "
    )
    for path in SOURCES:
        if (uses := environment_uses(path)) and not within(path, ENVIRONMENT_READERS):
            calls = [n for n in nodes_of(path) if isinstance(n, ast.Call)]
            assert sum(bool(defaults.match(ast.unparse(n))) for n in calls) == len(uses), path
            assert is_process_entry(path), path


def test_no_pipeline_builds_a_wheel_of_a_module_file():
    """`module_file=` packs a wheel at each run and breaks without pip; import paths do not."""
    found = [
        f"{path}:{node.lineno}"
        for path in SOURCES
        for node in nodes_of(path)
        if isinstance(node, ast.keyword) and node.arg == "module_file"
    ]
    assert found == []


def test_inputs_of_a_node_are_counted_in_one_place():
    """TFX's own functions raise a ValueError where a channel brings several artifacts."""
    found = [
        f"{path}:{node.lineno}"
        for path in SOURCES
        for node in nodes_of(path)
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") in ("get_single_instance", "get_single_uri")
        and not ast.unparse(node.args[0]).startswith("output")
    ]
    assert found == []


def test_every_module_has_a_docstring_that_states_and_asks_nothing():
    found = {str(path): ast.get_docstring(tree_of(path)) or "" for path in SOURCES}
    assert [path for path, text in found.items() if not text] == []
    assert [path for path, text in found.items() if "?" in text.split("\n\n")[0]] == []
    assert [path for path, text in found.items() if text.endswith("?")] == []


def test_a_class_name_stands_once():
    """Private names may repeat, and TFX people look for `Executor` in each node's folder.

    The file for devices holds a copy of the check of signatures, word for word.
    """
    places = collections.defaultdict(list)
    for path in SOURCES:
        for node in nodes_of(path):
            if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
                continue
            if not (node.name == "Executor" and has_node(path)):
                places[node.name].append(str(path))
    del places["SignatureError"]
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_print_is_for_commands_and_processes_alone():
    """Long work shows progress there; everything else logs."""
    found = {
        str(path)
        for path in SOURCES
        if not within(path, "pipelines/cli/") and not is_process_entry(path)
        for node in nodes_of(path)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    }
    assert found == set()
