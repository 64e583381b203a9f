"""Files that may hold rows of people, on disks and in buckets, read and replaced whole."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfx_loop.core.bucket.client import open_bucket
from tfx_loop.core.bucket.files import Bucket
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.core.folders import refuse_unlisted
from tfx_loop.core.storage import is_remote, sync, write_bytes
from tfx_loop.data.prediction_log.segment_file import SEGMENT_SUFFIX

_PARQUET = (".parquet", ".pq")
_TFRECORD = "tfrecord"


@dataclass(frozen=True)
class LocalFile:
    """A file on a disk.

    Attributes:
        path: As it was found; through a link, what the link leads to is read and replaced.
    """

    path: Path

    def __str__(self) -> str:
        """Returns what messages call it."""
        return str(self.path)

    @property
    def name(self) -> str:
        """Its last name."""
        return self.path.name

    @property
    def place(self) -> Path:
        """Where its content is."""
        return self.path.resolve()

    def read(self) -> tuple[bytes, str]:
        """Returns the content, and the tag to replace it by, which files on disks have none of."""
        return self.place.read_bytes(), ""

    def replace(self, content: bytes, tag: str) -> None:
        """Writes another content, its owner's alone."""
        write_bytes(str(self.place), content, private=True)
        sync(self.place.parent)


@dataclass(frozen=True)
class BucketFile:
    """An object of a bucket; nobody appends to one.

    Attributes:
        bucket: Where it is.
        key: Its name there.
        address: Its whole address.
    """

    bucket: Bucket
    key: str
    address: str

    def __str__(self) -> str:
        """Returns its address."""
        return self.address

    @property
    def name(self) -> str:
        """Its last name."""
        return self.address.rpartition("/")[2]

    def read(self) -> tuple[bytes, str]:
        """Returns the content and its tag.

        Raises:
            DataError: It is gone, or the store does not answer.
        """
        try:
            found = self.bucket.get(self.key)
        except OSError as error:
            raise _unread(self.address, error) from error
        if found is None:
            raise _unread(self.address, "it is gone")
        return found

    def replace(self, content: bytes, tag: str) -> None:
        """Writes another content; raises WriteConflict where another writer was faster."""
        self.bucket.put(self.key, content, tag)


RowFile = LocalFile | BucketFile


def is_segment(file: RowFile) -> bool:
    """Says whether a file is a segment of a prediction log."""
    return file.name.endswith(SEGMENT_SUFFIX)


def is_parquet(file: RowFile) -> bool:
    """Says whether a file is Parquet."""
    return file.name.endswith(_PARQUET)


def files_below_all(folders: Iterable[str]) -> list[RowFile]:
    """Returns the files below folders, each once; raises as `files_below`."""
    found: dict[object, RowFile] = {}
    for folder in folders:
        for file in files_below(folder):
            found.setdefault(file.place if isinstance(file, LocalFile) else file.address, file)
    return [*found.values()]


def files_below(folder: str) -> list[RowFile]:
    """Returns a file, or all below a folder or an address, hidden and scratch ones and links, too.

    Raises:
        ConfigError: There is none, or it is an address of another kind of store.
        DataError: A folder in it cannot be listed.
    """
    if is_remote(folder):
        return _objects(folder)
    root = Path(folder.removeprefix("file://"))
    if not root.exists():
        raise ConfigError(f"Expected a file or folder, received {folder}, which is not there.")
    return [LocalFile(root)] if root.is_file() else _files(root)


def with_rows(files: Sequence[RowFile]) -> list[RowFile]:
    """Returns those that rows are searched in."""
    return [file for file in files if is_segment(file) or is_parquet(file)]


@dataclass(frozen=True)
class OtherForm:
    """Files that may hold rows in a form that nobody looks into here.

    Attributes:
        form: What they are.
        remedy: What to do about the rows in them.
        endings: Of their names.
    """

    form: str
    remedy: str
    endings: tuple[str, ...]


# The first that fits counts.
OTHER_FORMS = (
    OtherForm(
        "samples and counts of tfx-loop",
        "Run ReferenceProfiler and DriftMonitor again, and delete the older artifacts.",
        (".packed",),
    ),
    OtherForm(
        "Examples of TFX",
        "Run the node that reads the rows again, and delete the older artifacts.",
        (".gz", ".tfrecord", ".tfrecords"),
    ),
    OtherForm(
        "reports and records",
        "They hold counts and names of frequent categories; delete those that name a person.",
        (".json", ".jsonl", ".ndjson"),
    ),
    OtherForm(
        "tables and archives",
        "Remove the rows with the tool that wrote them, or delete them.",
        (
            *(".zip", ".bz2", ".zst", ".csv", ".tsv", ".feather", ".arrow", ".orc", ".avro"),
            *(".xlsx", ".pkl", ".npy", ".npz", ".db", ".sqlite", ".sqlite3", ".duckdb"),
        ),
    ),
)


def other_form(file: RowFile) -> OtherForm | None:
    """Returns the form of a file that may hold rows and is not searched; None for all else."""
    name = file.name.lower()
    # Beam writes `x.tfrecord-00000-of-00001`, some of it without an ending.
    if _TFRECORD in name:
        return OTHER_FORMS[1]
    return next((form for form in OTHER_FORMS if name.endswith(form.endings)), None)


def _files(root: Path) -> list[RowFile]:
    # What cannot be listed may hold rows, so it raises; a folder that several links lead to is
    # looked into once.
    seen, found = {root.resolve()}, dict[Path, RowFile]()
    for place, folders, names in os.walk(root, onerror=refuse_unlisted, followlinks=True):
        for name in sorted(names):
            file = LocalFile(Path(place, name))
            if file.path.is_file():
                found.setdefault(file.place, file)
        new = {name: Path(place, name).resolve() for name in sorted(folders)}
        folders[:] = [name for name, target in new.items() if target not in seen]
        seen.update(new.values())
    return sorted(found.values(), key=str)


def _objects(address: str) -> list[RowFile]:
    bucket = open_bucket(address)
    try:
        names = sorted(bucket.names(""))
        if not names:  # The address of one object, perhaps.
            parent, _, name = address.rstrip("/").rpartition("/")
            bucket, address = open_bucket(parent), parent
            names = [each for each in bucket.names(name) if each == name]
    except OSError as error:
        raise _unread(address, error) from error
    if not names:
        raise ConfigError(f"Expected files below {address}, received none. Check the address.")
    return [BucketFile(bucket, name, f"{address.rstrip('/')}/{name}") for name in names]


def _unread(address: str, why: object) -> DataError:
    return DataError(
        f"Expected an object store that answers at {address}, received: {why}. Check the address, "
        "the credentials and the network."
    )
