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
_OPTIONS = ("BuiltinOptions", "BuiltinOptions2")
# Parts of a flatbuffer may be shared, as equal names are: a file is read a few times over at most.
# Where every operator shares one table, or vectors overlap, reading would take the square of that.
_READ_SIZES = 8
_FREE_BYTES = 1 << 20
# A table in a vector: its offset there, a few fields and vectors; the smallest operator takes 50.
_ENTRY_BYTES = 64
# Constants are not read, but what follows looks at each: the subgraphs of a model's signatures,
# a dozen perhaps, share them all.
_SHARED_CONSTANTS = 64
# Tensors, operators and all else in vectors: a language model of several signatures has half of it,
# and each takes 40 microseconds and a kilobyte.
_MAX_ENTRIES = 100_000
# Numbers in shapes, scales and lists of inputs; each becomes an object of 36 bytes.
_MAX_NUMBERS = 8_000_000


class _Meter:
    """Counts what is read of a file, and ends it when that is out of all proportion to its size."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._left = _READ_SIZES * len(content) + _FREE_BYTES
        self._entries, self._numbers = _MAX_ENTRIES, _MAX_NUMBERS

    def spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ValueError(f"parts that share more than {_READ_SIZES} times the file's bytes")

    def indices(self, length: int) -> range:
        """Returns the positions in a vector of tables; it has no more entries than bytes."""
        if length > len(self.content):
            raise ValueError(f"a vector of {length} entries in {len(self.content)} bytes")
        self.spend(length * _ENTRY_BYTES)
        self._entries -= length
        if self._entries < 0:
            raise ValueError(f"more than {_MAX_ENTRIES} tensors, operators and other entries")
        return range(length)

    def numbers(self, values: Any) -> tuple[Any, ...]:
        """Returns a vector as a tuple; generated code gives 0 for one that is absent."""
        if not isinstance(values, np.ndarray):
            return ()
        self.spend(values.nbytes)
        self._numbers -= values.size
        if self._numbers < 0:
            raise ValueError(f"more than {_MAX_NUMBERS} numbers in shapes, scales and lists")
        return tuple(values.tolist())

    def text(self, value: bytes | None) -> str:
        held = value or b""
        self.spend(len(held))
        return held.decode("utf-8", "replace")

    def attributes(self, table: Any) -> dict[str, Any]:
        """Returns the fields of an operator's options."""
        held = dict(vars(table)) if table is not None else {}
        for value in held.values():
            if isinstance(value, bytes | str | list | np.ndarray):
                # An element of a list takes 8 bytes, and there are options with several lists.
                self.spend(len(value) * 8)
        return held


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
        # Opening a pipe would wait for whoever writes to it, and a device may never end.
        if Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir()):
            raise OSError("no plain file")
        if Path(path).exists() and (size := Path(path).stat().st_size) >= _MAX_FLATBUFFER_BYTES:
            raise OSError(f"{size} bytes, and a flatbuffer ends at {_MAX_FLATBUFFER_BYTES}")
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
    # FlatBuffers put the file identifier behind the offset of the root.
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
    meter = _Meter(content)
    codes = [
        _operator_code(root.OperatorCodes(index), meter)
        for index in meter.indices(root.OperatorCodesLength())
    ]
    buffers = [
        _buffer(root.Buffers(index), content) for index in meter.indices(root.BuffersLength())
    ]
    subgraphs = tuple(
        _subgraph(root.Subgraphs(index), codes, buffers, meter)
        for index in meter.indices(root.SubgraphsLength())
    )
    return TFLiteModel(
        subgraphs=subgraphs,
        signatures=_signatures(root, len(subgraphs[0].tensors), meter),
        custom_ops=tuple(sorted({code.custom for code in codes if code.op == "CUSTOM"})),
        external_files=_external_files(root, meter),
    )


def _external_files(root: Any, meter: _Meter) -> tuple[str, ...]:
    """Returns the files that constants are said to stand in; the older schema knows none."""
    length = getattr(root, "ExternalBufferGroupsLength", lambda: 0)()
    return tuple(
        meter.text(root.ExternalBufferGroups(index).Name()) for index in meter.indices(length)
    )


def _operator_code(code: Any, meter: _Meter) -> _OperatorCode:
    # Before 2.4 the number stood in a byte; newer files fill that with 127 when it overflows.
    builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    op = enum_names("BuiltinOperator").get(builtin, f"BUILTIN_{builtin}")
    return _OperatorCode(op, meter.text(code.CustomCode()), code.Version())


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
    graph: Any, codes: list[_OperatorCode], buffers: list[_Buffer], meter: _Meter
) -> Subgraph:
    tensors = tuple(
        _tensor(index, graph.Tensors(index), buffers, meter)
        for index in meter.indices(graph.TensorsLength())
    )
    operators = tuple(
        _operator(index, graph.Operators(index), codes, meter)
        for index in meter.indices(graph.OperatorsLength())
    )
    inputs, outputs = map(meter.numbers, (graph.InputsAsNumpy(), graph.OutputsAsNumpy()))
    _check_indices((*inputs, *outputs), len(tensors), "an input or output")
    for operator in operators:
        used = [index for index in operator.inputs if index != ABSENT]
        _check_indices((*used, *operator.outputs), len(tensors), "an operator")
    return Subgraph(tensors=tensors, operators=operators, inputs=inputs, outputs=outputs)


def _tensor(index: int, tensor: Any, buffers: list[_Buffer], meter: _Meter) -> Tensor:
    scales, zero_points, axis = _quantization(tensor.Quantization(), meter)
    buffer = tensor.Buffer()
    if buffer >= max(len(buffers), 1):
        raise ValueError(f"a tensor in buffer {buffer} of {len(buffers)}")
    if (kind := enum_names("TensorType").get(tensor.Type())) is None:
        raise ValueError(f"a tensor of type {tensor.Type()}, which there is not")
    read = Tensor(
        index=index,
        name=meter.text(tensor.Name()),
        shape=meter.numbers(tensor.ShapeAsNumpy()),
        signature=meter.numbers(tensor.ShapeSignatureAsNumpy()),
        type=kind,
        scales=scales,
        zero_points=zero_points,
        axis=axis,
        data=buffers[buffer] if buffers else None,
        is_variable=bool(tensor.IsVariable()),
        is_sparse=tensor.Sparsity() is not None,
    )
    # Counted per tensor, not per buffer: a hundred thousand tensors may name one buffer of a
    # gigabyte.
    meter.spend(len(read.data or b"") // _SHARED_CONSTANTS)
    _check_tensor(read)
    return read


def _check_tensor(tensor: Tensor) -> None:
    """Raises ValueError where sizes, bytes and scales contradict each other."""
    # -1 stands for a size that is known at run time only.
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


def _quantization(found: Any, meter: _Meter) -> tuple[tuple[float, ...], tuple[int, ...], int]:
    """Returns scales, zero points and the axis of the channels; nothing without scales."""
    if found is None or found.ScaleLength() == 0:
        return (), (), 0
    scales = meter.numbers(found.ScaleAsNumpy())
    # Zero is the default of a flatbuffer: a vector that is not written is one of zeros.
    zero_points = meter.numbers(found.ZeroPointAsNumpy()) or (0,) * len(scales)
    return scales, zero_points, int(found.QuantizedDimension())


def _operator(index: int, operator: Any, codes: list[_OperatorCode], meter: _Meter) -> Operator:
    position = operator.OpcodeIndex()
    if position >= len(codes):
        raise ValueError(f"an operator of kind {position}, which there is not")
    code = codes[position]
    options = operator.CustomOptionsAsNumpy() if operator.CustomOptionsLength() else None
    meter.spend(0 if options is None else options.nbytes)
    attributes: dict[str, Any] = {}
    # StableHLO's operators have their options, and the graphs that they call, in the second union.
    for union in _OPTIONS:
        if kind := getattr(operator, f"{union}Type", lambda: 0)():
            create = getattr(schema(), f"{union}Creator")
            attributes |= meter.attributes(create(kind, getattr(operator, union)()))
    return Operator(
        index=index,
        op=code.op,
        custom=code.custom,
        version=code.version,
        inputs=meter.numbers(operator.InputsAsNumpy()),
        outputs=meter.numbers(operator.OutputsAsNumpy()),
        attributes=attributes,
        custom_options=b"" if options is None else options.tobytes(),
    )


def _signatures(root: Any, tensors: int, meter: _Meter) -> dict[str, SignatureDef]:
    """Returns the signatures of the main subgraph."""
    found = {}
    for index in meter.indices(root.SignatureDefsLength()):
        signature = root.SignatureDefs(index)
        if signature.SubgraphIndex() != 0:
            continue
        inputs = {
            meter.text(entry.Name()): int(entry.TensorIndex())
            for entry in map(signature.Inputs, meter.indices(signature.InputsLength()))
        }
        outputs = {
            meter.text(entry.Name()): int(entry.TensorIndex())
            for entry in map(signature.Outputs, meter.indices(signature.OutputsLength()))
        }
        _check_indices((*inputs.values(), *outputs.values()), tensors, "a signature")
        found[meter.text(signature.SignatureKey())] = SignatureDef(inputs=inputs, outputs=outputs)
    return found


def _check_indices(indices: Iterable[int], tensors: int, what: str) -> None:
    for index in indices:
        if not 0 <= index < tensors:
            raise ValueError(f"{what} of tensor {index}, of {tensors} that there are")
