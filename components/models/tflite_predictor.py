"""A .tflite model opened for prediction: floats in and out, also where integers stand for them."""

import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfx_loop.core.errors import ModelError, first_line
from tfx_loop.models import tensors
from tfx_loop.models.formats import Format, ModelFile
from tfx_loop.models.guard import guard
from tfx_loop.models.guard.tflite import COMMON_CUSTOM_OPS, FLEX
from tfx_loop.models.tensors import DEFAULT_BATCH_ROWS, DEFAULT_SIGNATURE, Array, TensorSpec
from tfx_loop.models.tflite.model import EDGETPU_CUSTOM_OP, SignatureDef, Tensor, TFLiteModel
from tfx_loop.models.tflite.reading import read_model

# Types whose scale and zero point stand for floats; INT32 with a scale is a bias, never an input.
_QUANTIZED = ("INT8", "UINT8", "INT16")


class TFLitePredictor:
    """One signature of a .tflite model. Safe for many threads, which wait for each other.

    Each call starts from the state that the file says, so a row's answer depends on that row alone.
    """

    def __init__(self, path: Path, *, signature: str | None = None, threads: int = 1) -> None:
        """Reads and checks the file, then hands it to the runtime.

        Raises:
            ModelUnsafe: Running it would do what it should not.
            ModelError: It is damaged, or has an operator that the runtime does not know.
        """
        # The runtime maps the file, and keeps the bytes when its name is gone.
        with guard.admitted(ModelFile(path, Format.TFLITE)) as admitted:
            self._open(admitted.file.path, path, signature, threads)

    def _open(self, content: Path, path: Path, signature: str | None, threads: int) -> None:
        self._model = read_model(content, where=str(path))
        _check_runnable(self._model, path)
        _check_custom_ops(self._model, path)
        names = _names(self._model, path, signature)
        self._input_ids, self._output_ids = names.inputs, names.outputs
        self.inputs = tuple(self._spec(name, i) for name, i in sorted(names.inputs.items()))
        self.outputs = tuple(self._spec(name, i) for name, i in sorted(names.outputs.items()))
        hint = "Give a model whose text is encoded outside it."
        tensors.check_numeric((*self.inputs, *self.outputs), str(path), hint)
        tensors.check_batched(self.inputs, str(path))
        self._path = path
        self._lock = threading.Lock()
        self._allocated: dict[str, tuple[int, ...]] = {}
        self._has_state = any(t.is_variable for t in self._model.main.tensors)
        self._interpreter, self.runtime = _interpreter(self._model, content, path, threads)

    def predict(
        self, inputs: Mapping[str, Any], batch_size: int = DEFAULT_BATCH_ROWS
    ) -> dict[str, Array]:
        """Returns the outputs by name; raises as `Predictor.predict`."""
        with self._lock:
            return tensors.in_batches(self._run, inputs, self.inputs, batch_size)

    def _run(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        try:
            self._allocate({name: values.shape for name, values in batch.items()})
            for name, values in batch.items():
                index = self._input_ids[name]
                self._interpreter.set_tensor(index, _quantize(values, self._tensor(index)))
            # A fused LSTM starts from where the last call left it: one row's state, maybe another
            # client's, would enter the next answer. Keras and SavedModels start at zero.
            if self._has_state:
                self._interpreter.reset_all_variables()
            self._interpreter.invoke()
            return {
                name: _dequantize(self._interpreter.get_tensor(index), self._tensor(index))
                for name, index in self._output_ids.items()
            }
        except (RuntimeError, ValueError) as error:
            # After a failure the arena is in no known state: the next call allocates afresh.
            self._allocated = {}
            raise ModelError(
                f"Expected {self._path} to run, received: {first_line(error)} "
                "Convert the model again, or with another mode."
            ) from error

    def _allocate(self, shapes: dict[str, tuple[int, ...]]) -> None:
        # Allocation plans the whole arena again: only where the number of rows changed.
        if shapes == self._allocated:
            return
        for name, shape in shapes.items():
            self._interpreter.resize_tensor_input(self._input_ids[name], list(shape))
        self._interpreter.allocate_tensors()
        self._allocated = shapes

    def _tensor(self, index: int) -> Tensor:
        return self._model.main.tensors[index]

    def _spec(self, name: str, index: int) -> TensorSpec:
        tensor = self._tensor(index)
        # Callers see floats; the file's own type stands beside it.
        dtype = "float32" if _is_quantized(tensor) else tensor.dtype
        return TensorSpec(name=name, shape=tensor.open_shape, dtype=dtype, file_dtype=tensor.dtype)


def plain_name(name: str) -> str:
    """Returns a tensor's name without what the converter put around it.

    `serving_default_image:0` is the input `image` of the signature that was converted.
    """
    # The converter writes `signature_name` and TensorFlow's output number `:0` around it.
    return re.sub(r":0$", "", re.sub(rf"^{DEFAULT_SIGNATURE}_", "", name)) or name


def _names(model: TFLiteModel, path: Path, wanted: str | None) -> SignatureDef:
    known, main = model.signatures, model.main
    if known and wanted is not None and wanted not in known:
        raise ModelError(
            f"Expected the signature {wanted!r} in {path}, found "
            f"{', '.join(sorted(known))}. Name one of these."
        )
    if known:
        # False sorts before True: the default signature where there is one, else the first by name.
        first = min(known, key=lambda name: (name != DEFAULT_SIGNATURE, name))
        return known[wanted or first]
    inputs, outputs = (
        _by_name(main.tensors_at(main.inputs)),
        _by_name(main.tensors_at(main.outputs)),
    )
    return SignatureDef(inputs=inputs, outputs=outputs)


def _by_name(interface: Sequence[Tensor]) -> dict[str, int]:
    plain = [plain_name(tensor.name) for tensor in interface]
    unique = len(set(plain)) == len(plain)
    return {
        # The converter may give two tensors of a model without signatures one plain name.
        name if unique else f"tensor_{tensor.index}": tensor.index
        for name, tensor in zip(plain, interface, strict=True)
    }


def _check_runnable(model: TFLiteModel, path: Path) -> None:
    """Checks what a reader can live with and a runtime could crash on."""
    opened = [t for graph in model.subgraphs for t in graph.tensors if min(t.shape, default=0) < 0]
    if opened or not model.main.outputs:
        received = f"a tensor of shape {list(opened[0].shape)}" if opened else "no outputs"
        raise ModelError(
            f"Expected a TensorFlow Lite model that runs in {path}, received a damaged one "
            f"({received}). Convert the model again."
        )


def _check_custom_ops(model: TFLiteModel, path: Path) -> None:
    if EDGETPU_CUSTOM_OP in model.custom_ops:
        raise ModelError(
            f"Expected a model for the CPU in {path}, received one that is compiled for the Edge "
            "TPU. Give the model that was compiled."
        )
    others = [
        op for op in model.custom_ops if op not in COMMON_CUSTOM_OPS and not op.startswith(FLEX)
    ]
    if others:
        raise ModelError(
            f"Expected TFLite's own operators in {path}, received the custom op "
            f"{', '.join(others)}. Convert the model without it."
        )


def _interpreter(model: TFLiteModel, content: Path, path: Path, threads: int) -> tuple[Any, str]:
    # Flex operators are TensorFlow's kernels: LiteRT's wheel does not have them.
    flex = any(op.startswith(FLEX) for op in model.custom_ops)
    made, runtime = _tf_lite() if flex else _runtime()
    try:
        interpreter = made(model_path=str(content), num_threads=threads)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"Expected a TFLite model that {runtime} can run in {path}, received: "
            f"{first_line(error)} Convert the model again."
        ) from error
    return interpreter, runtime


def _runtime() -> tuple[Any, str]:
    try:
        from ai_edge_litert import interpreter
    except ImportError:
        return _tf_lite()
    from importlib.metadata import version

    return interpreter.Interpreter, f"LiteRT {version('ai-edge-litert')} with XNNPACK"


def _tf_lite() -> tuple[Any, str]:
    import tensorflow as tf

    return tf.lite.Interpreter, f"TensorFlow Lite {tf.__version__} with XNNPACK"


def _is_quantized(tensor: Tensor) -> bool:
    return tensor.type in _QUANTIZED and bool(tensor.scales)


def _quantize(values: Array, tensor: Tensor) -> Array:
    if not _is_quantized(tensor):
        return values
    limits = np.iinfo(tensor.dtype)
    # q = round(x / scale) + zero_point, saturated (Jacob et al. 2018, arXiv:1712.05877, eq. 1); in
    # float32, as TFLite's QUANTIZE kernel divides.
    whole = np.rint(values / np.float32(tensor.scales[0]))
    whole += tensor.zero_points[0]
    stored: Array = np.clip(whole, limits.min, limits.max).astype(tensor.dtype)
    return stored


def _dequantize(values: Array, tensor: Tensor) -> Array:
    if not _is_quantized(tensor):
        return values
    # x = (q - zero_point) * scale, the same equation the other way round.
    whole = values.astype(np.float32) - tensor.zero_points[0]
    real: Array = whole * np.float32(tensor.scales[0])
    return real
