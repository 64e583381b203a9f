"""The import of SageMaker's captures in Beam: workers read hours, each into files of its own.

No row crosses the network between workers, and a worker holds ten files and some 100,000 rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.contracts.capture_source import CaptureSource
from tfx_loop.core.bucket.trees import FileTree, open_tree, read_each
from tfx_loop.core.durations import MS_PER_DAY
from tfx_loop.core.folders import is_folder
from tfx_loop.core.key_file import SecretKey, read_keys
from tfx_loop.core.storage import is_remote
from tfx_loop.data.prediction_log.importers.beam_parts import (
    count_reject,
    matched_files,
    write_day,
)
from tfx_loop.data.prediction_log.importers.capture_files import (
    CaptureFile,
    capture_files,
    hour_of,
    variant_of,
)
from tfx_loop.data.prediction_log.importers.capture_rows import CaptureTables
from tfx_loop.data.prediction_log.importers.import_order import ImportOrder
from tfx_loop.data.prediction_log.record import MAX_EVENT_TIME_MS, day_of

# Files of an hour that one worker reads. Later ones have later names: what was imported once is cut
# in the same way again, and makes the same files.
_FILES_A_PART = 32
_ROWS_A_FILE = 100_000

_Part = tuple[str, tuple[CaptureFile, ...]]


def add_capture_import(pipeline: Any, order: ImportOrder) -> None:
    """Adds the import of captures to a pipeline.

    Raises:
        DataError: A prefix has no captures, or a pattern matches no file.
        ConfigError: A prefix has several endpoints, or variants of which nobody says which served.
    """
    _ = (
        pipeline
        | "Hours" >> beam.Create([part for given in order.files for part in _parts(given, order)])
        | "Spread" >> beam.Reshuffle()
        | "Import" >> beam.ParDo(_ImportPart(order))
    )


def _parts(given: str, order: ImportOrder) -> Iterator[_Part]:
    """Yields the files below a prefix or of a pattern, those of an hour together."""
    is_pattern = any(sign in given for sign in "*?[") or given.endswith((".jsonl", ".json"))
    if not is_pattern and (is_remote(given) or is_folder(given)):
        tree, source = open_tree(given), source_of(order, given)
        yield from _cut(given, capture_files(tree, source, 0, MAX_EVENT_TIME_MS))
        return
    for path in matched_files([given]):
        folder, _, name = path.rpartition("/")
        file = CaptureFile(path=name, variant=variant_of(path), hour_ms=hour_of(path))
        yield folder, (file,)


def source_of(order: ImportOrder, prefix: str) -> CaptureSource:
    """Returns what an order says of the captures below a prefix."""
    if order.capture is not None:
        return replace(order.capture, prefix=prefix)
    return CaptureSource(prefix=prefix, feature_names=tuple(order.feature_names))


def _cut(prefix: str, files: Sequence[CaptureFile]) -> Iterator[_Part]:
    for _, of_hour in groupby(files, key=lambda file: (file.variant, file.hour_ms)):
        together = tuple(of_hour)
        for begin in range(0, len(together), _FILES_A_PART):
            yield prefix, together[begin : begin + _FILES_A_PART]


class _ImportPart(beam.DoFn):  # type: ignore[misc, unused-ignore]
    """Reads the files of a part and writes their rows, by day."""

    def __init__(self, order: ImportOrder) -> None:
        self._order = order
        self._key: SecretKey | None = None
        self._trees: dict[str, FileTree] = {}

    def setup(self) -> None:
        # On the worker: neither keys nor clients have a place in the pipeline that is sent there.
        self._key = next(iter(read_keys(self._order.key_file)), None)
        self._trees = {}

    def process(self, element: _Part) -> None:
        prefix, files = element
        if prefix not in self._trees:
            self._trees[prefix] = open_tree(prefix)
        tables = CaptureTables(
            source_of(self._order, prefix),
            self._order.model_name,
            default_time_ms=self._order.default_time_ms,
        )
        contents = read_each(self._trees[prefix], [file.path for file in files])
        for file, content in zip(files, contents, strict=True):
            tables.add(file, content)
            if tables.rows >= _ROWS_A_FILE:
                self._write(tables.take())
        self._write(tables.take())
        for reason, number in tables.counts.rejected.items():
            count_reject(reason, number)

    def _write(self, tables: Sequence[pa.Table]) -> None:
        by_day: dict[int, list[pa.Table]] = {}
        for table in tables:
            # Whole days since 1970, UTC; a file of an hour has one or two.
            days = pc.divide(table.column("event_time_ms"), pa.scalar(MS_PER_DAY, pa.int64()))
            for day in pc.unique(days).to_pylist():
                by_day.setdefault(day, []).append(table.filter(pc.equal(days, day)))
        for day, parts in sorted(by_day.items()):
            write_day(self._order, self._key, day_of(day * MS_PER_DAY), parts)
