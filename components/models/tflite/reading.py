"""Is a .tflite file whole, and what does it hold? Read without a runtime, which it could crash.

The layout is TensorFlow Lite's FlatBuffer schema (tensorflow/compiler/mlir/lite/schema/schema.fbs);
the readers are generated from it and come with LiteRT.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfx_loop.core.errors import ModelError
from tfx_loop.models.tensors import Array

# Codes of TensorType in the schema; None: no number of a NumPy type.
_DTYPES: Mapping[int, str | None] = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 5: None, 6: "bool",
    7: "int16", 8: "complex64", 9: "int8", 10: "float64", 11: "complex128", 12: "uint64",
    13: None, 14: None, 15: "uint32", 16: "uint16", 17: "int4", 18: "bfloat16", 19: "int2",
    20: "uint4",
}  # fmt: skip
_TYPE_NAMES = {5: "string", 13: "resource", 14: "variant"}
_PACKED_BITS = {"int4": 4, "int2": 2, "uint4": 4, "bfloat16": 16}
_CUSTOM = 32
_MAX_FLATBUFFER = 2**31


@dataclass(frozen=True)
class Quantization:
    """real = (whole - zero_point) * scale; several scales are one for each channel of `axis`."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0


@dataclass(frozen=True)
class Tensor:
    """A tensor of a subgraph.

    Attributes:
        name: As the converter called it.
        shape: Sizes, None where any size fits.
        dtype: NumPy's name, or `string`, `resource`, `variant`, `int4`, ...
        quantization: How whole numbers stand for real ones; None for floats.
        data: Its constant as it is stored; None for what is computed, and for packed types.
        nbytes: Bytes of the constant.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    quantization: Quantization | None
    data: Array | None = field(compare=False, default=None)
    nbytes: int = 0

    @property
    def stored_elements(self) -> int:
        """Numbers that the constant stores; fewer than its shape says where it is sparse."""
        bits = _PACKED_BITS.get(self.dtype) or np.dtype(self.dtype).itemsize * 8
        return self.nbytes * 8 // bits


@dataclass(frozen=True)
class SignatureDef:
    """Names of inputs and outputs, with the indices of their tensors in the first subgraph."""

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


@dataclass(frozen=True)
class TFLiteFile:
    """What a .tflite file holds.

    Attributes:
        tensors: Of the first subgraph, by index.
        constants: Constant tensors of all subgraphs.
        inputs: Indices of the first subgraph's inputs.
        outputs: Indices of its outputs.
        signatures: By name, those of the first subgraph.
        custom_ops: Names of operators that are not the schema's, sorted.
    """

    tensors: tuple[Tensor, ...]
    constants: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    signatures: Mapping[str, SignatureDef]
    custom_ops: tuple[str, ...]


def read(path: Path) -> TFLiteFile:
    """Returns what a .tflite file holds, all offsets and indices checked.

    Raises:
        ModelError: It is truncated or damaged.
    """
    content = path.read_bytes()
    try:
        return _read(content)
    except (struct.error, IndexError, ValueError, TypeError, OverflowError, KeyError) as error:
        raise ModelError(
            f"Expected a whole TFLite model in {path}, received a damaged file ({error}). "
            "Was it copied to the end? Convert the model again."
        ) from error


def _schema() -> Any:
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError:
        from tensorflow.lite.python import schema_py_generated as schema
    return schema


def _read(content: bytes) -> TFLiteFile:
    if content[4:8] != b"TFL3":
        raise ValueError("no TFL3 at its begin")
    _check_offset(content)
    model = _schema().Model.GetRootAs(content, 0)
    if model.SubgraphsLength() < 1 or model.Version() != 3:
        raise ValueError(f"{model.SubgraphsLength()} subgraphs, version {model.Version()}")
    custom = _operator_codes(model)
    graphs = [_tensors(model, model.Subgraphs(i), content) for i in range(model.SubgraphsLength())]
    for index, found in enumerate(graphs):
        _check_operators(model, model.Subgraphs(index), len(found))
    main = model.Subgraphs(0)
    inputs = tuple(int(main.Inputs(i)) for i in range(main.InputsLength()))
    outputs = tuple(int(main.Outputs(i)) for i in range(main.OutputsLength()))
    _check_indices((*inputs, *outputs), len(graphs[0]), "an input or output")
    if not outputs:
        raise ValueError("no outputs")
    return TFLiteFile(
        tensors=graphs[0],
        constants=tuple(t for tensors in graphs for t in tensors if t.nbytes),
        inputs=inputs,
        outputs=outputs,
        signatures=_signatures(model, len(graphs[0])),
        custom_ops=custom,
    )


def _check_offset(content: bytes) -> None:
    (root,) = struct.unpack_from("<I", content, 0)
    if not 8 <= root <= len(content) - 4 or len(content) >= _MAX_FLATBUFFER:
        raise ValueError(f"its root is at {root} of {len(content)} bytes")


def _length(claimed: int, content: bytes, what: str) -> int:
    """Returns a vector's length; more entries than the file has bytes are damage."""
    if claimed > len(content):
        raise ValueError(f"{claimed} {what}")
    return claimed


def _operator_codes(model: Any) -> tuple[str, ...]:
    custom = set()
    for index in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(index)
        if max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) == _CUSTOM:
            custom.add((code.CustomCode() or b"").decode("utf-8", "replace"))
    return tuple(sorted(custom))


def _tensors(model: Any, graph: Any, content: bytes) -> tuple[Tensor, ...]:
    count = _length(graph.TensorsLength(), content, "tensors")
    return tuple(_tensor(model, graph.Tensors(index), content) for index in range(count))


def _tensor(model: Any, tensor: Any, content: bytes) -> Tensor:
    dtype = _DTYPES[tensor.Type()] or _TYPE_NAMES[tensor.Type()]
    stored = tuple(tensor.Shape(i) for i in range(tensor.ShapeLength()))
    if any(size < 0 for size in stored):
        raise ValueError(f"a tensor of shape {list(stored)}")
    claimed = tuple(tensor.ShapeSignature(i) for i in range(tensor.ShapeSignatureLength()))
    signature = claimed if len(claimed) == len(stored) else stored
    data, nbytes = _constant(model, tensor, dtype, stored, content)
    return Tensor(
        name=(tensor.Name() or b"").decode("utf-8", "replace"),
        shape=tuple(None if size < 0 else size for size in signature),
        dtype=dtype,
        quantization=_quantization(tensor.Quantization()),
        data=data,
        nbytes=nbytes,
    )


def _constant(
    model: Any, tensor: Any, dtype: str, shape: tuple[int, ...], content: bytes
) -> tuple[Array | None, int]:
    index = tensor.Buffer()
    if index >= max(model.BuffersLength(), 1):
        raise ValueError(f"a tensor in buffer {index} of {model.BuffersLength()}")
    raw = _buffer(model, index, content) if model.BuffersLength() else None
    if raw is None or tensor.IsVariable():
        return None, 0
    if tensor.Sparsity() is not None or dtype in ("string", "resource", "variant"):
        return None, len(raw)
    elements = int(np.prod(shape, dtype=np.float64))
    bits = _PACKED_BITS.get(dtype) or np.dtype(dtype).itemsize * 8
    if len(raw) != -(-elements * bits // 8):
        raise ValueError(f"{len(raw)} bytes for a {dtype} tensor of shape {list(shape)}")
    return (None if dtype in _PACKED_BITS else raw.view(dtype).reshape(shape)), len(raw)


def _buffer(model: Any, index: int, content: bytes) -> Array | None:
    buffer = model.Buffers(index)
    if buffer.Offset() > 1:  # Large models keep their data behind the flatbuffer.
        start, end = buffer.Offset(), buffer.Offset() + buffer.Size()
        if end > len(content):
            raise ValueError(f"a buffer that ends at {end} of {len(content)} bytes")
        return np.frombuffer(content, np.uint8, buffer.Size(), start)
    if buffer.DataLength() == 0:
        return None
    data: Array = buffer.DataAsNumpy()
    return data


def _quantization(found: Any) -> Quantization | None:
    if found is None or found.ScaleLength() == 0:
        return None
    return Quantization(
        scales=tuple(np.atleast_1d(found.ScaleAsNumpy()).tolist()),
        zero_points=tuple(np.atleast_1d(found.ZeroPointAsNumpy()).tolist()),
        axis=found.QuantizedDimension(),
    )


def _check_operators(model: Any, graph: Any, tensors: int) -> None:
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        if operator.OpcodeIndex() >= model.OperatorCodesLength():
            raise ValueError(f"an operator of kind {operator.OpcodeIndex()}, which there is not")
        used = [operator.Inputs(i) for i in range(operator.InputsLength())]
        used += [operator.Outputs(i) for i in range(operator.OutputsLength())]
        _check_indices([i for i in used if i != -1], tensors, "an operator")  # -1: left out


def _check_indices(indices: Any, tensors: int, what: str) -> None:
    for index in indices:
        if not 0 <= index < tensors:
            raise ValueError(f"{what} of tensor {index}, of {tensors} that there are")


def _signatures(model: Any, tensors: int) -> dict[str, SignatureDef]:
    found = {}
    for index in range(model.SignatureDefsLength()):
        signature = model.SignatureDefs(index)
        if signature.SubgraphIndex() != 0:
            continue
        inputs = {
            _text(entry.Name()): int(entry.TensorIndex())
            for entry in (signature.Inputs(i) for i in range(signature.InputsLength()))
        }
        outputs = {
            _text(entry.Name()): int(entry.TensorIndex())
            for entry in (signature.Outputs(i) for i in range(signature.OutputsLength()))
        }
        _check_indices((*inputs.values(), *outputs.values()), tensors, "a signature")
        found[_text(signature.SignatureKey())] = SignatureDef(inputs, outputs)
    return found


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
