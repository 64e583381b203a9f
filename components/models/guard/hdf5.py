"""The structure of an HDF5 file: links, datasets and where their bytes are.

libhdf5 itself reads it, in a child process with limits: a crooked file can hold the library in an
endless loop or crash it, and the child takes the harm. What the child has read without harm the
loader reads the same way.
"""

import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import ChildFailed
from tfx_loop.models.guard import limits
from tfx_loop.models.guard.findings import Finding, Harm

_READ = "tfx_loop.models.guard.hdf5:read"
# Filters that libhdf5 or h5py bring along (H5Z_FILTER_DEFLATE to H5Z_FILTER_SCALEOFFSET, LZF);
# another would be looked for as a library on this machine.
_FILTERS = (1, 2, 3, 4, 5, 6, 32000)
_SAVE_AGAIN = "Save the model again with model.save"


class Hdf5Reader:
    """A child process that reads HDF5 files; a context manager."""

    def __init__(self) -> None:
        """Starts nothing yet."""
        self._worker = Worker(timeout_seconds=limits.HDF5_SECONDS, memory_mb=limits.HDF5_MEMORY_MB)

    def __enter__(self) -> "Hdf5Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.close()

    def read(self, path: Path, where: str) -> tuple[list[Finding], dict[str, str]]:
        """Returns what makes a file unsafe, and its attributes that are text.

        Raises:
            ValueError: It is damaged.
        """
        try:
            found = self._worker.call(_READ, {"path": str(path)}, doing=f"reading {where}")
        except ChildFailed as error:
            if error.cause == "failed":
                raise ValueError("HDF5 that cannot be read") from error
            ended = {"timed_out": "no end of reading", "out_of_memory": "more than 768 MiB"}
            return [_exhausts(where, ended.get(error.cause, "a crash of libhdf5"))], {}
        findings = [Finding(**each | {"harm": Harm(each["harm"])}) for each in found["findings"]]
        if found["damage"]:
            raise ValueError(found["damage"])
        return findings, found["texts"]


def read(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Does what `Hdf5Reader.read` asks, in the child."""
    import h5py  # type: ignore[import-untyped,unused-ignore]

    limit = int(limits.HDF5_MEMORY_MB) << 20
    # Between two looks of the parent one allocation may take all memory there is.
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    findings: list[Finding] = []
    texts: dict[str, str] = {}
    damage = ""
    try:
        with h5py.File(payload["path"], "r") as file:
            findings = list(_scan(h5py, file))
            if not findings:
                texts = dict(_texts(file))
                texts["/"] = ",".join(str(name) for name in file)
    except MemoryError:
        findings = [_exhausts("the file", "more memory than is there")]
    except Exception as error:  # Whatever h5py raises of a damaged file.
        damage = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return {
        "findings": [vars(each) | {"harm": each.harm.value} for each in findings],
        "texts": texts,
        "damage": damage,
    }


def _texts(file: Any) -> Iterator[tuple[str, str]]:
    for name in ("model_config", "training_config", "keras_version", "backend"):
        value = file.attrs.get(name)
        if isinstance(value, (bytes, str)):
            if len(value) > limits.MAX_CONFIG_BYTES:
                raise ValueError(f"{name} of {len(value) >> 20} MiB")
            yield name, value.decode("utf-8") if isinstance(value, bytes) else value


def _scan(h5py: Any, file: Any) -> Iterator[Finding]:
    """Yields what is unsafe, group by group, each object once however many names it has."""
    pending, seen, unpacked = [("", file)], set[int](), 0
    while pending:
        path, group = pending.pop()
        for name in group:
            where = f"{path}/{name}"
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                yield _link(h5py, where, link)
                continue
            found = group[name]
            # The attributes too are read by the loader, whatever they hold.
            dict(found.attrs)
            address = h5py.h5o.get_info(found.id).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > limits.MAX_PARTS:
                yield _exhausts(path, f"more than {limits.MAX_PARTS} groups and datasets")
                return
            if isinstance(found, h5py.Group):
                pending.append((where, found))
            elif isinstance(found, h5py.Dataset):
                size = int(found.size or 0) * found.dtype.itemsize
                unpacked += size
                yield from _dataset(where, found, size)
    if unpacked > limits.MAX_UNPACKED_BYTES:
        yield _exhausts("the file", f"{unpacked >> 20} MiB of datasets")


def _link(h5py: Any, where: str, link: Any) -> Finding:
    external = isinstance(link, h5py.ExternalLink)
    return Finding(
        part=f"HDF5 {where}",
        found=f"a link to {link.filename!r}" if external else "a soft link",
        harm=Harm.READS if external else Harm.AMBIGUOUS,
        remedy=_SAVE_AGAIN,
    )


def _dataset(where: str, dataset: Any, size: int) -> Iterator[Finding]:
    part = f"HDF5 {where}"
    if dataset.external:
        yield Finding(
            part=part,
            found=f"a dataset in the file {dataset.external[0][0]!r}",
            harm=Harm.READS,
            remedy=_SAVE_AGAIN,
        )
    if dataset.is_virtual:
        yield Finding(
            part=part,
            found="a virtual dataset, made of other files'",
            harm=Harm.READS,
            remedy=_SAVE_AGAIN,
        )
        return
    properties = dataset.id.get_create_plist()
    for position in range(properties.get_nfilters()):
        number = properties.get_filter(position)[0]
        if number not in _FILTERS:
            yield Finding(part=part, found=f"filter {number}", harm=Harm.RUNS, remedy=_SAVE_AGAIN)
    stored = dataset.id.get_storage_size()
    if size > limits.FREE_BYTES and size > limits.MAX_RATIO * max(stored, 1):
        yield _exhausts(part, f"{size >> 20} MiB from {stored} bytes")


def _exhausts(part: str, found: str) -> Finding:
    return Finding(part=part, found=found, harm=Harm.EXHAUSTS, remedy=_SAVE_AGAIN)
