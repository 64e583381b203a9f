"""A real external delegate, compiled here in C, stands for libedgetpu: it takes no operator.

What it shows is the way through `on_device.py` when a delegate loads, not that an Edge TPU answers.
"""

import shutil
import subprocess

import numpy as np
import pytest
import tiny_bundle
from time_limits import seconds

from tfx_loop.contracts.bundle_manifest import BUNDLE_MANIFEST
from tfx_loop.edge.edge_bundle.on_device import BundleError, Model

CC = shutil.which("cc")
pytestmark = pytest.mark.skipif(CC is None, reason="needs a C compiler")

# TfLiteDelegate of tensorflow/lite/core/c/common.h; the functions of external_delegate_interface.h.
DELEGATE = r"""
#include <stdint.h>
#include <stddef.h>
struct delegate { void* data; int (*prepare)(void*, struct delegate*);
                  void* copy_from; void* copy_to; void* free_handle;
                  int64_t flags; void* opaque; };
static int prepare(void* context, struct delegate* self) { return 0; }
static struct delegate only = { 0, prepare, 0, 0, 0, 0, 0 };
void* tflite_plugin_create_delegate(char** k, char** v, size_t n, void (*report)(const char*)) {
  if (ATTACHED) return &only;
  report("no Edge TPU is attached");
  return 0;
}
void tflite_plugin_destroy_delegate(void* delegate) {}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("delegate")
    (folder / "delegate.c").write_text(DELEGATE)

    def build(attached):
        target = folder / f"lib{attached}.so"
        command = [CC, "-shared", "-fPIC", f"-DATTACHED={attached}", "-w"]
        subprocess.run(
            [*command, "-o", target, folder / "delegate.c"], check=True, timeout=seconds(60)
        )
        return str(target)

    return build


def other_weights(path):
    """Writes the tiny model with its weights negated: a model that answers nonsense."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(tiny_bundle.MODEL))
    interpreter.allocate_tensors()
    (weights,) = (
        interpreter.get_tensor(detail["index"])
        for detail in interpreter.get_tensor_details()
        if tuple(detail["shape"]) == (3, 4)
    )
    content = tiny_bundle.MODEL.read_bytes()
    assert content.count(weights.tobytes()) == 1
    path.write_bytes(content.replace(weights.tobytes(), (-weights).tobytes()))
    return path


def test_the_compiled_model_runs_where_the_delegate_loads(tmp_path, library):
    bundle = tiny_bundle.build(tmp_path / "b", edge_tpu_model=tiny_bundle.MODEL)
    model = Model(bundle.folder, bundle.digest, delegate=library(1))
    assert (model.processor, model.note) == ("edge_tpu", "")
    weights = np.random.default_rng(0).normal(size=(4, 3))
    answer = model.predict({"x": tiny_bundle.ROWS[1]})["scores"]
    assert np.abs(answer - tiny_bundle.ROWS[1] @ weights).max() < 0.06


def test_a_compiled_model_that_answers_nonsense_is_not_used(tmp_path, library):
    """As co-compiled models did once (google-coral/edgetpu issue 85): the CPU takes over."""
    bundle = tiny_bundle.build(
        tmp_path / "b", edge_tpu_model=other_weights(tmp_path / "other.tflite")
    )
    model = Model(bundle.folder, bundle.digest, delegate=library(1))
    assert model.processor == "cpu"
    assert "golden answers" in model.note
    assert "edge_tpu" in model.note


def test_a_library_without_device_leaves_the_cpu(tmp_path, library):
    bundle = tiny_bundle.build(tmp_path / "b", edge_tpu_model=tiny_bundle.MODEL)
    model = Model(bundle.folder, bundle.digest, delegate=library(0))
    assert model.processor == "cpu"
    assert model.note.endswith("no Edge TPU is attached")


def test_a_cpu_model_that_answers_nonsense_is_refused(tmp_path):
    """Digests hold, answers do not: a runtime that computes wrongly."""
    right = tiny_bundle.build(tmp_path / "right")
    wrong = tiny_bundle.build(
        tmp_path / "wrong", cpu_model=other_weights(tmp_path / "other.tflite")
    )
    import hashlib
    import json

    golden = (right.folder / "golden.npz").read_bytes()
    manifest = BUNDLE_MANIFEST.content(wrong.manifest)
    manifest["files"]["golden.npz"] = {
        "sha256": hashlib.sha256(golden).hexdigest(),
        "bytes": len(golden),
    }
    (wrong.folder / "golden.npz").write_bytes(golden)
    (wrong.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="golden answers"):
        Model(wrong.folder)
