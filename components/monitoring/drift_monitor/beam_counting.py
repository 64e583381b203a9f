"""Counting of a window of the prediction log by Beam, row group by row group."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tfx_loop.core.errors import DataError
from tfx_loop.core.redaction import OPEN, Redaction
from tfx_loop.data.prediction_log.record import FEATURE_PREFIX, STATUS_OK
from tfx_loop.data.prediction_log.window_files import ROWS_FILE, LogWindow
from tfx_loop.data.tables.opening import open_binary
from tfx_loop.data.tables.table_file import open_table
from tfx_loop.monitoring.drift.window import CountedWindow, check_columns
from tfx_loop.monitoring.profile import profile_files
from tfx_loop.monitoring.profile.beam_profile import MergeProfiles, ProfileWindow, check_rows
from tfx_loop.monitoring.profile.layout import Layout
from tfx_loop.monitoring.profile.logged_features import parsed_log
from tfx_loop.monitoring.profile.redacted import with_named_slices
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.profile.window_profile import WindowProfile


def count_log(
    make_pipeline: Callable[[], Any],
    uri: str,
    about: LogWindow,
    reference: FrozenProfile,
    layout: Layout,
    folder: str,
    redaction: Redaction = OPEN,
    parse_fn: str = "",
) -> CountedWindow:
    """Counts the rows of a PredictionLog artifact, and leaves the profile below a folder.

    Args:
        make_pipeline: Makes the Beam pipeline to run.
        uri: The artifact's folder.
        about: What its `window.json` says.
        reference: Whose bins are counted on.
        layout: Where the log has what is counted.
        folder: Gets the profile's files (profile_files.py); the workers must reach it.
        redaction: What of them may be shown, and what slices are called.
        parse_fn: Import path of a function that makes the features of those in the log.

    Raises:
        DataError: The log is cut off, is none, or lost rows on the way.
    """
    path = os.path.join(uri, ROWS_FILE)
    groups = _row_groups(path, about)
    with make_pipeline() as pipeline:
        _ = (
            pipeline
            | "RowGroups" >> beam.Create(list(range(groups)))
            # Without it runners fuse Create with what follows, and one worker would read all row
            # groups.
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_ReadRowGroup(path, parse_fn)).with_output_types(pa.RecordBatch)
            | "Count" >> ProfileWindow(reference, layout)
            | "Windows" >> beam.Values()
            | "Whole"
            >> beam.CombineGlobally(MergeProfiles(reference.digest())).with_output_types(
                WindowProfile
            )
            | "Write" >> beam.Map(profile_files.save, folder, reference, redaction)
        )
    # Read back from the file: what the report rests on is what later windows will merge.
    profile = check_rows(profile_files.load(folder), about.rows)
    profile = with_named_slices(profile, reference, redaction)
    return CountedWindow(about.window, about.model_name, profile, about.start_ms, about.end_ms)


def _row_groups(path: str, about: LogWindow) -> int:
    with open_binary(path) as source:
        try:
            file = pq.ParquetFile(source)
        except pa.ArrowInvalid as error:
            raise _cut(path, error) from error
        # The conservation check begins here (ADR 5): what is counted must be what was written.
        if file.metadata.num_rows != about.rows:
            raise DataError(
                f"Expected {about.rows} rows as window.json says, received "
                f"{file.metadata.num_rows}: {path} is not of one run with it. Make the log again."
            )
        if not about.rows:
            # A log of no rows has no features, so its columns are not asked for.
            return 0
        check_columns(file.schema_arrow.names, path)
        return int(file.num_row_groups)


class LogFeatures:
    """The features of a log's answered rows under their plain names, read in pieces.

    Attributes:
        schema: pyarrow schema of the features.
    """

    def __init__(self, uri: str) -> None:
        """Reads what columns there are.

        Raises:
            DataError: The log is cut off.
        """
        self._table = open_table(os.path.join(uri, ROWS_FILE))
        fields = [f for f in self._table.schema if f.name.startswith(FEATURE_PREFIX)]
        self.schema = pa.schema([f.with_name(f.name.removeprefix(FEATURE_PREFIX)) for f in fields])

    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Yields record batches of these features."""
        names = [f"{FEATURE_PREFIX}{name}" for name in columns]
        for batch in self._table.batches([*names, "status"]):
            # A request that failed has features and no answer; its rows are counted nowhere.
            answered = batch.filter(
                pc.fill_null(pc.equal(batch.column(len(names)), STATUS_OK), False)
            )
            yield pa.RecordBatch.from_arrays(answered.columns[:-1], names=list(columns))


class _ReadRowGroup(beam.DoFn):
    """Reads a row group as record batches."""

    def __init__(self, path: str, parse_fn: str) -> None:
        self._path, self._parse_fn = path, parse_fn

    def process(self, number: int) -> Iterator[Any]:
        with open_binary(self._path) as source:
            try:
                rows = pq.ParquetFile(source).read_row_group(number)
                yield from parsed_log(rows, self._parse_fn).to_batches()
            except (pa.ArrowInvalid, OSError) as error:
                raise _cut(self._path, error) from error


def _cut(path: str, error: Exception) -> DataError:
    return DataError(
        f"Expected whole Parquet rows in {path}, received: {error}. "
        "Run PredictionLogGen on the window again."
    )
