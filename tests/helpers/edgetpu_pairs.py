"""The models and their compiled twins that the tests may read, where they are there."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "edgetpu_pairs"
SMALL = "split_concat"
needs_pairs = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"needs the compiled twins in {FOLDER.parent.name}/{FOLDER.name}"
)


def source(name=SMALL):
    return FOLDER / f"{name}.tflite"


def twin(name=SMALL):
    return FOLDER / f"{name}_edgetpu.tflite"
