"""The check that what the compiler wrote is a whole model for its source."""

from dataclasses import dataclass
from pathlib import Path

from tfx_loop.core.errors import ModelError
from tfx_loop.edge.edgetpu_compiler.graph.compiled_packages import CompiledSummary, summarise
from tfx_loop.models.formats import Format, ModelFile
from tfx_loop.models.guard import guard
from tfx_loop.models.tflite.model import EDGETPU_CUSTOM_OP, Subgraph
from tfx_loop.models.tflite.reading import read_model

_Interface = list[tuple[str, tuple[int, ...], str]]


@dataclass(frozen=True, kw_only=True)
class CompilerOutput:
    """A file that the compiler wrote.

    Attributes:
        path: The file.
        custom_ops: Edge TPU operators in it.
        summary: What their packages say.
    """

    path: Path
    custom_ops: int
    summary: CompiledSummary


def check_output(source: Path, written: Path) -> CompilerOutput:
    """Returns what the compiler wrote for a source.

    LiteRT's verifier reads the file; it need not know the Edge TPU's operator for that. Then the
    packages for the chip are read, which the verifier takes for plain bytes.

    Raises:
        ModelError: The file is cut off or damaged, or its inputs and outputs are not the source's.
    """
    guard.check(ModelFile(written, Format.TFLITE))
    _verify(written)
    before, after = read_model(source).main, read_model(written).main
    for kind in ("inputs", "outputs"):
        expected, received = _interface(before, kind), _interface(after, kind)
        if expected != received:
            raise ModelError(
                f"Expected the {kind} of {source.name}, {_shown(expected)}, in {written.name}, "
                f"received {_shown(received)}. The compiler wrote another model."
            )
    compiled = [operator for operator in after.operators if operator.custom == EDGETPU_CUSTOM_OP]
    return CompilerOutput(path=written, custom_ops=len(compiled), summary=summarise(after))


def _verify(path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    try:
        # Made and not allocated: that verifies the FlatBuffer, and asks for no kernel of the Edge
        # TPU's.
        Interpreter(model_path=str(path))
    except (ValueError, RuntimeError) as error:
        size = path.stat().st_size
        raise ModelError(
            f"Expected a whole .tflite model in {path.name}, received {size} bytes: {error}"
        ) from error


def _interface(graph: Subgraph, kind: str) -> _Interface:
    indices = graph.inputs if kind == "inputs" else graph.outputs
    return [(tensor.name, tensor.shape, tensor.type) for tensor in graph.tensors_at(indices)]


def _shown(interface: _Interface) -> str:
    return ", ".join(f"{name} {dtype}{list(shape)}" for name, shape, dtype in interface)
