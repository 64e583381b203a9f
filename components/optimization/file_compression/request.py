"""Request to `loop compress`: a model, a file of rows, a budget."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import ConfigError
from tfx_loop.models.rows.splits import MIN_ROWS
from tfx_loop.optimization.metrics.budget import CompressionTarget

IO_TYPES = ("float", "int8", "uint8")


@dataclass(frozen=True, kw_only=True)
class CompressionRequest:
    """One model to make smaller.

    Attributes:
        model: SavedModel folder, .keras or .h5 file.
        data: Parquet, CSV, TFRecord of tf.Examples, or .npz.
        out: Folder to write.
        budget: What may be lost of the metric, in its unit.
        label: Column or array of the labels; None is `y` of an .npz.
        target: What is to be gained.
        metric: Class name of the metric; None infers it from the labels.
        output: Output that the label belongs to, where a model has several.
        slice_columns: Columns that losses are shown by.
        slice_budget: What may be lost on each slice; None limits none.
        signature: Signature of a SavedModel; None takes the one that takes numbers.
        seed: Splits the rows.
        rungs: Modes to try; empty tries all that serve the target.
        io: What an int8 model takes and gives.
        max_rows: At most so many rows of the file are used; None uses all.
        timeout_seconds: Of each conversion.
        memory_mb: Of the process that converts.
    """

    model: Path
    data: Path
    out: Path
    budget: float
    label: str | None = None
    target: CompressionTarget = CompressionTarget.SMALLEST
    metric: str | None = None
    output: str | None = None
    slice_columns: tuple[str, ...] = ()
    slice_budget: float | None = None
    signature: str | None = None
    seed: int = 0
    rungs: tuple[str, ...] = ()
    io: str = "float"
    max_rows: int | None = None
    timeout_seconds: float = 600
    memory_mb: float = 8192

    def __post_init__(self) -> None:
        """Checks what can be checked before any file is read."""
        if self.slice_budget is not None and not self.slice_columns:
            raise ConfigError(
                "Expected --slice COLUMN beside --slice-budget, received none. Name the columns."
            )
        if self.max_rows is not None and self.max_rows < MIN_ROWS:
            raise ConfigError(
                f"Expected --rows of at least {MIN_ROWS}, received {self.max_rows}. Leave it out "
                "to use all rows."
            )
        for option, value in (("--budget", self.budget), ("--slice-budget", self.slice_budget)):
            if value is not None and not 0 <= value < float("inf"):
                raise ConfigError(
                    f"Expected {option} of at least 0, in the metric's unit, received {value}. "
                    "0.005 of an accuracy is half a percentage point."
                )

    def settings(self) -> dict[str, Any]:
        """Returns the settings as the report has them."""
        return {
            "model": str(self.model),
            "data": str(self.data),
            "label": self.label,
            "budget": self.budget,
            "slice_budget": self.slice_budget,
            "slices": list(self.slice_columns),
            "target": self.target.value,
            "metric": self.metric,
            "output": self.output,
            "signature": self.signature,
            "rungs": list(self.rungs),
            "io": self.io,
            "seed": self.seed,
            "max_rows": self.max_rows,
            "timeout_seconds": self.timeout_seconds,
            "memory_mb": self.memory_mb,
        }
