"""SageMaker's captures of a window in place of the prediction log of servers."""

from dataclasses import replace

from tfx_loop.contracts.capture_source import CaptureSource
from tfx_loop.core.bucket.trees import open_tree, read_each
from tfx_loop.data.prediction_log.importers.capture_files import CaptureFile, capture_files
from tfx_loop.data.prediction_log.importers.capture_rows import CaptureTables
from tfx_loop.data.prediction_log.losses import LogLosses
from tfx_loop.data.prediction_log.reader import WindowRows, rows_of_window


def list_captures(source: CaptureSource, start_ms: int, end_ms: int) -> list[CaptureFile]:
    """Returns the files that `read_captures` reads; raises as `capture_files`."""
    return capture_files(open_tree(source.prefix), source, start_ms, end_ms)


def read_captures(
    source: CaptureSource,
    model_name: str,
    start_ms: int,
    end_ms: int,
    *,
    clients_only: bool = False,
) -> WindowRows:
    """Reads the calls with start_ms <= inferenceTime < end_ms, each instance once.

    Args:
        source: Where they are.
        model_name: The name that rows get.
        start_ms: Begin of the window, milliseconds UTC.
        end_ms: End of the window, exclusive.
        clients_only: Whether golden rows are passed over uncounted: a pusher may ask in another
            form than clients do, and its columns would be there without a value.

    Raises:
        DataError: There are no captures at all, or a file cannot be read.
        ConfigError: There are several endpoints, or variants of which nobody says which served.
    """
    tree = open_tree(source.prefix)
    tables = CaptureTables(source, model_name, (start_ms, end_ms), clients_only=clients_only)
    files = capture_files(tree, source, start_ms, end_ms)
    contents = read_each(tree, [file.path for file in files])
    for file, content in zip(files, contents, strict=True):
        tables.add(file, content)
    rows = tables.take()
    losses = LogLosses(rejected_captures=tables.counts.rejected)
    read = rows_of_window(rows, losses, start_ms, end_ms)
    return replace(read, sampling_rate=source.sampling_percentage / 100)
