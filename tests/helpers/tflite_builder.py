"""Small .tflite files, put together operator by operator without a converter, and run."""

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as tables

_DTYPES = {"INT8": np.int8, "UINT8": np.uint8, "FLOAT32": np.float32, "INT32": np.int32}


class TfliteBuilder:
    """One graph; tensors are named by their index. 8-bit tensors are quantised by 0.1 unless said.

    Shapes are the caller's to get right, as a converter would.
    """

    def __init__(self) -> None:
        self.model = tables.ModelT()
        self.model.version, self.model.description = 3, b"made by hand"
        self.graph = tables.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []
        self.model.subgraphs = [self.graph]
        self.model.buffers, self.model.operatorCodes = [tables.BufferT()], []
        self.model.signatureDefs = []

    def tensor(
        self,
        shape: Sequence[int],
        type_name: str = "INT8",
        *,
        scale: float | None = 0.1,
        zero_point: int = 0,
        signature: Sequence[int] | None = None,
        name: str = "",
    ) -> int:
        """Adds a computed tensor."""
        tensor = tables.TensorT()
        tensor.shape = list(shape)
        tensor.shapeSignature = list(signature) if signature is not None else None
        tensor.type = getattr(tables.TensorType, type_name)
        tensor.name = (name or f"t{len(self.graph.tensors)}").encode()
        tensor.hasRank = True
        if scale is not None and type_name in ("INT8", "UINT8", "INT16"):
            self._quantise(tensor, [scale], [zero_point])
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def input(self, shape: Sequence[int], type_name: str = "INT8", **keywords: Any) -> int:
        """Adds an input of the model."""
        index = self.tensor(shape, type_name, **keywords)
        self.graph.inputs.append(index)
        return index

    def constant(
        self,
        values: Any,
        dtype: Any = np.int32,
        *,
        scales: Sequence[float] = (),
        zero_points: Sequence[int] | None = None,
        channel: int = 0,
    ) -> int:
        """Adds a constant; with scales it is quantised, a channel each when there are several."""
        array = np.asarray(values, dtype)
        buffer = tables.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        index = self.tensor(array.shape, array.dtype.name.upper(), scale=None)
        self.graph.tensors[index].buffer = len(self.model.buffers) - 1
        if scales:
            zeros = list(zero_points) if zero_points is not None else [0] * len(scales)
            self._quantise(self.graph.tensors[index], list(scales), zeros)
            self.graph.tensors[index].quantization.quantizedDimension = channel
        return index

    def op(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int] | int,
        *,
        version: int = 1,
        options: Any = None,
        custom_options: bytes | None = None,
    ) -> int:
        """Adds an operator, a custom one when the schema has no such name; returns its output."""
        operator = tables.OperatorT()
        operator.inputs = list(inputs)
        operator.outputs = [outputs] if isinstance(outputs, int) else list(outputs)
        operator.opcodeIndex = self._code(name, version)
        if options is not None:
            operator.builtinOptions = options
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(tables.BuiltinOptions, kind)
        if custom_options is not None:
            operator.customOptions = np.frombuffer(custom_options, np.uint8)
        self.graph.operators.append(operator)
        return int(operator.outputs[0])

    def content(self, *outputs: int) -> bytes:
        """Returns the file; the outputs of the model are these tensors."""
        self.graph.outputs = list(outputs)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def signature(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> None:
        """Adds the signature `serving_default`."""
        signature = tables.SignatureDefT()
        signature.signatureKey = b"serving_default"
        signature.inputs = [self._entry(name, index) for name, index in inputs.items()]
        signature.outputs = [self._entry(name, index) for name, index in outputs.items()]
        self.model.signatureDefs.append(signature)

    def conv(
        self,
        source: int,
        shape: Sequence[int],
        *,
        filters: int,
        kernel: int = 1,
        version: int = 3,
        activation: int = 0,
        seed: int = 0,
    ) -> int:
        """Adds a CONV_2D with random weights and SAME padding, stride 1; returns its output."""
        rng = np.random.default_rng(seed)
        weights = self.constant(
            rng.integers(-90, 90, (filters, kernel, kernel, shape[-1])), np.int8, scales=[0.02]
        )
        bias = self.constant(rng.integers(-50, 50, filters), np.int32, scales=[0.002])
        options = tables.Conv2DOptionsT()
        options.strideH = options.strideW = 1
        options.fusedActivationFunction = activation
        output = self.tensor([*shape[:-1], filters], scale=0.2)
        return self.op("CONV_2D", [source, weights, bias], output, version=version, options=options)

    def _code(self, name: str, version: int) -> int:
        builtin = getattr(tables.BuiltinOperator, name, None)
        custom = name.encode() if builtin is None else None
        number = tables.BuiltinOperator.CUSTOM if builtin is None else builtin
        for index, code in enumerate(self.model.operatorCodes):
            if (code.builtinCode, code.version, code.customCode) == (number, version, custom):
                return index
        code = tables.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
        code.version, code.customCode = version, custom
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    @staticmethod
    def _quantise(tensor: Any, scales: list[float], zero_points: list[int]) -> None:
        parameters = tables.QuantizationParametersT()
        parameters.scale, parameters.zeroPoint = scales, zero_points
        tensor.quantization = parameters

    @staticmethod
    def _entry(name: str, index: int) -> Any:
        entry = tables.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), index
        return entry


def run_tflite(content: bytes, *inputs: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Runs a model with LiteRT's own kernels, without XNNPACK, and returns its outputs."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=content,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    for detail, values in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))
    interpreter.invoke()
    return [
        np.array(interpreter.get_tensor(detail["index"]))
        for detail in interpreter.get_output_details()
    ]


def random_values(
    shape: Sequence[int], type_name: str = "INT8", seed: int = 0
) -> np.ndarray[Any, Any]:
    """Returns random values over the whole range of a type."""
    rng = np.random.default_rng(seed)
    if type_name == "FLOAT32":
        return rng.normal(size=shape).astype(np.float32) * 4
    info = np.iinfo(_DTYPES[type_name])
    return rng.integers(info.min, info.max + 1, shape).astype(_DTYPES[type_name])
