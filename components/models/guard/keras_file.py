"""Look at a .keras or .h5 file for whatever opening it would read, run or unpack, without Keras."""

import itertools
import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import ModelError, first_line
from tfx_loop.models.formats import Format, ModelFile
from tfx_loop.models.guard import limits
from tfx_loop.models.guard.archive import scan_directory
from tfx_loop.models.guard.findings import Finding, Harm
from tfx_loop.models.guard.hdf5 import Hdf5Reader
from tfx_loop.models.guard.keras_config import VouchedObjects, scan_config

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_COMPILE, _TRAINING = "compile_config", "training_config"
# Keras reads an .npz with pickle allowed, and has no use for the others.
_CODE_SUFFIXES = (".npz", ".npy", ".pkl", ".pickle", ".so", ".py", ".pyc")
_SAVE_AGAIN = "Save the model again with model.save"
_MAX_FINDINGS = 1_000
# What reading a crooked archive or its JSON can raise.
_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    RecursionError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class KerasContent:
    """What a Keras file says of itself.

    Attributes:
        version: Keras that wrote it, such as `2.16.0`.
        config: How the model is built.
        findings: What makes it unsafe; the rest is empty then.
    """

    version: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


class _TooMuch(Exception):
    """A part of the file that would take too long to read, or too much memory."""

    def __init__(self, part: str, found: str) -> None:
        super().__init__(found)
        self.finding = Finding(
            part=part,
            found=found,
            harm=Harm.EXHAUSTS,
            remedy=_SAVE_AGAIN,
        )


def read_keras(
    file: ModelFile,
    vouched: VouchedObjects,
    reader: Hdf5Reader,
    where: Path,
    *,
    compiled: bool = True,
) -> KerasContent:
    """Returns what a .keras or .h5 file says of itself, and what makes it unsafe.

    Args:
        file: The file.
        vouched: Classes and functions that the user vouches for.
        reader: Reads HDF5.
        where: The file's name for messages.
        compiled: Whether its loss, optimizer and metrics are to be built as well.

    Raises:
        ModelError: It is damaged, or holds no model.
    """
    try:
        if file.format is Format.KERAS:
            return _of_archive(file.path, vouched, reader, compiled)
        return _of_hdf5(file.path, vouched, reader, compiled)
    except _TooMuch as error:
        return KerasContent(findings=(error.finding,))
    except _DAMAGE as error:
        why = "JSON that nests too deep." if isinstance(error, RecursionError) else None
        raise ModelError(
            f"Expected a whole Keras model in {where}, received: {why or first_line(error)} "
            "Was it written to the end? Save it again with model.save."
        ) from error


def _of_archive(
    path: Path, vouched: VouchedObjects, reader: Hdf5Reader, compiled: bool
) -> KerasContent:
    if findings := tuple(scan_directory(path)):
        return KerasContent(findings=findings)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        for name in (_CONFIG, _METADATA, _WEIGHTS):
            # Without model.weights.h5 Keras would go on to an .npz, read with pickle allowed.
            if name not in names:
                raise ValueError(f"no {name} in the archive")
        code = tuple(_code(name) for name in names if name.lower().endswith(_CODE_SUFFIXES))
        for name in (_CONFIG, _METADATA):
            if archive.getinfo(name).file_size > limits.MAX_CONFIG_BYTES:
                raise _TooMuch(name, f"{archive.getinfo(name).file_size >> 20} MiB")
        # A crooked checksum would otherwise show as wrong weights or a strange error of Keras.
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"{damaged} is damaged")
        config = _json_object(archive.read(_CONFIG), _CONFIG)
        metadata = _json_object(archive.read(_METADATA), _METADATA)
        # load_model(compile=False) takes this key out, of the model itself alone: models within it
        # keep theirs, and Keras builds what these name.
        built = config if compiled else {k: v for k, v in config.items() if k != _COMPILE}
        found = (*code, *_of_config(built, vouched), *_of_members(archive, names, reader))
    return KerasContent(str(metadata.get("keras_version", "")), _model(config), found)


def _of_members(
    archive: zipfile.ZipFile, names: list[str], reader: Hdf5Reader
) -> Iterator[Finding]:
    """Yields what is unsafe in the HDF5 files of an archive."""
    with tempfile.TemporaryDirectory(prefix="loop-guard-") as scratch:
        weights = [name for name in names if name.lower().endswith((".h5", ".hdf5"))]
        if len(weights) > limits.MAX_WEIGHT_FILES:
            raise _TooMuch("the archive", f"{len(weights)} files of weights")
        for name in weights:
            unpacked = Path(scratch) / "member.h5"
            with archive.open(name) as source, open(unpacked, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            if findings := reader.read(unpacked, name)[0]:
                # Each may take seconds.
                yield from findings
                return


def _of_hdf5(
    path: Path, vouched: VouchedObjects, reader: Hdf5Reader, compiled: bool
) -> KerasContent:
    findings, texts = reader.read(path, path.name)
    if findings:
        return KerasContent(findings=tuple(findings))
    if "model_config" not in texts:
        raise ValueError("no model_config: it holds weights alone")
    if "model_weights" not in texts["/"].split(","):
        raise ValueError("no model_weights")
    config = _json_object(texts["model_config"].encode(), "model_config")
    found = [*_of_config(config, vouched)]
    if compiled and _TRAINING in texts:
        found += _of_config(_json_object(texts[_TRAINING].encode(), _TRAINING), vouched)
    return KerasContent(texts.get("keras_version", ""), _model(config), tuple(found))


def _of_config(config: dict[str, Any], vouched: VouchedObjects) -> Iterator[Finding]:
    # Whoever reads them has seen enough.
    return itertools.islice(scan_config(config, vouched), _MAX_FINDINGS)


def _json_object(content: bytes, name: str) -> dict[str, Any]:
    limits_of = ((b"{", limits.MAX_CONFIG_OBJECTS), (b"[", limits.MAX_CONFIG_LISTS))
    for bracket, most in limits_of:
        if (count := content.count(bracket)) > most:
            raise _TooMuch(name, f"{count} parts")
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError(f"{name} that is no JSON object")
    return found


def _model(config: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(config.get("class_name"), str):
        raise ValueError("no configuration of a model")
    return config


def _code(name: str) -> Finding:
    return Finding(
        part=f"member {name!r}",
        found="a file that may hold code",
        harm=Harm.RUNS,
        remedy=_SAVE_AGAIN,
    )
