"""The guard: every opener of model files goes through `admitted`, and `loop scan` through `scan`.

Nothing of a model file runs, no Keras and no TensorFlow starts. A single file is copied first, and
the copy is what is looked at and what the loader gets, under the suffix of its form: nobody can
change it in between, and no loader can take it for something else.
"""

import logging
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tfx_loop.core.child_process import inherited
from tfx_loop.core.errors import ModelError
from tfx_loop.models.formats import Format, ModelFile, detect
from tfx_loop.models.guard.findings import Finding, Harm, ScanResult, sorted_out, unsafe
from tfx_loop.models.guard.hdf5 import Hdf5Reader
from tfx_loop.models.guard.hollow import scan_holes
from tfx_loop.models.guard.keras_config import LAMBDA, VouchedObjects
from tfx_loop.models.guard.keras_file import KerasContent, read_keras
from tfx_loop.models.guard.saved_model import scan_saved_model
from tfx_loop.models.guard.tflite import scan_tflite

_LOG = logging.getLogger(__name__)
_ALLOW = "guard_allow"
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Where libhdf5 looks for its signature after the begin of a file, doubling.
_FIRST_HDF5_OFFSET = 512
_SUFFIXES = {Format.KERAS: ".keras", Format.H5: ".h5", Format.TFLITE: ".tflite"}


@dataclass(frozen=True)
class AdmittedModel:
    """A model that may be opened.

    Attributes:
        file: What to give to the loader; of a single file a copy, there for the time of the block.
        keras: What a Keras file says of itself; empty for others.
        runs_code: Whether the user let Python code of the file run.
    """

    file: ModelFile
    keras: KerasContent = field(default_factory=KerasContent)
    runs_code: bool = False


def exceptions(names: Sequence[str]) -> AbstractContextManager[None]:
    """Lets findings of these names pass, in this process and its children, for a block."""
    return inherited.made(_ALLOW, names)


def excepted() -> tuple[str, ...]:
    """Returns the names of the exceptions that hold now."""
    return inherited.setting(_ALLOW)


def notes() -> tuple[str, ...]:
    """Returns a sentence for reports about the exceptions of this process; none without."""
    names = excepted()
    return (f"Allowed past the guard of model files: {', '.join(names)}",) if names else ()


def scan(
    path: str | Path | ModelFile,
    *,
    custom_objects: Sequence[str] = (),
    allow: Sequence[str] = (),
    reader: Hdf5Reader | None = None,
) -> ScanResult:
    """Returns what opening a model would read, write, run or exhaust.

    Args:
        path: As `formats.detect` takes it.
        custom_objects: Import paths `module:Name` that the user vouches for.
        allow: Names of findings that the user lets pass.
        reader: Reads HDF5; a new one unless given.

    Raises:
        ModelError: It is no model, or damaged.
    """
    file = path if isinstance(path, ModelFile) else detect(path)
    findings = _holes(file)
    if not findings:
        findings = _content(file, file.path, VouchedObjects.of(custom_objects), reader).findings
    return sorted_out(findings, allow)


@contextmanager
def admitted(
    file: ModelFile,
    custom_objects: Sequence[str] = (),
    fits: Callable[[KerasContent], None] | None = None,
    *,
    compiled: bool = True,
) -> Iterator[AdmittedModel]:
    """Yields a model that may be opened, for the time of opening it.

    Args:
        file: The model.
        custom_objects: Import paths `module:Name` that the user vouches for.
        fits: Raises where what a Keras file says of itself is nothing for the caller, safe or not.
        compiled: Whether a Keras file is opened with its loss, optimizer and metrics. Without
            them what the file says of these is never built, and not looked at.

    Raises:
        ModelUnsafe: It may not; one line says why.
        ModelError: It is damaged.
    """
    allow = excepted()
    if findings := _holes(file):
        raise unsafe(file.path, findings)
    with tempfile.TemporaryDirectory(prefix="loop-model-") as folder:
        taken = _copy(file, Path(folder))
        vouched = VouchedObjects.of(custom_objects)
        content = _content(taken, file.path, vouched, None, compiled=compiled)
        if fits is not None and content.config:
            fits(content)
        result = sorted_out(content.findings, allow)
        if result.findings:
            raise unsafe(file.path, result.findings)
        if result.exceptions:
            names = ",".join(result.exceptions)
            _LOG.warning("model_guard path=%s admitted=yes allowed=%s", file.path, names)
        runs_code = any(name.startswith(f"{LAMBDA}:") for name in result.exceptions)
        yield AdmittedModel(taken, content, runs_code)


def check(file: ModelFile) -> None:
    """Checks a model that another program will open, such as the compiler or a device.

    Raises:
        ModelUnsafe: It would do what it should not; one line says why.
        ModelError: It is damaged.
    """
    with admitted(file):
        return


def _holes(file: ModelFile) -> tuple[Finding, ...]:
    """Returns the finding of a single file that is not worth a copy; folders are not copied."""
    # What is no plain file is refused by name, and has no size.
    if file.format is Format.SAVED_MODEL or not file.path.is_file():
        return ()
    return tuple(scan_holes(file.path, "the file"))


def _copy(file: ModelFile, folder: Path) -> ModelFile:
    if file.format is Format.SAVED_MODEL:
        return file
    target = folder / f"model{_SUFFIXES[file.format]}"
    try:
        if not file.path.is_file():
            raise FileNotFoundError(2, "No such file", str(file.path))
        shutil.copyfile(file.path, target)
    except OSError as error:
        raise ModelError(
            f"Expected a model at {file.path}, received: {error.strerror or error}. Check the path."
        ) from error
    return ModelFile(target, file.format)


def _content(
    file: ModelFile,
    where: Path,
    vouched: VouchedObjects,
    reader: Hdf5Reader | None,
    *,
    compiled: bool = True,
) -> KerasContent:
    """Returns what is found; of a Keras file, with what it says of itself."""
    if file.format is Format.SAVED_MODEL:
        return KerasContent(findings=tuple(scan_saved_model(file.path)))
    if findings := tuple(_second_form(file)):
        return KerasContent(findings=findings)
    if file.format is Format.TFLITE:
        return KerasContent(findings=tuple(scan_tflite(file.path, where)))
    if reader is not None:
        return read_keras(file, vouched, reader, where, compiled=compiled)
    with Hdf5Reader() as own:
        return read_keras(file, vouched, own, where, compiled=compiled)


def _second_form(file: ModelFile) -> Iterator[Finding]:
    """Yields the other form that a loader could take a file for."""
    other = ""
    if file.format is Format.H5 and zipfile.is_zipfile(file.path):
        other = "a ZIP archive"
    elif file.format is not Format.H5 and _has_hdf5(file):
        other = "HDF5"
    if other:
        yield Finding(
            part="the file",
            found=f"{file.format.value} and {other} at once",
            harm=Harm.AMBIGUOUS,
            remedy="Save the model again with model.save",
        )


def _has_hdf5(file: ModelFile) -> bool:
    members: set[int] = set()
    size = file.path.stat().st_size
    offset = _FIRST_HDF5_OFFSET
    with open(file.path, "rb") as content:
        while offset < size:
            content.seek(offset)
            if content.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE:
                # The weights of a .keras file may happen to begin right here.
                members = members or _members(file.path)
                if offset not in members:
                    return True
            offset *= 2
    return False


def _members(path: Path) -> set[int]:
    """Returns where the content of an archive's members begins."""
    found = set()
    try:
        with zipfile.ZipFile(path) as archive, open(path, "rb") as content:
            for member in archive.infolist():
                # APPNOTE.TXT, 4.3.7: the lengths of name and extra field stand at 26 and 28 of a
                # local header.
                content.seek(member.header_offset + 26)
                # Lengths of the name and of the extra field (APPNOTE.TXT, 4.3.7).
                lengths = content.read(4)
                name, extra = (int.from_bytes(lengths[i : i + 2], "little") for i in (0, 2))
                found.add(member.header_offset + 30 + name + extra)
    except (OSError, ValueError, zipfile.BadZipFile):
        return set()
    return found
