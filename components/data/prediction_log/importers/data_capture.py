"""SageMaker's DataCapture: a line of JSON for each call, with the request and the answer in it.

The request id is what the client sent as InferenceId, else the eventId that SageMaker made. See
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html.
"""

import base64
import binascii
import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tfx_loop.data.prediction_log.importers import json_payloads
from tfx_loop.data.prediction_log.importers.calls import (
    SINGLE_FEATURE,
    SINGLE_OUTPUT,
    ImportedCall,
    RejectedRecordError,
    arrow_columns,
    columns_of,
    milliseconds,
    named,
)
from tfx_loop.data.prediction_log.importers.json_payloads import Columns
from tfx_loop.data.prediction_log.record import GOLDEN_PREFIX

Rows = list[dict[str, Any]]

INPUT, OUTPUT = "endpointInput", "endpointOutput"
_VERSION = "0"
_ENCODINGS = ("JSON", "CSV", "BASE64")
# TF Serving's way to write bytes in JSON.
_BYTES = "b64"


@dataclass(frozen=True, kw_only=True)
class CapturedNames:
    """Names of what captured bodies hold without one.

    Attributes:
        features: Of the columns of CSV, of plain lists and of one matrix; none to call them c0, c1
            and so on.
        outputs: Of the answer's columns; none to call one column `prediction`.
    """

    features: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


class CapturedEvent(NamedTuple):
    """Which call a record is of.

    Attributes:
        request_id: The client's InferenceId, else the eventId.
        request_key: The eventId, which tells calls of one InferenceId apart.
        time_ms: When, milliseconds UTC; SageMaker tells whole seconds. None where it lacks.
    """

    request_id: str
    request_key: str
    time_ms: int | None

    @property
    def golden(self) -> bool:
        """Whether a pusher asked: the client's id is all that a capture has of the request."""
        return self.request_id.startswith(GOLDEN_PREFIX)


class CapturedCall(NamedTuple):
    """One answered call: values by name for each instance.

    Attributes:
        event: Which.
        features: What was asked.
        outputs: What was answered, as many rows.
    """

    event: CapturedEvent
    features: Rows
    outputs: Rows

    def imported(self, model_version: int, sampling_rate: float) -> ImportedCall:
        """Returns the call as other importers make it; raises RejectedRecordError."""
        return ImportedCall(
            request_id=self.event.request_id,
            request_key=self.event.request_key,
            event_time_ms=self.event.time_ms,
            features=arrow_columns(columns_of(self.features, SINGLE_FEATURE)),
            outputs=arrow_columns(columns_of(self.outputs, SINGLE_OUTPUT)),
            model_version=model_version,
            golden=self.event.golden,
            sampling_rate=sampling_rate,
        )


def parse_event(record: Mapping[str, Any], default_time_ms: int | None = None) -> CapturedEvent:
    """Returns which call a record is of, or a record of ground truth.

    Args:
        record: With `eventMetadata` and `eventVersion`.
        default_time_ms: Of a record without a time.

    Raises:
        RejectedRecordError: It has no id, is of another version, or has a time that is none.
    """
    metadata = record.get("eventMetadata")
    if not isinstance(metadata, dict):
        raise RejectedRecordError("no_capture", "Expected eventMetadata.")
    version = str(record.get("eventVersion", _VERSION))
    if version != _VERSION:
        raise RejectedRecordError(
            "unknown_version", f"Expected eventVersion 0, received {version[:20]!r}."
        )
    event, inference = metadata.get("eventId"), metadata.get("inferenceId")
    if not event and not inference:
        raise RejectedRecordError("no_capture", "Expected an eventId.")
    time = metadata.get("inferenceTime")
    return CapturedEvent(
        request_id=str(inference or event),
        request_key=str(event or ""),
        time_ms=_milliseconds(str(time)) if time else default_time_ms,
    )


def parse_capture(
    record: Mapping[str, Any], event: CapturedEvent, names: CapturedNames
) -> CapturedCall:
    """Returns the call of a DataCapture record.

    Args:
        record: With `captureData`.
        event: What `parse_event` returned of it.
        names: Of what has none in it.

    Raises:
        RejectedRecordError: Input or output was not captured, is in an unknown encoding, or they
            do not have as many rows.
    """
    captured = record.get("captureData")
    if not isinstance(captured, dict):
        raise RejectedRecordError("no_capture", "Expected captureData.")
    # Both before either is read: a line without its answer is called so, whatever it asked.
    asked, answered = (CapturedBody.of(captured.get(side), side) for side in (INPUT, OUTPUT))
    outputs = _outputs(answered, names.outputs)
    answers = {len(outputs)}
    if answered.is_csv and len(outputs) == 1:
        # Of one line each cell may be the answer to a row.
        answers.add(len(outputs[0]))
    features = _features(asked, names.features, answers)
    if len(outputs) == 1 and len(outputs[0]) == len(features) > 1 and answered.is_csv:
        # XGBoost's container answers all rows in one line of CSV.
        outputs = [{SINGLE_OUTPUT: value} for value in outputs[0].values()]
    if not features or len(features) != len(outputs):
        raise RejectedRecordError(
            "no_rows",
            f"Expected an answer for each row, received {len(outputs)} for {len(features)} rows.",
        )
    return CapturedCall(event, features, outputs)


# Times are whole seconds, so that most lines of a file have one that was read before.
_milliseconds = functools.lru_cache(maxsize=4096)(milliseconds)

_JSON, _LINES, _CSV = "json", "json lines", "csv"
_JSON_LINES = ("jsonlines", "jsons", "jsonl", "x-ndjson")


class CapturedBody(NamedTuple):
    """What was sent or answered.

    Attributes:
        text: Its content.
        kind: What that is: JSON, JSON lines or CSV.
    """

    text: str
    kind: str

    @classmethod
    def of(cls, held: Any, side: str) -> "CapturedBody":
        """Returns the body of one side of a record.

        Raises:
            RejectedRecordError: It was not captured, is no text, or is in an unknown encoding.
        """
        if not isinstance(held, dict) or held.get("data") is None:
            raise RejectedRecordError(f"no_{side}", f"Expected {side}: capture input and output.")
        encoding = str(held.get("encoding", "")).upper()
        if encoding not in _ENCODINGS:
            raise RejectedRecordError(
                "unknown_encoding",
                f"Expected an encoding among {', '.join(_ENCODINGS)}, received {encoding[:20]!r}.",
            )
        text = str(held["data"])
        if encoding == "BASE64":
            text = json_payloads.decoded(text)
        begin = text[:64].lstrip()[:1]
        return cls(text, _kind(str(held.get("observedContentType", "")), encoding, begin))

    @property
    def is_csv(self) -> bool:
        """Whether it holds rows of cells; else JSON."""
        return self.kind == _CSV

    @property
    def parsed(self) -> Any:
        """The value of a JSON body, the rows of JSON lines; raises RejectedRecordError."""
        try:
            if self.kind == _JSON:
                try:
                    return json_payloads.parse_json(self.text)
                except ValueError:
                    # JSON lines, sent as JSON.
                    if "\n" not in self.text.strip():
                        raise
            return json_payloads.json_lines(self.text)
        except (ValueError, RecursionError) as error:
            raise RejectedRecordError("no_json", f"Expected JSON: {error}") from error


# Most records of an endpoint have one content type.
@functools.lru_cache(maxsize=256)
def _kind(content_type: str, encoding: str, begin: str) -> str:
    """Returns what a body is: by its content type, else its encoding, else how it begins."""
    media = content_type.partition(";")[0].strip().lower()
    if media.endswith(_JSON_LINES):
        return _LINES
    if media.endswith("json"):
        return _JSON
    if media.endswith("csv") or encoding == "CSV":
        return _CSV
    return _JSON if encoding == "JSON" or begin in ("[", "{") else _CSV


def _outputs(answered: CapturedBody, names: Sequence[str]) -> Rows:
    # One name is that of the whole answer, however wide a row of it is.
    single, several = (names[0], ()) if len(names) == 1 else (SINGLE_OUTPUT, names)
    if answered.is_csv:
        return _rows(json_payloads.csv_columns(answered.text, single, several))
    content = answered.parsed
    held = content.get("predictions") if type(content) is dict else None
    # The two forms that most answers have, without a detour over columns.
    if type(held) is list and held and not several and not any(map(_is_nested, held)):
        return [{single: value} for value in held]
    rows = _plain_rows(content, "predictions")
    if rows is not None:
        return rows
    columns = json_payloads.answer_columns(content, single)
    return _rows(named(columns, several))


def _features(asked: CapturedBody, names: Sequence[str], answers: Collection[int]) -> Rows:
    if asked.is_csv:
        return _rows(json_payloads.csv_columns(asked.text, SINGLE_FEATURE, names, answers))
    content = asked.parsed
    rows = _plain_rows(content, "instances")
    if rows is not None and len(rows[0]) > 1:
        return rows
    if asked.kind == _JSON and isinstance(content, list) and not any(map(_is_nested, content)):
        # TF Serving's container takes a plain list for one row, others for a row each.
        content = [content] if 1 in answers else content
    columns = json_payloads.json_columns(content, json_payloads.ASKED, SINGLE_FEATURE, names)
    return _rows(named(_of_examples(columns), names))


def _plain_rows(content: Any, key: str) -> Rows | None:
    """Returns rows that are objects as they are, which most are; None for other forms."""
    held = content.get(key) if type(content) is dict else None
    if type(held) is not list or not held or not all(type(row) is dict and row for row in held):
        return None
    return held


def _rows(columns: Columns) -> Rows:
    """Returns columns as rows; raises RejectedRecordError where their lengths differ."""
    sizes = {len(values) for values in columns.values()}
    if len(sizes) > 1:
        raise RejectedRecordError(
            "no_rows", f"Expected columns of as many rows, received {sorted(sizes)}."
        )
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def _is_nested(value: Any) -> bool:
    return isinstance(value, (list, dict))


def _of_examples(columns: Columns) -> Columns:
    """Returns the features of serialised tf.Examples where the one column holds some."""
    (rows,) = columns.values() if len(columns) == 1 else ([],)
    coded = [row.get(_BYTES) if isinstance(row, dict) else row for row in rows]
    if not coded or (_BYTES not in columns and not all(isinstance(row, dict) for row in rows)):
        return columns
    # TensorFlow is imported where examples were sent, and only there.
    from tfx_loop.data.prediction_log.importers.tf_serving import parsed_examples

    try:
        examples = parsed_examples([base64.b64decode(str(row), validate=True) for row in coded])
    except (binascii.Error, ValueError):
        return columns
    return {name: values.to_pylist() for name, values in examples.items()} or columns
