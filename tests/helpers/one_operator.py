"""Models of one operator, put together and judged."""

from collections.abc import Sequence
from typing import Any

from ai_edge_litert import schema_py_generated as tables
from tflite_builder import TfliteBuilder

from tfx_loop.contracts.edgetpu_report import MappingCode, MappingStatus
from tfx_loop.edge.edgetpu_compiler.rules.analyser import analyse

MAPPED, NOT_MAPPED, UNKNOWN = MappingStatus.MAPPED, MappingStatus.NOT_MAPPED, MappingStatus.UNKNOWN


def options(kind: str, **values: Any) -> Any:
    table = getattr(tables, f"{kind}OptionsT")()
    for name, value in values.items():
        assert hasattr(table, name), name
        setattr(table, name, value)
    return table


def judged(builder: TfliteBuilder, output: int) -> tuple[MappingStatus, MappingCode]:
    (operator,) = analyse(builder.content(output)).operators
    return operator.status, operator.code


def one(
    op: str,
    shape: Sequence[int],
    out: Sequence[int],
    *constants: Any,
    version: int = 1,
    table: Any = None,
    type_name: str = "INT8",
    out_type: str = "",
    data_first: bool = True,
) -> tuple[MappingStatus, MappingCode]:
    """Judges a model of one operator: the data, then int32 constants."""
    builder = TfliteBuilder()
    data = builder.input(shape, type_name)
    others = [builder.constant(values) for values in constants]
    inputs = [data, *others] if data_first else [*others, data]
    output = builder.tensor(out, out_type or type_name)
    builder.op(op, inputs, output, version=version, options=table)
    return judged(builder, output)
