"""Small .tflite files that take the square of their size to read: entries that share one table."""

from typing import Any

import numpy as np
from tflite_builder import TfliteBuilder, tables


def shared(table: Any) -> Any:
    """Returns a table that is written once, however often it stands in vectors."""

    class Once(type(table)):
        written = None

        def Pack(self, builder):  # noqa: N802
            if self.written is None:
                self.written = super().Pack(builder)
            return self.written

    once = Once()
    once.__dict__.update(vars(table))
    return once


def _file(count: int, size: int, part: str) -> bytes:
    builder = TfliteBuilder()
    given = builder.input((1, 4))
    made = builder.op("RELU", [given], builder.tensor((1, 4)))
    graph, model = builder.graph, builder.model
    operator, tensor = graph.operators[0], graph.tensors[0]
    if part == "inputs":
        operator.inputs = np.zeros(size // 4, np.int32)
    elif part == "custom_options":
        operator.customOptions = np.zeros(size, np.uint8)
    elif part == "options":
        operator.builtinOptions = tables.ReshapeOptionsT()
        operator.builtinOptions.newShape = np.ones(size // 4, np.int32)
        operator.builtinOptionsType = tables.BuiltinOptions.ReshapeOptions
    elif part == "name":
        tensor.name = b"n" * size
    elif part == "shape":
        tensor.shape = np.ones(size // 4, np.int32)
    elif part == "scales":
        tensor.shape = [size // 4]
        tensor.quantization.scale = np.ones(size // 4, np.float32)
        tensor.quantization.zeroPoint = None
    elif part == "constant":
        builder.constant(np.zeros(size // 4))
        tensor = graph.tensors[-1]
    if part in ("inputs", "custom_options", "options"):
        graph.operators = [shared(operator)] * count
    elif part in ("name", "shape", "scales", "constant"):
        graph.tensors += [shared(tensor)] * count
    elif part == "subgraph":
        graph.tensors += [shared(tensor)] * (size // 4)
        model.subgraphs = [shared(graph)] * count
    elif part == "signature":
        builder.signature({"x": given}, {"y": made})
        signature = model.signatureDefs[0]
        signature.inputs = [shared(signature.inputs[0])] * (size // 4)
        model.signatureDefs = [shared(signature)] * count
    elif part == "code":
        model.operatorCodes[0].customCode = b"c" * size
        model.operatorCodes = [shared(model.operatorCodes[0])] * count
    return builder.content(made)


PARTS = (
    "inputs", "custom_options", "options", "name", "shape", "scales", "constant", "subgraph",
    "signature", "code",
)  # fmt: skip


def hog(part: str) -> bytes:
    """Returns a file of a few hundred kilobytes whose parts, each read alone, take gigabytes."""
    return _file(30_000, 200_000, part)


def thrifty(part: str) -> bytes:
    """Returns a file that shares as converters do: a dozen entries, and not for long."""
    return _file(12, 400, part)
