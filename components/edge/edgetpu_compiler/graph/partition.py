"""TensorFlow Lite's partition of a graph between a delegate and the CPU.

The Edge TPU compiler is a TensorFlow Lite delegate, so the cut is TensorFlow Lite's greedy one:
tensorflow/lite/graph_info.cc, `PartitionGraphIntoIndependentNodeSubsets`. The runs alternate
between taken and left operators; each takes everything that is ready.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tfx_loop.models.tflite.model import Subgraph


@dataclass(frozen=True)
class PartitionRun:
    """Operators that execute together: `taken` by the delegate or left to the CPU."""

    taken: bool
    operators: tuple[int, ...]


def partition(graph: Subgraph, taken: Sequence[bool]) -> list[PartitionRun]:
    """Cuts a graph into runs, in the order in which they execute.

    Args:
        graph: The graph; its operators stand in execution order.
        taken: Whether the delegate takes each operator.
    """
    ready = {tensor.index for tensor in graph.tensors if tensor.is_constant or tensor.is_variable}
    # -1 stands for an optional input that is left out.
    ready |= set(graph.inputs) | {-1}
    # A tensor that nothing makes and nobody feeds holds nothing back: it is simply empty.
    made = {index for operator in graph.operators for index in operator.outputs}
    ready |= {tensor.index for tensor in graph.tensors} - made
    waiting = list(range(len(graph.operators)))
    runs: list[PartitionRun] = []
    while waiting:
        kind: bool | None = None
        members: list[int] = []
        left: list[int] = []
        for index in waiting:
            operator = graph.operators[index]
            # ABSENT (-1) counts as ready: an optional input holds nothing back.
            if not ready.issuperset(operator.inputs):
                left.append(index)
            # The first ready operator decides the kind of the run, which then takes all of that
            # kind that get ready.
            elif kind is None or taken[index] == kind:
                kind = taken[index]
                members.append(index)
                ready.update(operator.outputs)
            else:
                left.append(index)
        if kind is None:
            # A cycle: no file that TensorFlow Lite runs has one; the CPU keeps what remains.
            runs.append(PartitionRun(False, tuple(left)))
            break
        runs.append(PartitionRun(kind, tuple(members)))
        # What was not ready, or of the other kind, is looked at again in the same order.
        waiting = left
    return runs


def on_edge_tpu(graph: Subgraph, taken: Sequence[bool], *, multiple_subgraphs: bool) -> set[int]:
    """Returns the operators that end up on the Edge TPU.

    Without `multiple_subgraphs` (the compiler's option `--enable_multiple_subgraphs`) only the
    first run that the delegate takes is kept: "as soon as an unsupported operation occurs, that
    operation and everything after it executes on the CPU" (coral.ai/docs/edgetpu/models-intro).
    First, not largest: google-coral/edgetpu issue 433, where 1 of 191 operators mapped.
    """
    runs = [run.operators for run in partition(graph, taken) if run.taken]
    kept = runs if multiple_subgraphs else runs[:1]
    return {index for run in kept for index in run}


def count_subgraphs(graph: Subgraph, taken: Sequence[bool], *, multiple_subgraphs: bool) -> int:
    """Returns how many Edge TPU subgraphs come out."""
    runs = sum(run.taken for run in partition(graph, taken))
    # Without -a the compiler makes one subgraph, from the first operator on that it takes.
    return runs if multiple_subgraphs else min(runs, 1)
