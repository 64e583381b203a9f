"""A bundle is whole or refused; it names plain files; the same content has the same digest."""

import json
import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
import tiny_bundle
from example_counts import scaled
from hypothesis import given, settings
from hypothesis import strategies as st

from tfx_loop.contracts.bundle_manifest import BUNDLE_MANIFEST
from tfx_loop.core.errors import ConfigError, DataError, ModelError
from tfx_loop.edge.edge_bundle.bundle import (
    build_bundle,
    check_answers,
    open_bundle,
    packed_labels,
)
from tfx_loop.edge.edge_bundle.golden import Tolerance
from tfx_loop.edge.edge_bundle.on_device import MANIFEST


def rewrite(folder, **changed):
    """Changes the manifest as one who can write to the folder may."""
    path = folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


def test_a_bundle_holds_what_a_device_needs(tmp_path):
    bundle = tiny_bundle.build(tmp_path / "b", compiler_version="16.0.384591198")
    assert set(bundle.files) == {"tflite", "labels.txt", "golden.npz", MANIFEST}
    assert (tmp_path / "b" / "tflite").read_bytes() == tiny_bundle.MODEL.read_bytes()
    assert bundle.manifest.minimum_runtime == {"edge_tpu": 14}
    assert bundle.manifest.compiler_version == "16.0.384591198"
    assert bundle.manifest.golden_rows == 3
    (output,) = bundle.manifest.outputs
    assert (output.shape, output.dtype) == ((1, 3), "int8")
    assert output.cpu_tolerance < output.edge_tpu_tolerance
    # Rows of people are in it.
    assert stat.S_IMODE((tmp_path / "b" / "golden.npz").stat().st_mode) == 0o600
    check_answers(bundle)


def test_the_golden_answers_are_the_model_s(tmp_path):
    """int8 arithmetic stays within a few steps of the product in floats."""
    bundle = tiny_bundle.build(tmp_path / "b")
    weights = np.random.default_rng(0).normal(size=(4, 3))
    with np.load(tmp_path / "b" / "golden.npz") as golden:
        answers = golden["output_0"].reshape(3, 3)
        assert golden["input_0"].dtype == np.int8
    clipped = np.clip(tiny_bundle.ROWS @ weights, answers.min(), answers.max())
    assert np.abs(answers - clipped).max() < 0.06
    assert bundle.manifest.inputs[0].name == "x"
    assert bundle.manifest.inputs[0].tensor == "serving_default_x:0"


def test_the_same_content_has_the_same_digest(tmp_path):
    digests = {tiny_bundle.build(tmp_path / name).digest for name in ("first", "second")}
    assert len(digests) == 1
    assert tiny_bundle.build(tmp_path / "third", label="other").digest not in digests


def test_a_compiled_model_goes_beside_the_cpu_model(tmp_path):
    compiled = tmp_path / "compiled.tflite"
    compiled.write_bytes(tiny_bundle.compiled_model())
    bundle = tiny_bundle.build(tmp_path / "b", edge_tpu_model=compiled)
    assert bundle.manifest.edge_tpu_model == "model_edgetpu.tflite"
    assert "model_edgetpu.tflite" in bundle.files


def test_labels_packed_into_the_model_are_found(tmp_path):
    import zipfile

    model = tmp_path / "with_labels.tflite"
    shutil.copyfile(tiny_bundle.MODEL, model)
    with zipfile.ZipFile(model, "a") as archive:
        archive.writestr("names.txt", "zero\none\ntwo\n")
    assert packed_labels(model) == ("zero", "one", "two")
    assert packed_labels(tiny_bundle.MODEL) == ()
    bundle = tiny_bundle.build(tmp_path / "b", cpu_model=model, labels=())
    assert (bundle.folder / "labels.txt").read_text() == "zero\none\ntwo\n"
    check_answers(bundle)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tiny_bundle.build(tmp_path_factory.mktemp("whole") / "b")


@given(data=st.data())
@settings(max_examples=scaled(60))
def test_any_changed_byte_is_noticed(whole, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("changed") / "b"
    shutil.copytree(whole.folder, folder)
    path = folder / data.draw(st.sampled_from(sorted(whole.files)))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content if data.draw(st.booleans()) else content[:at])
    with pytest.raises(ModelError):
        open_bundle(folder, whole.digest)


@pytest.mark.parametrize("name", ["tflite", "labels.txt", "golden.npz", MANIFEST])
def test_missing_files_and_links_are_refused(whole, tmp_path, name):
    folder = tmp_path / "b"
    shutil.copytree(whole.folder, folder)
    os.unlink(folder / name)
    with pytest.raises(ModelError, match="found none"):
        open_bundle(folder)
    os.symlink(whole.folder / name, folder / name)
    with pytest.raises(ModelError, match="found none"):
        open_bundle(folder)


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "a/b", "..", ".", "", "a\\b\0", ".hidden", MANIFEST]
)
def test_names_that_leave_the_folder_are_refused(whole, tmp_path, name):
    folder = tmp_path / "b"
    shutil.copytree(whole.folder, folder)
    files = dict(BUNDLE_MANIFEST.content(whole.manifest)["files"])
    rewrite(folder, files={**files, name: {"sha256": "0" * 64, "bytes": 1}})
    with pytest.raises(ModelError, match="plain file names"):
        open_bundle(folder)


@pytest.mark.parametrize(
    "changed",
    [
        {"schema_version": 2},
        {"files": None},
        {"files": {"tflite": {"sha256": "x", "bytes": 1}}},
        {"cpu_model": None},
        {"golden": None},
        {"cpu_model": "../tflite"},
        {"labels": "not_among_the_files.txt"},
    ],
)
def test_manifests_that_are_none(whole, tmp_path, changed):
    folder = tmp_path / "b"
    shutil.copytree(whole.folder, folder)
    rewrite(folder, **changed)
    with pytest.raises(ModelError):
        open_bundle(folder)


def test_answers_that_differ_are_refused(tmp_path):
    folder = tmp_path / "b"
    tiny_bundle.build(folder, tolerance=Tolerance(cpu_steps=0.0))
    with np.load(folder / "golden.npz") as golden:
        arrays = dict(golden)
    arrays["output_0"] = arrays["output_0"] + 0.05
    np.savez(folder / "golden.npz", **arrays)
    import hashlib

    content = (folder / "golden.npz").read_bytes()
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"]["golden.npz"] = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=r"off by 0\.05"):
        check_answers(open_bundle(folder))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"y": tiny_bundle.ROWS}, "input 'x', received"),
        ({"x": tiny_bundle.ROWS[:, :3]}, "shape"),
        ({"x": tiny_bundle.ROWS[:0]}, "shape"),
    ],
)
def test_rows_that_do_not_fit(tmp_path, rows, says):
    with pytest.raises(DataError, match=says):
        tiny_bundle.build(tmp_path / "b", golden_rows=rows)


def test_what_is_no_model(tmp_path):
    with pytest.raises(ModelError, match="found none"):
        tiny_bundle.build(tmp_path / "b", cpu_model=tmp_path / "absent.tflite")
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    with pytest.raises(ModelError, match="identifier TFL3"):
        tiny_bundle.build(tmp_path / "c", cpu_model=broken)


@pytest.mark.parametrize("wrong", [{"name": ""}, {"labels": ["two\nlines"]}])
def test_parts_that_cannot_work(wrong):
    with pytest.raises(ConfigError):
        build_bundle(tiny_bundle.parts(**wrong), Path("never"))
