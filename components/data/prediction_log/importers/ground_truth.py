"""Ground truth as SageMaker takes it, as rows of labels.

    {"groundTruthData": {"data": "1", "encoding": "CSV"},
     "eventMetadata": {"eventId": "..."}, "eventVersion": "0"}

The eventId is the inferenceId of the capture, else its eventId. A request with several instances
has as many labels, a row or a cell each. Files lie in PREFIX/yyyy/mm/dd/HH/*.jsonl, the hour in
which the labels came; nothing in them says when, so they count from the end of that hour on. See
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-model-quality-merge.html.
"""

import csv
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from tfx_loop.core.durations import MS_PER_HOUR
from tfx_loop.core.errors import DataError
from tfx_loop.data.prediction_log.importers import json_payloads
from tfx_loop.data.prediction_log.importers.calls import RejectedRecordError, single_values
from tfx_loop.data.prediction_log.importers.capture_files import hour_of
from tfx_loop.data.prediction_log.importers.data_capture import CapturedBody, parse_event
from tfx_loop.data.prediction_log.importers.json_payloads import parse_object

_TRUTH = "groundTruthData"


def parse_ground_truth(content: bytes, path: str, as_text: bool) -> pa.Table:
    """Returns the labels of a file; a line that has none is a row without one.

    Args:
        content: Of the file.
        path: Of the file, which says when its labels came.
        as_text: Where labels have several types, take them as text; else those that are no numbers
            are none.

    Raises:
        DataError: The path names no hour.
    """
    hour_ms = hour_of(path)
    if hour_ms is None:
        raise DataError(
            f"Expected ground truth as yyyy/mm/dd/HH/*.jsonl, received {path}: its folders say "
            "when labels came. Move it."
        )
    rows = [row for line in content.splitlines() if line.strip() for row in _labels(line)]
    ids, places, labels = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "request_id": pa.array(ids, pa.string()),
            "instance_index": pa.array(places, pa.int64()),
            "label": _column(list(labels), as_text),
            "label_time_ms": pa.array([hour_ms + MS_PER_HOUR] * len(rows), pa.int64()),
        }
    )


def _labels(line: bytes) -> Iterator[tuple[str | None, int, Any]]:
    """Yields request id, place and label of each instance of a line; one without is one row."""
    try:
        record = parse_object(line)
        request_id = parse_event(record).request_id
        body = CapturedBody.of(record.get(_TRUTH), _TRUTH)
        labels = _values(body)
    except RejectedRecordError:
        yield None, 0, None
        return
    for place, label in enumerate(labels or [None]):
        yield request_id, place, label


def _values(body: CapturedBody) -> list[Any]:
    if body.is_csv:
        # A blank line is an instance whose label has not come: those behind it keep their places.
        lines = body.text.rstrip("\r\n").splitlines()
        rows = [next(csv.reader([line])) or [""] for line in lines]
        if len(rows) == 1 or max(map(len, rows), default=0) < 2:
            return json_payloads.typed_cells([cell for row in rows for cell in row])
        return [json_payloads.typed_cells(row) for row in rows]
    parsed = body.parsed
    if isinstance(parsed, dict):
        raise RejectedRecordError("no_rows", "Expected labels, received an object.")
    return single_values(parsed) if isinstance(parsed, list) else [parsed]


def _column(labels: list[Any], as_text: bool) -> pa.Array:
    known = [label for label in labels if label is not None]
    if all(isinstance(label, int | float) for label in known):
        return pa.array([None if v is None else float(v) for v in labels], pa.float64())
    try:
        # Texts alone, or lists of one type.
        return pa.array(labels)
    except (pa.ArrowException, TypeError, OverflowError):
        pass
    if as_text:
        return pa.array([None if v is None else str(v) for v in labels], pa.string())
    numbers = [float(v) if isinstance(v, int | float) else None for v in labels]
    return pa.array(numbers, pa.float64())
