"""Layers of a .tflite file, under the names that their author gave them.

The converter gives constants names like `tfl.pseudo_qconst1`; what reads them has the name of the
layer, so a constant is called after its reader.
"""

from collections.abc import Iterator

from tfx_loop.models.tflite.model import Operator, Subgraph

# Operators that only unpack a constant for the next one.
_UNPACKING = ("DEQUANTIZE", "DENSIFY", "RESHAPE", "TRANSPOSE", "CAST")
# Operators that convert numbers between types: no layer of the author's.
_CONVERTING = ("QUANTIZE", "DEQUANTIZE")


def layer_name(tensor: str, operator: str) -> str:
    """Returns what people call the layer that writes a tensor, with its operator.

    `model/norm/add;model/hidden/MatMul` of FULLY_CONNECTED is `norm+hidden (fully_connected)`.

    Args:
        tensor: Name of the operator's first output.
        operator: Name of the schema's BuiltinOperator.
    """
    scopes: list[str] = []
    for part in tensor.split(";"):
        # The first segment is the model's name, the last one the operation's.
        middle = "/".join(part.split("/")[1:-1])
        # `layer/BiasAdd/ReadVariableOp` is the bias of a layer that is named beside it.
        if middle and middle not in scopes and not middle.endswith("BiasAdd"):
            scopes.append(middle)
    return f"{'+'.join(scopes) or tensor.split(':')[0]} ({operator.lower()})"


def computing_operators(graph: Subgraph) -> Iterator[Operator]:
    """Yields the operators that compute something, in the order in which they run."""
    return (each for each in graph.operators if each.outputs and each.op not in _CONVERTING)


def layers_by_constant(graph: Subgraph) -> dict[str, str]:
    """Returns the name of the layer by the name of each constant that it reads."""
    computed = set(graph.inputs)
    stands_for: dict[int, int] = {}
    layers: dict[str, str] = {}
    for operator in graph.operators:
        for tensor in operator.inputs:
            constant = stands_for.get(tensor, tensor)
            if constant in computed or constant < 0 or not operator.outputs:
                continue
            if operator.op in _UNPACKING and tensor == operator.inputs[0]:
                # Nothing is computed of rows: whoever reads the output reads the constant, and
                # names it.
                stands_for[operator.outputs[0]] = constant
                break
            name = layer_name(graph.tensors[operator.outputs[0]].name, operator.op)
            layers.setdefault(graph.tensors[constant].name, name)
        else:
            computed.update(operator.outputs)
    return layers
