"""Arrays on their way to a child process: .npz by name, whatever the names are."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tfx_loop.models.tensors import Array

_LENGTHS, _BYTES = "lengths", "bytes"


def save_arrays(path: str | Path, arrays: Mapping[str, Array]) -> None:
    """Writes what `numpy.load` reads; numpy.savez itself refuses an array called `file`."""
    # Stored: the file lives for one call on one machine, and deflating floats takes longer than
    # writing them.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, values in arrays.items():
            # A member's size is unknown before it is written, and arrays may pass the 2 GiB of a
            # plain ZIP.
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(  # type: ignore[no-untyped-call]
                    member, np.asanyarray(values), allow_pickle=False
                )


def load_arrays(path: str | Path) -> dict[str, Array]:
    """Returns the arrays of a file by name."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def save_records(path: str | Path, records: Sequence[bytes]) -> None:
    """Writes records, such as serialized tf.Examples, in their order."""
    # One run of bytes and its lengths: an array of bytes objects would need pickle.
    lengths = np.array([len(record) for record in records], dtype=np.int64)
    save_arrays(path, {_LENGTHS: lengths, _BYTES: np.frombuffer(b"".join(records), np.uint8)})


def load_records(path: str | Path) -> list[bytes]:
    """Returns what `save_records` wrote."""
    arrays = load_arrays(path)
    content, ends = arrays[_BYTES].tobytes(), np.cumsum(arrays[_LENGTHS])
    return [content[end - n : end] for end, n in zip(ends, arrays[_LENGTHS], strict=True)]
