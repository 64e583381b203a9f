"""Variants of one model, made in a child process: the files, and what is known of each.

One `VariantBuilder` belongs to one search: the source is prepared once, the ranges are measured
once.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx_loop.core import json_codec
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import ModelError
from tfx_loop.models.formats import ModelFile
from tfx_loop.models.rows.arrays import save_arrays
from tfx_loop.models.rows.splits import Rows
from tfx_loop.models.tensors import Array
from tfx_loop.models.tflite.layers import layer_name
from tfx_loop.optimization.fine_tuning.rows_file import write_rows
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.quantizer.modes import IoType, QuantizationMode, io_type_of, title

_LOG = logging.getLogger(__name__)
_ONE_ROW = "Converted with a batch of 1, as the converter refuses its own."
_CONVERT = "tfx_loop.optimization.quantizer.convert"
_PREPARATION = "tfx_loop.optimization.quantizer.preparation"


def refused_operations(worker: Worker, saved_model: str) -> tuple[str, ...]:
    """Returns the operations of a SavedModel that TFLite does not have; none where it converts.

    Raises:
        ChildFailed: The child died of it.
    """
    payload = {"saved_model": saved_model}
    told = worker.call(f"{_CONVERT}:refused", payload, doing="looking for what TFLite lacks")
    return tuple(told)


@dataclass(frozen=True, kw_only=True)
class TfliteVariant:
    """A .tflite file.

    Attributes:
        path: The file.
        operators: How many operators compute in it.
        float_operators: Tensors of the operators that compute in float.
        notes: What is to be said of how it was made.
    """

    path: Path
    operators: int
    float_operators: tuple[str, ...]
    notes: str = ""


@dataclass(kw_only=True)
class VariantBuilder:
    """Makes variants of one model.

    Attributes:
        source: The model, a SavedModel or Keras file.
        calibration: Rows that fix the ranges.
        worker: The child.
        folder: For the files; the caller removes it.
        io_type: What an int8 variant takes and gives.
        signature: Of a SavedModel; None for the one that takes numbers.
        fixed_batch: Whether variants take one row at a time, as the Edge TPU does. It becomes so
            where the converter refuses the model's own batch: recurrent layers that are not
            unrolled.
    """

    source: ModelFile
    calibration: Rows
    worker: Worker
    folder: Path
    io_type: IoType = IoType.FLOAT
    signature: str | None = None
    fixed_batch: bool = False
    _looked: bool = False
    _notes: str = ""
    _prepared: dict[str, Any] = field(default_factory=dict)
    _layers: dict[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        """Checks the model and writes what is converted.

        Raises:
            ModelError: The model is unfit for any mode.
            ChildFailed: The child died of it.
        """
        self._source()

    def make(self, mode: QuantizationMode) -> TfliteVariant:
        """Returns the variant of a mode that needs no search and no training.

        Raises:
            ModelError: The model is unfit, or the converter refuses this mode.
            ChildFailed: The child died of it.
        """
        try:
            return self._made(mode)
        except ModelError:
            # Either this mode is refused, or the model with its own batch is, in any.
            if self._looked or self.fixed_batch or not self._converts_with_one_row():
                raise
        return self._made(mode)

    def _converts_with_one_row(self) -> bool:
        """Says whether one row at a time is what the model needs to convert, and settles on that.

        Raises:
            ChildFailed: The child died of it.
        """
        self._looked = True
        # Float first with its own batch: a model that converts so is refused for its mode alone.
        for self.fixed_batch in (False, True):
            self._prepared, self._layers = {}, {}
            try:
                self._made(QuantizationMode.FLOAT)
            except ModelError as error:
                _LOG.info("conversion_refused one_row=%s why=%s", self.fixed_batch, error)
            else:
                return self.fixed_batch
        # Refused either way: the batch is not the reason, and later rungs start from the model as
        # it is.
        self.fixed_batch, self._prepared = False, {}
        return False

    def _made(self, mode: QuantizationMode) -> TfliteVariant:
        out = self.folder / f"{mode.value}.tflite"
        payload = {
            **self._source(),
            "mode": mode.value,
            "io_type": io_type_of(mode, self.io_type).value,
            "out": str(out),
        }
        return self._variant(out, self._call("convert", payload, title(mode)))

    def layers(self) -> Mapping[str, str]:
        """Returns what people call each layer, by the name of its tensor, in the order of running.

        Measures the ranges first, if they are not known yet.

        Raises:
            ModelError, ChildFailed: As `make`.
        """
        # Once a search: the calibrated file is what each probe of selective int8 starts from.
        if not self._layers:
            payload = {**self._source(), "out": str(self._calibrated)}
            found = self._call("calibrate", payload, "measuring ranges")["operators"]
            self._layers = {op["tensor"]: layer_name(op["tensor"], op["operator"]) for op in found}
        return self._layers

    def selective(self, floats: Sequence[str], name: str = "probe") -> TfliteVariant:
        """Returns the int8 variant with these layers (by tensor) in float; see `make`."""
        self.layers()
        out = self.folder / f"{name}.tflite"
        payload = {
            "calibrated": str(self._calibrated),
            "float_tensors": list(floats),
            "io_type": self.io_type.value,
            "out": str(out),
        }
        doing = f"{title(QuantizationMode.SELECTIVE_INT8)} with {len(floats)} layers in float"
        return self._variant(out, self._call("quantize", payload, doing))

    def quantization_aware(
        self, keras: Path, training: Rows, settings: FineTuningSettings
    ) -> TfliteVariant:
        """Returns the int8 variant trained for it; see `make`."""
        out = self.folder / f"{QuantizationMode.QAT_INT8.value}.tflite"
        rows = write_rows(self.folder / "training.npz", training.inputs, training.labels)
        payload = {
            "keras": str(keras),
            "rows": str(rows),
            "settings": json_codec.to_json(settings),
            "io_type": self.io_type.value,
            "fixed_batch": self.fixed_batch,
            "folder": str(self.folder / "quantization_aware"),
            "out": str(out),
        }
        told = self._call("convert_quantization_aware", payload, title(QuantizationMode.QAT_INT8))
        left = f", {', '.join(told['left_float'])} left in float" if told["left_float"] else ""
        return self._variant(out, told, f"{told['technique']}, {settings.epochs} epochs{left}.")

    def publish(
        self, variant: TfliteVariant, path: Path, rows: Rows, parent: Mapping[str, Array]
    ) -> None:
        """Writes a variant whole to `path`, loaded back and asked once more, in the child."""
        files = {"rows": self.folder / "checked.npz", "parent": self.folder / "expected.npz"}
        save_arrays(files["rows"], rows.inputs)
        save_arrays(files["parent"], parent)
        payload = {"content": variant.path, "path": path.absolute(), **files}
        told = {name: str(value) for name, value in payload.items()}
        self._call("publish", told, f"writing {path.name}")

    @property
    def _one_row(self) -> str:
        return _ONE_ROW if self._looked and self.fixed_batch else ""

    @property
    def _calibrated(self) -> Path:
        return self.folder / "calibrated.tflite"

    def _source(self) -> dict[str, Any]:
        if not self._prepared:
            payload = {
                "source": str(self.source.path),
                "signature": self.signature,
                "fixed_batch": self.fixed_batch,
                # Open dimensions other than the batch get the size that the calibration rows have.
                "sizes": {name: v.shape[1:] for name, v in self.calibration.inputs.items()},
                "folder": str(self.folder / ("one_row" if self.fixed_batch else "source")),
            }
            self._prepared = self._call("prepare", payload, "preparation", _PREPARATION)
            self._notes = " ".join(self._prepared.pop("notes"))
            rows = self.folder / "calibration.npz"
            self.calibration.save_inputs(rows)
            self._prepared["calibration"] = str(rows)
        return self._prepared

    def _call(
        self, function: str, payload: dict[str, Any], what: str, module: str = _CONVERT
    ) -> dict[str, Any]:
        doing = f"{what} of {self.source.path.name}"
        for name in ("folder", "out"):
            if name in payload:
                self.worker.may_write(Path(payload[name]).parent)
        told: dict[str, Any] = self.worker.call(f"{module}:{function}", payload, doing=doing)
        return told

    def _variant(self, out: Path, told: Mapping[str, Any], notes: str = "") -> TfliteVariant:
        _LOG.info(
            "quantized file=%s bytes=%d operators=%d float_operators=%d",
            out.name,
            out.stat().st_size,
            told["operators"],
            len(told["float_operators"]),
        )
        return TfliteVariant(
            path=out,
            operators=told["operators"],
            float_operators=tuple(told["float_operators"]),
            notes=" ".join(filter(None, (notes, self._notes, self._one_row))),
        )
