#!/usr/bin/env python3
"""The device side: chooses, fetches and verifies a bundle, and asks its golden requests.

Copy this one file to the device; it imports nothing of tfx-loop. It needs Python 3.8 or newer,
NumPy, and `ai-edge-litert` (or the older `tflite-runtime`); with Coral's `libedgetpu` installed
and an Edge TPU attached it runs the compiled model there, and otherwise the same model on the CPU.

    python3 on_device.py https://storage.example/digits --device-id kiosk-17 --group shop

follows the roll-out, fetches the version that this device is to run, checks every digest and the
golden answers, and makes it `current`. A version that fails a check is not used: the one before
stays. Names, paths and sizes that come over the network are not trusted.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

POINTER = "latest.json"
MANIFEST = "manifest.json"
# Of pointer and manifest; raised when a device with the old file would misread them.
SCHEMA_VERSION = 1
# Coral's library by platform (coral.ai/docs/edgetpu/tflite-python).
DELEGATES = {
    "linux": "libedgetpu.so.1",
    "darwin": "libedgetpu.1.dylib",
    "win32": "edgetpu.dll",
}
# No separator and no leading dot: a name from the network cannot leave its folder.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
# Pointer and manifest take some kB; anything larger is not them, and is not read to its end.
_SMALL_FILE = 4_000_000
# Hashing a model of any size takes this much memory.
_CHUNK = 1 << 20
_HTTP_SECONDS = 30
# Scratch of a fetch that was killed is removed after a day: another may be at work until then.
_LEFT_SECONDS = 86_400


class BundleError(Exception):
    """A bundle or pointer is not what it should be; it must not be used."""


# The version of this device


def device_fraction(name: str, version: int, device_id: str) -> float:
    """Returns where a device stands in the order of one roll-out, in [0, 1).

    The order differs from version to version, so that it is not always the same devices that go
    first.
    """
    digest = hashlib.sha256(f"{name}\0{version}\0{device_id}".encode()).digest()
    # 48 bits: exact in a double, on any platform and in any language.
    return int.from_bytes(digest[:6], "big") / float(1 << 48)


def resolve(pointer: Mapping[str, Any], device_id: str, group: str) -> dict[str, Any] | None:
    """Returns version and digest that a device runs, or None where there is none for it yet.

    Args:
        pointer: Content of `latest.json`.
        device_id: Any string that stays the same for a device.
        group: Group of the device; one that the roll-out does not name gets what is stable.

    Raises:
        BundleError: It is not a pointer that this file knows.
    """
    try:
        if pointer["schema_version"] != SCHEMA_VERSION:
            raise BundleError(
                f"Expected schema_version {SCHEMA_VERSION} in {POINTER}, received "
                f"{pointer['schema_version']!r}. Copy a newer on_device.py to the device."
            )
        chosen = pointer["stable"]
        candidate = pointer["candidate"]
        if candidate is not None:
            share = float(candidate["percent"].get(group, 0.0)) / 100.0
            version = int(candidate["version"])
            # Strictly below: a share of 0 takes nobody, one of 1 everybody.
            if device_fraction(str(pointer["name"]), version, device_id) < share:
                chosen = candidate
        if chosen is None:
            return None
        if not _DIGEST.fullmatch(chosen["digest"]):
            raise BundleError(f"Expected a SHA-256 digest, received {chosen['digest']!r:.100}.")
        return {"version": int(chosen["version"]), "digest": chosen["digest"]}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"Expected a roll-out pointer, received {error!r:.200}.") from error


# The check that a bundle is whole


def read_manifest(content: bytes, digest: str = "") -> dict[str, Any]:
    """Returns a manifest that can be trusted to name plain files of this folder.

    Raises:
        BundleError: It is not the one with that digest, or names a path.
    """
    found = hashlib.sha256(content).hexdigest()
    if digest and found != digest:
        raise BundleError(f"Expected a manifest with digest {digest}, received {found}.")
    try:
        manifest = json.loads(content)
        if manifest["schema_version"] != SCHEMA_VERSION:
            raise BundleError(
                f"Expected schema_version {SCHEMA_VERSION} in {MANIFEST}, received "
                f"{manifest['schema_version']!r}. Copy a newer on_device.py to the device."
            )
        for name, about in manifest["files"].items():
            if not _NAME.fullmatch(name) or name == MANIFEST:
                raise BundleError(f"Expected plain file names in {MANIFEST}, received {name!r}.")
            if not _DIGEST.fullmatch(about["sha256"]) or int(about["bytes"]) < 0:
                raise BundleError(f"Expected digest and size of {name}, received {about!r:.200}.")
        for role in ("cpu_model", "edge_tpu_model", "labels", "golden"):
            if manifest[role] is not None and manifest[role] not in manifest["files"]:
                raise BundleError(f"Expected {role} among the files, received {manifest[role]!r}.")
        if manifest["cpu_model"] is None or manifest["golden"] is None:
            raise BundleError("Expected a cpu_model and golden answers in the manifest.")
        return dict(manifest)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"Expected a bundle's manifest, received {error!r:.200}.") from error


def verify(folder: Path, digest: str = "") -> dict[str, Any]:
    """Returns the manifest of a folder in which every file is as the manifest says.

    Raises:
        BundleError: A file is missing, cut off, changed or a link.
    """
    path = folder / MANIFEST
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"Expected {MANIFEST} in {folder}, found none.")
    manifest = read_manifest(path.read_bytes(), digest)
    for name, about in manifest["files"].items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"Expected {name} in {folder}, found none.")
        found = _sha256(path)
        if found != about["sha256"]:
            raise BundleError(
                f"Expected {name} with digest {about['sha256']}, received {path.stat().st_size} "
                f"bytes with {found}."
            )
    return manifest


def fetch(base: str, digest: str, cache: Path) -> Path:
    """Returns the folder of a whole bundle in the cache, copied from `base` when it is not there.

    Args:
        base: Folder or http(s) address that was published to.
        digest: Which bundle.
        cache: Folder on the device.

    Raises:
        BundleError: What is there is not that bundle.
        OSError: The network or the disk failed.
    """
    target = cache / "bundles" / digest
    if target.exists():
        try:
            verify(target, digest)
            return target
        except BundleError:
            shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=".fetch-", dir=str(target.parent)))
    try:
        source = f"bundles/{digest}"
        content = _read(base, f"{source}/{MANIFEST}", _SMALL_FILE)
        manifest = read_manifest(content, digest)
        (staged / MANIFEST).write_bytes(content)
        for name, about in manifest["files"].items():
            (staged / name).write_bytes(_read(base, f"{source}/{name}", int(about["bytes"])))
        verify(staged, digest)
        os.replace(str(staged), str(target))
    finally:
        shutil.rmtree(str(staged), ignore_errors=True)
    return target


def _read(base: str, name: str, limit: int) -> bytes:
    if base.startswith(("http://", "https://")):
        address = f"{base.rstrip('/')}/{name}"
        with urllib.request.urlopen(address, timeout=_HTTP_SECONDS) as answer:
            # One byte more than allowed tells "too large" from "just fits".
            content = bytes(answer.read(limit + 1))
    else:
        with open(Path(base) / name, "rb") as file:
            content = file.read(limit + 1)
    if len(content) > limit:
        raise BundleError(f"Expected at most {limit} bytes of {name}, received more.")
    return content


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


# The model, and the check of its answers


class Model:
    """A model of a verified bundle, on the Edge TPU or on the CPU.

    Attributes:
        manifest: The bundle's manifest.
        processor: `edge_tpu` or `cpu`.
        note: Why the Edge TPU is not used; empty when it is, or when nothing was compiled for it.
        labels: Names of the classes; empty where the bundle has none.
    """

    def __init__(self, folder: Path, digest: str = "", delegate: str | None = None) -> None:
        """Verifies the bundle, loads its best model and checks the golden answers.

        Args:
            folder: The bundle.
            digest: Digest that it must have; empty takes any that is consistent in itself.
            delegate: Library of the Edge TPU; None takes the platform's.

        Raises:
            BundleError: The bundle is not whole, or no model of it gives the golden answers.
        """
        self.manifest = verify(folder, digest)
        self.processor, self.note = "cpu", ""
        self._folder = folder
        compiled = self.manifest["edge_tpu_model"]
        if compiled is not None:
            try:
                self._open(compiled, delegate or DELEGATES.get(sys.platform, ""))
                self.processor = "edge_tpu"
                self._check_golden()
            except (BundleError, KeyError, OSError, RuntimeError, ValueError) as error:
                self.processor, self.note = "cpu", " ".join(str(error).split())[:300]
        if self.processor == "cpu":
            self._open(self.manifest["cpu_model"], None)
            self._check_golden()
        names = self.manifest["labels"]
        self.labels = (folder / names).read_text("utf-8").splitlines() if names else []

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns real-valued outputs by name.

        Args:
            inputs: Arrays by name, of the model's shape; floats are quantised with the input's
                scale, integers of the input's own type are taken as they are. The names are those
                of the manifest.
        """
        names = {
            entry["tensor"]: entry["name"]
            for entry in (*self.manifest["inputs"], *self.manifest["outputs"])
        }
        for detail in self._interpreter.get_input_details():
            values = np.asarray(inputs[names[detail["name"]]]).reshape(detail["shape"])
            if np.issubdtype(values.dtype, np.floating):
                values = _quantised(values, detail)
            self._interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))
        self._interpreter.invoke()
        return {
            names[detail["name"]]: _real(self._interpreter.get_tensor(detail["index"]), detail)
            for detail in self._interpreter.get_output_details()
        }

    def _open(self, name: str, delegate: str | None) -> None:
        interpreter, load_delegate = _litert()
        path = str(self._folder / name)
        if delegate is None:
            self._interpreter = interpreter(model_path=path)
        else:
            ctypes.CDLL(delegate)  # Says plainly why it cannot be loaded; load_delegate does not.
            self._interpreter = interpreter(
                model_path=path, experimental_delegates=[load_delegate(delegate)]
            )
        self._interpreter.allocate_tensors()

    def _check_golden(self) -> None:
        with np.load(self._folder / self.manifest["golden"], allow_pickle=False) as golden:
            names = [entry["name"] for entry in self.manifest["inputs"]]
            if not len(golden["input_0"]):
                raise BundleError("Expected golden rows to check the model with, found none.")
            for row in range(len(golden["input_0"])):
                given = {name: golden[f"input_{i}"][row] for i, name in enumerate(names)}
                answers = self.predict(given)
                for i, output in enumerate(self.manifest["outputs"]):
                    self._compare(answers[output["name"]], golden[f"output_{i}"][row], output)

    def _compare(self, answer: Any, expected: Any, output: Mapping[str, Any]) -> None:
        allowed = float(output[f"{self.processor}_tolerance"])
        if answer.shape != expected.shape:
            raise BundleError(f"Expected shape {expected.shape}, received {answer.shape}.")
        off = float(np.max(np.abs(answer - expected), initial=0.0))
        if not off <= allowed:
            raise BundleError(
                f"Expected golden answers for {output['name']!r} within {allowed:g} on the "
                f"{self.processor}, received one that is off by {off:g}."
            )


def _quantised(values: Any, detail: Mapping[str, Any]) -> Any:
    scale, zero_point = detail["quantization"]
    if not scale:
        return values
    limits = np.iinfo(detail["dtype"])
    # q = round(x / scale) + zero_point, saturated as the QUANTIZE kernel does.
    return np.clip(np.round(values / scale) + zero_point, limits.min, limits.max)


def _real(values: Any, detail: Mapping[str, Any]) -> Any:
    scale, zero_point = detail["quantization"]
    values = values.astype(np.float64)
    return (values - zero_point) * scale if scale else values


def _litert() -> tuple[Any, Any]:
    try:
        from ai_edge_litert import interpreter
    except ImportError:
        from tflite_runtime import interpreter  # type: ignore[import-not-found,no-redef]
    return interpreter.Interpreter, interpreter.load_delegate


# What a device does at every start or poll


def update(base: str, device_id: str, group: str, cache: Path) -> tuple[Model, int]:
    """Returns the model of the version that this device is to run, and that version.

    It becomes `current` in the cache only after it loaded and gave the golden answers.

    Raises:
        BundleError: There is no version for this device, or it fails a check; `current` stays.
        OSError: The network or the disk failed; `current` stays.
    """
    pointer = json.loads(_read(base, POINTER, _SMALL_FILE))
    entry = resolve(pointer, device_id, group)
    if entry is None:
        raise BundleError(f"Expected a version for group {group!r}, found none published yet.")
    folder = fetch(base, entry["digest"], cache)
    model = Model(folder, entry["digest"])
    before = _current(cache)
    link = cache / f".current-{os.getpid()}"
    link.unlink(missing_ok=True)
    # Made under another name and renamed: `current` is never absent.
    os.symlink(os.path.join("bundles", entry["digest"]), str(link))
    os.replace(str(link), str(cache / "current"))
    if before != entry["digest"]:
        _tidy(cache, keep={entry["digest"], before})
    return model, entry["version"]


def _current(cache: Path) -> str:
    """Returns the digest of the bundle in use; empty when there is none."""
    try:
        return os.path.basename(os.readlink(str(cache / "current")))
    except OSError:
        return ""


def _tidy(cache: Path, keep: set[str]) -> None:
    """Removes bundles of earlier versions, and what downloads that were killed left a day ago."""
    for folder in (cache / "bundles").iterdir():
        left = folder.name.startswith(".fetch-")
        old = left and time.time() - folder.stat().st_mtime > _LEFT_SECONDS
        if old or (not left and folder.name not in keep):
            shutil.rmtree(str(folder), ignore_errors=True)


def main(arguments: list[str] | None = None) -> int:
    """Updates this device; writes one line of JSON; returns 0, 1 on the version before, or 2."""
    parser = argparse.ArgumentParser(description="Runs the bundle that a roll-out gives a device.")
    parser.add_argument("base", help="folder or http(s) address that bundles are published to")
    parser.add_argument("--device-id", required=True, help="any string that stays the same")
    parser.add_argument("--group", required=True, help="group of the roll-out, such as canary")
    parser.add_argument("--cache", type=Path, default=Path("edge-bundles"), help="folder here")
    args = parser.parse_args(arguments)
    said: dict[str, Any] = {}
    code = 0
    try:
        model, version = update(args.base, args.device_id, args.group, args.cache)
        said = {"version": version}
    except (BundleError, OSError, ValueError) as error:
        said, code = {"error": str(error)}, 1
        try:
            model = Model(args.cache / "current", _current(args.cache))
        except (BundleError, OSError, ValueError):
            json.dump(said, sys.stdout)
            sys.stdout.write("\n")
            return 2
    said.update(name=model.manifest["name"], processor=model.processor, note=model.note)
    json.dump(said, sys.stdout)
    sys.stdout.write("\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
