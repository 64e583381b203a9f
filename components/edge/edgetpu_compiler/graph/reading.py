"""What does a .tflite file hold?

Read with the schema that ai-edge-litert ships (TensorFlow's own as a fallback): no interpreter is
started and no kernel has to know the operators. Format: tensorflow/lite/schema/schema.fbs.
"""

import importlib
import struct
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tfx_loop.core.errors import ModelError
from tfx_loop.edge.edgetpu_compiler.graph.model import ABSENT, Model, Operator, Subgraph, Tensor

_IDENTIFIER = b"TFL3"
_SCHEMAS = ("ai_edge_litert.schema_py_generated", "tensorflow.lite.python.schema_py_generated")
# What reading a broken flatbuffer can raise in generated code, which checks nothing itself.
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


def load(path: str | Path) -> bytes:
    """Returns the bytes of a .tflite file.

    Raises:
        ModelError: There is no such file, or it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ModelError(
            f"Expected a .tflite file at {path}, received {error.strerror or error}. "
            "Check the path."
        ) from error


def read_model(source: str | Path | bytes) -> Model:
    """Reads a model from a file or from its bytes.

    Raises:
        ModelError: It is absent, no TensorFlow Lite model, truncated or corrupt.
    """
    content = source if isinstance(source, bytes) else load(source)
    where = "these bytes" if isinstance(source, bytes) else str(source)
    if len(content) < 8 or content[4:8] != _IDENTIFIER:
        raise ModelError(
            f"Expected a TensorFlow Lite model (identifier TFL3) in {where}, received something "
            "else. Convert the model with TFLiteConverter first."
        )
    try:
        model = _parse(content)
        _check(model)
    except BROKEN as error:
        raise ModelError(
            f"Expected a whole TensorFlow Lite model in {where}, received a truncated or corrupt "
            f"one ({type(error).__name__}). Convert or copy it again."
        ) from error
    return model


def enum_names(enum: str) -> dict[int, str]:
    """Returns the names of a schema enum by value."""
    members = vars(getattr(schema(), enum))
    return {value: name for name, value in members.items() if isinstance(value, int)}


def _parse(content: bytes) -> Model:
    root = schema().Model.GetRootAs(content, 0)
    names = enum_names("BuiltinOperator")
    codes = []
    for index in range(_length(root.OperatorCodesLength(), content)):
        code = root.OperatorCodes(index)
        # Before 2.4 the number stood in a byte; newer files fill that with 127 when it overflows.
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        custom = (code.CustomCode() or b"").decode()
        codes.append((names.get(builtin, f"BUILTIN_{builtin}"), custom, code.Version()))
    buffers = [
        _buffer(root.Buffers(index), content)
        for index in range(_length(root.BuffersLength(), content))
    ]
    subgraphs = tuple(
        _subgraph(root.Subgraphs(index), codes, buffers, content)
        for index in range(_length(root.SubgraphsLength(), content))
    )
    metadata = tuple(
        (root.Metadata(index).Name() or b"").decode()
        for index in range(_length(root.MetadataLength(), content))
    )
    description = (root.Description() or b"").decode(errors="replace")
    return Model(description=description, subgraphs=subgraphs, metadata=metadata)


def _length(length: int, content: bytes) -> int:
    """Returns a vector's length; more elements than bytes is no vector."""
    if length > len(content):
        raise ValueError(f"a vector of {length} elements in {len(content)} bytes")
    return length


def _buffer(buffer: Any, content: bytes) -> bytes | None:
    """Returns a buffer's bytes; None for the empty one that stands for "not constant"."""
    if (offset := _large_offset(buffer)) > 1:
        size = buffer.Size()
        if offset + size > len(content):
            raise ValueError("a buffer reaches behind the end of the file")
        return content[offset : offset + size]
    length = buffer.DataLength()
    if not length:
        return None
    data = np.asarray(buffer.DataAsNumpy(), dtype=np.uint8)
    if data.size != length:
        raise ValueError("a buffer is shorter than it says")
    return data.tobytes()


def _large_offset(buffer: Any) -> int:
    """Returns where the data of a model above 2 GB stands; 0 in the usual files."""
    return int(buffer.Offset()) if hasattr(buffer, "Offset") else 0


def _subgraph(
    graph: Any, codes: list[tuple[str, str, int]], buffers: list[bytes | None], content: bytes
) -> Subgraph:
    types = enum_names("TensorType")
    tensors = tuple(
        _tensor(index, graph.Tensors(index), types, buffers)
        for index in range(_length(graph.TensorsLength(), content))
    )
    operators = tuple(
        _operator(index, graph.Operators(index), codes)
        for index in range(_length(graph.OperatorsLength(), content))
    )
    return Subgraph(
        tensors=tensors,
        operators=operators,
        inputs=_integers(graph.InputsAsNumpy()),
        outputs=_integers(graph.OutputsAsNumpy()),
    )


def _tensor(index: int, tensor: Any, types: dict[int, str], buffers: list[bytes | None]) -> Tensor:
    quantization = tensor.Quantization()
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    if quantization is not None and quantization.ScaleLength():
        scales = tuple(float(value) for value in quantization.ScaleAsNumpy())
        zero_points = _integers(quantization.ZeroPointAsNumpy())
    return Tensor(
        index=index,
        name=(tensor.Name() or b"").decode(errors="replace"),
        shape=_integers(tensor.ShapeAsNumpy()),
        signature=_integers(tensor.ShapeSignatureAsNumpy()),
        type=types[tensor.Type()],
        scales=scales,
        zero_points=zero_points,
        data=buffers[tensor.Buffer()],
        is_variable=bool(tensor.IsVariable()),
    )


def _operator(index: int, operator: Any, codes: list[tuple[str, str, int]]) -> Operator:
    op, custom, version = codes[operator.OpcodeIndex()]
    options = operator.CustomOptionsAsNumpy() if operator.CustomOptionsLength() else None
    attributes: dict[str, Any] = {}
    if operator.BuiltinOptionsType():
        table = schema().BuiltinOptionsCreator(
            operator.BuiltinOptionsType(), operator.BuiltinOptions()
        )
        attributes = dict(vars(table)) if table is not None else {}
    return Operator(
        index=index,
        op=op,
        custom=custom,
        version=version,
        inputs=_integers(operator.InputsAsNumpy()),
        outputs=_integers(operator.OutputsAsNumpy()),
        attributes=attributes,
        custom_options=b"" if options is None else options.tobytes(),
    )


def _integers(values: Any) -> tuple[int, ...]:
    """Returns a vector as a tuple; generated code gives 0 for one that is absent."""
    return () if isinstance(values, int) else tuple(int(value) for value in values)


def _check(model: Model) -> None:
    """Raises ValueError when indices lead nowhere."""
    if not model.subgraphs:
        raise ValueError("no subgraph")
    for graph in model.subgraphs:
        count = len(graph.tensors)
        ends = [*graph.inputs, *graph.outputs]
        for operator in graph.operators:
            ends += operator.outputs
            ends += [index for index in operator.inputs if index != ABSENT]
        if any(not 0 <= index < count for index in ends):
            raise ValueError("an operator names a tensor that is not there")
        if any(size < -1 for tensor in graph.tensors for size in tensor.shape):
            raise ValueError("a tensor has a negative size")
