"""Is what the compiler wrote a whole model, for the source that it was given?"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import ModelError

CUSTOM_OP = "edgetpu-custom-op"


@dataclass(frozen=True, kw_only=True)
class Output:
    """A file that the compiler wrote.

    Attributes:
        path: The file.
        custom_ops: Edge TPU operators in it.
    """

    path: Path
    custom_ops: int


def check_output(source: Path, written: Path) -> Output:
    """Returns what the compiler wrote for a source.

    LiteRT's verifier reads both; an operator of the Edge TPU need not be known for that.

    Raises:
        ModelError: The file is cut off or damaged, or its inputs and outputs are not the source's.
    """
    before, after = _interpreter(source), _interpreter(written)
    for kind in ("inputs", "outputs"):
        expected, received = _tensors(before, kind), _tensors(after, kind)
        if expected != received:
            raise ModelError(
                f"Expected the {kind} of {source.name}, {_shown(expected)}, in {written.name}, "
                f"received {_shown(received)}. The compiler wrote another model."
            )
    operators = [operator["op_name"] for operator in after._get_ops_details()]
    return Output(path=written, custom_ops=operators.count(CUSTOM_OP))


def _interpreter(path: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    try:
        return Interpreter(model_path=str(path))
    except (ValueError, RuntimeError) as error:
        size = path.stat().st_size
        raise ModelError(
            f"Expected a whole .tflite model in {path.name}, received {size} bytes: {error}"
        ) from error


def _tensors(interpreter: Any, kind: str) -> list[tuple[str, tuple[int, ...], str]]:
    details = (
        interpreter.get_input_details() if kind == "inputs" else interpreter.get_output_details()
    )
    return [(d["name"], tuple(map(int, d["shape"])), d["dtype"].__name__) for d in details]


def _shown(tensors: list[tuple[str, tuple[int, ...], str]]) -> str:
    return ", ".join(f"{name} {dtype}{list(shape)}" for name, shape, dtype in tensors)
