"""A TensorFlow Lite model as read from its file: subgraphs of tensors and operators, signatures.

`reading.py` reads it, `layers.py` names its layers.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfx_loop.models.tensors import Array

EDGETPU_CUSTOM_OP = "edgetpu-custom-op"
# Stands for an optional input that is not there.
ABSENT = -1
# Bits of one element, by the schema's TensorType; strings, resources and variants have no size.
_BITS: Mapping[str, int] = {
    "BOOL": 8, "INT8": 8, "UINT8": 8, "INT16": 16, "UINT16": 16, "INT32": 32, "UINT32": 32,
    "INT64": 64, "UINT64": 64, "FLOAT16": 16, "BFLOAT16": 16, "FLOAT32": 32, "FLOAT64": 64,
    "COMPLEX64": 64, "COMPLEX128": 128, "INT4": 4, "UINT4": 4, "INT2": 2,
    "FLOAT8_E4M3FN": 8, "FLOAT8_E5M2": 8,
}  # fmt: skip
# NumPy has no type for these: several share a byte, or the format is not its own.
_WITHOUT_NUMPY = frozenset({"INT4", "UINT4", "INT2", "BFLOAT16", "FLOAT8_E4M3FN", "FLOAT8_E5M2"})
# The types whose values say how (axes, shapes, paddings), or are quantised numbers.
_INTEGERS = ("INT8", "UINT8", "INT16", "INT32", "INT64")


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One tensor of a subgraph.

    Attributes:
        index: Position in the subgraph.
        name: Its name; names survive the Edge TPU compiler.
        shape: Sizes as stored, 1 where the converter left one open; empty for a scalar.
        signature: Sizes with -1 where the converter left them open; empty when all are fixed.
        type: Name of the schema's TensorType, as INT8.
        scales: Quantisation scales: none, one, or one a channel of `axis`.
            real = (whole - zero_point) * scale
        zero_points: Zero points, as many as scales.
        axis: Dimension of the channels that have a scale each.
        data: Bytes of a constant; None for what is computed or fed.
        is_variable: Whether it keeps state between invocations.
        is_sparse: Whether zeros are left out of `data`.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...] = ()
    type: str
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = 0
    data: bytes | memoryview | None = field(default=None, repr=False)
    is_variable: bool = False
    is_sparse: bool = False

    @property
    def is_constant(self) -> bool:
        """Whether its values stand in the file."""
        return self.data is not None

    @property
    def dtype(self) -> str:
        """NumPy's name of the type, or `string`, `resource`, `variant`, `int4`, ..."""
        return self.type.lower()

    @property
    def open_shape(self) -> tuple[int | None, ...]:
        """Sizes, None where any size fits."""
        sizes = self.signature if len(self.signature) == len(self.shape) else self.shape
        return tuple(None if size < 0 else size for size in sizes)

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Size in memory: bytes; 0 for strings."""
        # Rounded up: types of 2 and 4 bits are packed, and the last byte may be half full.
        return -(-self.elements * _BITS.get(self.type, 0) // 8)

    @property
    def stored_elements(self) -> int:
        """Numbers that the constant stores; fewer than its shape says where it is sparse."""
        bits = _BITS.get(self.type)
        return len(self.data) * 8 // bits if bits and self.data is not None else 0

    @property
    def is_dense(self) -> bool:
        """Whether the constant has as many bytes as its type and shape say."""
        return self.is_constant and not self.is_sparse and self.type in _BITS

    def values(self) -> Array | None:
        """Returns a constant in its type and shape; None for packed, sparse and other content."""
        if self.data is None or not self.is_dense or self.type in _WITHOUT_NUMPY:
            return None
        return np.frombuffer(self.data, self.dtype).reshape(self.shape)

    def integers(self) -> tuple[int, ...] | None:
        """Returns the values of an integer constant; None for anything else."""
        if self.type not in _INTEGERS:
            return None
        values = self.values()
        return None if values is None else tuple(values.ravel().tolist())


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
    """One graph of a model: tensors, operators in execution order, inputs and outputs."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def tensors_at(self, indices: Iterable[int]) -> list[Tensor]:
        """Returns the tensors behind indices; absent optional ones are left out."""
        return [self.tensors[index] for index in indices if index != ABSENT]

    def input(self, operator: Operator, position: int) -> Tensor | None:
        """Returns one input of an operator; None when it is absent."""
        if position >= len(operator.inputs) or operator.inputs[position] == ABSENT:
            return None
        return self.tensors[operator.inputs[position]]

    def output_names(self, operator: Operator) -> list[str]:
        """Returns the names of an operator's outputs."""
        return [tensor.name for tensor in self.tensors_at(operator.outputs)]


@dataclass(frozen=True, kw_only=True)
class SignatureDef:
    """Names of inputs and outputs, with the indices of their tensors in the main subgraph."""

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class TFLiteModel:
    """What a .tflite file holds.

    Attributes:
        subgraphs: The first one is the main one.
        signatures: By name, those of the main subgraph.
        custom_ops: Names of the operators, used or not, that are not the schema's; sorted.
        external_files: Files that constants are said to stand in, beside this one.
    """

    subgraphs: tuple[Subgraph, ...]
    signatures: Mapping[str, SignatureDef] = field(default_factory=dict)
    custom_ops: tuple[str, ...] = ()
    external_files: tuple[str, ...] = ()

    @property
    def main(self) -> Subgraph:
        """The graph that an invocation runs."""
        return self.subgraphs[0]

    @property
    def constants(self) -> tuple[Tensor, ...]:
        """Constant tensors of all subgraphs; a state's first value is none."""
        return tuple(
            tensor
            for graph in self.subgraphs
            for tensor in graph.tensors
            if tensor.is_constant and not tensor.is_variable
        )

    @property
    def compiled(self) -> bool:
        """Whether the Edge TPU compiler has already been at it."""
        return any(operator.custom == EDGETPU_CUSTOM_OP for operator in self.main.operators)
