"""Shared parts of the imports in Beam: files by pattern, counters, a day's rows as one file."""

import hashlib
from collections.abc import Sequence

import pyarrow as pa
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics

from tfx_loop.core import storage
from tfx_loop.core.errors import DataError, first_line
from tfx_loop.core.folders import join
from tfx_loop.core.key_file import SecretKey
from tfx_loop.data.prediction_log.compacted import COMPACTED_SUFFIX, compacted_bytes
from tfx_loop.data.prediction_log.importers.import_order import ImportOrder
from tfx_loop.data.prediction_log.record import PARTITION_PREFIX
from tfx_loop.data.prediction_log.unified_columns import unify

NAMESPACE, REJECTED, ROWS = "import", "rejected.", "rows"


def matched_files(patterns: Sequence[str]) -> list[str]:
    """Returns the files that patterns match, each once; raises DataError for one without any."""
    paths = list[str]()
    for pattern in patterns:
        try:
            found = FileSystems.match([pattern])[0].metadata_list
        except (BeamIOError, ValueError) as error:
            raise DataError(
                f"Expected files to import at {pattern}, received: {first_line(error)}."
            ) from error
        if not found:
            raise DataError(
                f"Expected files to import at {pattern}, found none. Check the path or pattern."
            )
        paths += [metadata.path for metadata in found]
    return list(dict.fromkeys(paths))


def digest_of(record: bytes) -> str:
    """Returns what tells contents apart."""
    # 128 bits: of 10^12 requests two have one id with a chance of about 10^-15.
    return hashlib.sha256(record).hexdigest()[:32]


def count_reject(reason: str, number: int = 1) -> None:
    """Counts records that did not become rows."""
    Metrics.counter(NAMESPACE, REJECTED + reason).inc(number)


def write_day(
    order: ImportOrder, key: SecretKey | None, day: str, tables: Sequence[pa.Table]
) -> None:
    """Writes rows of one day as a compacted file, which the same rows make again."""
    table, _ = unify(tables)
    content = compacted_bytes(table, (), key)
    folder = join(join(order.log_dir, order.model_name), PARTITION_PREFIX + day)
    # By the rows, not by what they are encrypted as.
    plain = content if key is None else compacted_bytes(table, (), None)
    storage.private_folder(folder)
    storage.write_bytes(join(folder, digest_of(plain) + COMPACTED_SUFFIX), content, private=True)
    Metrics.counter(NAMESPACE, ROWS).inc(len(table))
