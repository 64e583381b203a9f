"""What does a .tflite file hold: operators, tensors, constants?

Read with the schema that ai-edge-litert ships (TensorFlow's own as a fallback): no interpreter is
started and no kernel has to know the operators. Format: tensorflow/lite/schema/schema.fbs.
"""

import importlib
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from components.errors import ModelError

EDGETPU_CUSTOM_OP = "edgetpu-custom-op"
_IDENTIFIER = b"TFL3"
_ABSENT = -1
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
_DTYPES = {"INT8": "<i1", "UINT8": "<u1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8"}
_BITS = {"INT4": 4, "INT2": 2, "UINT4": 4, "BOOL": 8, "FLOAT16": 16, "FLOAT64": 64}


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One tensor of a subgraph.

    Attributes:
        index: Position in the subgraph.
        name: Its name; names survive the Edge TPU compiler.
        shape: Sizes; empty for a scalar.
        signature: Sizes with -1 where the converter left them open; empty when all are fixed.
        type: Name of the schema's TensorType, as INT8.
        scales: Quantisation scales: none, one, or one a channel.
        zero_points: Zero points, as many as scales.
        data: Bytes of a constant; None for what is computed or fed.
        is_variable: Whether it keeps state between invocations.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...] = ()
    type: str
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    data: bytes | None = field(default=None, repr=False)
    is_variable: bool = False

    @property
    def is_constant(self) -> bool:
        """Whether its values stand in the file."""
        return self.data is not None

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Size in memory: bytes; 0 for strings."""
        if self.type in _DTYPES:
            return self.elements * np.dtype(_DTYPES[self.type]).itemsize
        return self.elements * _BITS.get(self.type, 32 if self.type != "STRING" else 0) // 8

    def integers(self) -> tuple[int, ...] | None:
        """Returns the values of an integer constant; None for anything else."""
        if self.data is None or self.type not in _DTYPES:
            return None
        dtype = np.dtype(_DTYPES[self.type])
        if len(self.data) % dtype.itemsize:
            return None
        return tuple(int(value) for value in np.frombuffer(self.data, dtype))


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator of a subgraph.

    Attributes:
        index: Position in graph order.
        op: Name of the schema's BuiltinOperator, or CUSTOM.
        custom: Name of a custom operator.
        version: Version that the converter wrote.
        inputs: Tensor indices; -1 where an optional input is absent.
        outputs: Tensor indices.
        attributes: The builtin options, by their name in the schema's Python (`strideW`).
        custom_options: Bytes of a custom operator's options.
    """

    index: int
    op: str
    custom: str = ""
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: dict[str, Any] = field(default_factory=dict, repr=False)
    custom_options: bytes = field(default=b"", repr=False)

    @property
    def name(self) -> str:
        """The operation as people call it: a custom operator by its own name."""
        return self.custom or self.op


@dataclass(frozen=True, kw_only=True)
class Subgraph:
    """One graph of a model: tensors, operators in execution order, and its ends."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def of(self, indices: Iterable[int]) -> list[Tensor]:
        """Returns the tensors behind indices; absent optional ones are left out."""
        return [self.tensors[index] for index in indices if index != _ABSENT]

    def input(self, operator: Operator, position: int) -> Tensor | None:
        """Returns one input of an operator; None when it is absent."""
        if position >= len(operator.inputs) or operator.inputs[position] == _ABSENT:
            return None
        return self.tensors[operator.inputs[position]]

    def output_names(self, operator: Operator) -> list[str]:
        """Returns the names of an operator's outputs."""
        return [tensor.name for tensor in self.of(operator.outputs)]


@dataclass(frozen=True, kw_only=True)
class Model:
    """A TensorFlow Lite model; the first subgraph is the main one."""

    description: str
    subgraphs: tuple[Subgraph, ...]
    metadata: tuple[str, ...] = ()

    @property
    def main(self) -> Subgraph:
        """The graph that an invocation runs."""
        return self.subgraphs[0]

    @property
    def compiled(self) -> bool:
        """Whether the Edge TPU compiler has already been at it."""
        return any(operator.custom == EDGETPU_CUSTOM_OP for operator in self.main.operators)


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
            ends += [index for index in operator.inputs if index != _ABSENT]
        if any(not 0 <= index < count for index in ends):
            raise ValueError("an operator names a tensor that is not there")
        if any(size < -1 for tensor in graph.tensors for size in tensor.shape):
            raise ValueError("a tensor has a negative size")
