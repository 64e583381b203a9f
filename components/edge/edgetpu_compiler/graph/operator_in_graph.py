"""One operator within its graph, as the checks look at it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfx_loop.models.tflite.model import Operator, Subgraph, Tensor

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class OperatorInGraph:
    """An operator within its graph."""

    graph: Subgraph
    operator: Operator

    @property
    def output(self) -> Tensor:
        """Its first output."""
        return self.graph.tensors[self.operator.outputs[0]]

    def input(self, position: int) -> Tensor | None:
        """One of its inputs; None when absent."""
        return self.graph.input(self.operator, position)

    def attribute(self, name: str, default: int = 0) -> int:
        """One of its builtin options as an integer."""
        value = self.operator.attributes.get(name, default)
        return int(value) if value is not None else default

    def axes(self, position: int) -> tuple[int, ...] | None:
        """Axes named by a constant input, counted from the front; None when computed."""
        source, named = self.input(0), self.input(position)
        values = named.integers() if named is not None else None
        if source is None or values is None:
            return None
        # Modulo the rank: converters write -1 for the last axis.
        rank = len(source.shape)
        return tuple(value % rank for value in values) if rank else ()
