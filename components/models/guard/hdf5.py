"""The structure of an HDF5 file: links, datasets and where their bytes are.

libhdf5 itself reads it, in a child process with limits: a crooked file can hold the library in an
endless loop or crash it, and the child takes the harm. What the child has read without harm the
loader reads the same way. Its time is the processor's, so that a busy machine refuses nothing:
some to begin with, and a little more for each object that it has come to.
"""

import resource
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import ChildFailed
from tfx_loop.models.guard import limits
from tfx_loop.models.guard.archive import inflated
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
        self._worker = Worker(
            timeout_seconds=limits.HDF5_WAIT_SECONDS, memory_mb=limits.HDF5_MEMORY_MB
        )

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
            # What the kernel ends a process with whose time has run out.
            crash = "no end of reading" if "SIGPROF" in str(error) else "a crash of libhdf5"
            return [_exhausts(where, ended.get(error.cause, crash))], {}
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
    # Nobody catches its signal: Python's handlers do not run while libhdf5 does.
    signal.setitimer(signal.ITIMER_PROF, limits.HDF5_CPU_SECONDS)
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
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
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
    """Yields what is unsafe, group by group, each object once however many names it has.

    By h5py's lower interface: a large network has ten thousand objects, and the upper one takes
    three times as long.
    """
    pending, seen = [("", file.id)], {h5py.h5o.get_info(file.id).addr}
    unpacked = stored = 0
    while pending:
        path, group = pending.pop()
        for name, kind in _links(group):
            where = f"{path}/{name.decode('utf-8', 'replace')}"
            if kind != h5py.h5l.TYPE_HARD:
                yield _link(h5py, where, group, name, kind)
                continue
            found = h5py.h5o.open(group, name)
            if h5py.h5a.get_num_attrs(found):
                # They too are read by the loader, whatever they hold.
                dict(h5py.AttributeManager(_Object(found)))
            address = h5py.h5o.get_info(found).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > limits.MAX_HDF5_OBJECTS:
                yield _exhausts(path, f"more than {limits.MAX_HDF5_OBJECTS} groups and datasets")
                return
            left, _ = signal.getitimer(signal.ITIMER_PROF)
            signal.setitimer(signal.ITIMER_PROF, left + limits.HDF5_OBJECT_SECONDS)
            if isinstance(found, h5py.h5g.GroupID):
                pending.append((where, found))
            elif isinstance(found, h5py.h5d.DatasetID):
                size = found.get_space().get_simple_extent_npoints() * found.get_type().get_size()
                unpacked += size
                stored += found.get_storage_size()
                yield from _dataset(h5py, where, found, size)
    if unpacked > limits.MAX_UNPACKED_BYTES or inflated(unpacked, stored):
        yield _exhausts("the file", f"{unpacked >> 20} MiB of datasets from {stored} bytes")


class _Object:
    """What h5py's reader of attributes asks of the object that has them."""

    def __init__(self, found: Any) -> None:
        self.id = found


def _links(group: Any) -> list[tuple[bytes, int]]:
    """Returns the names in a group, and of which kind each link is."""
    found: list[tuple[bytes, int]] = []

    def take(name: bytes, info: Any) -> None:
        found.append((name, info.type))

    group.links.iterate(take, info=True)
    return found


def _link(h5py: Any, where: str, group: Any, name: bytes, kind: int) -> Finding:
    external = kind == h5py.h5l.TYPE_EXTERNAL
    target = group.links.get_val(name)[0].decode("utf-8", "replace") if external else ""
    soft = kind == h5py.h5l.TYPE_SOFT
    return Finding(
        part=f"HDF5 {where}",
        found=f"a link to {target!r}" if external else f"a {'soft' if soft else 'strange'} link",
        harm=Harm.READS if external else Harm.AMBIGUOUS,
        remedy=_SAVE_AGAIN,
    )


def _dataset(h5py: Any, where: str, dataset: Any, size: int) -> Iterator[Finding]:
    part = f"HDF5 {where}"
    properties = dataset.get_create_plist()
    if properties.get_external_count():
        named = properties.get_external(0)[0].decode("utf-8", "replace")
        yield Finding(
            part=part, found=f"a dataset in the file {named!r}", harm=Harm.READS, remedy=_SAVE_AGAIN
        )
    if properties.get_layout() == h5py.h5d.VIRTUAL:
        yield Finding(
            part=part,
            found="a virtual dataset, made of other files'",
            harm=Harm.READS,
            remedy=_SAVE_AGAIN,
        )
        return
    if dataset.dtype.hasobject:
        # Of one stored text a thousand elements may be made; weights are numbers.
        yield Finding(
            part=part,
            found="a dataset of texts, lists or references",
            harm=Harm.EXHAUSTS,
            remedy=_SAVE_AGAIN,
        )
    for position in range(properties.get_nfilters()):
        number = properties.get_filter(position)[0]
        if number not in _FILTERS:
            yield Finding(part=part, found=f"filter {number}", harm=Harm.RUNS, remedy=_SAVE_AGAIN)
    stored = dataset.get_storage_size()
    if inflated(size, stored):
        yield _exhausts(part, f"{size >> 20} MiB from {stored} bytes")


def _exhausts(part: str, found: str) -> Finding:
    return Finding(part=part, found=found, harm=Harm.EXHAUSTS, remedy=_SAVE_AGAIN)
