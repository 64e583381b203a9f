"""Every kind of hostile model file, in front of whole commands, nodes and the model server."""

import json
import shutil

import hostile_models as hostile
import numpy as np
import pyarrow as pa
import pytest
import tf_keras as keras
from server_process import ServerProcess
from tfx.types import artifact_utils, standard_artifacts

from tfx_loop.core.artifacts import OptimizationReport, ReferenceProfile
from tfx_loop.core.errors import LoopError, ModelError, ModelUnsafe
from tfx_loop.data.span_example_gen.executor import write_examples
from tfx_loop.deployment.serving_pusher.executor import Executor as ServingPusher
from tfx_loop.edge.edge_bundler.executor import Executor as EdgeBundler
from tfx_loop.edge.edgetpu_compiler.executor import Executor as EdgeTPUCompiler
from tfx_loop.models.write import save_saved_model
from tfx_loop.monitoring.reference_profiler.executor import Executor as ReferenceProfiler
from tfx_loop.optimization.distiller.executor import Executor as Distiller
from tfx_loop.optimization.pruner.executor import Executor as Pruner
from tfx_loop.optimization.quantizer.executor import Executor as Quantizer
from tfx_loop.optimization.variant_chooser.executor import Executor as VariantChooser
from tfx_loop.pipelines.cli.main import main

pytestmark = pytest.mark.tensorflow

ROWS = {"x": [[0.0, 0.0, 0.0]] * 40, "word": ["w"] * 40, "y": [0, 1] * 20}


def contents(folder):
    """Returns what stands in a folder; links not followed."""
    return {p: p.read_bytes() if p.is_file() and not p.is_symlink() else None
            for p in folder.rglob("*") if p.is_symlink() or p.stat().st_size < 1 << 20}  # fmt: skip


class Unharmed:
    """Sees that nothing but the folders for outputs changes, and no secret gets into those."""

    def __init__(self, folder):
        self.folder, self.before = folder, contents(folder)

    def check(self, *outputs):
        assert not list(self.folder.glob("harm*"))
        after = contents(self.folder)
        assert {path: after.get(path) for path in self.before} == self.before
        new = after.keys() - self.before.keys()
        assert all(any(path.is_relative_to(o) for o in outputs) for path in new), new
        secret = hostile.SECRET.encode()
        assert not any(secret in (after[path] or b"") for path in new)


def one_line(error):
    message = str(error)
    assert len(message.splitlines()) == 1
    assert hostile.SECRET not in message


@pytest.mark.parametrize(
    "make", [*hostile.SAVED_MODEL, *hostile.TFLITE], ids=lambda make: make.__name__
)
def test_loop_scan_finds_it(tmp_path, capsys, make):
    model = make(tmp_path)
    unharmed = Unharmed(tmp_path)
    assert main(["scan", str(model), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["findings"]
    unharmed.check()


def long(make):
    """Marks a kind that others stand for in `make test`."""
    return pytest.param(make, marks=pytest.mark.long)


# A child with TensorFlow each; all kinds are opened as it does in test_hostile_models.py.
REPORTED = [
    hostile.h5_writes,
    long(hostile.keras_lambda),
    long(hostile.two_forms),
    hostile.saved_model_initializer,
    long(hostile.saved_model_asset_link),
    hostile.tflite_custom_op,
]


@pytest.mark.slow
@pytest.mark.parametrize("make", REPORTED, ids=lambda make: make.__name__)
def test_loop_report_ends_with_one_line(tmp_path, capsys, make):
    model = make(tmp_path)
    unharmed = Unharmed(tmp_path)
    assert main(["report", str(model)]) == 1
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 1
    assert shown[0].startswith("loop: ")
    assert hostile.SECRET not in shown[0]
    unharmed.check()


@pytest.mark.parametrize("make", hostile.TFLITE, ids=lambda make: make.__name__)
def test_loop_edge_reads_and_runs_nothing(tmp_path, capsys, make):
    model = make(tmp_path)
    unharmed = Unharmed(tmp_path)
    # It tells what would map, of operators that nobody knows, too.
    assert main(["edge", str(model)]) in (0, 1)
    assert len(capsys.readouterr().err.splitlines()) <= 1
    unharmed.check()


def artifact(kind, uri, **properties):
    made = kind()
    made.uri = str(uri)
    for name, value in properties.items():
        setattr(made, name, value)
    return made


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    for split in ("train", "eval"):
        write_examples(f"{folder}/Split-{split}", pa.table(ROWS))
    names = artifact_utils.encode_split_names(["train", "eval"])
    return artifact(standard_artifacts.Examples, folder, split_names=names)


def trainers_output(model, folder):
    """Returns the Model artifact of a Trainer that left this model."""
    serving = folder / "artifact" / "Format-Serving"
    if model.is_dir():
        serving.parent.mkdir()
        # As it is: links stay links, holes holes.
        model.rename(serving)
    elif model.suffix == ".tflite":
        serving.mkdir(parents=True)
        model.rename(serving / "tflite")
    else:
        (folder / "artifact" / "Format-Keras").mkdir(parents=True)
        inputs = keras.Input((3,), name="x")
        beside = keras.Model(inputs, keras.layers.Dense(1, name="y")(inputs))
        save_saved_model(beside, str(serving))
        shutil.copy(model, folder / "artifact" / "Format-Keras" / f"model{model.suffix}")
    return artifact(standard_artifacts.Model, folder / "artifact")


def outputs(folder, **kinds):
    found = {}
    for name, kind in kinds.items():
        (folder / "out" / name).mkdir(parents=True)
        found[name] = [artifact(kind, folder / "out" / name)]
    return found


def push(folder, model, examples, **settings):
    given = {"model": [model]} | ({"examples": [examples]} if examples else {})
    ServingPusher().Do(
        given,
        outputs(folder, pushed_model=standard_artifacts.PushedModel),
        {"model_name": "m", "base_path": str(folder / "out" / "base"), **settings},
    )


def of_pusher(folder, model, examples):
    push(folder, model, examples, server_url="http://127.0.0.1:9")


def of_pusher_to_a_folder(folder, model, examples):
    push(folder, model, None, target="folder")


def of_chooser(folder, model, examples):
    VariantChooser().Do(
        {"model_1": [model]},
        outputs(
            folder,
            model=standard_artifacts.Model,
            model_blessing=standard_artifacts.ModelBlessing,
            optimization_report=OptimizationReport,
        ),
        {"names": '["float"]'},
    )


def of_profiler(folder, model, examples):
    ReferenceProfiler().Do(
        {"model": [model], "examples": [examples]},
        outputs(folder, reference_profile=ReferenceProfile),
        {"label": "y", "score_signature": "serving_default", "score_key": "y"},
    )


def of_edge_compiler(folder, model, examples):
    from tfx_loop.core.artifacts import EdgeTpuReport

    EdgeTPUCompiler().Do(
        {"model": [model]},
        outputs(folder, edgetpu_model=standard_artifacts.Model, edgetpu_report=EdgeTpuReport),
        {"require_compiler": 0},
    )


def of_bundler(folder, model, examples):
    EdgeBundler().Do(
        {"model": [model], "examples": [examples]},
        outputs(folder, bundle=standard_artifacts.Model),
        {"name": "m"},
    )


def of_evaluator(folder, model, examples):
    from tfx_loop.pipelines.evaluation.variant_evaluator import VariantExecutor

    made = outputs(
        folder,
        evaluation=standard_artifacts.ModelEvaluation,
        blessing=standard_artifacts.ModelBlessing,
    )
    config = json.dumps({"modelSpecs": [{"labelKey": "y"}]})
    given = {"model": [model], "examples": [examples]}
    VariantExecutor().Do(given, made, {"eval_config": config})


def student(*_):
    """Is never asked for: the teacher is refused first."""
    raise AssertionError


def optimised(executor, key, **settings):
    def run(folder, model, examples):
        executor().Do(
            {key: [model], "examples": [examples]},
            outputs(folder, model=standard_artifacts.Model, optimization_report=OptimizationReport),
            {"label_key": "y", "max_metric_drop": 0.1, "metric": "accuracy", **settings},
        )

    return run


IN_PROCESS = {
    "SAVED_MODEL": (of_pusher, of_pusher_to_a_folder, of_profiler, of_evaluator),
    "TFLITE": (of_pusher, of_pusher_to_a_folder, of_edge_compiler, of_bundler, of_evaluator),
}


@pytest.mark.parametrize(
    ("make", "nodes"),
    [
        pytest.param(make, nodes, id=make.__name__)
        for form, nodes in IN_PROCESS.items()
        for make in getattr(hostile, form)
    ],
)
def test_nodes_fail_with_one_line(tmp_path, examples, make, nodes):
    model = make(tmp_path)
    given = trainers_output(model, tmp_path)
    unharmed = Unharmed(tmp_path)
    for node in nodes:
        with pytest.raises(LoopError) as refused:
            node(tmp_path, given, examples)
        one_line(refused.value)
        assert isinstance(refused.value, ModelUnsafe) or make is hostile.saved_model_unknown
        unharmed.check(tmp_path / "out")
        shutil.rmtree(tmp_path / "out")


@pytest.mark.parametrize(
    "make", [hostile.saved_model_asset_link, hostile.saved_model_variables_link]
)
def test_the_chooser_copies_nothing_that_a_link_leads_to(tmp_path, examples, make):
    """It loads no model, so links are all that could do harm."""
    given = trainers_output(make(tmp_path), tmp_path)
    unharmed = Unharmed(tmp_path)
    with pytest.raises(ModelUnsafe, match="the link") as refused:
        of_chooser(tmp_path, given, examples)
    one_line(refused.value)
    unharmed.check(tmp_path / "out")


# A child with TensorFlow takes seconds to start. All kinds are opened by the functions that these
# call in their children, in test_hostile_models.py; here one of each form is, in the child.
IN_CHILDREN = [
    (optimised(Quantizer, "parent"), hostile.saved_model_initializer),
    (optimised(Quantizer, "parent"), hostile.saved_model_asset_link),
    (optimised(Pruner, "parent"), hostile.keras_writes),
    (optimised(Pruner, "parent"), hostile.two_forms),
    (
        optimised(Distiller, "teacher", student_fn=f"{__name__}:student"),
        hostile.saved_model_writes,
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("node", "make"),
    [
        # Of the two of a node the second stands for both.
        pytest.param(node, make, id=make.__name__, marks=[pytest.mark.long] * (i in (0, 2)))
        for i, (node, make) in enumerate(IN_CHILDREN)
    ],
)
def test_nodes_with_children_fail_with_one_line(tmp_path, examples, node, make):
    model = make(tmp_path)
    given = trainers_output(model, tmp_path)
    unharmed = Unharmed(tmp_path)
    with pytest.raises(ModelError) as refused:
        node(tmp_path, given, examples)
    one_line(refused.value)
    assert isinstance(refused.value, ModelUnsafe)
    unharmed.check(tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [long(hostile.saved_model_initializer), long(hostile.h5_writes), hostile.keras_lambda],
    ids=lambda make: make.__name__,
)
def test_loop_compress_ends_with_one_line(tmp_path, capsys, make):
    model = make(tmp_path)
    np.savez(tmp_path / "rows.npz", x=np.zeros((40, 3), np.float32), y=np.arange(40) % 2)
    unharmed = Unharmed(tmp_path)
    arguments = ["compress", str(model), f"--data={tmp_path}/rows.npz", "--budget=0.1"]
    assert main([*arguments, f"--out={tmp_path}/out"]) == 1
    shown = capsys.readouterr().err.splitlines()
    assert shown[-1].startswith("loop: ")
    assert "Remedy" in shown[-1] or "--allow" in shown[-1] or "again" in shown[-1]
    unharmed.check(tmp_path / "out")


@pytest.mark.e2e
@pytest.mark.slow
def test_the_server_loads_none_of_them(tmp_path):
    """One version each; the newest that loads would serve, and none does."""
    base = tmp_path / "base"
    made = [*hostile.SAVED_MODEL, *hostile.TFLITE]
    for version, make in enumerate(made, start=1):
        folder = tmp_path / str(version)
        folder.mkdir()
        model = make(folder)
        base.mkdir(exist_ok=True)
        # Moved, as a copy would fill holes and wait for pipes.
        if model.is_dir():
            model.rename(base / str(version))
        else:
            (base / str(version)).mkdir()
            model.rename(base / str(version) / "model.tflite")
    server = ServerProcess(base, tmp_path, file_system_poll_wait_seconds="0").start()
    try:
        found = {s.version: (s.state, s.error) for s in server.client().status()}
    finally:
        server.stop()
    assert found.keys() == set(range(1, len(made) + 1))
    for version, make in enumerate(made, start=1):
        state, error = found[version]
        assert state == "END", make
        assert error.startswith("ModelUnsafe") or make is hostile.saved_model_unknown, error
        assert len(error.splitlines()) == 1
        assert not hostile.harm_of(tmp_path / str(version)).exists()
