"""The one file that people copy to a device: alone, over HTTP and from a folder, on the CPU."""

import ast
import functools
import http.server
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_bundle
from certificates import write_key
from time_limits import seconds

from tfx_loop.contracts.bundle_manifest import BUNDLE_MANIFEST
from tfx_loop.contracts.rollout_record import ROLLOUT_POINTER
from tfx_loop.edge.edge_bundle import on_device
from tfx_loop.edge.edge_bundle.bundle import build_bundle
from tfx_loop.edge.edge_bundle.on_device import BundleError, Model, fetch, update
from tfx_loop.edge.edge_bundle.publish import promote, publish, roll_back
from tfx_loop.edge.edge_bundle.store import FolderStore
from tfx_loop.models.signing.signer import Signer, sign_model

SOURCE = Path(on_device.__file__)
PAIRS = Path(__file__).resolve().parents[5] / "shared" / "edgetpu_pairs"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    return [tiny_bundle.build(folder / label, label) for label in ("one", "two")]


@pytest.fixture
def base(tmp_path, bundles):
    """Version 1 for all."""
    store = FolderStore(str(tmp_path / "base"))
    publish(bundles[0], store, now_ms=lambda: 1)
    promote(store, 1, to_stage=4, now_ms=lambda: 1)
    return tmp_path / "base"


@pytest.fixture
def served(base):
    """The folder behind a real HTTP server."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(base))
    )
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def alone(tmp_path, *arguments):
    """Runs a copy of the file in an empty folder; `-I` keeps tfx-loop's folder off its path."""
    folder = tmp_path / "device"
    folder.mkdir(exist_ok=True)
    shutil.copyfile(SOURCE, folder / "on_device.py")
    done = subprocess.run(
        [sys.executable, "-I", "on_device.py", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds(60),
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


@pytest.mark.slow
def test_a_device_follows_the_roll_out(tmp_path, base, bundles, served):
    device = (served, "--device-id", "kiosk-17", "--group", "canary")
    code, said = alone(tmp_path, *device)
    assert (code, said["version"], said["processor"], said["name"]) == (0, 1, "cpu", "tiny")
    publish(bundles[1], FolderStore(str(base)), now_ms=lambda: 1)
    assert alone(tmp_path, *device)[1]["version"] == 2
    roll_back(FolderStore(str(base)), 2, reason="r", now_ms=lambda: 1)
    assert alone(tmp_path, *device)[1]["version"] == 1


@pytest.mark.slow
def test_a_device_stays_on_its_version_when_a_new_one_is_damaged(tmp_path, base, bundles):
    device = (str(base), "--device-id", "kiosk-17", "--group", "canary")
    alone(tmp_path, *device)
    publish(bundles[1], FolderStore(str(base)), now_ms=lambda: 1)
    (base / "bundles" / bundles[1].digest / "tflite").write_bytes(b"cut")
    code, said = alone(tmp_path, *device)
    assert code == 1
    assert "tflite" in said["error"]
    assert said["name"] == "tiny"
    current = tmp_path / "device" / "edge-bundles" / "current"
    assert current.resolve().name == bundles[0].digest


@pytest.mark.slow
def test_a_device_runs_on_without_network(tmp_path, base, served):
    alone(tmp_path, served, "--device-id", "d", "--group", "g")
    code, said = alone(tmp_path, "http://127.0.0.1:9", "--device-id", "d", "--group", "g")
    assert (code, said["processor"]) == (1, "cpu")


def test_a_new_device_without_network_says_so(tmp_path):
    code, said = alone(tmp_path, "http://127.0.0.1:9", "--device-id", "d", "--group", "g")
    assert code == 2
    assert list(said) == ["error"]


def test_a_device_that_has_no_version_yet(tmp_path, bundles):
    publish(bundles[0], FolderStore(str(tmp_path / "base")), now_ms=lambda: 1)
    with pytest.raises(BundleError, match="none published yet"):
        update(str(tmp_path / "base"), "d", "not-canary", tmp_path / "cache")


def test_predictions_take_real_values(tmp_path, base, bundles):
    model, version = update(str(base), "d", "g", tmp_path / "cache")
    answer = model.predict({"x": tiny_bundle.ROWS[0]})["scores"]
    weights = np.random.default_rng(0).normal(size=(4, 3))
    assert version == 1
    assert np.abs(answer - tiny_bundle.ROWS[0] @ weights).max() < 0.06
    assert model.labels == ["one", "b", "c"]


def test_a_bundle_is_fetched_once_and_fixed(tmp_path, base, bundles):
    folder = fetch(str(base), bundles[0].digest, tmp_path / "cache")
    (folder / "tflite").write_bytes(b"rot")
    assert fetch(str(base), bundles[0].digest, tmp_path / "cache") == folder
    on_device.verify(folder, bundles[0].digest)
    shutil.rmtree(base)
    assert fetch(str(base), bundles[0].digest, tmp_path / "cache") == folder
    assert [p.name for p in folder.parent.iterdir()] == [bundles[0].digest]


def test_a_device_keeps_the_version_before_and_no_more(tmp_path, bundles):
    import os

    store = FolderStore(str(tmp_path / "base"))
    third = tiny_bundle.build(tmp_path / "three", "three")
    left = tmp_path / "cache" / "bundles" / ".fetch-killed"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    for version, bundle in enumerate((*bundles, third), start=1):
        publish(bundle, store, now_ms=lambda: 1)
        assert update(store.base_path, "d", "canary", tmp_path / "cache")[1] == version
    kept = {path.name for path in (tmp_path / "cache" / "bundles").iterdir()}
    assert kept == {bundles[1].digest, third.digest}


def test_a_download_that_is_not_the_bundle_leaves_nothing(tmp_path, base, bundles):
    (base / "bundles" / bundles[0].digest / "tflite").write_bytes(b"x" * 5_000)
    with pytest.raises(BundleError, match="at most 1096 bytes"):
        fetch(str(base), bundles[0].digest, tmp_path / "cache")
    assert list((tmp_path / "cache" / "bundles").iterdir()) == []


def test_without_the_delegate_the_cpu_answers(tmp_path):
    compiled = tmp_path / "compiled.tflite"
    compiled.write_bytes(tiny_bundle.MODEL.read_bytes())
    tiny_bundle.build(tmp_path / "b", edge_tpu_model=compiled)
    model = Model(tmp_path / "b", delegate="libedgetpu_absent.so.1")
    assert model.processor == "cpu"
    assert "libedgetpu_absent" in model.note


@pytest.mark.skipif(not PAIRS.is_dir(), reason="needs the compiled twins in shared/edgetpu_pairs")
def test_a_model_of_the_real_compiler_falls_back_to_its_source(tmp_path):
    source = PAIRS / "mobilenet_v1_0.25_128_quant.tflite"
    rows = np.random.default_rng(0).integers(0, 255, (2, 128, 128, 3), dtype=np.uint8)
    parts = tiny_bundle.parts(
        cpu_model=source,
        edge_tpu_model=source.with_name(f"{source.stem}_edgetpu.tflite"),
        golden_rows={"input": rows},
        labels=(),
    )
    bundle = build_bundle(parts, tmp_path / "b")
    model = Model(bundle.folder, bundle.digest, delegate="libedgetpu_absent.so.1")
    assert model.processor == "cpu"
    assert len(model.labels) == 1001


@pytest.fixture
def signed(tmp_path):
    """A signed bundle that all devices are to run, and its key."""
    write_key(tmp_path / "key.key")
    signer = Signer.read(tmp_path / "key.key")
    bundle = build_bundle(tiny_bundle.parts(), tmp_path / "signed", signer)
    store = FolderStore(str(tmp_path / "base"))
    publish(bundle, store, now_ms=lambda: 1)
    promote(store, 1, to_stage=4, now_ms=lambda: 1)
    return SimpleNamespace(
        folder=tmp_path / "base" / "bundles" / bundle.digest,
        device=(str(tmp_path / "base"), "--device-id", "d", "--group", "g"),
        key=f"--public-key={tmp_path / 'key.pub'}",
        bundle=bundle,
        store=store,
    )


@pytest.mark.slow
def test_a_signed_bundle_runs_with_and_without_the_key(tmp_path, signed):
    assert alone(tmp_path, *signed.device)[0] == 0
    # What was fetched without its signature is fetched again.
    assert alone(tmp_path, *signed.device, signed.key)[0] == 0
    assert alone(tmp_path, *signed.device, signed.key)[1]["version"] == 1


def forge(folder):
    """Another model under the digest of its own manifest: all that a digest alone can tell."""
    write_key(folder.parent / "forger.key")
    sign_model(folder, Signer.read(folder.parent / "forger.key"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "model.sig").unlink(), "signed bundle"),
        (forge, "another's"),
        (lambda folder: (folder / "model.sig").write_text("{}"), "Model Signing"),
        (lambda folder: (folder / "tflite").write_bytes(b"cut"), "tflite"),
    ],
)
def test_a_bundle_that_is_not_as_it_was_signed_is_not_run(tmp_path, signed, change, message):
    change(signed.folder)
    code, said = alone(tmp_path, *signed.device, signed.key)
    assert code == 2
    assert message in said["error"]


@pytest.mark.slow
def test_what_was_added_or_linked_on_the_device_is_fetched_again(tmp_path, signed):
    assert alone(tmp_path, *signed.device, signed.key)[0] == 0
    kept = tmp_path / "device" / "edge-bundles" / "bundles" / signed.bundle.digest
    (kept / ".gitignore").write_text("")
    assert alone(tmp_path, *signed.device, signed.key)[0] == 0
    assert not (kept / ".gitignore").exists()
    (kept / "labels.txt").unlink()
    (kept / "labels.txt").symlink_to(signed.folder / "labels.txt")
    assert alone(tmp_path, *signed.device, signed.key)[0] == 0
    assert not (kept / "labels.txt").is_symlink()
    # Without the place to fetch from, it is not run.
    (kept / ".gitignore").write_text("")
    shutil.rmtree(signed.store.base_path)
    assert alone(tmp_path, *signed.device, signed.key)[0] == 2


@pytest.mark.slow
def test_a_key_that_is_none_runs_nothing(tmp_path, signed):
    (tmp_path / "empty.pub").write_text("")
    for path in (tmp_path / "empty.pub", tmp_path / "absent.pub"):
        assert alone(tmp_path, *signed.device, f"--public-key={path}")[0] == 2


@pytest.mark.slow
def test_a_bundle_gets_the_signature_of_a_new_key(tmp_path, signed):
    write_key(tmp_path / "next.key")
    sign_model(signed.bundle.folder, Signer.read(tmp_path / "next.key"))
    publish(signed.bundle, signed.store, now_ms=lambda: 1)
    assert alone(tmp_path, *signed.device, signed.key)[0] == 2
    assert alone(tmp_path, *signed.device, f"--public-key={tmp_path / 'next.pub'}")[0] == 0


def test_the_file_stands_alone_on_old_pythons():
    text = SOURCE.read_text()
    tree = ast.parse(text, feature_version=(3, 8))
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    allowed = {"numpy", "ai_edge_litert", "tflite_runtime", "cryptography"}
    assert {name.split(".")[0] for name in imported} <= allowed | set(sys.stdlib_module_names)
    # Only who gives --public-key needs that package.
    at_once = {line.split()[1] for line in text.splitlines() if line.startswith(("import", "from"))}
    assert not any(name.startswith("cryptography") for name in at_once)


def test_what_devices_read_is_what_the_contracts_write():
    """The file on a device imports nothing of ours, so names and schemas stand in it again."""
    assert (ROLLOUT_POINTER.name, BUNDLE_MANIFEST.name) == (on_device.POINTER, on_device.MANIFEST)
    assert on_device.SCHEMA_VERSION == ROLLOUT_POINTER.version == BUNDLE_MANIFEST.version
