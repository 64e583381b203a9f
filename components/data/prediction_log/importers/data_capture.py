"""SageMaker's DataCapture: a line of JSON for each call, with the request and the answer in it.

The request id is what the client sent as InferenceId, else the eventId that SageMaker made. See
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html.
"""

import base64
import binascii
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfx_loop.data.prediction_log.importers import json_payloads
from tfx_loop.data.prediction_log.importers.calls import (
    SINGLE_FEATURE,
    SINGLE_OUTPUT,
    ImportedCall,
    RejectedRecordError,
    arrow_columns,
    milliseconds,
    named,
    single_values,
)
from tfx_loop.data.prediction_log.importers.json_payloads import Columns
from tfx_loop.data.prediction_log.record import GOLDEN_PREFIX

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


@dataclass(frozen=True, kw_only=True)
class CapturedEvent:
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


@dataclass(frozen=True, kw_only=True)
class CapturedCall:
    """One answered call: values by name, one a row.

    Attributes:
        event: Which.
        features: What was asked.
        outputs: What was answered, as many rows.
    """

    event: CapturedEvent
    features: Columns
    outputs: Columns

    def imported(self, model_version: int, sampling_rate: float) -> ImportedCall:
        """Returns the call as other importers make it; raises RejectedRecordError."""
        return ImportedCall(
            request_id=self.event.request_id,
            request_key=self.event.request_key,
            event_time_ms=self.event.time_ms,
            features=arrow_columns(self.features),
            outputs=arrow_columns(self.outputs),
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
    features = _features(asked, names.features, _rows(outputs))
    rows = _rows(features)
    if _rows(outputs) == 1 and len(outputs) == rows > 1 and answered.is_csv:
        # XGBoost's container answers all rows in one line of CSV.
        outputs = {SINGLE_OUTPUT: [values[0] for values in outputs.values()]}
    if not rows or any(len(values) != rows for values in (*features.values(), *outputs.values())):
        raise RejectedRecordError(
            "no_rows",
            f"Expected an answer for each row, received {_rows(outputs)} for {rows} rows.",
        )
    return CapturedCall(
        event=event,
        features={name: single_values(values) for name, values in features.items()},
        outputs={name: single_values(values) for name, values in outputs.items()},
    )


# Times are whole seconds, so that most lines of a file have one that was read before.
_milliseconds = functools.lru_cache(maxsize=4096)(milliseconds)

_JSON, _LINES, _CSV = "json", "json lines", "csv"
_JSON_LINES = ("jsonlines", "jsons", "jsonl", "x-ndjson")


@dataclass(frozen=True)
class CapturedBody:
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
        return cls(text, _kind(str(held.get("observedContentType", "")), encoding, text))

    @property
    def is_csv(self) -> bool:
        """Whether it holds rows of cells; else JSON."""
        return self.kind == _CSV

    def columns(self, single: str, names: Sequence[str]) -> Columns:
        """Returns the rows of a request; raises RejectedRecordError."""
        if self.is_csv:
            return json_payloads.csv_columns(self.text, single, names)
        return json_payloads.json_columns(self.parsed, json_payloads.ASKED, single, names)

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


def _kind(content_type: str, encoding: str, text: str) -> str:
    """Returns what a body is: by its content type, else its encoding, else how it begins."""
    media = content_type.partition(";")[0].strip().lower()
    if media.endswith(_JSON_LINES):
        return _LINES
    if media.endswith("json"):
        return _JSON
    if media.endswith("csv") or encoding == "CSV":
        return _CSV
    return _JSON if encoding == "JSON" or text.lstrip()[:1] in ("[", "{") else _CSV


def _outputs(answered: CapturedBody, names: Sequence[str]) -> Columns:
    # One name is that of the whole answer, however wide a row of it is.
    single, several = (names[0], ()) if len(names) == 1 else (SINGLE_OUTPUT, names)
    if answered.is_csv:
        return json_payloads.csv_columns(answered.text, single, several)
    return named(json_payloads.answer_columns(answered.parsed, single), several)


def _features(asked: CapturedBody, names: Sequence[str], answers: int) -> Columns:
    if asked.kind == _JSON:
        content = asked.parsed
        if isinstance(content, list) and not any(isinstance(v, (list, dict)) for v in content):
            # TF Serving's container takes a plain list for one row, others for a row each.
            content = [content] if answers == 1 else content
        columns = json_payloads.json_columns(content, json_payloads.ASKED, SINGLE_FEATURE, names)
    else:
        columns = asked.columns(SINGLE_FEATURE, names)
    return named(_of_examples(columns), names)


def _rows(columns: Columns) -> int:
    return len(next(iter(columns.values()), ()))


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
