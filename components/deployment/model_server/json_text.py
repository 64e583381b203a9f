"""JSON of requests: read as TF Serving's parser reads it, and quoted as its messages quote it."""

import base64
import binascii
import contextlib
import json
import re
from typing import Any, NoReturn

import orjson

from tfx_loop.core.errors import DataError
from tfx_loop.deployment.model_server.signature import shown_dtype
from tfx_loop.models.tensors import DEFAULT_SIGNATURE

# A message quotes the request, and a request may be megabytes.
SHOWN_CHARACTERS = 200
_DECODER = json.JSONDecoder()
_SPACES = " \t\n\r"
# A string, which is kept as it is, or the short word for infinity.
_INF = re.compile(r'("(?:[^"\\]|\\.)*")|\bInf\b', re.DOTALL)
# Python's words and RapidJSON's, which clients of TF Serving know.
_SAID = {
    "Expecting value": "Invalid value.",
    "Expecting property name": "Missing a name for object member.",
    "Illegal trailing comma": "Invalid value.",
    "Expecting ':'": "Missing a colon after a name of object member.",
    "Expecting ','": "Missing a comma or } or ] after an object member or array element.",
    "Unterminated string": "Missing a closing quotation mark in string.",
    "Invalid control character": "Invalid encoding in string.",
    "Invalid \\\\escape": "Invalid escape character in string.",
    "Invalid \\\\uXXXX": "Incorrect hex digit after \\\\u escape in string.",
}


def parse_document(body: bytes) -> dict[str, Any]:
    """Returns the object that a request is; raises DataError where it is none."""
    if not body:
        raise DataError("JSON Parse error: The document is empty.")
    try:
        document = _decoded(body.decode("utf-8", "surrogatepass").lstrip(_SPACES))
    # The decoder recurses: deep nesting is a client's mistake, and no fault of the server.
    except RecursionError as error:
        raise DataError("JSON Parse error: Lists or objects are nested too deeply.") from error
    except ValueError as error:
        raise DataError(f"JSON Parse error: {_told(error)}") from error
    if not isinstance(document, dict):
        raise DataError(f"JSON Value: {shown(document)} Is not object")
    return document


def signature_name_of(document: dict[str, Any]) -> str:
    """Returns the signature that a request asks; raises DataError for what is no name."""
    name = document.get("signature_name", DEFAULT_SIGNATURE)
    if not isinstance(name, str):
        raise DataError(
            f"JSON Value: {shown(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name or DEFAULT_SIGNATURE


def bytes_of(value: Any) -> bytes:
    """Returns the bytes of a JSON string or of {"b64": text}; raises DataError for others."""
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"JSON Value: {value[:40]!r} is no valid UTF-8") from error
    if isinstance(value, dict):
        if is_object(value):
            raise DataError(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
        return _from_base64(value["b64"])
    refuse_type(value, "string")


def is_object(value: Any) -> bool:
    """Says whether a JSON value is an object other than {"b64": text}."""
    if not isinstance(value, dict):
        return False
    return not (len(value) == 1 and isinstance(value.get("b64"), str))


def json_type(value: Any) -> str:
    """Returns what TF Serving's messages call the type of a JSON value."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return "String"
    if isinstance(value, dict | list):
        return "Object" if isinstance(value, dict) else "Array"
    return "Number"


def shown(value: Any) -> str:
    """Returns a JSON value as messages quote it: shortened."""
    try:
        text = json.dumps(value)
    except RecursionError:
        text = f"{type(value).__name__} nested too deeply to show"
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def refuse_type(value: Any, dtype: str) -> NoReturn:
    """Raises DataError for a value of another type; in the words of TF Serving."""
    if isinstance(value, list):
        raise DataError(f"Encountered list at unexpected level: {shown(value)}")
    raise DataError(
        f"JSON Value: {shown(value)} Type: {json_type(value)} "
        f"is not of expected type: {shown_dtype(dtype)}"
    )


def _decoded(text: str) -> Any:
    if not text:
        raise ValueError("The document is empty.")
    # Half a surrogate pair is no text, and orjson makes another character of it.
    if "\\u" not in text:
        with contextlib.suppress(orjson.JSONDecodeError):
            return orjson.loads(text)
    try:
        # What follows the first value is ignored, as TF Serving ignores it.
        return _DECODER.raw_decode(text)[0]
    except json.JSONDecodeError:
        if "Inf" not in text:
            raise
        # TF Serving's parser takes Inf and -Inf, too, which Python's does not know.
        spelled = _INF.sub(lambda found: found[1] or "Infinity", text)
        return _DECODER.raw_decode(spelled)[0]


def _told(error: ValueError) -> str:
    """Returns what is wrong with a JSON text, in the words of TF Serving's parser."""
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    said = next((words for start, words in _SAID.items() if error.msg.startswith(start)), error.msg)
    return f"{said} at offset: {error.pos}"


def _from_base64(text: str) -> bytes:
    """Returns the bytes of base64 text; its padding may lack, and white space may stand in it."""
    kept = "".join(text.split()).rstrip("=")
    try:
        return base64.b64decode(kept + "=" * (-len(kept) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError("Unable to base64 decode") from error
