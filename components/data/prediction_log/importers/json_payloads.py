"""Bodies of requests and answers as columns of values: JSON, JSON lines and CSV.

Servers take the same forms: TF Serving's rows (`instances`, `predictions`) and columns (`inputs`,
`outputs`), KServe's tensors, plain lists, and cells.
"""

import base64
import binascii
import csv
import io
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from tfx_loop.data.prediction_log.importers.calls import (
    RejectedRecordError,
    columns_of,
    numbered,
)

# Where the rows are, in the order in which they are looked for.
ASKED = ("instances", "inputs")
_ANSWERED = ("predictions", "outputs")
# A column of TF Serving's has a name of its own.
_COLUMN = "column"

Columns = dict[str, list[Any]]


def parse_json(text: str | bytes) -> Any:
    """Returns the value of a JSON text.

    Raises:
        ValueError: It is none.
        RecursionError: Its brackets are nested too deeply.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        # TF Serving writes NaN and Infinity, which Python's reader knows.
        value = json.loads(text)
        # That one also takes halves of characters, which no column can hold: a ValueError.
        json.dumps(value, ensure_ascii=False).encode()
        return value


def parse_object(line: str | bytes) -> dict[str, Any]:
    """Returns the object of a line; raises RejectedRecordError."""
    try:
        content = parse_json(line)
    # Bytes that are no text are ValueErrors, too; brackets without end exhaust the stack.
    except (ValueError, RecursionError) as error:
        raise RejectedRecordError("no_json", f"Expected JSON: {error}") from error
    if not isinstance(content, dict):
        raise RejectedRecordError("no_json", "Expected a JSON object a line.")
    return content


def json_columns(
    content: Any, keys: Sequence[str], single: str, names: Sequence[str] = ()
) -> Columns:
    """Returns the rows of a JSON body as columns.

    Args:
        content: The body.
        keys: Where its rows may be.
        single: What a column of plain values is called.
        names: What the places of lists are called.

    Raises:
        RejectedRecordError: There are no rows, or they differ in form.
    """
    if isinstance(content, list):
        return columns_of(content, single, names)
    if not isinstance(content, dict):
        raise RejectedRecordError("no_rows", "Expected rows as JSON.")
    held = next((content[key] for key in keys if key in content), None)
    if isinstance(held, list) and held and all(_is_tensor(item) for item in held):
        return {str(item["name"]): _tensor(item) for item in held}
    if isinstance(held, dict):
        return {str(name): columns_of(values, _COLUMN)[_COLUMN] for name, values in held.items()}
    if held is not None:
        return columns_of(held, single, names)
    # One row as an object.
    return columns_of([content], single, names)


def answer_columns(content: Any, single: str) -> Columns:
    """Returns the rows of an answer; raises as `json_columns`, also where it is an error."""
    if isinstance(content, dict) and set(content) == {"error"}:
        raise RejectedRecordError("failed_call", "Expected an answer, received an error.")
    return json_columns(content, _ANSWERED, single)


def json_lines(text: str) -> list[Any]:
    """Returns the rows of JSON lines; raises ValueError, and RecursionError."""
    return [parse_json(line) for line in text.splitlines() if line.strip()]


def csv_columns(
    text: str, single: str, names: Sequence[str] = (), answers: Collection[int] = ()
) -> Columns:
    """Returns rows of cells as columns; one without a name is called `single`.

    Args:
        text: The rows; a first one that holds the names, in whatever order, is their header.
        single: What one column is called.
        names: What the columns are called; without them c0, c1, ….
        answers: How many answers the rows may have got. Where there is one row more, and no names,
            a first row of different texts is the header.

    Raises:
        RejectedRecordError: Rows differ in width, or have another one than there are names.
    """
    try:
        # Lines end where CSV has them end: quoted cells may hold others. Excel begins with a mark.
        lines = io.StringIO(text.removeprefix("\ufeff"), newline="")
        table = [row for row in csv.reader(lines) if row]
    except csv.Error as error:
        raise RejectedRecordError("mixed_rows", f"Expected rows of CSV: {error}") from error
    header = [cell.strip() for cell in table[0]] if table else []
    named = sorted(header) == sorted(names)
    if named if names else len(table) - 1 in answers and _is_header(header):
        names, table = header, table[1:]
    if not names and table and {len(row) for row in table} == {1}:
        return {single: typed_cells([row[0] for row in table])}
    return {name: typed_cells(cells) for name, cells in numbered(table, names).items()}


def _is_header(cells: Sequence[str]) -> bool:
    """Says whether cells can be names of columns: each of them another text, and no number."""
    texts = all(cell and isinstance(typed_cells([cell])[0], str) for cell in cells)
    return texts and len(set(cells)) == len(cells)


def decoded(text: str) -> str:
    """Returns the text in a base64 text; raises RejectedRecordError."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise RejectedRecordError("no_text", f"Expected text in base64: {error}") from error


def _is_tensor(item: Any) -> bool:
    return isinstance(item, dict) and {"name", "shape", "data"} <= set(item)


def _tensor(item: Mapping[str, Any]) -> list[Any]:
    try:
        values = np.asarray(item["data"], dtype=object).reshape([int(n) for n in item["shape"]])
    except (TypeError, ValueError) as error:
        raise RejectedRecordError("no_tensor", f"Expected a tensor: {error}") from error
    if values.ndim == 0:
        values = values.reshape(1)
    # Those of more than two dimensions are flattened, row by row.
    rows = values.reshape(len(values), -1) if values.ndim > 2 else values
    return list(rows.tolist())


def typed_cells(cells: list[str]) -> list[Any]:
    """Returns a column of cells as numbers where all of them are, else as they are written."""
    for kind in (int, float):
        try:
            # Python reads 1_000 as a number, which is a code to everybody else.
            return [_number(kind, cell) if cell else None for cell in cells]
        except ValueError:
            continue
    return [cell or None for cell in cells]


def _number(kind: Callable[[str], Any], cell: str) -> Any:
    if "_" in cell:
        raise ValueError(cell)
    return kind(cell)
