"""The one reader of .tflite files: all lengths, offsets and indices are checked.

No interpreter is started, which a damaged file could crash, and no kernel has to know the
operators. Constants are views of the file's bytes, not copies.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfx_loop.core.errors import ModelError
from tfx_loop.models.tflite.model import (
    ABSENT,
    Operator,
    SignatureDef,
    Subgraph,
    Tensor,
    TFLiteModel,
)
from tfx_loop.models.tflite.schema import BROKEN, IDENTIFIER, SCHEMA_VERSION, enum_names, schema

# Offsets in a flatbuffer are 32 bits, signed; larger models keep their data behind it.
_MAX_FLATBUFFER_BYTES = 2**31
_Buffer = memoryview | None


@dataclass(frozen=True)
class _OperatorCode:
    op: str
    custom: str
    version: int


def load(path: str | Path) -> bytes:
    """Returns the bytes of a .tflite file.

    Raises:
        ModelError: There is no such file, or it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except IsADirectoryError as error:
        raise ModelError(
            f"Expected a .tflite file at {path}, received a folder. Name the file in it."
        ) from error
    except OSError as error:
        raise ModelError(
            f"Expected a .tflite file at {path}, received: {error.strerror or error}. "
            "Check the path."
        ) from error


def read_model(source: str | Path | bytes, *, where: str = "") -> TFLiteModel:
    """Reads a model from a file or from its bytes.

    Args:
        source: The file, or its bytes.
        where: What messages call it; its path unless given.

    Raises:
        ModelError: It is absent, no TensorFlow Lite model, truncated or corrupt.
    """
    content = source if isinstance(source, bytes) else load(source)
    where = where or ("these bytes" if isinstance(source, bytes) else str(source))
    if len(content) < 8 or content[4:8] != IDENTIFIER:
        raise ModelError(
            f"Expected a TensorFlow Lite model (identifier TFL3) in {where}, received something "
            "else. Convert the model with TFLiteConverter first."
        )
    try:
        return _model(content)
    except BROKEN as error:
        why = str(error) or type(error).__name__
        raise ModelError(
            f"Expected a whole TensorFlow Lite model in {where}, received a damaged file ({why}). "
            "Was it copied to the end? Convert or copy it again."
        ) from error


def _model(content: bytes) -> TFLiteModel:
    (root_offset,) = struct.unpack_from("<I", content, 0)
    # Behind the offset itself and the identifier, and with room for the table's own offset.
    if not 8 <= root_offset <= len(content) - 4 or len(content) >= _MAX_FLATBUFFER_BYTES:
        raise ValueError(f"its root is at {root_offset} of {len(content)} bytes")
    root = schema().Model.GetRootAs(content, 0)
    # interpreter_builder.cc refuses both, too.
    if root.SubgraphsLength() < 1 or root.Version() != SCHEMA_VERSION:
        raise ValueError(f"{root.SubgraphsLength()} subgraphs, version {root.Version()}")
    codes = [
        _operator_code(root.OperatorCodes(index))
        for index in _indices(root.OperatorCodesLength(), content)
    ]
    buffers = [
        _buffer(root.Buffers(index), content) for index in _indices(root.BuffersLength(), content)
    ]
    subgraphs = tuple(
        _subgraph(root.Subgraphs(index), codes, buffers, content)
        for index in _indices(root.SubgraphsLength(), content)
    )
    return TFLiteModel(
        subgraphs=subgraphs,
        signatures=_signatures(root, len(subgraphs[0].tensors), content),
        custom_ops=tuple(sorted({code.custom for code in codes if code.op == "CUSTOM"})),
    )


def _indices(length: int, content: bytes) -> range:
    """Returns the positions in a vector; more entries than the file has bytes are damage."""
    if length > len(content):
        raise ValueError(f"a vector of {length} entries in {len(content)} bytes")
    return range(length)


def _operator_code(code: Any) -> _OperatorCode:
    # Before 2.4 the number stood in a byte; newer files fill that with 127 when it overflows.
    builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    op = enum_names("BuiltinOperator").get(builtin, f"BUILTIN_{builtin}")
    return _OperatorCode(op, _text(code.CustomCode()), code.Version())


def _buffer(buffer: Any, content: bytes) -> _Buffer:
    """Returns a buffer's bytes; None for the empty one that stands for "not constant"."""
    # The data of a model above 2 GB stands behind the flatbuffer; 0 and 1 stand for "it does not".
    offset = int(buffer.Offset()) if hasattr(buffer, "Offset") else 0
    if offset > 1:
        end = offset + int(buffer.Size())
        if end > len(content):
            raise ValueError(f"a buffer that ends at {end} of {len(content)} bytes")
        return memoryview(content)[offset:end] if end > offset else None
    if not buffer.DataLength():
        return None
    return memoryview(buffer.DataAsNumpy())


def _subgraph(
    graph: Any, codes: list[_OperatorCode], buffers: list[_Buffer], content: bytes
) -> Subgraph:
    tensors = tuple(
        _tensor(index, graph.Tensors(index), buffers)
        for index in _indices(graph.TensorsLength(), content)
    )
    operators = tuple(
        _operator(index, graph.Operators(index), codes)
        for index in _indices(graph.OperatorsLength(), content)
    )
    inputs, outputs = _integers(graph.InputsAsNumpy()), _integers(graph.OutputsAsNumpy())
    _check_indices((*inputs, *outputs), len(tensors), "an input or output")
    for operator in operators:
        used = [index for index in operator.inputs if index != ABSENT]
        _check_indices((*used, *operator.outputs), len(tensors), "an operator")
    return Subgraph(tensors=tensors, operators=operators, inputs=inputs, outputs=outputs)


def _tensor(index: int, tensor: Any, buffers: list[_Buffer]) -> Tensor:
    scales, zero_points, axis = _quantization(tensor.Quantization())
    buffer = tensor.Buffer()
    if buffer >= max(len(buffers), 1):
        raise ValueError(f"a tensor in buffer {buffer} of {len(buffers)}")
    if (kind := enum_names("TensorType").get(tensor.Type())) is None:
        raise ValueError(f"a tensor of type {tensor.Type()}, which there is not")
    read = Tensor(
        index=index,
        name=_text(tensor.Name()),
        shape=_integers(tensor.ShapeAsNumpy()),
        signature=_integers(tensor.ShapeSignatureAsNumpy()),
        type=kind,
        scales=scales,
        zero_points=zero_points,
        axis=axis,
        data=buffers[buffer] if buffers else None,
        is_variable=bool(tensor.IsVariable()),
        is_sparse=tensor.Sparsity() is not None,
    )
    _check_tensor(read)
    return read


def _check_tensor(tensor: Tensor) -> None:
    """Raises ValueError where sizes, bytes and scales contradict each other."""
    if any(size < -1 for size in tensor.shape):
        raise ValueError(f"a tensor of shape {list(tensor.shape)}")
    held = len(tensor.data or b"")
    if tensor.is_dense and not tensor.is_variable and held != tensor.size_bytes:
        raise ValueError(f"{held} bytes for a {tensor.dtype} tensor of shape {list(tensor.shape)}")
    scales = len(tensor.scales)
    if len(tensor.zero_points) not in (1, scales) and scales:
        raise ValueError(f"{len(tensor.zero_points)} zero points for {scales} scales")
    # TensorFlow Lite refuses such a file too (ParseQuantization in interpreter_builder.cc).
    if scales > 1 and tensor.shape[tensor.axis : tensor.axis + 1] != (scales,):
        raise ValueError(
            f"{scales} scales along axis {tensor.axis} of a tensor of shape {list(tensor.shape)}"
        )


def _quantization(found: Any) -> tuple[tuple[float, ...], tuple[int, ...], int]:
    """Returns scales, zero points and the axis of the channels; nothing without scales."""
    if found is None or found.ScaleLength() == 0:
        return (), (), 0
    scales = tuple(found.ScaleAsNumpy().tolist())
    # Zero is the default of a flatbuffer: a vector that is not written is one of zeros.
    zero_points = _integers(found.ZeroPointAsNumpy()) or (0,) * len(scales)
    return scales, zero_points, int(found.QuantizedDimension())


def _operator(index: int, operator: Any, codes: list[_OperatorCode]) -> Operator:
    position = operator.OpcodeIndex()
    if position >= len(codes):
        raise ValueError(f"an operator of kind {position}, which there is not")
    code = codes[position]
    options = operator.CustomOptionsAsNumpy() if operator.CustomOptionsLength() else None
    attributes: dict[str, Any] = {}
    if operator.BuiltinOptionsType():
        table = schema().BuiltinOptionsCreator(
            operator.BuiltinOptionsType(), operator.BuiltinOptions()
        )
        attributes = dict(vars(table)) if table is not None else {}
    return Operator(
        index=index,
        op=code.op,
        custom=code.custom,
        version=code.version,
        inputs=_integers(operator.InputsAsNumpy()),
        outputs=_integers(operator.OutputsAsNumpy()),
        attributes=attributes,
        custom_options=b"" if options is None else options.tobytes(),
    )


def _signatures(root: Any, tensors: int, content: bytes) -> dict[str, SignatureDef]:
    """Returns the signatures of the main subgraph."""
    found = {}
    for index in _indices(root.SignatureDefsLength(), content):
        signature = root.SignatureDefs(index)
        if signature.SubgraphIndex() != 0:
            continue
        inputs = {
            _text(entry.Name()): int(entry.TensorIndex())
            for entry in map(signature.Inputs, _indices(signature.InputsLength(), content))
        }
        outputs = {
            _text(entry.Name()): int(entry.TensorIndex())
            for entry in map(signature.Outputs, _indices(signature.OutputsLength(), content))
        }
        _check_indices((*inputs.values(), *outputs.values()), tensors, "a signature")
        found[_text(signature.SignatureKey())] = SignatureDef(inputs=inputs, outputs=outputs)
    return found


def _check_indices(indices: Iterable[int], tensors: int, what: str) -> None:
    for index in indices:
        if not 0 <= index < tensors:
            raise ValueError(f"{what} of tensor {index}, of {tensors} that there are")


def _integers(values: Any) -> tuple[int, ...]:
    """Returns a vector as a tuple; generated code gives 0 for one that is absent."""
    return tuple(values.tolist()) if isinstance(values, np.ndarray) else ()


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
