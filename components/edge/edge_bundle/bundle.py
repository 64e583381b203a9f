"""Bundles for devices: what is in one, and the check that it is whole.

A bundle is a flat folder: the CPU model, the model compiled for the Edge TPU where there is one,
labels, golden answers, and a manifest that holds the SHA-256 digest of each. The digest of the
manifest is the bundle's: the same models, labels and rows give the same digest, whoever builds it
and when. The CPU model is called `tflite`, so that a TFX `Model` whose serving folder is a bundle
can be judged by the Evaluator: what is judged is what ships.
"""

import dataclasses
import hashlib
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from tfx_loop.contracts.bundle_manifest import BUNDLE_MANIFEST, BundledFile, BundleManifest
from tfx_loop.core import storage
from tfx_loop.core.errors import ConfigError, ModelError
from tfx_loop.edge.edge_bundle import on_device
from tfx_loop.edge.edge_bundle.golden import DEFAULT_TOLERANCE, Tolerance, golden_answers
from tfx_loop.models.formats import Format, ModelFile
from tfx_loop.models.guard import guard
from tfx_loop.models.signing.signer import Signer, sign_model
from tfx_loop.models.signing.verification import SIGNATURE

CPU_MODEL = "tflite"
EDGE_TPU_MODEL = "model_edgetpu.tflite"
LABELS = "labels.txt"
GOLDEN = "golden.npz"


@dataclass(frozen=True, kw_only=True)
class BundleParts:
    """What a bundle is made of.

    Attributes:
        name: What the bundle is called on devices, such as `digits`.
        cpu_model: An int8 .tflite model that takes one row.
        edge_tpu_model: The same model compiled; None where there is no compiler.
        golden_rows: (rows, …) arrays by input name.
        labels: Names of the classes in order; empty takes those packed into the CPU model, if any.
        minimum_runtime: Oldest runtimes that can run it, by name, such as {"edge_tpu": 14}.
        compiler_version: Version of the Edge TPU compiler; empty where none ran.
        tolerance: How far devices may be off.
    """

    name: str
    cpu_model: Path
    golden_rows: Mapping[str, npt.NDArray[Any]]
    edge_tpu_model: Path | None = None
    labels: Sequence[str] = ()
    minimum_runtime: Mapping[str, int | str] = dataclasses.field(default_factory=dict)
    compiler_version: str = ""
    tolerance: Tolerance = DEFAULT_TOLERANCE

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigError("Expected a name for the bundle, received an empty one.")
        if bad := [label for label in self.labels if len(label.splitlines()) != 1]:
            raise ConfigError(f"Expected labels of one line each, received {bad[0]!r}.")


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle whose files were verified.

    Attributes:
        folder: Where it is.
        digest: SHA-256 of its manifest, hexadecimal.
        name: What it is called on devices.
        files: Names of its files, with its signature where there is one; the manifest last.
        manifest: Content of the manifest.
    """

    folder: Path
    digest: str
    name: str
    files: tuple[str, ...]
    manifest: BundleManifest


def build_bundle(parts: BundleParts, folder: Path, signer: Signer | None = None) -> Bundle:
    """Writes a bundle into a folder and returns it verified.

    Args:
        parts: What it is made of.
        folder: Where; new or empty.
        signer: Signs it; None leaves it unsigned.

    Raises:
        ModelUnsafe: Running a model would do what it should not.
        ModelError: The CPU model does not run, or a model is missing.
        DataError: The golden rows do not fit the model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _copy(parts.cpu_model, folder / CPU_MODEL)
    golden = golden_answers(folder / CPU_MODEL, parts.golden_rows, parts.tolerance)
    # The answers are those of the copy that ships, not of the file that was given.
    storage.write_bytes(str(folder / GOLDEN), golden.content, private=True)
    labels = tuple(parts.labels) or packed_labels(folder / CPU_MODEL)
    if labels:
        (folder / LABELS).write_text("".join(f"{label}\n" for label in labels), "utf-8")
    if parts.edge_tpu_model is not None:
        _copy(parts.edge_tpu_model, folder / EDGE_TPU_MODEL)
    names = [CPU_MODEL, GOLDEN]
    names += [LABELS] if labels else []
    names += [EDGE_TPU_MODEL] if parts.edge_tpu_model else []
    manifest = BundleManifest(
        name=parts.name,
        # Sorted: the manifest's digest is the bundle's, and is independent of the order here.
        files={name: _about(folder / name) for name in sorted(names)},
        cpu_model=CPU_MODEL,
        edge_tpu_model=EDGE_TPU_MODEL if parts.edge_tpu_model else None,
        labels=LABELS if labels else None,
        golden=GOLDEN,
        golden_rows=golden.rows,
        inputs=golden.inputs,
        outputs=golden.outputs,
        minimum_runtime=parts.minimum_runtime,
        compiler_version=parts.compiler_version,
    )
    # Last: it holds the digests of all the others.
    BUNDLE_MANIFEST.write(manifest, folder)
    if signer is not None:
        sign_model(folder, signer, parts.name)
    return open_bundle(folder)


def open_bundle(folder: Path, digest: str = "") -> Bundle:
    """Returns the bundle of a folder, verified as a device verifies it.

    Raises:
        ModelError: It is not whole, or not the one with that digest.
    """
    try:
        content = on_device.verify(folder, digest)
    except on_device.BundleError as error:
        raise ModelError(f"{error} Build the bundle again.") from error
    manifest = BUNDLE_MANIFEST.value(content, BUNDLE_MANIFEST.path(folder))
    signature = (SIGNATURE,) if (folder / SIGNATURE).is_file() else ()
    return Bundle(
        folder=folder,
        digest=hashlib.sha256((folder / BUNDLE_MANIFEST.name).read_bytes()).hexdigest(),
        name=manifest.name,
        files=(*manifest.files, *signature, BUNDLE_MANIFEST.name),
        manifest=manifest,
    )


def check_answers(bundle: Bundle) -> None:
    """Asks the CPU model of a bundle its golden requests, as a device does.

    Raises:
        ModelError: It does not run here, or an answer differs.
    """
    try:
        on_device.Model(bundle.folder, bundle.digest)
    except (on_device.BundleError, RuntimeError, ValueError) as error:
        raise ModelError(f"{error} Build the bundle again.") from error


def packed_labels(model: Path) -> tuple[str, ...]:
    """Returns the labels in a model's metadata: the one .txt file of the archive at its end.

    See ai.google.dev/edge/litert/models/metadata: associated files are appended as a ZIP archive.
    """
    if not zipfile.is_zipfile(model):
        return ()
    with zipfile.ZipFile(model) as archive:
        names = [name for name in archive.namelist() if name.endswith(".txt")]
        # Several text files, such as a vocabulary beside the labels: which of them is it?
        if len(names) != 1:
            return ()
        return tuple(archive.read(names[0]).decode("utf-8", "replace").splitlines())


def _copy(source: Path, target: Path) -> None:
    if not source.exists():
        raise ModelError(f"Expected a .tflite model in {source}, found none.")
    # The bytes that ship are those that were looked at.
    with guard.admitted(ModelFile(source, Format.TFLITE)) as admitted:
        shutil.copyfile(admitted.file.path, target)


def _about(path: Path) -> BundledFile:
    content = path.read_bytes()
    return BundledFile(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
