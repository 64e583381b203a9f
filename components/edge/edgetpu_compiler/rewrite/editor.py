"""An editor of .tflite files: operators and tensors added, retyped, taken out.

A thin hold on the schema's object API. What is written contains the operator codes that are used
and no others, because the Edge TPU compiler refuses a model for a code that nothing uses.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tfx_loop.core.errors import ModelError
from tfx_loop.models.tflite.reading import read_model
from tfx_loop.models.tflite.schema import BROKEN, IDENTIFIER, enum_names, schema

# PLACEHOLDER_FOR_GREATER_OP_CODES: what the old byte field says when the number does not fit.
_LAST_BYTE_CODE = 127


class TFLiteEditor:
    """A model that can be changed. Operators and tensors are the schema's own objects."""

    def __init__(self, content: bytes) -> None:
        """Reads a model.

        Raises:
            ModelError: The bytes are no whole TensorFlow Lite model.
        """
        # First: it checks every offset, and the object API would follow a wrong one anywhere.
        read_model(content)
        tables = schema()
        try:
            self.model: Any = tables.ModelT.InitFromObj(tables.Model.GetRootAs(content, 0))
        except BROKEN as error:
            # The object API reads everything, also what an analysis does not look at.
            raise ModelError(
                "Expected a whole TensorFlow Lite model to change, received a corrupt one "
                f"({type(error).__name__}). Convert or copy it again."
            ) from error
        self.graph: Any = self.model.subgraphs[0]
        self._ops = enum_names("BuiltinOperator")
        self._types = enum_names("TensorType")

    def op(self, operator: Any) -> str:
        """Returns an operator's operation, as CONV_2D."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        return self._ops.get(max(code.builtinCode, code.deprecatedBuiltinCode), "?")

    def version(self, operator: Any) -> int:
        """Returns an operator's version."""
        return int(self.model.operatorCodes[operator.opcodeIndex].version)

    def tensor(self, index: int) -> Any:
        """Returns a tensor of the main graph."""
        return self.graph.tensors[index]

    def type(self, index: int) -> str:
        """Returns a tensor's type, as INT8."""
        return self._types[self.tensor(index).type]

    def name(self, index: int) -> str:
        """Returns a tensor's name."""
        return (self.tensor(index).name or b"").decode(errors="replace")

    def shape(self, index: int) -> list[int]:
        """Returns a tensor's shape."""
        return integers(self.tensor(index).shape)

    def constant(self, index: int) -> np.ndarray[Any, Any] | None:
        """Returns the values of an integer constant in its shape; None when it is computed."""
        dtypes = {"INT32": np.int32, "INT64": np.int64}
        # Buffer 0 is empty by convention and stands for what is computed.
        data = self.model.buffers[self.tensor(index).buffer].data
        if data is None or not len(data) or self.type(index) not in dtypes:
            return None
        values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), dtypes[self.type(index)])
        return values.reshape(self.shape(index))

    def quantization(self, index: int) -> tuple[list[float], list[int]]:
        """Returns scales and zero points."""
        quantization = self.tensor(index).quantization
        if quantization is None or quantization.scale is None:
            return [], []
        scales = [float(value) for value in quantization.scale]
        return scales, integers(quantization.zeroPoint)

    def consumers(self, index: int) -> list[Any]:
        """Returns the operators that read a tensor."""
        return [each for each in self.graph.operators if index in integers(each.inputs)]

    def producer(self, index: int) -> Any | None:
        """Returns the operator that writes a tensor; None for inputs and constants."""
        for each in self.graph.operators:
            if index in integers(each.outputs):
                return each
        return None

    def set_operation(self, operator: Any, op: str, version: int) -> None:
        """Makes an operator another operation, or another version of the same."""
        builtin = getattr(schema().BuiltinOperator, op)
        for index, code in enumerate(self.model.operatorCodes):
            known = max(code.builtinCode, code.deprecatedBuiltinCode)
            # One code an operation and version: operators that share it name the same entry.
            if (known, code.version, code.customCode) == (builtin, version, None):
                operator.opcodeIndex = index
                return
        code = schema().OperatorCodeT()
        code.builtinCode = builtin
        code.deprecatedBuiltinCode = min(builtin, _LAST_BYTE_CODE)
        code.version = version
        self.model.operatorCodes.append(code)
        operator.opcodeIndex = len(self.model.operatorCodes) - 1

    def insert(
        self, at: int, op: str, version: int, inputs: Sequence[int], outputs: Sequence[int]
    ) -> Any:
        """Inserts an operator without options at a position in execution order."""
        operator = schema().OperatorT()
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        self.set_operation(operator, op, version)
        # The order of the vector is the order of execution.
        self.graph.operators.insert(at, operator)
        return operator

    def set_options(self, operator: Any, options: Any | None) -> None:
        """Gives an operator the options of another operation: an object of the schema, or None."""
        operator.builtinOptions = options
        name = type(options).__name__.removesuffix("T") if options is not None else "NONE"
        operator.builtinOptionsType = getattr(schema().BuiltinOptions, name)

    def position(self, operator: Any) -> int:
        """Returns an operator's position in execution order."""
        for index, each in enumerate(self.graph.operators):
            if each is operator:
                return index
        raise ValueError("the operator is not in the graph")

    def add_like(self, index: int, suffix: str) -> int:
        """Adds a computed tensor of the same shape, type and quantisation."""
        source = self.tensor(index)
        tensor = schema().TensorT()
        tensor.name = f"{self.name(index)}{suffix}".encode()
        tensor.shape, tensor.type, tensor.hasRank = self.shape(index), source.type, source.hasRank
        scales, zero_points = self.quantization(index)
        tensor.quantization = self._parameters(scales, zero_points)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def add_constant(
        self, name: str, values: np.ndarray[Any, Any], scale: float | None = None
    ) -> int:
        """Adds a constant; with a scale it is quantised symmetrically."""
        buffer = schema().BufferT()
        # The object API packs bytes fast from an array alone; a list is packed byte by byte.
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor = schema().TensorT()
        tensor.name, tensor.shape = name.encode(), list(values.shape)
        tensor.type = getattr(schema().TensorType, values.dtype.name.upper())
        tensor.buffer = len(self.model.buffers) - 1
        if scale is not None:
            tensor.quantization = self._parameters([scale], [0])
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def make_constant(self, index: int, values: np.ndarray[Any, Any]) -> None:
        """Puts the values of a tensor that was computed into the file."""
        tensor = self.tensor(index)
        dtype = {"INT32": np.int32, "INT64": np.int64}[self.type(index)]
        buffer = schema().BufferT()
        content = values.astype(dtype)
        buffer.data = np.frombuffer(content.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor.buffer = len(self.model.buffers) - 1
        tensor.shape, tensor.shapeSignature = list(content.shape), None

    def retype(self, index: int, type_name: str, zero_point: int, scale: float) -> None:
        """Gives a tensor another quantised type."""
        tensor = self.tensor(index)
        tensor.type = getattr(schema().TensorType, type_name)
        tensor.quantization = self._parameters([scale], [zero_point])

    def rename(self, index: int, name: str) -> None:
        """Renames a tensor."""
        self.tensor(index).name = name.encode()

    def set_interface(self, old: int, new: int, *, inputs: bool) -> None:
        """Makes another tensor an input or output of the model, in its signatures too."""
        side = "inputs" if inputs else "outputs"
        # A tensor may be an input twice; each place follows.
        kept = [new if index == old else index for index in integers(getattr(self.graph, side))]
        setattr(self.graph, side, kept)
        for signature in self.model.signatureDefs or []:
            if signature.subgraphIndex != 0:
                continue
            for entry in getattr(signature, side) or []:
                if entry.tensorIndex == old:
                    entry.tensorIndex = new

    def remove(self, operators: Iterable[Any]) -> None:
        """Takes operators out."""
        gone = {id(operator) for operator in operators}
        self.graph.operators = [each for each in self.graph.operators if id(each) not in gone]

    def content(self) -> bytes:
        """Returns the changed model as a file."""
        import flatbuffers  # type: ignore[import-untyped]

        self._drop_unused_codes()
        # Only where it begins: the builder grows as it needs.
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), file_identifier=IDENTIFIER)
        return bytes(builder.Output())

    def _drop_unused_codes(self) -> None:
        operators = [each for graph in self.model.subgraphs for each in graph.operators]
        used = sorted({operator.opcodeIndex for operator in operators})
        renumbered = {old: new for new, old in enumerate(used)}
        self.model.operatorCodes = [self.model.operatorCodes[index] for index in used]
        for operator in operators:
            # Codes that no operator names any more go, or the file would still list the versions
            # that were lowered.
            operator.opcodeIndex = renumbered[operator.opcodeIndex]

    @staticmethod
    def _parameters(scales: list[float], zero_points: list[int]) -> Any:
        parameters = schema().QuantizationParametersT()
        if scales:
            parameters.scale, parameters.zeroPoint = scales, zero_points
        return parameters


def integers(values: Any) -> list[int]:
    """Returns a vector of the object API, a list or an array or None, as a list."""
    return [] if values is None else [int(value) for value in values]


def option(operator: Any, name: str) -> int:
    """Returns a number among an operator's builtin options; 0 where it has none of that name."""
    return int(getattr(operator.builtinOptions, name, 0) or 0)
