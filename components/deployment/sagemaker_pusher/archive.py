"""The archive that a SageMaker container unpacks as /opt/ml/model: NAME/VERSION/saved_model.pb.

The same files make the same bytes: sorted, without times, owners, modes or links, so that the
digest of the archive tells what is in it. AWS' TensorFlow image serves each folder called by digits
that holds a saved_model.pb, and fails its ping without one; it installs `code/requirements.txt` and
runs `code/inference.py` when it starts, so that no folder of that name goes in.
"""

import gzip
import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tfx_loop.core.errors import ModelError
from tfx_loop.deployment.sagemaker_pusher.names import CODE_FOLDER, check_served_name
from tfx_loop.models.formats import SAVED_MODEL_FILE, is_saved_model, tflite_file

# The number in the archive is no version of ours: were it one, each push of a model would make
# other bytes.
ARCHIVED_VERSION = 1
# zlib's default; another level makes other bytes.
_LEVEL = 6
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ModelArchive:
    """An archive on this machine.

    Attributes:
        path: The file.
        sha256: Its digest, in hexadecimal.
        name: The model's folder in it, which is the name that it is served under.
    """

    path: Path
    sha256: str
    name: str


def write_archive(model_dir: Path, name: str, path: Path) -> ModelArchive:
    """Writes the archive of a SavedModel.

    Args:
        model_dir: The SavedModel's folder.
        name: The model's folder in the archive: letters, digits, `_`, `.` and `-`.
        path: The file that is written.

    Raises:
        ConfigError: The name cannot be one of a model.
        ModelError: It is no SavedModel, holds a link, a `code` folder, or a second model.
    """
    check_served_name(name)
    files = _files(model_dir)
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=_LEVEL, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for file in files:
            inside = file.relative_to(model_dir).as_posix()
            member = tarfile.TarInfo(f"{name}/{ARCHIVED_VERSION}/{inside}")
            # The rest of a member is the same for everybody: no time, owner 0, mode 644.
            member.size, member.mode = file.stat().st_size, 0o644
            with file.open("rb") as content:
                tar.addfile(member, content)
    with path.open("rb") as written:
        return ModelArchive(path=path, sha256=digest_of(written), name=name)


def digest_of(file: IO[bytes]) -> str:
    """Returns the SHA-256 of what a file holds from here on, in hexadecimal."""
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def check_model(model_dir: Path) -> None:
    """Checks that a folder holds what an archive is made of; raises as `write_archive`."""
    _files(model_dir)


def _files(model_dir: Path) -> list[Path]:
    if not is_saved_model(model_dir):
        if tflite_file(model_dir) is not None:
            raise ModelError(
                f"Expected a SavedModel in {model_dir}, received a TFLite model: AWS' TensorFlow "
                "image serves SavedModels alone. Push the SavedModel that it was made from, or the "
                "variant to loop-model-server with ServingPusher."
            )
        raise ModelError(
            f"Expected a SavedModel in {model_dir}, found no {SAVED_MODEL_FILE}. Let the Trainer "
            "write one to fn_args.serving_model_dir."
        )
    files = list(_checked(model_dir))
    models = [file for file in files if file.name == SAVED_MODEL_FILE]
    if len(models) > 1:
        raise ModelError(
            f"Expected one model in {model_dir}, found {len(models)} of {SAVED_MODEL_FILE}: the "
            "container would serve each. Push them one by one."
        )
    return files


def _checked(model_dir: Path) -> Iterator[Path]:
    # By their names below the folder: its own place on this machine must not order them.
    for path in sorted(model_dir.rglob("*"), key=lambda p: p.relative_to(model_dir).as_posix()):
        where = path.relative_to(model_dir)
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ModelError(
                f"Expected plain files in {model_dir}, found a link or device {where}. Export the "
                "model again."
            )
        if CODE_FOLDER in where.parts and path.is_dir():
            raise ModelError(
                f"Expected a model without a folder {CODE_FOLDER!r}, found {where}: the container "
                "would install and run what is in it. Remove it."
            )
        if path.is_file():
            yield path
