"""Golden answers of the CPU model to a few rows, and how far a device may be off.

The answers are LiteRT's on this machine. A device's CPU rounds a quantised value one step
differently at most; the Edge TPU computes in integers of its own, so it is given more room. That
room is a setting because no device was measured here. A co-compiled model that answers nonsense
(google-coral/edgetpu issue 85) is off by far more.
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfx_loop.contracts.bundle_manifest import BundledOutput, BundledTensor
from tfx_loop.core.errors import DataError, ModelError
from tfx_loop.models.formats import Format, ModelFile
from tfx_loop.models.guard import guard
from tfx_loop.models.tensors import DEFAULT_SIGNATURE, Array
from tfx_loop.models.tflite_predictor import plain_name

# A float output has no steps; its range over the golden rows stands for 255 of them.
_STEPS = 255.0


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far a device may be off, in quantisation steps of the output.

    Attributes:
        cpu_steps: How far the CPU model may be off on another CPU, in quantisation steps.
        edge_tpu_steps: How far the compiled model may be off on the Edge TPU, in the same steps.
    """

    cpu_steps: float = 1.0
    # Not measured on a chip: room for rounding in every layer, far below what a wrong model is off
    # by.
    edge_tpu_steps: float = 8.0


DEFAULT_TOLERANCE = Tolerance()


@dataclass(frozen=True, kw_only=True)
class GoldenAnswers:
    """Requests, expected answers and what the manifest says of them.

    Attributes:
        content: An .npz file: `input_0`, … as the model takes them and `output_0`, … in real
            values, the rows along the first axis.
        inputs: Of the model, in order.
        outputs: Of the model, in order, with how far a device may be off.
        rows: How many requests.
    """

    content: bytes
    inputs: tuple[BundledTensor, ...]
    outputs: tuple[BundledOutput, ...]
    rows: int


def golden_answers(
    model: Path, rows: Mapping[str, Array], tolerance: Tolerance = DEFAULT_TOLERANCE
) -> GoldenAnswers:
    """Returns the CPU model's answers to rows.

    Args:
        model: A .tflite file whose inputs take one row.
        rows: (rows, …) arrays by the signature's input names; floats are quantised.
        tolerance: Room for devices.

    Raises:
        ModelUnsafe: Running the model would do what it should not.
        ModelError: The model does not load or run, or its answers are not finite.
        DataError: An input is missing, or a row does not have its shape.
    """
    interpreter = _interpreter(model)
    names = _signature_names(interpreter)
    given = [
        _as_taken(rows, detail, names[detail["name"]]) for detail in interpreter.get_input_details()
    ]
    details = interpreter.get_output_details()
    answers: list[list[Array]] = [[] for _ in details]
    # Inputs of one file have as many rows; of two the shorter one has no partner for the rest.
    count = min(len(values) for values in given)
    if count == 0:
        raise DataError("Expected at least one row for golden requests, received none.")
    for row in range(count):
        for detail, values in zip(interpreter.get_input_details(), given, strict=True):
            interpreter.set_tensor(detail["index"], values[row])
        # Golden answers are of rows by themselves, whatever state a recurrent layer keeps.
        interpreter.reset_all_variables()
        interpreter.invoke()
        for detail, found in zip(details, answers, strict=True):
            found.append(_real(interpreter.get_tensor(detail["index"]), detail))
    expected = [np.stack(found) for found in answers]
    for detail, values in zip(details, expected, strict=True):
        if not np.isfinite(values).all():
            raise ModelError(
                f"Expected finite answers of {model.name} for {detail['name']!r}, received NaN or "
                "infinity. Look at the rows and at the model's weights."
            )
    return GoldenAnswers(
        content=_npz(given, expected),
        inputs=tuple(_input(detail, names) for detail in interpreter.get_input_details()),
        outputs=tuple(
            _output(detail, names, values, tolerance)
            for detail, values in zip(details, expected, strict=True)
        ),
        rows=count,
    )


def _interpreter(model: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    with guard.admitted(ModelFile(model, Format.TFLITE)) as admitted:
        try:
            interpreter = Interpreter(model_path=str(admitted.file.path))
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"Expected a .tflite model that the CPU runs in {model}, received: {error}. Bundle "
                "the int8 model that was compiled, not the compiled one."
            ) from error
    return interpreter


def _as_taken(rows: Mapping[str, Array], detail: Mapping[str, Any], called: str) -> Array:
    """Returns the rows of one input as the model takes them: (rows, *shape), quantised."""
    name, shape = detail["name"], tuple(int(size) for size in detail["shape"])
    if called not in rows:
        raise DataError(f"Expected rows for input {called!r}, received {sorted(rows)}.")
    values = np.asarray(rows[called])
    if not len(values) or values[0].size != np.prod(shape):
        raise DataError(
            f"Expected rows of shape {shape} for input {name!r}, received {values.shape[1:]}. An "
            "Edge TPU model takes one row at a time."
        )
    values = values.reshape(len(values), *shape)
    # LiteRT gives (0.0, 0) where a tensor is not quantised.
    scale, zero_point = detail["quantization"]
    if scale and np.issubdtype(values.dtype, np.floating):
        limits = np.iinfo(detail["dtype"])
        values = np.clip(np.round(values / scale) + zero_point, limits.min, limits.max)
    return values.astype(detail["dtype"])


def _real(values: Array, detail: Mapping[str, Any]) -> Array:
    scale, zero_point = detail["quantization"]
    real = values.astype(np.float64)
    return (real - zero_point) * scale if scale else real


def _signature_names(interpreter: Any) -> dict[str, str]:
    """Returns what the signature calls each input and output; a plain name without signature."""
    details = [*interpreter.get_input_details(), *interpreter.get_output_details()]
    names = {str(detail["name"]): plain_name(str(detail["name"])) for detail in details}
    signatures = interpreter.get_signature_list()
    if signatures:
        runner = interpreter.get_signature_runner(
            # False sorts before True: the default signature where there is one, else the first by
            # name.
            min(signatures, key=lambda k: (k != DEFAULT_SIGNATURE, k))
        )
        for interface in (runner.get_input_details(), runner.get_output_details()):
            names |= {str(detail["name"]): called for called, detail in interface.items()}
    return names


def _input(detail: Mapping[str, Any], names: Mapping[str, str]) -> BundledTensor:
    return BundledTensor(
        name=names[str(detail["name"])],
        tensor=str(detail["name"]),
        shape=tuple(int(size) for size in detail["shape"]),
        dtype=detail["dtype"].__name__,
    )


def _output(
    detail: Mapping[str, Any], names: Mapping[str, str], expected: Array, tolerance: Tolerance
) -> BundledOutput:
    step = float(detail["quantization"][0])
    if not step:
        largest = float(np.max(np.abs(expected), initial=0.0))
        # The floors: float32 carries about 7 digits, and sums in another order move the last two;
        # 1e-6 serves outputs that are zero for every golden row.
        step = max(float(np.ptp(expected)) / _STEPS, largest * 1e-5, 1e-6)
    # Half a step more: the limit itself must not depend on how a sum is rounded.
    return BundledOutput(
        **vars(_input(detail, names)),
        cpu_tolerance=(tolerance.cpu_steps + 0.5) * step,
        edge_tpu_tolerance=(tolerance.edge_tpu_steps + 0.5) * step,
    )


def _npz(inputs: list[Array], outputs: list[Array]) -> bytes:
    """Returns the arrays as .npz, the same bytes for the same arrays."""
    # By number and not by name: names of tensors may hold what a file in a ZIP cannot be called.
    arrays = {
        **{f"input_{i}": values for i, values in enumerate(inputs)},
        **{f"output_{i}": values for i, values in enumerate(outputs)},
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in arrays.items():
            written = io.BytesIO()
            np.save(written, values, allow_pickle=False)
            # A ZipInfo of its own has no time of today: the digest must not depend on the clock.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), written.getvalue())
    return content.getvalue()
