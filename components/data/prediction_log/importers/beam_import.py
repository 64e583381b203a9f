"""The import of other servers' logs as a Beam pipeline: parse, count what is rejected, write.

Importing the same files again leaves the log as it is, whatever they are called by then: rows have
the ids that they had, which readers count once. Files of one content are read once.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.coders import BytesCoder
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions

from tfx_loop.core import storage
from tfx_loop.core.errors import ConfigError, DataError, LoopError, first_line
from tfx_loop.core.folders import join
from tfx_loop.core.key_file import SecretKey, read_keys
from tfx_loop.data.prediction_log.compacted import COMPACTED_SUFFIX, compacted_bytes
from tfx_loop.data.prediction_log.importers import json_logs
from tfx_loop.data.prediction_log.importers.calls import ImportedCall, RejectedRecordError
from tfx_loop.data.prediction_log.importers.tf_serving import parse_prediction_log
from tfx_loop.data.prediction_log.record import PARTITION_PREFIX, check_model_name, day_of
from tfx_loop.data.prediction_log.unified_columns import unify

TF_SERVING, KSERVE, SAGEMAKER = "tf-serving", "kserve", "sagemaker"
KINDS = (TF_SERVING, KSERVE, SAGEMAKER)
_NAMESPACE, _REJECTED, _ROWS, _COPIES = "import", "rejected.", "rows", "copies"
_PIECE_BYTES = 1024 * 1024
# Files a day: as many workers may write at once.
_SHARDS = 4


@dataclass(frozen=True, kw_only=True)
class ImportOrder:
    """What is imported, and where to.

    Attributes:
        kind: `tf-serving`, `kserve` or `sagemaker`.
        files: Patterns of files.
        log_dir: The prediction log.
        model_name: Name that the rows get.
        default_time_ms: Time of calls whose log has none, UTC; None rejects them.
        feature_names: What columns without names are called: those of CSV, of plain lists, and of
            the one matrix that a model takes.
        key_file: File of keys that the log is encrypted with; empty for a plain log.
    """

    kind: str
    files: Sequence[str]
    log_dir: str
    model_name: str
    default_time_ms: int | None = None
    feature_names: Sequence[str] = ()
    key_file: str = ""

    def __post_init__(self) -> None:
        check_model_name(self.model_name)
        if self.kind not in KINDS or not self.files:
            raise ConfigError(
                f"Expected files of one of {', '.join(KINDS)}, received {self.kind!r} and "
                f"{len(self.files)} patterns."
            )


@dataclass(frozen=True, kw_only=True)
class ImportCounts:
    """What became of the records.

    Attributes:
        rows: Rows that were written.
        rejected: Records that did not become rows, by reason.
        copies: Files that were left out, as another one has their content.
    """

    rows: int
    rejected: dict[str, int] = field(default_factory=dict)
    copies: int = 0


def import_log(order: ImportOrder, beam_args: Sequence[str] = ()) -> ImportCounts:
    """Runs the import.

    Raises:
        ConfigError: The keys cannot be read.
        DataError: A pattern matches no file, or a file is no TFRecord file.
    """
    # Refused here and not on a worker.
    read_keys(order.key_file)
    files = _files(order.files)
    pipeline = beam.Pipeline(options=PipelineOptions(list(beam_args)))
    calls = _calls(pipeline, order, files)
    _ = (
        calls
        | "Rows" >> beam.ParDo(_Rows(order.model_name, order.default_time_ms))
        | "ByDay" >> beam.GroupByKey()
        | "Write" >> beam.ParDo(_Write(order))
    )
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except LoopError:
        raise
    except (ValueError, OSError, EOFError, zlib.error) as error:
        # Beam adds the name of its step to the message, and leaves the class. What cannot be cut
        # into records cannot be counted as rejects.
        cause = first_line(error).split(" [while running")[0].rstrip(".")
        raise DataError(
            f"Expected files of {order.kind} that can be read at {', '.join(order.files)}, "
            f"received: {cause}. Check --kind and the files."
        ) from error
    found = result.metrics().query(MetricsFilter().with_namespace(_NAMESPACE))["counters"]
    counts = {one.key.metric.name: int(one.committed or 0) for one in found}
    return ImportCounts(
        rows=counts.pop(_ROWS, 0),
        copies=counts.pop(_COPIES, 0),
        rejected={name.removeprefix(_REJECTED): n for name, n in sorted(counts.items())},
    )


def _files(patterns: Sequence[str]) -> list[str]:
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


def _calls(pipeline: Any, order: ImportOrder, files: Sequence[str]) -> Any:
    names = tuple(order.feature_names)
    patterns = (
        pipeline
        | "Files" >> beam.Create(list(files))
        | "Content" >> beam.Map(lambda path: (_content_digest(path), path))
        | "Copies" >> beam.GroupByKey()
        | "First" >> beam.Map(_first_of_copies)
        | "Spread" >> beam.Reshuffle()
    )
    if order.kind == TF_SERVING:
        # The messages have no id: equal ones are told apart by their number.
        return (
            patterns
            | "Read" >> beam.io.ReadAllFromTFRecord()
            | "Digest" >> beam.Map(lambda record: (_digest(record), record))
            | "Equal" >> beam.GroupByKey()
            | "Parse" >> beam.FlatMap(_equal_messages, names)
        )
    lines = (
        patterns
        | "Read" >> beam.io.ReadAllFromText(coder=BytesCoder())
        | "Filled" >> beam.Filter(lambda line: bool(line.strip()))
        | "Json" >> beam.ParDo(_Guarded(_one(json_logs.parse_line)))
    )
    if order.kind == SAGEMAKER:
        parse = _one(lambda record: json_logs.parse_data_capture(record, names))
        return lines | "Parse" >> beam.ParDo(_Guarded(parse))
    return (
        lines
        | "Identity" >> beam.ParDo(_Guarded(_identified_event))
        | "Pair" >> beam.GroupByKey()
        | "Parse" >> beam.ParDo(_Guarded(lambda element: _paired_events(element, names)))
    )


def _one(parse: Callable[[Any], Any]) -> Callable[[Any], Iterator[Any]]:
    return lambda element: iter([parse(element)])


def _content_digest(path: str) -> str:
    digest = hashlib.sha256()
    # As it lies there: Beam's readers take compressed files by their name, and so do copies.
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _first_of_copies(element: tuple[str, Iterable[str]]) -> str:
    first, *copies = sorted(element[1])
    Metrics.counter(_NAMESPACE, _COPIES).inc(len(copies))
    return first


def _equal_messages(
    element: tuple[str, Iterable[bytes]], names: Sequence[str]
) -> Iterator[ImportedCall]:
    digest, records = element
    for number, record in enumerate(records):
        try:
            yield parse_prediction_log(record, f"{digest}-{number}", names)
        except RejectedRecordError as error:
            # Each of them counts.
            _count_reject(error.reason)


def _identified_event(event: Any) -> Iterator[tuple[str, tuple[str, Any]]]:
    request_id, kind = json_logs.event_identity(event)
    yield request_id, (kind, event)


def _paired_events(
    element: tuple[str, Iterable[tuple[str, Any]]], names: Sequence[str]
) -> Iterator[ImportedCall]:
    request_id, events = element[0], list(element[1])
    requests, responses = (
        [event for kind, event in events if kind == side]
        for side in (json_logs.REQUEST, json_logs.RESPONSE)
    )
    yield json_logs.parse_cloud_events(request_id, requests, responses, names)


def _digest(record: bytes) -> str:
    # 128 bits: of 10^12 requests two have one id with a chance of about 10^-15.
    return hashlib.sha256(record).hexdigest()[:32]


def _count_reject(reason: str) -> None:
    Metrics.counter(_NAMESPACE, _REJECTED + reason).inc()


class _Guarded(beam.DoFn):  # type: ignore[misc, unused-ignore]
    """Yields what a function makes of an element; rejects are counted by their reason."""

    def __init__(self, function: Callable[[Any], Iterator[Any]]) -> None:
        self._function = function

    def process(self, element: Any) -> Iterator[Any]:
        try:
            yield from self._function(element)
        except RejectedRecordError as error:
            _count_reject(error.reason)


class _Rows(beam.DoFn):  # type: ignore[misc, unused-ignore]
    """Makes rows of calls, keyed by their day and a shard."""

    def __init__(self, model_name: str, default_time_ms: int | None) -> None:
        self._model_name, self._default_time_ms = model_name, default_time_ms

    def process(self, call: ImportedCall) -> Iterator[tuple[tuple[str, int], bytes]]:
        try:
            batch = call.batch(self._model_name, self._default_time_ms)
        except RejectedRecordError as error:
            _count_reject(error.reason)
            return
        day = day_of(batch.column("event_time_ms")[0].as_py())
        # By the id, so that a request lands in one shard however often it is imported.
        shard = int(_digest(call.request_id.encode())[:8], 16) % _SHARDS
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        yield (day, shard), sink.getvalue().to_pybytes()


class _Write(beam.DoFn):  # type: ignore[misc, unused-ignore]
    """Writes the rows of a day and shard as one compacted file."""

    def __init__(self, order: ImportOrder) -> None:
        self._order = order
        self._key: SecretKey | None = None

    def setup(self) -> None:
        # On the worker: a key has no place in the pipeline that is sent there.
        self._key = next(iter(read_keys(self._order.key_file)), None)

    def process(self, element: tuple[tuple[str, int], Iterable[bytes]]) -> None:
        (day, _), parts = element
        # In an order of their own, so that the same rows make the same file.
        streams = [pa.ipc.open_stream(part).read_all() for part in sorted(parts)]
        table, _ = unify(streams)
        content = compacted_bytes(table, (), self._key)
        folder = join(join(self._order.log_dir, self._order.model_name), PARTITION_PREFIX + day)
        name = _digest(compacted_bytes(table, (), None)) + COMPACTED_SUFFIX
        storage.private_folder(folder)
        storage.write_bytes(join(folder, name), content, private=True)
        Metrics.counter(_NAMESPACE, _ROWS).inc(len(table))
