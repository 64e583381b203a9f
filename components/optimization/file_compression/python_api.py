"""`tfx_loop.compress`: what `loop compress` does, for models and rows of a program."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from tfx_loop.contracts.optimization_report import (
    OPTIMIZATION_REPORT,
    OptimizationResult,
    OptimizationVerdict,
)
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.models.rows.encoded_images import DEFAULT_SCALE
from tfx_loop.optimization.compression_target import CompressionTarget
from tfx_loop.optimization.file_compression.folder import MODEL_FILE
from tfx_loop.optimization.file_compression.request import CompressionRequest, requested_outputs
from tfx_loop.optimization.file_compression.run import compress as compress_files
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.quantizer.candidates import VariantLimits
from tfx_loop.optimization.reporting.page import render
from tfx_loop.optimization.reporting.terminal import rungs_parts

Array: TypeAlias = Any
# As high as a notebook shows without scrolling away from its cell.
_FRAME_PIXELS = 720
_LABEL, _ROWS = "y", "x"


@dataclass(frozen=True)
class CompressionReport:
    """What became of a model: the smallest variant that keeps to the budget, or none.

    In a notebook it shows as the page of `loop compress`, printed as the command's text.

    Attributes:
        result: The report: every variant, why it was left, the front.
        folder: With `model.tflite` where a variant was kept, `report.json` and `report.html`.
    """

    result: OptimizationResult
    folder: Path
    _kept_folder: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    @property
    def kept(self) -> bool:
        """Whether a variant keeps to the budget."""
        return self.result.verdict is OptimizationVerdict.KEPT

    @property
    def model(self) -> Path | None:
        """The variant's .tflite file; None where none keeps to the budget."""
        return self.folder / MODEL_FILE if self.kept else None

    def save(self, path: str | Path) -> None:
        """Copies the variant's file.

        Raises:
            ConfigError: There is none.
        """
        if self.model is None:
            raise ConfigError(
                f"Expected a variant to write to {path}, received none: {self.result.explanation}."
            )
        shutil.copyfile(self.model, path)

    def to_dict(self) -> dict[str, Any]:
        """Returns what `loop compress --json` prints."""
        return OPTIMIZATION_REPORT.content(self.result)

    def to_html(self) -> str:
        """Returns the report as one page without scripts."""
        return render(self.result)

    def __str__(self) -> str:
        parts = [*map(str, rungs_parts(self.result)), f"{self.result.explanation}."]
        return "\n\n".join(filter(None, parts))

    def __repr__(self) -> str:
        return f"<CompressionReport {self.result.verdict.value}: {self.result.explanation}>"

    def _repr_html_(self) -> str:
        # In a frame: the page's styles are its own, and the notebook's stay the notebook's.
        return (
            f'<iframe srcdoc="{escape(self.to_html())}" title="{escape(self.result.explanation)}" '
            f'style="width: 100%; height: {_FRAME_PIXELS}px; border: 0"></iframe>'
        )


def compress(
    model: Any,
    data: Any,
    *,
    budget: float | Mapping[str, float],
    relative: bool = False,
    label: str | Mapping[str, str] = "",
    metric: str | Callable[[Array, Array], float] | Mapping[str, str] | None = None,
    higher_is_better: bool = True,
    target: str = "smallest",
    out: str | Path | None = None,
    output: str = "",
    classes: Sequence[str] = (),
    slices: str | Sequence[str] = (),
    slice_budget: float | None = None,
    signature: str | None = None,
    custom_objects: Sequence[str] = (),
    train: Any = None,
    epochs: int = FineTuningSettings.epochs,
    preprocess: str = DEFAULT_SCALE,
    rungs: Sequence[str] = (),
    io: str = "float",
    max_bytes: int | None = None,
    max_latency_ms: float | None = None,
    max_rows: int | None = None,
    seed: int = 0,
    timeout_seconds: float = 600,
    memory_mb: float = 8192,
    progress: Callable[[str], None] | None = None,
) -> CompressionReport:
    """Makes every TFLite variant of a model and keeps the smallest that loses no more than allowed.

    Args:
        model: A Keras model (of Keras 3 or tf_keras) in memory, or the path of a SavedModel, .keras
            or .h5 file.
        data: Rows with labels: `(x, y)`, arrays by name, a pandas, Polars or Arrow table, batches
            `(x, y)` as tf.data or a loop gives them, or the path of a file or folder.
        budget: What may be lost of the metric, in its unit; by output of a model with several.
        relative: Budgets are shares of the model's own value of the metric, not in its unit.
        label: Column or array of the labels, `y` unless given; by output of a model with several.
        metric: TFMA's or Keras's name, by output of a model with several; or a function of labels
            and answers that returns a number. Accuracy of classes or R2 of numbers unless given.
        higher_is_better: Of a function; False for losses and costs.
        target: `smallest`, `smallest_zipped`, `fastest` or `edge_tpu`.
        out: New or empty folder for the result; a temporary one, gone with the report, unless
            given.
        output: The one that label and budget belong to, of a model with several.
        classes: Names in the order of the model's outputs, for labels that are text.
        slices: Columns that losses are shown by.
        slice_budget: What may be lost on each slice.
        signature: Of a SavedModel.
        custom_objects: Import paths `module:Name` of layers that a Keras file names.
        train: Rows to train on with quantisation emulated, as `data`; None trains nothing.
        epochs: Passes over them.
        preprocess: What images of a folder become: `unit`, `signed`, `bytes` or an import path.
        rungs: Variants to try; all unless given.
        io: What an int8 variant takes and gives: `float`, `int8` or `uint8`.
        max_bytes: A variant may take at most this.
        max_latency_ms: The median of one call may take at most this.
        max_rows: Use at most so many rows, drawn with the seed.
        seed: Splits the rows.
        timeout_seconds: Of each conversion.
        memory_mb: Of the process that converts.
        progress: Gets a line for each step.

    Raises:
        LoopError: Model, rows or settings are not what was expected; one line says why.
    """
    own = metric if callable(metric) else None
    first, *others = requested_outputs(
        list(budget.items()) if isinstance(budget, Mapping) else [(None, budget)],
        _by_output(label),
        _by_output("" if metric is None or callable(metric) else metric),
        output or None,
    )
    kept = tempfile.TemporaryDirectory(prefix="loop-compress-") if out is None else None
    folder = Path(kept.name) if kept else Path(str(out))
    with tempfile.TemporaryDirectory(prefix="loop-compress-given-") as scratch:
        names = Path(scratch) / "classes.txt"
        names.write_text("\n".join(classes), encoding="utf-8")
        request = CompressionRequest(
            model=_model_file(model, Path(scratch) / "model"),
            data=data_file(data, Path(scratch)),
            out=folder,
            budget=first.budget,
            relative=relative,
            label=first.label or None,
            target=CompressionTarget(target),
            metric=first.metric,
            output=first.output or None,
            others=tuple(others),
            classes=names if classes else None,
            slice_columns=(slices,) if isinstance(slices, str) else tuple(slices),
            slice_budget=slice_budget,
            signature=signature,
            custom_objects=tuple(custom_objects),
            evaluate=own,
            higher_is_better=higher_is_better,
            train=None if train is None else data_file(train, _made(Path(scratch) / "train")),
            epochs=epochs,
            preprocess=preprocess,
            limits=VariantLimits(max_bytes=max_bytes, max_latency_ms=max_latency_ms),
            seed=seed,
            rungs=tuple(rungs),
            io=io,
            max_rows=max_rows,
            timeout_seconds=timeout_seconds,
            memory_mb=memory_mb,
        )
        result = compress_files(request, progress or (lambda _: None))
    return CompressionReport(result, folder, kept)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _by_output(given: str | Mapping[str, str]) -> list[str]:
    if isinstance(given, Mapping):
        return [f"{output}={name}" for output, name in given.items()]
    return [given] if given else []


def _model_file(model: Any, folder: Path) -> Path:
    """Returns the path of a model; one in memory is written as a SavedModel."""
    if isinstance(model, str) or hasattr(model, "__fspath__"):
        return Path(model)
    from tfx_loop.models.keras.export import save_plain

    # Its layers are at hand here, and need not be in the child.
    save_plain(model, folder)
    return folder


def data_file(data: Any, folder: Path) -> Path:
    """Returns the path of rows; those in memory are written, as they go to a child as files."""
    if isinstance(data, str) or hasattr(data, "__fspath__"):
        return Path(data)
    if isinstance(data, tuple) and len(data) == 2:
        return _arrays_file(_named(*data), folder)
    if isinstance(data, Mapping):
        return _arrays_file(data, folder)
    if _is_table(data):
        return _table_file(data, folder)
    if hasattr(data, "__iter__"):
        return _arrays_file(_of_batches(data), folder)
    raise DataError(
        f"Expected rows as (x, y), arrays by name, a table, batches of (x, y) or a path, received "
        f"{type(data).__name__}. Give one of these."
    )


def _is_table(data: Any) -> bool:
    # As `as_table` takes them; Arrow's own have a schema.
    methods = ("__arrow_c_stream__", "to_arrow", "fetch_arrow_table", "to_parquet", "schema")
    return any(hasattr(data, method) for method in methods)


def _table_file(data: Any, folder: Path) -> Path:
    import pyarrow.parquet as pq

    from tfx_loop.data.tables.in_memory import as_table

    path = folder / "rows.parquet"
    pq.write_table(as_table(data, "the rows").read(), path)
    return path


def _arrays_file(arrays: Mapping[str, Any], folder: Path) -> Path:
    from tfx_loop.models.rows.arrays import save_arrays

    path = folder / "rows.npz"
    save_arrays(path, {name: np.asarray(values) for name, values in arrays.items()})
    return path


def _of_batches(batches: Any) -> dict[str, Array]:
    """Returns the arrays of batches `(x, y)`, joined."""
    parts: list[dict[str, Array]] = []
    for batch in batches:
        if not (isinstance(batch, (tuple, list)) and len(batch) == 2):
            raise DataError(
                f"Expected batches of (x, y), received {type(batch).__name__}. Map the dataset so "
                "that it gives inputs and labels."
            )
        parts.append({name: np.asarray(v) for name, v in _named(*batch).items()})
    if not parts:
        raise DataError("Expected batches of rows, received none. Give a dataset that has some.")
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _named(x: Any, y: Any) -> dict[str, Any]:
    """Returns inputs and labels by name; each may be a dict of several."""
    inputs = dict(x) if isinstance(x, Mapping) else {_ROWS: x}
    return {**inputs, **(dict(y) if isinstance(y, Mapping) else {_LABEL: y})}
