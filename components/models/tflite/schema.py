"""The generated reader of TensorFlow Lite's FlatBuffer schema, and the names of its enums.

Format: tensorflow/compiler/mlir/lite/schema/schema.fbs. The generated code comes with
ai-edge-litert (light) and with TensorFlow; it checks nothing itself, see `BROKEN`.
"""

import importlib
import struct
from functools import cache, lru_cache
from types import ModuleType

from tfx_loop.core.errors import ModelError

# Bytes 4 to 8 of every file (`file_identifier` of the schema).
IDENTIFIER = b"TFL3"
# `version` of the schema; no runtime takes another.
SCHEMA_VERSION = 3
_SCHEMAS = ("ai_edge_litert.schema_py_generated", "tensorflow.lite.python.schema_py_generated")
# What reading a broken flatbuffer can raise in generated code.
BROKEN = (
    struct.error,
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    TypeError,
    UnicodeDecodeError,
    ValueError,
)


@lru_cache(maxsize=1)
def schema() -> ModuleType:
    """Returns the generated schema, from ai-edge-litert (light) or TensorFlow.

    Raises:
        ModelError: Neither is installed.
    """
    for name in _SCHEMAS:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ModelError(
        "Expected ai-edge-litert or tensorflow to read .tflite files, found neither. "
        "Install ai-edge-litert."
    )


@cache
def enum_names(enum: str) -> dict[int, str]:
    """Returns the names of a schema enum by value."""
    members = vars(getattr(schema(), enum))
    return {value: name for name, value in members.items() if isinstance(value, int)}
