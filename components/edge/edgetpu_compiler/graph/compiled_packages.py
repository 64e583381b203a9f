"""The packages that the Edge TPU compiler put into a model that it compiled.

The options of the custom operator are a FlexBuffer map; its key "4" holds a `Package` (file
identifier DWN1) with the executables for the chip. Schema: libedgetpu, executable/executable.fbs;
the map: libedgetpu, tflite/custom_op_data.h. The few fields that matter are read here by their
position in the schema; there is no generated code.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tfx_loop.contracts.edgetpu_report import Executable, ExecutableType
from tfx_loop.core.errors import ModelError
from tfx_loop.models.tflite.model import EDGETPU_CUSTOM_OP, Subgraph

# file_identifier of libedgetpu's executable.fbs.
_IDENTIFIER = b"DWN1"
# What a truncated buffer makes struct, FlexBuffers and the lookups here raise.
_BROKEN = (struct.error, IndexError, KeyError, OverflowError, TypeError, ValueError)
# Positions of fields in libedgetpu's executable.fbs.
_PACKAGE_MIN_RUNTIME, _PACKAGE_EXECUTABLES, _PACKAGE_COMPILER = 0, 1, 4
_EXECUTABLE_PARAMETERS, _EXECUTABLE_CHIP, _EXECUTABLE_TYPE, _EXECUTABLE_TOKEN = 6, 10, 13, 14
# Zero is the default of a flatbuffer and then not written.
_INT, _SHORT, _UNSIGNED_LONG = "<i", "<h", "<Q"


@dataclass(frozen=True, kw_only=True)
class CompiledSummary:
    """What the packages of a compiled model say.

    Attributes:
        executables_by_subgraph: Executables of each Edge TPU subgraph.
        cached_parameter_bytes: Parameters loaded once into the memory on the chip.
        streamed_parameter_bytes: Parameters sent at every inference.
        minimum_runtime: Lowest version of the Edge TPU runtime that runs the model.
        compiler_label: What the compiler wrote about itself; often only `cl/`.
    """

    executables_by_subgraph: tuple[tuple[Executable, ...], ...]
    cached_parameter_bytes: int
    streamed_parameter_bytes: int
    minimum_runtime: int
    compiler_label: str


def summarise(graph: Subgraph) -> CompiledSummary:
    """Reads the packages of all Edge TPU operators of a graph.

    Raises:
        ModelError: A package is truncated or not what libedgetpu's schema says.
    """
    packages = []
    for operator in graph.operators:
        if operator.custom != EDGETPU_CUSTOM_OP:
            continue
        try:
            packages.append(_read(operator.custom_options))
        except _BROKEN as error:
            raise ModelError(
                f"Expected an Edge TPU package in operator {operator.index}, received a truncated "
                f"or corrupt one ({error}). Compile the model again."
            ) from error
    executables = [executable for package in packages for executable in package[2]]
    caching = ExecutableType.PARAMETER_CACHING
    return CompiledSummary(
        executables_by_subgraph=tuple(package[2] for package in packages),
        cached_parameter_bytes=sum(
            executable.parameter_bytes for executable in executables if executable.type is caching
        ),
        streamed_parameter_bytes=sum(
            executable.parameter_bytes
            for executable in executables
            if executable.type is not caching
        ),
        # All packages have to run: the newest demand counts.
        minimum_runtime=max((package[0] for package in packages), default=0),
        compiler_label=packages[0][1] if packages else "",
    )


def _read(options: bytes) -> tuple[int, str, tuple[Executable, ...]]:
    """Returns minimum runtime, compiler label and executables of one custom operator."""
    package = _Table.root(_package(options))
    bundle = package.content(_PACKAGE_EXECUTABLES)
    if not bundle:
        raise ValueError("a package without executables")
    executables = tuple(
        _executable(_Table.root(content)) for content in _Table.root(bundle).contents(0)
    )
    if not executables:
        raise ValueError("a package without executables")
    label = package.content(_PACKAGE_COMPILER).decode(errors="replace")
    return package.number(_PACKAGE_MIN_RUNTIME, _INT), label, executables


def _package(options: bytes) -> bytes:
    """Finds the package among the values of the FlexBuffer map."""
    from flatbuffers import flexbuffers  # type: ignore[import-untyped]

    if not options:
        raise ValueError("no options")
    values = flexbuffers.GetRoot(options).AsMap.Values
    for index in range(len(values)):
        value = values[index]
        if value.IsString or value.IsBlob:
            content = bytes(value.AsBlob if value.IsBlob else value.AsStringBytes)
            # A FlatBuffer with a file identifier has it behind the offset of its root, in bytes 4
            # to 7.
            if content[4:8] == _IDENTIFIER:
                return content
    raise ValueError("no package with identifier DWN1")


def _executable(table: "_Table") -> Executable:
    # The enum's members stand in the order of the schema's values.
    types = dict(enumerate(ExecutableType))
    return Executable(
        type=types[table.number(_EXECUTABLE_TYPE, _SHORT)],
        parameter_bytes=len(table.content(_EXECUTABLE_PARAMETERS)),
        caching_token=table.number(_EXECUTABLE_TOKEN, _UNSIGNED_LONG),
        chip=table.content(_EXECUTABLE_CHIP).decode(errors="replace"),
    )


class _Table:
    """A table of a FlatBuffer, read by the positions of its fields.

    Layout: google.github.io/flatbuffers, "FlatBuffer internals". Every offset is checked.
    """

    def __init__(self, buffer: bytes, position: int) -> None:
        self._buffer = buffer
        self._position = position
        # A table begins with the signed distance back to its vtable.
        self._vtable = position - _unpack(_INT, buffer, position)
        self._vtable_size = _unpack("<H", buffer, self._vtable)

    @classmethod
    def root(cls, buffer: bytes) -> "_Table":
        """Returns the root table of a buffer."""
        return cls(buffer, _unpack("<I", buffer, 0))

    def number(self, field: int, layout: str) -> int:
        """Returns a scalar; 0 where it is not written."""
        place = self._place(field)
        return _unpack(layout, self._buffer, place) if place else 0

    def content(self, field: int) -> bytes:
        """Returns the bytes of a string or of a vector of bytes; empty where it is absent."""
        place = self._place(field)
        return _vector(self._buffer, place) if place else b""

    def contents(self, field: int) -> Iterator[bytes]:
        """Yields the bytes of each string in a vector of strings."""
        place = self._place(field)
        if not place:
            return
        start = place + _unpack("<I", self._buffer, place)
        for index in range(_unpack("<I", self._buffer, start)):
            # Behind the length, 4 bytes, an offset of 4 bytes for each string.
            yield _vector(self._buffer, start + 4 + 4 * index)

    def _place(self, field: int) -> int:
        # Behind the vtable's own size and the table's size, 2 bytes each, 2 bytes a field.
        entry = 4 + 2 * field
        if entry + 2 > self._vtable_size:
            return 0
        # 0 stands for a field that is not written.
        offset = _unpack("<H", self._buffer, self._vtable + entry)
        return self._position + offset if offset else 0


def _unpack(layout: str, buffer: bytes, position: int) -> int:
    # struct would count a negative position from the end of the buffer.
    if position < 0:
        raise ValueError("an offset before the beginning")
    return int(struct.unpack_from(layout, buffer, position)[0])


def _vector(buffer: bytes, place: int) -> bytes:
    """Returns the bytes of the vector that the offset at `place` leads to."""
    # Offsets are relative to where they stand; a vector begins with its length.
    start = place + _unpack("<I", buffer, place)
    length = _unpack("<I", buffer, start)
    content = buffer[start + 4 : start + 4 + length]
    if len(content) != length:
        raise ValueError("a vector reaches behind the end")
    return content
