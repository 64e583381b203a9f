"""The import of other servers' logs as a Beam pipeline: parse, count what is rejected, write.

Importing the same files again leaves the log as it is, whatever they are called by then: rows have
the ids that they had, which readers count once. Files of one content are read once.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.coders import BytesCoder
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions

from tfx_loop.core.errors import DataError, LoopError, first_line
from tfx_loop.core.key_file import SecretKey, read_keys
from tfx_loop.data.prediction_log.importers.beam_captures import add_capture_import
from tfx_loop.data.prediction_log.importers.beam_parts import (
    NAMESPACE,
    REJECTED,
    ROWS,
    count_reject,
    digest_of,
    matched_files,
    write_day,
)
from tfx_loop.data.prediction_log.importers.calls import ImportedCall, RejectedRecordError
from tfx_loop.data.prediction_log.importers.cloud_events import (
    REQUEST,
    RESPONSE,
    event_identity,
    parse_cloud_events,
)
from tfx_loop.data.prediction_log.importers.gateway_log import (
    parse_gateway_call,
    segment_records,
)
from tfx_loop.data.prediction_log.importers.import_order import (
    GATEWAY,
    SAGEMAKER,
    TF_SERVING,
    ImportCounts,
    ImportOrder,
)
from tfx_loop.data.prediction_log.importers.json_payloads import parse_object
from tfx_loop.data.prediction_log.importers.tf_serving import parse_prediction_log
from tfx_loop.data.prediction_log.losses import UnloggedRows, write_unlogged
from tfx_loop.data.prediction_log.raw_calls import RawCall, UnloggedCalls
from tfx_loop.data.prediction_log.record import day_of

_COPIES = "copies"
_PIECE_BYTES = 1024 * 1024
# Files a day: as many workers may write at once.
_SHARDS = 4


def import_log(order: ImportOrder, beam_args: Sequence[str] = ()) -> ImportCounts:
    """Runs the import.

    Raises:
        ConfigError: The keys cannot be read.
        DataError: A pattern matches no file, or a file is no TFRecord file.
    """
    # Refused here and not on a worker.
    read_keys(order.key_file)
    pipeline = beam.Pipeline(options=PipelineOptions(list(beam_args)))
    if order.kind == SAGEMAKER:
        add_capture_import(pipeline, order)
    else:
        _add_import(pipeline, order)
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
    found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))["counters"]
    counts = {one.key.metric.name: int(one.committed or 0) for one in found}
    return ImportCounts(
        rows=counts.pop(ROWS, 0),
        copies=counts.pop(_COPIES, 0),
        rejected={name.removeprefix(REJECTED): n for name, n in sorted(counts.items())},
    )


def _add_import(pipeline: Any, order: ImportOrder) -> None:
    _ = (
        _calls(pipeline, order, matched_files(order.files))
        | "Rows" >> beam.ParDo(_Rows(order.model_name, order.default_time_ms))
        | "ByDay" >> beam.GroupByKey()
        | "Write" >> beam.ParDo(_Write(order))
    )


def _calls(pipeline: Any, order: ImportOrder, files: Sequence[str]) -> Any:
    names = tuple(order.feature_names)
    patterns = (
        pipeline
        | "Files" >> beam.Create(list(files))
        | "Content" >> beam.Map(lambda path: (_contentdigest_of(path), path))
        | "Copies" >> beam.GroupByKey()
        | "First" >> beam.Map(_first_of_copies)
        | "Spread" >> beam.Reshuffle()
    )
    if order.kind == TF_SERVING:
        # The messages have no id: equal ones are told apart by their number.
        return (
            patterns
            | "Read" >> beam.io.ReadAllFromTFRecord()
            | "Digest" >> beam.Map(lambda record: (digest_of(record), record))
            | "Equal" >> beam.GroupByKey()
            | "Parse" >> beam.FlatMap(_equal_messages, names)
        )
    if order.kind == GATEWAY:
        return (
            patterns
            | "Calls" >> beam.ParDo(_SegmentCalls(order))
            | "Spread calls" >> beam.Reshuffle()
            | "Parse" >> beam.ParDo(_CountingRejects(_one(_of_gateway(order))))
        )
    lines = (
        patterns
        | "Read" >> beam.io.ReadAllFromText(coder=BytesCoder())
        | "Filled" >> beam.Filter(lambda line: bool(line.strip()))
        | "Json" >> beam.ParDo(_CountingRejects(_one(parse_object)))
    )
    return (
        lines
        | "Identity" >> beam.ParDo(_CountingRejects(_identified_event))
        | "Pair" >> beam.GroupByKey()
        | "Parse" >> beam.ParDo(_CountingRejects(lambda element: _paired_events(element, names)))
    )


def _one(parse: Callable[[Any], Any]) -> Callable[[Any], Iterator[Any]]:
    return lambda element: iter([parse(element)])


def _contentdigest_of(path: str) -> str:
    digest = hashlib.sha256()
    # As it lies there: Beam's readers take compressed files by their name, and so do copies.
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _first_of_copies(element: tuple[str, Iterable[str]]) -> str:
    first, *copies = sorted(element[1])
    Metrics.counter(NAMESPACE, _COPIES).inc(len(copies))
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
            count_reject(error.reason)


def _identified_event(event: Any) -> Iterator[tuple[str, tuple[str, Any]]]:
    request_id, kind = event_identity(event)
    yield request_id, (kind, event)


def _paired_events(
    element: tuple[str, Iterable[tuple[str, Any]]], names: Sequence[str]
) -> Iterator[ImportedCall]:
    request_id, events = element[0], list(element[1])
    requests, responses = (
        [event for kind, event in events if kind == side] for side in (REQUEST, RESPONSE)
    )
    yield parse_cloud_events(request_id, requests, responses, names)


def _of_gateway(order: ImportOrder) -> Callable[[RawCall], ImportedCall]:
    model, features, outputs = order.model_name, order.feature_names, order.output_names
    return lambda call: parse_gateway_call(call, model, features, outputs)


class _SegmentCalls(beam.DoFn):  # type: ignore[misc, unused-ignore]
    """Yields the calls of a gateway's file; what it could not log is noted in the log."""

    def __init__(self, order: ImportOrder) -> None:
        self._order = order
        self._keys: list[SecretKey] = []

    def setup(self) -> None:
        self._keys = list(read_keys(self._order.key_file))

    def process(self, path: str) -> Iterator[RawCall]:
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            content = file.read()
        for record in segment_records(content, self._keys):
            if isinstance(record, RejectedRecordError):
                count_reject(record.reason)
            elif isinstance(record, UnloggedCalls):
                # By its content, so that it counts once however often it is imported.
                write_unlogged(
                    self._order.log_dir,
                    self._order.model_name,
                    # A call has one row at least, and nobody knows of more.
                    UnloggedRows(
                        rows=record.calls, first_ms=record.first_ms, last_ms=record.last_ms
                    ),
                    name=digest_of(record.encode()),
                )
            else:
                yield record


class _CountingRejects(beam.DoFn):  # type: ignore[misc, unused-ignore]
    """Yields what a function makes of an element; rejects are counted by their reason."""

    def __init__(self, function: Callable[[Any], Iterator[Any]]) -> None:
        self._function = function

    def process(self, element: Any) -> Iterator[Any]:
        try:
            yield from self._function(element)
        except RejectedRecordError as error:
            count_reject(error.reason)


class _Rows(beam.DoFn):  # type: ignore[misc, unused-ignore]
    """Makes rows of calls, keyed by their day and a shard."""

    def __init__(self, model_name: str, default_time_ms: int | None) -> None:
        self._model_name, self._default_time_ms = model_name, default_time_ms

    def process(self, call: ImportedCall) -> Iterator[tuple[tuple[str, int], bytes]]:
        try:
            batch = call.batch(self._model_name, self._default_time_ms)
        except RejectedRecordError as error:
            count_reject(error.reason)
            return
        day = day_of(batch.column("event_time_ms")[0].as_py())
        # By the id, so that a request lands in one shard however often it is imported.
        shard = int(digest_of(call.request_id.encode())[:8], 16) % _SHARDS
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
        write_day(self._order, self._key, day, streams)
