"""Compaction and retention of the prediction log.

Segments are written batch by batch, a request at a time, and a reader pays for each. Compaction
makes one Parquet file of a day's segments that nobody writes any more: a server holds a lock on
each that it does. What is damaged stays as it is, for whoever looks into it.
"""

import contextlib
import fcntl
import json
import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from tfx_loop.core import storage
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.core.folders import refuse_unlisted
from tfx_loop.core.key_file import SecretKey, read_keys
from tfx_loop.data.prediction_log.compacted import (
    COMPACTED_SUFFIX,
    compacted_bytes,
    parse_compacted,
)
from tfx_loop.data.prediction_log.record import PARTITION_PREFIX
from tfx_loop.data.prediction_log.segment import Segment, parse_segment
from tfx_loop.data.prediction_log.segment_file import SEGMENT_SUFFIX
from tfx_loop.data.prediction_log.unified_columns import unify

# Larger compacted files are left alone: joining them again and again would cost a day's log each
# time, for a footer saved.
_SMALL_BYTES = 16 * 1024 * 1024
# Of files at a time, so that a day of any size fits into memory, where it takes several times that.
_BYTES_AT_ONCE = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class CompactionResult:
    """What a compaction did.

    Attributes:
        files: Files that were made into fewer.
        rows: Rows in them.
        bytes_before: Their size.
        bytes_after: The size of what replaced them.
        live: Segments that a server still writes.
        damaged: Files that were left as they are.
        expired: Files that were removed for their age.
    """

    files: int = 0
    rows: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    live: int = 0
    damaged: int = 0
    expired: int = 0

    def __add__(self, other: "CompactionResult") -> "CompactionResult":
        values = asdict(other)
        return CompactionResult(**{name: n + values[name] for name, n in asdict(self).items()})


def compact(
    log_dir: str | Path,
    *,
    models: Sequence[str] = (),
    keys: Sequence[SecretKey] = (),
    keep_days: int = 0,
    today: str = "",
) -> CompactionResult:
    """Compacts the days of a log, and removes those that are kept no longer.

    Args:
        log_dir: A folder of this machine.
        models: Whose; empty for all.
        keys: What the log is encrypted with; the first one encrypts what is written.
        keep_days: How many days of events are kept, today's included; 0 keeps all.
        today: The day, as `YYYY-MM-DD`; empty for the machine's, UTC.

    Raises:
        ConfigError: The log is remote, or encrypted with a key that is not among those given.
        DataError: There is no such log, or a folder of it cannot be listed.
    """
    if storage.is_remote(str(log_dir)):
        raise ConfigError(
            f"Expected a log in a folder of this machine, received {log_dir}. Compact it where the "
            "servers write it, or mount it."
        )
    root = Path(str(log_dir).removeprefix("file://"))
    if not root.is_dir():
        raise DataError(f"Expected a prediction log in {root}, found no folder. Check the path.")
    oldest = _oldest(keep_days, today)
    result = CompactionResult()
    for folder in _days(root, models):
        if folder.name.removeprefix(PARTITION_PREFIX) < oldest:
            result += _expire(folder)
            continue
        done = compact_folder(folder, keys)
        while done.files:
            # What stays is told once, by the last look at the day.
            result += replace(done, live=0, damaged=0)
            done = compact_folder(folder, keys)
        result += done
    return result


def compact_folder(folder: Path, keys: Sequence[SecretKey] = ()) -> CompactionResult:
    """Compacts files of one day, as many as fit into memory at once; raises as `compact`."""
    with _closed_segments(folder) as (segments, live):
        compacted = _listed(folder, COMPACTED_SUFFIX)
        small = [path for path in compacted if path.stat().st_size < _SMALL_BYTES]
        # A single compacted file is what compaction makes.
        paths = [*segments, *(small if segments or len(small) > 1 else [])]
        done = {name for path in compacted for name in _parsed(path, keys)[1]}
        # Replaced, and not removed by somebody who was killed.
        _remove([path for path in (*segments, *compacted) if path.name in done])
        paths = _first([path for path in paths if path.name not in done])
        read = {path: _parsed(path, keys) for path in paths}
        whole = {path: part for path, (part, _) in read.items() if _is_whole(part)}
        damaged = len(read) - len(whole)
        tables = [part.table for part in whole.values() if part.table is not None]
        if not tables or (len(whole) == 1 and next(iter(whole)) in compacted):
            # Opened and never written: nothing was answered from those.
            _remove([path for path in whole if path.suffix == SEGMENT_SUFFIX])
            return CompactionResult(live=live, damaged=damaged)
        table, _ = unify(tables)
        # With what they had replaced in their turn, and somebody killed did not remove.
        replaces = {path.name for path in whole} | {n for path in whole for n in read[path][1]}
        content = compacted_bytes(table, sorted(replaces), keys[0] if keys else None)
        before = sum(path.stat().st_size for path in whole)
        target = folder / f"{uuid.uuid4().hex}{COMPACTED_SUFFIX}"
        storage.write_bytes(str(target), content, private=True)
        storage.sync(folder)
        _remove(list(whole))
        return CompactionResult(
            files=len(whole),
            rows=len(table),
            bytes_before=before,
            bytes_after=len(content),
            live=live,
            damaged=damaged,
        )


def _days(root: Path, models: Sequence[str]) -> list[Path]:
    models_here = [path for path in _listed(root) if not models or path.name in models]
    days = (day for path in models_here if path.is_dir() for day in _listed(path))
    return [day for day in days if day.name.startswith(PARTITION_PREFIX) and day.is_dir()]


def _listed(folder: Path, suffix: str = "") -> list[Path]:
    """Returns what is in a folder; raises DataError where it cannot be listed, as glob does not."""
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(suffix))
    except FileNotFoundError:
        # Another compaction removed the day meanwhile.
        return []
    except OSError as error:
        refuse_unlisted(error)


def _first(paths: Sequence[Path]) -> list[Path]:
    taken, size = list[Path](), 0
    for path in paths:
        size += path.stat().st_size
        if taken and size > _BYTES_AT_ONCE:
            break
        taken.append(path)
    return taken


def _parsed(path: Path, keys: Sequence[SecretKey]) -> tuple[Segment, frozenset[str]]:
    content = path.read_bytes()
    if path.suffix == COMPACTED_SUFFIX:
        return parse_compacted(content, keys)
    return parse_segment(content, keys), frozenset()


def _is_whole(segment: Segment) -> bool:
    return not (segment.truncated or segment.unreadable or segment.unreadable_batches)


@contextlib.contextmanager
def _closed_segments(folder: Path) -> Iterator[tuple[list[Path], int]]:
    """Yields the segments that nobody writes, held against another compaction, and the others."""
    with contextlib.ExitStack() as held:
        closed, live = [], 0
        for path in _listed(folder, SEGMENT_SUFFIX):
            try:
                file = held.enter_context(path.open("rb"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except FileNotFoundError:
                continue
            except PermissionError as error:
                refuse_unlisted(error)
            except OSError:
                live += 1
                continue
            # Another compaction may have removed it between the listing and the lock.
            if os.fstat(file.fileno()).st_nlink:
                closed.append(path)
        yield closed, live


def _expire(folder: Path) -> CompactionResult:
    with _closed_segments(folder) as (segments, live):
        others = [p for p in folder.iterdir() if p.is_file() and p.suffix != SEGMENT_SUFFIX]
        _remove([*segments, *others])
    with contextlib.suppress(OSError):
        folder.rmdir()
    return CompactionResult(live=live, expired=len(segments) + len(others))


def _oldest(keep_days: int, today: str) -> str:
    if not keep_days:
        return ""
    last = datetime.fromisoformat(today) if today else datetime.now(timezone.utc)
    return (last - timedelta(days=keep_days - 1)).strftime("%Y-%m-%d")


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def main(arguments: Sequence[str]) -> int:
    """Compacts for a server, in a process of its own: `LOG_DIR MODEL KEEP_DAYS KEY_FILE`."""
    log_dir, model, keep_days, key_file = arguments
    # Requests come first.
    os.nice(10)
    result = compact(log_dir, models=[model], keys=read_keys(key_file), keep_days=int(keep_days))
    sys.stdout.write(json.dumps(asdict(result)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
