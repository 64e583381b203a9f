"""TFDV's schema as SchemaGen, ImportSchemaGen and Transform leave it."""

import os
from typing import Any

from tfx_loop.core.errors import DataError
from tfx_loop.core.storage import read_bytes

SCHEMA_FILE = "schema.pbtxt"
# In a Transform graph: the schema of what goes into it, so of what a client sends.
_OF_TRANSFORM = f"metadata/{SCHEMA_FILE}"
_REMEDY = "Give the schema.pbtxt that SchemaGen, ImportSchemaGen or `loop schema` wrote."


def read_schema(path: str) -> Any:
    """Returns the Schema message of a file, of a Schema artifact or of a Transform graph.

    Args:
        path: A `schema.pbtxt`, or a folder that holds it or `metadata/schema.pbtxt`.

    Raises:
        DataError: There is no such message, or no feature in it.
    """
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    try:
        found = text_format.Parse(_content(path).decode(), schema_pb2.Schema())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise DataError(
            f"Expected a TFDV schema as text in {path}, received: {str(error).rstrip('.')}. "
            f"{_REMEDY}"
        ) from error
    if not found.feature:
        raise DataError(
            f"Expected features in the TFDV schema {path}, received a schema of none. {_REMEDY}"
        )
    return found


def _content(path: str) -> bytes:
    if os.path.basename(path).endswith(".pbtxt"):
        return read_bytes(path)
    for name in (SCHEMA_FILE, _OF_TRANSFORM):
        try:
            return read_bytes(os.path.join(path, name))
        except (FileNotFoundError, NotADirectoryError):
            continue
    return read_bytes(path)
