"""Arrays on their way to a child process: .npz by name, whatever the names are."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tfx_loop.models.tensors import Array


def save_arrays(path: str | Path, arrays: Mapping[str, Array]) -> None:
    """Writes what `numpy.load` reads; numpy.savez itself refuses an array called `file`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(  # type: ignore[no-untyped-call]
                    member, np.asanyarray(values), allow_pickle=False
                )


def load_arrays(path: str | Path) -> dict[str, Array]:
    """Returns the arrays of a file by name."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
