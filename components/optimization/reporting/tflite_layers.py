"""Which layer does a constant of a .tflite file belong to?

The converter gives constants names like `tfl.pseudo_qconst1`; what reads them has the name of the
layer, so they are called after their reader.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

# Operators that only unpack a constant for the next one.
_UNPACKING = ("DEQUANTIZE", "DENSIFY", "RESHAPE", "TRANSPOSE", "CAST")
_KINDS = {code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()}


def readers(path: str | Path) -> dict[str, str]:
    """Returns the layer by the name of the constant that it reads, of the main graph.

    Args:
        path: A file that `tfx_loop.models` has read without complaint.
    """
    model = schema.Model.GetRootAs(Path(path).read_bytes(), 0)
    graph = model.Subgraphs(0)
    names = [_text(graph.Tensors(i).Name()) for i in range(graph.TensorsLength())]
    computed: set[int] = set()
    stands_for: dict[int, int] = {}
    found: dict[str, str] = {}
    for kind, inputs, outputs in _operators(model, graph):
        for tensor in inputs:
            constant = stands_for.get(tensor, tensor)
            if constant in computed or constant < 0:
                continue
            if kind in _UNPACKING and tensor == inputs[0]:
                stands_for[outputs[0]] = constant
                break
            found.setdefault(names[constant], layer_title(names[outputs[0]], kind))
        else:
            computed.update(outputs)
    return found


def layer_title(tensor: str, operator: str) -> str:
    """Returns what people call the layer that writes a tensor, with its operator.

    `model/norm/add;model/hidden/MatMul` of FULLY_CONNECTED is `norm+hidden (fully_connected)`.
    """
    scopes: list[str] = []
    for part in tensor.split(";"):
        middle = "/".join(part.split("/")[1:-1])
        if middle and middle not in scopes and not middle.endswith("BiasAdd"):
            scopes.append(middle)
    return f"{'+'.join(scopes) or tensor.split(':')[0]} ({operator.lower()})"


def _operators(model: Any, graph: Any) -> Iterator[tuple[str, list[int], list[int]]]:
    inputs = {graph.Inputs(i) for i in range(graph.InputsLength())}
    yield "", [], sorted(inputs)
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        code = model.OperatorCodes(operator.OpcodeIndex())
        kind = _KINDS.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "custom")
        yield (
            kind,
            [operator.Inputs(i) for i in range(operator.InputsLength())],
            [operator.Outputs(i) for i in range(operator.OutputsLength())],
        )


def _text(name: bytes | None) -> str:
    return (name or b"").decode("utf-8", "replace")
