"""Tensors from TF Serving's JSON requests, and JSON from outputs.

The formats and, where it has them, the messages are those of TF Serving's json_tensor.cc. Stricter
than it in one thing: an unknown name in "inputs" is an error, not ignored.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from tfx_loop.core.errors import DataError
from tfx_loop.core.redaction import OPEN, WITHHELD, Redaction
from tfx_loop.deployment.model_server.signature import Signature, check_names, shown_dtype
from tfx_loop.models.tensors import DEFAULT_SIGNATURE, Array, TensorSpec

# A message quotes the request, and a request may be megabytes.
_SHOWN_CHARACTERS = 200
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@dataclass(frozen=True, kw_only=True)
class JsonRequest:
    """A parsed predict request, before its values are looked at.

    Attributes:
        signature_name: Which signature to ask.
        content: The value of "instances" or of "inputs".
        row_format: Whether it was "instances".
    """

    signature_name: str
    content: Any
    row_format: bool


def parse_request(body: bytes) -> JsonRequest:
    """Reads the JSON of a predict request.

    Raises:
        DataError: It is no JSON, or not of one of the two formats.
    """
    document = _parse(body)
    name = document.get("signature_name", DEFAULT_SIGNATURE)
    if not isinstance(name, str):
        raise DataError(
            f"JSON Value: {_shown(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    name = name or DEFAULT_SIGNATURE
    if "instances" in document and "inputs" in document:
        raise DataError(
            f"JSON Value: {_shown(document)} Not formatted correctly expecting only "
            "one of 'inputs' or 'instances' keys to exist "
        )
    if "instances" in document:
        instances = document["instances"]
        if not isinstance(instances, list):
            raise DataError(
                f"JSON Value: {_shown(document)} Excepting 'instances' to be an list/array"
            )
        if not instances:
            raise DataError(f"JSON Value: {_shown(document)} No values in 'instances' array")
        return JsonRequest(signature_name=name, content=instances, row_format=True)
    if "inputs" in document:
        return JsonRequest(signature_name=name, content=document["inputs"], row_format=False)
    raise DataError("Missing 'inputs' or 'instances' key")


def to_tensors(
    request: JsonRequest, signature: Signature, redaction: Redaction = OPEN
) -> dict[str, Array]:
    """Returns the inputs by name, with the types of the signature.

    Args:
        request: What was asked.
        signature: What the model takes.
        redaction: Inputs of which errors quote nothing: replies end in clients' logs.

    Raises:
        DataError: Names, types or nesting do not fit.
    """
    try:
        columns = (
            _from_instances(request.content, signature)
            if request.row_format
            else _from_inputs(request.content, signature)
        )
    except DataError as error:
        # Whole rows are quoted there.
        raise _withheld(error, [n for n in signature.inputs if redaction.hides(n)]) from None
    found = {}
    for name, spec in signature.inputs.items():
        try:
            found[name] = _tensor(name, columns[name], spec)
        except DataError as error:
            raise _withheld(error, [name] if redaction.hides(name) else []) from None
    return found


def _withheld(error: DataError, hidden: list[str]) -> DataError:
    """Returns the error, of hidden inputs without what it quotes."""
    if not hidden:
        return error
    return DataError(f"Input {', '.join(hidden)}: the values do not fit; {WITHHELD}.")


def to_json(outputs: Mapping[str, Array], row_format: bool) -> bytes:
    """Returns the body of the answer: "predictions" for rows, "outputs" for columns.

    NaN and infinities are written as TF Serving does: NaN, Infinity, -Infinity.

    Raises:
        DataError: Rows were asked for, and the outputs differ in their number of rows.
    """
    columns = {name: _values(name, array) for name, array in outputs.items()}
    single = len(columns) == 1
    if not row_format:
        content = next(iter(columns.values())) if single else columns
        return json.dumps({"outputs": content}).encode()
    sizes = {name: array.shape[0] if array.ndim else -1 for name, array in outputs.items()}
    if len(set(sizes.values())) > 1 or -1 in sizes.values():
        raise DataError(
            f"Tensors have inconsistent batch sizes {sizes}; ask with 'inputs' instead of "
            "'instances'."
        )
    if single:
        return json.dumps({"predictions": next(iter(columns.values()))}).encode()
    rows = zip(*columns.values(), strict=True)
    return json.dumps(
        {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}
    ).encode()


def _parse(body: bytes) -> dict[str, Any]:
    if not body:
        raise DataError("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    # json.loads recurses: deep nesting is a client's mistake, and no fault of the server.
    except (ValueError, RecursionError) as error:
        raise DataError(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise DataError(f"JSON Value: {_shown(document)} Is not object")
    return document


def _from_instances(instances: list[Any], signature: Signature) -> dict[str, list[Any]]:
    if not _is_object(instances[0]):
        if len(signature.inputs) > 1:
            raise DataError(
                "instances is a plain list, but expecting list of objects as multiple "
                "input tensors required as per tensorinfo_map"
            )
        for position, instance in enumerate(instances):
            if _is_object(instance):
                raise DataError(
                    f"Expecting value/list but got object at item {position} of input list"
                )
        return {next(iter(signature.inputs)): instances}
    wanted = signature.inputs.keys()
    for position, instance in enumerate(instances):
        if not _is_object(instance):
            raise DataError(f"Expecting object but got list at item {position} of input list")
        if instance.keys() != wanted:
            _refuse_keys(position, instance, signature)
    return {name: [instance[name] for instance in instances] for name in wanted}


def _refuse_keys(position: int, instance: dict[str, Any], signature: Signature) -> NoReturn:
    for name in instance:
        if name not in signature.inputs:
            raise DataError(
                f"Failed to process element: {position} key: {name[:_SHOWN_CHARACTERS]} of "
                "'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have named "
                f"input: {name[:_SHOWN_CHARACTERS]}"
            )
    missing = sorted(set(signature.inputs) - set(instance))
    raise DataError(
        f"Failed to process element: {position} of 'instances' list. JSON object: "
        f"{_shown(instance)} keys must be equal to: {','.join(sorted(signature.inputs))}. "
        f"Missing: {','.join(missing)}"
    )


def _from_inputs(inputs: Any, signature: Signature) -> dict[str, Any]:
    if not _is_object(inputs):
        if len(signature.inputs) > 1:
            raise DataError(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        return {next(iter(signature.inputs)): inputs}
    for name in sorted(signature.inputs):
        if name not in inputs:
            raise DataError(f"Missing named input: {name} in 'inputs' object.")
    check_names(signature, inputs)
    return dict(inputs)


def _tensor(name: str, value: Any, spec: TensorSpec) -> Array:
    shape: list[int] = []
    level = value
    while isinstance(level, list):
        shape.append(len(level))
        if not level:
            break
        # The shape is that of the first elements; `_flatter` refuses rows that differ from them.
        level = level[0]
    flat = value if isinstance(value, list) else [value]
    for depth in range(1, max(len(shape), 1)):
        flat = _flatter(name, flat, depth, shape[depth])
    try:
        return _typed(flat, spec).reshape(shape)
    except DataError as error:
        raise DataError(f"Input {name}: {error}") from error


def _flatter(name: str, lists: list[Any], level: int, size: int) -> list[Any]:
    flat: list[Any] = []
    for item in lists:
        if not isinstance(item, list):
            raise DataError(
                f"Input {name}: JSON Value: {_shown(item)} found at incorrect level: {level} "
                "in the JSON DOM."
            )
        if len(item) != size:
            raise DataError(
                f"Input {name}: Encountered list at unexpected size: {len(item)} at level: "
                f"{level} expected size: {size}"
            )
        flat.extend(item)
    return flat


def _typed(flat: list[Any], spec: TensorSpec) -> Array:
    """Returns a flat array of the declared type; types are checked, never guessed."""
    dtype = spec.dtype
    if dtype == "string":
        # Filled by assignment: np.array would make a second axis of texts of one length.
        array = np.empty(len(flat), dtype=object)
        array[:] = [_bytes(value) for value in flat]
        return array
    allowed: tuple[type, ...]
    if dtype in ("float16", "float32", "float64"):
        allowed = (float, int)
    elif dtype in _INTEGERS:
        allowed = (int,)
    elif dtype == "bool":
        allowed = (bool,)
    else:
        raise DataError(f"Conversion of JSON Value: {_shown(flat)} to type: {dtype}")
    # By exact type: isinstance would take true for 1. A set of types is fast on long lists.
    if not set(map(type, flat)) <= set(allowed):
        _refuse_type(next(value for value in flat if type(value) not in allowed), dtype)
    if dtype in _INTEGERS and flat:
        limits = np.iinfo(dtype)
        # Before np.array, which wraps or raises differently from version to version.
        if min(flat) < limits.min or max(flat) > limits.max:
            _refuse_type(max(flat, key=abs), dtype)
    try:
        # Floats go through double, as JSON's numbers are: `_narrowed` then sees what is lost.
        array = np.array(flat, dtype=dtype if dtype in (*_INTEGERS, "bool") else np.float64)
    except OverflowError:
        _refuse_type(max(flat, key=abs), dtype)
    return _narrowed(array, flat, spec) if array.dtype.name != dtype else array


def _narrowed(array: Array, flat: list[Any], spec: TensorSpec) -> Array:
    """Returns doubles as a narrower float type; whole numbers must survive it exactly."""
    with np.errstate(over="ignore"):
        narrow = array.astype(spec.dtype)
    # 1e39 as float32 would be infinite.
    lossy = np.isfinite(array) & ~np.isfinite(narrow)
    if int in set(map(type, flat)):
        whole = np.fromiter((type(value) is int for value in flat), bool, len(flat))
        # 16777217 has no float32; a fraction such as 0.1 is rounded in any case.
        lossy |= whole & (narrow.astype(np.float64) != array)
    if lossy.any():
        value = flat[int(np.flatnonzero(lossy)[0])]
        raise DataError(
            f"Cannot convert JSON value: {_shown(value)} to {shown_dtype(spec.dtype)} "
            "without loss of precision."
        )
    return narrow


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"JSON Value: {value[:40]!r} is no valid UTF-8") from error
    if isinstance(value, dict):
        if _is_object(value):
            raise DataError(f"JSON Value: {_shown(value)} not formatted correctly for base64 data")
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise DataError("Unable to base64 decode") from error
    _refuse_type(value, "string")


def _refuse_type(value: Any, dtype: str) -> NoReturn:
    if isinstance(value, list):
        raise DataError(f"Encountered list at unexpected level: {_shown(value)}")
    raise DataError(
        f"JSON Value: {_shown(value)} Type: {_json_type(value)} "
        f"is not of expected type: {shown_dtype(dtype)}"
    )


def _json_type(value: Any) -> str:
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return "String"
    if isinstance(value, dict | list):
        return "Object" if isinstance(value, dict) else "Array"
    return "Number"


def _is_object(value: Any) -> bool:
    """Says whether a JSON value is an object other than {"b64": text}."""
    if not isinstance(value, dict):
        return False
    return not (len(value) == 1 and isinstance(value.get("b64"), str))


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value)
    except RecursionError:
        text = f"{type(value).__name__} nested too deeply to show"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _values(name: str, array: Array) -> Any:
    """Returns nested lists; float32 in the fewest digits that give the same float32 again."""
    if array.dtype == np.float32 or array.dtype == np.float16:
        # str of a float32 is the shortest text that reads back as it; 0.1f would else be
        # 0.10000000149011612.
        digits = [float(str(value)) for value in array.reshape(-1)]
        return np.array(digits, dtype=np.float64).reshape(array.shape).tolist()
    if array.dtype.kind in "OSU":
        shown = np.empty(array.size, dtype=object)
        # TF Serving's convention for outputs that are no text.
        as_bytes = name.endswith("_bytes")
        shown[:] = [_text(value, as_bytes) for value in array.reshape(-1).tolist()]
        return shown.reshape(array.shape).tolist()
    return array.tolist()


def _text(value: Any, as_bytes: bool) -> Any:
    raw = value if isinstance(value, bytes) else str(value).encode()
    if as_bytes:
        return {"b64": base64.b64encode(raw).decode()}
    return raw.decode("utf-8", "replace")
