"""What is a TensorFlow Lite model: operators, tensors, constants? `reading.py` reads it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

EDGETPU_CUSTOM_OP = "edgetpu-custom-op"
# Stands for an optional input that is not there.
ABSENT = -1
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
        return [self.tensors[index] for index in indices if index != ABSENT]

    def input(self, operator: Operator, position: int) -> Tensor | None:
        """Returns one input of an operator; None when it is absent."""
        if position >= len(operator.inputs) or operator.inputs[position] == ABSENT:
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
