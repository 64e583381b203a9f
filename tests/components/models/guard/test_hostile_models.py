"""Every kind of hostile model file, in front of everything that opens models."""

import contextlib
import os
import time
from pathlib import Path

import hostile_graphs as graphs
import hostile_models as hostile
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tensorflow.core.protobuf import saved_model_pb2
from time_limits import seconds

from tfx_loop.core.errors import ModelError, ModelUnsafe
from tfx_loop.deployment.model_server.loading import load_version
from tfx_loop.deployment.serving_pusher.golden import GoldenTerms, golden_requests
from tfx_loop.edge.edge_bundle.bundle import BundleParts, build_bundle
from tfx_loop.edge.edgetpu_compiler.settings import EdgeTPUCompilerSettings
from tfx_loop.edge.edgetpu_compiler.toolchain.compile_or_check import compile_or_check
from tfx_loop.models.fitness_checks import check_convertible, check_trainable
from tfx_loop.models.formats import detect
from tfx_loop.models.guard.guard import scan
from tfx_loop.models.keras.export import load_keras_3
from tfx_loop.models.predictor import open_predictor
from tfx_loop.models.weights import weights_of
from tfx_loop.monitoring.reference_profiler.scoring import Scorer
from tfx_loop.optimization.quantizer.convert import convert
from tfx_loop.optimization.quantizer.preparation import prepare
from tfx_loop.pipelines.cli.main import main

pytestmark = pytest.mark.tensorflow

# A cold child process and a GiB of zeros included.
MAX_SECONDS = seconds(20)


def served(model):
    """Returns a folder as servers take it."""
    if model.is_dir():
        return model
    folder = model.parent / "served"
    folder.mkdir(exist_ok=True)
    if not (folder / "model.tflite").exists():
        # A copy would fill the holes of a file.
        os.link(model, folder / "model.tflite")
    return folder


def of_server(model):
    load_version(1, served(model))


def of_golden_rows(model):
    golden_requests(served(model), [b""], GoldenTerms(rows=1))


def of_preparation(model):
    prepare({"source": str(model), "folder": str(model.parent / "prepared")})


def of_converter(model):
    payload = {"saved_model": str(model), "signature": "serving_default", "mode": "float",
               "io_type": "float", "out": str(model.parent / "out")}  # fmt: skip
    convert(payload)


def of_scorer(model):
    serving = model.parent / "artifact" / "Format-Serving"
    serving.parent.mkdir(exist_ok=True)
    if not serving.exists():
        serving.symlink_to(model)
    Scorer(str(serving.parent), "serving_default", "y")


def of_keras_3(model):
    load_keras_3(detect(model))


def of_edge_compiler(model):
    compile_or_check(model, model.parent / "out", EdgeTPUCompilerSettings(), require_compiler=False)


def of_bundle(model):
    build_bundle(
        BundleParts(name="m", cpu_model=model, golden_rows={"t0": np.ones((1, 4))}),
        model.parent / "bundle",
    )


def of_bundle_s_second_model(model):
    good = hostile.harmless_tflite(model.parent)
    parts = BundleParts(
        name="m",
        cpu_model=good,
        edge_tpu_model=model,
        golden_rows={"t0": np.ones((1, 4), np.float32)},
    )
    build_bundle(parts, model.parent / "bundle")


OPENERS = {
    hostile.KERAS: (
        open_predictor,
        weights_of,
        check_convertible,
        check_trainable,
    ),
    # Of what both Kerases read the guard's word is the same.
    hostile.KERAS_3: (of_keras_3,),
    hostile.SAVED_MODEL: (
        open_predictor,
        weights_of,
        check_convertible,
        of_server,
        of_golden_rows,
        of_preparation,
        of_converter,
        of_scorer,
    ),
    hostile.TFLITE: (
        open_predictor,
        of_server,
        of_golden_rows,
        of_edge_compiler,
        of_bundle,
        of_bundle_s_second_model,
    ),
}
CASES = [
    pytest.param(make, openers, id=make.__name__)
    for makers, openers in OPENERS.items()
    for make in makers
]


def contents(folder):
    """Returns what stands in a folder, links not followed."""
    return {
        path: path.read_bytes() if path.is_file() and path.stat().st_size < 1 << 20 else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize(("make", "openers"), CASES)
def test_hostile_model_is_refused_by_every_opener(tmp_path, make, openers):
    model = make(tmp_path)
    before = contents(tmp_path)
    started = time.monotonic()
    findings = scan(model).findings
    assert time.monotonic() - started < MAX_SECONDS
    assert findings
    for opener in openers:
        started = time.monotonic()
        # What TensorFlow does not know is an error of its own to those that ask it first.
        unknown = make is hostile.saved_model_unknown
        with pytest.raises(ModelError if unknown else ModelUnsafe) as refused:
            opener(model)
        assert time.monotonic() - started < MAX_SECONDS, opener
        message = str(refused.value)
        assert (findings[0].part in message and findings[0].remedy in message) or unknown
        assert len(message.splitlines()) == 1
        assert hostile.SECRET not in message
    assert not list(tmp_path.glob("harm*"))
    assert {path: found for path, found in contents(tmp_path).items() if path in before} == before


def load_keras_file(model):
    keras.models.load_model(model, compile=False, safe_mode=False)


def ask_saved_model(model):
    loaded = tf.saved_model.load(str(model))
    loaded.signatures["serving_default"](x=tf.ones([1, 3]))


@pytest.mark.parametrize(
    ("make", "load"),
    [
        (hostile.h5_writes, load_keras_file),
        (hostile.keras_writes, load_keras_file),
        (hostile.keras_lambda, load_keras_file),
        (hostile.saved_model_writes, ask_saved_model),
        (hostile.saved_model_prints, ask_saved_model),
        (graphs.graph_prints_by_a_second_entry, ask_saved_model),
        (hostile.saved_model_initializer, lambda model: tf.saved_model.load(str(model))),
    ],
    ids=lambda case: case.__name__,
)
def test_harm_is_real_without_the_guard(tmp_path, make, load):
    model = make(tmp_path)
    assert not hostile.harm_of(tmp_path).exists()
    # Some fail when the harm is done.
    with contextlib.suppress(Exception):
        load(model)
    assert hostile.harm_of(tmp_path).exists()


def test_removal_is_real_without_the_guard(tmp_path):
    model = hostile.h5_removes(tmp_path)
    with contextlib.suppress(Exception):
        load_keras_file(model)
    assert not (tmp_path / "victim").exists()


def test_foreign_vocabulary_is_real_without_the_guard(tmp_path):
    model = hostile.saved_model_asset_leaves(tmp_path)
    answer = tf.saved_model.load(str(model)).signatures["words"]
    assert float(answer(word=tf.constant([hostile.SECRET]))["index"]) == 0


def test_vocabulary_of_an_asset_that_is_none_is_real_without_the_guard(tmp_path):
    model = graphs.graph_asset_that_is_none(tmp_path)
    answer = tf.saved_model.load(str(model)).signatures["words"]
    assert float(answer(word=tf.constant([hostile.SECRET]))["index"]) == 0


def test_writing_while_restoring_is_real_without_the_guard(tmp_path):
    tf.saved_model.load(str(graphs.graph_restores_and_writes(tmp_path)))
    assert (tmp_path / "harm.index").exists()


def test_foreign_weights_are_real_without_the_guard(tmp_path):
    model = keras.models.load_model(hostile.hdf5_external(tmp_path), compile=False)
    assert not np.any(model.get_layer("conv").bias.numpy())


def test_a_function_of_many_arguments_takes_no_square_of_them(tmp_path):
    """As many file names, each of which is looked for among the arguments."""
    saved_model = saved_model_pb2.SavedModel()
    graph = saved_model.meta_graphs.add()
    function = graph.graph_def.library.function.add()
    function.signature.name = "f"
    for number in range(30_000):
        function.signature.input_arg.add(name=f"file_{number}")
        function.node_def.add(name=f"n{number}", op="ReadFile", input=[f"file_{number}"])
    graph.object_graph_def.concrete_functions["f"].SetInParent()
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    started = time.process_time()
    assert scan(tmp_path / "m").findings
    assert time.process_time() - started < 8


def test_truncated_files_are_damaged_and_not_unsafe(tmp_path):
    for make in (hostile.h5_writes, hostile.keras_writes, hostile.tflite_custom_op):
        folder = tmp_path / make.__name__
        folder.mkdir()
        model = Path(make(folder))
        model.write_bytes(model.read_bytes()[: model.stat().st_size // 2])
        with pytest.raises(ModelError):
            open_predictor(model)


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.tflite", "folder/model.tflite"])
def test_pipes_and_devices_are_no_models(tmp_path, name, capsys):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    (tmp_path / "device.tflite").symlink_to("/dev/zero")
    named = path.parent if "/" in name else path
    for command in (["scan"], ["report"], ["edge"]):
        for model in (named, tmp_path / "device.tflite"):
            assert main([*command, str(model)]) in (1, 2)
            assert len(capsys.readouterr().err.splitlines()) == 1
