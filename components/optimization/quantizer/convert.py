"""Conversion of a model to a .tflite file. Runs in a child process, as TensorFlow may abort.

Every function takes and returns JSON, as `tfx_loop.core.child_process` asks for; models and rows
are files that it names. What the converter cannot do is a ModelError with the one line of its log
that says why.
"""

import copy
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import convert as tflite_convert

from tfx_loop.core import json_codec
from tfx_loop.core.errors import ModelError
from tfx_loop.core.storage import write_bytes
from tfx_loop.models.formats import Format, ModelFile, detect
from tfx_loop.models.guard import guard
from tfx_loop.models.kept_open import state_of
from tfx_loop.models.rows.arrays import load_arrays
from tfx_loop.models.tflite.layers import computing_operators
from tfx_loop.models.tflite.reading import read_model
from tfx_loop.optimization.quantizer.modes import CALIBRATED, IoType, QuantizationMode
from tfx_loop.optimization.quantizer.preparation import SIGNATURE

# Words of MLIR's and TensorFlow's errors, as they were met; a log has hundreds of lines around the
# one that helps.
_ESSENTIAL = re.compile(
    r"(?:\berror: |Error: |failed to |not supported|requires|unsupported)", re.I
)
_NO_OPERATOR = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")
# The converter's own lists of operations that it has no kernel for, behind pages of where they are.
_WITH_TF, _WITHOUT = re.compile(r"TF Select ops: (.+)"), re.compile(r"Custom ops: (.+)")
_NOISE = re.compile(r"^\s*(?:File |Traceback|During handling|\^|[WIE]\d{4} )|callsite\(")


def convert(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Converts in a mode that needs no search.

    Args:
        payload: `saved_model`, `signature`, `mode`, `io_type`, `calibration` (.npz of rows by
            input name) and `out`, the file to write.

    Returns:
        `operators` and `float_operators`: all operators, and those that compute in float.

    Raises:
        ModelError: The converter refuses.
    """
    mode, io_type = QuantizationMode(payload["mode"]), IoType(payload["io_type"])
    converter = _converter(payload)
    if mode is not QuantizationMode.FLOAT:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    # Without a type the default optimisation would make dynamic-range int8 of the weights.
    if mode is QuantizationMode.FLOAT16:
        converter.target_spec.supported_types = [tf.float16]
    # With rows and one set of operators alone, what cannot be quantised is an error; else the
    # converter would leave it in float without a word.
    if mode in CALIBRATED:
        converter.representative_dataset = _rows_of(payload["calibration"])
        converter.target_spec.supported_ops = [_OPS[mode]]
    _take_and_give(converter, io_type)
    return _written(_converted(converter.convert), payload["out"])


def refused(payload: Mapping[str, Any]) -> list[str]:
    """Returns the operations that the converter has no TFLite operator for.

    Args:
        payload: `saved_model`, with the signature `serving_default`.
    """
    try:
        _converter({**payload, "signature": SIGNATURE}).convert()
    except Exception as error:  # The converter raises whatever its parts raise.
        # Every operation is named: what is cut off must leave none behind.
        return sorted(set(_NO_OPERATOR.findall(str(error))))
    return []


def calibrate(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Writes the float model with the ranges of its activations, once for many quantisations.

    Args:
        payload: `saved_model`, `signature`, `calibration` and `out`.

    Returns:
        `operators`: each that computes, with `tensor` (the name of its output) and `operator`.
    """
    converter = _converter(payload)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = _rows_of(payload["calibration"])
    # As tf.lite.experimental.QuantizationDebugger does it; the debugger itself runs an interpreter
    # on a model with NumericVerify, and raises where no operator is left to verify.
    converter._experimental_calibrate_only = True
    content = _converted(converter.convert)
    write_bytes(payload["out"], content)
    return {"operators": _operators(content)}


def quantize(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Quantises what `calibrate` wrote, with some operators left in float.

    Args:
        payload: `calibrated`, `float_tensors` (names of their outputs), `io_type` and `out`.

    Returns:
        As `convert`.
    """
    content = Path(payload["calibrated"]).read_bytes()
    io_type = tf.dtypes.as_dtype(IoType(payload["io_type"]).dtype)
    return _written(
        _converted(
            lambda: tflite_convert.mlir_quantize(
                content,
                input_data_type=io_type,
                output_data_type=io_type,
                # By the name of the output's tensor, which is how the calibrated graph names its
                # operators.
                denylisted_nodes=list(payload["float_tensors"]),
            )
        ),
        payload["out"],
    )


def convert_quantization_aware(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Trains a Keras model with quantisation emulated, then converts it.

    Args:
        payload: `keras`, `rows` (as `fine_tuning.rows_file` writes them), `settings`, `io_type`,
            `fixed_batch`, `folder` for the SavedModel between, and `out`.

    Returns:
        As `convert`, with `technique` and `left_float`, the layers that TFMOT cannot quantise.
    """
    from tfx_loop.models.keras.model import concrete_function, keras_specs
    from tfx_loop.optimization.fine_tuning import quantization_aware
    from tfx_loop.optimization.fine_tuning.rows_file import read_rows
    from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings

    settings = json_codec.from_json(FineTuningSettings, payload["settings"], "settings")
    aware = quantization_aware.train(payload["keras"], read_rows(payload["rows"]), settings)
    inputs, outputs = keras_specs(aware.model)
    batch = 1 if payload.get("fixed_batch") else None
    inputs = tuple(replace(spec, shape=(batch, *spec.shape[1:])) for spec in inputs)
    module = tf.Module()
    module.weights = aware.model.weights
    serve = concrete_function(aware.model, inputs, outputs)
    tf.saved_model.save(module, payload["folder"], signatures={SIGNATURE: serve})
    converter = _converter({"saved_model": payload["folder"], "signature": SIGNATURE})
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    _take_and_give(converter, IoType(payload["io_type"]))
    told = {"technique": aware.technique, "left_float": list(aware.left_float)}
    return told | _written(_converted(converter.convert), payload["out"])


_OPS = {
    QuantizationMode.INT8: tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
    QuantizationMode.INT16X8: (
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    ),
}


def publish(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Writes a converted file to its place, loaded back and compared with its parent on rows.

    Args:
        payload: `content` (the converted file), `path`, and the .npz files `rows` and `parent`.
    """
    from tfx_loop.models.write import write_tflite

    parity = write_tflite(
        Path(payload["content"]).read_bytes(),
        payload["path"],
        rows=load_arrays(payload["rows"]),
        parent=load_arrays(payload["parent"]),
    )
    return {"max_difference": parity.max_difference}


def _converter(payload: Mapping[str, Any]) -> Any:
    """Returns a converter of its own settings; rungs in a row share the loaded SavedModel."""
    folder, signature = payload["saved_model"], payload["signature"]
    state = state_of(detect(folder))
    found = _loaded(folder, signature, state) if state else _converter_of(folder, signature)
    # A converter remembers what it was set to: rungs would inherit the modes of those before.
    converter = copy.copy(found)
    converter.target_spec = tf.lite.TargetSpec()  # The only setting that is changed in place.
    return converter


# One: the rungs of a search share a source, and a loaded SavedModel may be large.
@functools.lru_cache(maxsize=1)
def _loaded(folder: str, signature: str, state: object) -> Any:
    return _converter_of(folder, signature)


def _converter_of(folder: str, signature: str) -> Any:
    # The converter runs initialisers and folds constants by computing them.
    guard.check(ModelFile(Path(folder), Format.SAVED_MODEL))
    return tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[signature])


def _take_and_give(converter: Any, io_type: IoType) -> None:
    dtype = tf.dtypes.as_dtype(io_type.dtype)
    converter.inference_input_type = converter.inference_output_type = dtype


def _rows_of(path: str) -> Callable[[], Iterator[dict[str, Any]]]:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    count = len(next(iter(arrays.values())))

    def rows() -> Iterator[dict[str, Any]]:
        for i in range(count):
            # One row a call: a batch that is fixed to 1 takes no more, and any other takes it too.
            yield {name: values[i : i + 1] for name, values in arrays.items()}

    return rows


def _converted(make: Callable[[], bytes]) -> bytes:
    try:
        return bytes(make())
    except Exception as error:  # The converter raises whatever its parts raise.
        raise ModelError(
            f"Expected a model that TensorFlow's converter takes in this mode, received: "
            f"{essential_line(str(error))} Try another mode, or replace that operation."
        ) from error


def essential_line(log: str) -> str:
    """Returns the line of a converter's log that says what is wrong, as a sentence."""
    if found := _WITH_TF.search(log):
        return f"TFLite has no operator for {found[1].strip()}."
    if found := _WITHOUT.search(log):
        return f"Neither TFLite nor TensorFlow's operators for it have {found[1].strip()}."
    # Most clear first: a line that tells, and is no part of a traceback; then any that tells.
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if _ESSENTIAL.search(line)]
    quiet = [line for line in lines if not _NOISE.search(line)]
    clear = [line for line in quiet if line in telling]
    line = (clear or telling or quiet or lines or ["no message"])[0]
    # An MLIR error starts with the place, which may be a page long.
    line = re.sub(r"^loc\(.*\):\s*", "", re.split(r"\berror: ", line)[-1])
    # Three lines of a terminal; a shape of a large model alone may take more.
    return f"{line[:300].rstrip('. ')}."


def _written(content: bytes, out: str) -> dict[str, Any]:
    write_bytes(out, content)
    found = _operators(content)
    return {
        "operators": len(found),
        "float_operators": [op["tensor"] for op in found if op["float"]],
    }


def _operators(content: bytes) -> list[dict[str, Any]]:
    """Returns the operators that compute in the main graph, in the order in which they run."""
    graph = read_model(content).main
    written = [
        (operator, graph.tensors_at(operator.outputs)[0]) for operator in computing_operators(graph)
    ]
    return [
        {"tensor": tensor.name, "operator": operator.op, "float": tensor.type == "FLOAT32"}
        for operator, tensor in written
    ]
