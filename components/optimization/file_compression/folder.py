"""Folder of a result: written whole or not at all, and never over files of somebody else."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tfx_loop.contracts.optimization_report import OPTIMIZATION_REPORT
from tfx_loop.core.errors import ConfigError, LoopError

MODEL_FILE, MODEL_FOLDER = "model.tflite", "saved_model"
REPORT_FILE, PAGE_FILE = "report.json", "report.html"
_OURS = {MODEL_FILE, MODEL_FOLDER, REPORT_FILE, PAGE_FILE}


def check_free(out: Path) -> None:
    """Checks that a folder may be written: it is new, empty, or one of ours.

    Raises:
        ConfigError: Other files are there.
    """
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir():
        raise ConfigError(f"Expected a folder for --out, received the file {out}. Name another.")
    found = sorted(path.name for path in out.iterdir())
    if not found or (set(found) <= _OURS and _has_report(out)):
        return
    raise ConfigError(
        f"Expected a new or empty folder, or one of an earlier loop compress, for --out, received "
        f"{out} with {', '.join(found[:5])}{' and more' if len(found) > 5 else ''}. Name another."
    )


@contextlib.contextmanager
def staged(out: Path) -> Iterator[Path]:
    """Yields a folder beside `out`, which takes its place when the block ends without an error.

    Raises:
        ConfigError: `out` may not be written, before the block or after it.
    """
    check_free(out)
    out = out.resolve()  # A link stays one, and "." has a name.
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise ConfigError(
            f"Expected a place that can be written for --out, received {out}: {error.strerror}. "
            "Name another."
        ) from error
    try:
        yield stage
        # Again: the work takes minutes, and somebody may have written there meanwhile.
        check_free(out)
        try:
            _publish(stage, out)
        except OSError as error:
            raise ConfigError(
                f"Expected a folder that can be replaced for --out, received {out}: "
                f"{error.strerror}. Name another."
            ) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _publish(stage: Path, out: Path) -> None:
    # mkdtemp makes it for its owner alone; a result is read by others as any folder is.
    stage.chmod(0o755)
    if not out.exists():
        os.rename(stage, out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
    # Renaming over the empty folder keeps the result before at hand until the new one is in place.
    os.rename(out, old)
    try:
        os.rename(stage, out)
    except OSError:
        os.rename(old, out)
        raise
    shutil.rmtree(old)


def _has_report(folder: Path) -> bool:
    try:
        OPTIMIZATION_REPORT.load(folder / REPORT_FILE)
    except LoopError:
        return False
    return True
