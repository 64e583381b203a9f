"""Request to `loop compress`: a model, a file of rows, a budget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import ConfigError
from tfx_loop.models.rows.encoded_images import DEFAULT_SCALE
from tfx_loop.models.rows.splits import MIN_ROWS
from tfx_loop.models.tensors import Array
from tfx_loop.optimization.compression_target import CompressionTarget
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.quantizer.candidates import VariantLimits
from tfx_loop.optimization.quantizer.modes import QuantizationMode


@dataclass(frozen=True, kw_only=True)
class OutputRequest:
    """What is asked of one output.

    Attributes:
        output: Its name; empty for the only one.
        budget: What may be lost of its metric.
        label: Column or array of its labels; empty for `y` of an .npz.
        metric: Class name of its metric; None infers it.
    """

    output: str
    budget: float
    label: str
    metric: str | None = None


def requested_outputs(
    budgets: Sequence[tuple[str | None, float]],
    labels: Sequence[str],
    metrics: Sequence[str],
    output: str | None = None,
) -> list[OutputRequest]:
    """Returns what is asked of each output, the one that the search is led by first.

    Args:
        budgets: Output and drop; None for the only output, or for `output`.
        labels: `COLUMN`, or `OUTPUT=COLUMN`.
        metrics: `NAME`, or `OUTPUT=NAME`.
        output: The output that is meant where none is named.

    Raises:
        ConfigError: Two for one output, or one for an output without a budget.
    """
    limits = _by_output("--budget", [(name or output, drop) for name, drop in budgets])
    known = [name for name in limits if name is not None]
    of_label = _by_output("--label", [_parted(text, known, output) for text in labels])
    of_metric = _by_output("--metric", [_parted(text, known, output) for text in metrics])
    for option, found in (("--label", of_label), ("--metric", of_metric)):
        # With one budget alone what names no output means that one.
        if len(limits) == 1 and None in found:
            found[next(iter(limits))] = found.pop(None)
        if unlimited := [name for name in found if name not in limits]:
            raise ConfigError(
                f"Expected {option} for outputs that have a --budget, received one for "
                f"{unlimited[0] or 'an output without a name'}. Name it: OUTPUT=…"
            )
    first = output if output in limits else next(iter(limits))
    order = [first, *(name for name in limits if name != first)]
    return [
        OutputRequest(
            output=name or "",
            budget=limits[name],
            # Of several outputs each has the column of its own name, unless another is named.
            label=of_label.get(name, (name or "") if len(limits) > 1 else ""),
            metric=of_metric.get(name),
        )
        for name in order
    ]


def _parted(text: str, outputs: Sequence[str], default: str | None) -> tuple[str | None, str]:
    """Returns the output and the rest; the names of columns may hold a = themselves."""
    name, equals, rest = text.partition("=")
    return (name, rest) if equals and name in outputs else (default, text)


def _by_output(option: str, found: Sequence[tuple[str | None, Any]]) -> dict[str | None, Any]:
    names = [name for name, _ in found]
    if len(set(names)) < len(names):
        raise ConfigError(
            f"Expected one {option} for each output, received {len(names)}. Name the output of "
            f"each: {option} OUTPUT=…"
        )
    return dict(found)


@dataclass(frozen=True, kw_only=True)
class CompressionRequest:
    """One model to make smaller.

    Attributes:
        model: SavedModel folder, .keras or .h5 file.
        data: Parquet, CSV, TFRecord of tf.Examples, or .npz.
        out: Folder to write.
        budget: What may be lost of the metric, in its unit.
        relative: Budgets are shares of the parent's own values of the metrics, not in their units.
        label: Column or array of the labels; None is `y` of an .npz.
        target: What is to be gained.
        metric: Class name of the metric; None infers it from the labels.
        output: Output that the label belongs to, where a model has several.
        others: Further outputs with budgets.
        classes: File of the class names in the order of the outputs, a line each; None numbers
            them by the model or in sorted order.
        slice_columns: Columns that losses are shown by.
        slice_budget: What may be lost on each slice; None limits none.
        signature: Signature of a SavedModel; None takes the one that takes numbers.
        custom_objects: Import paths `module:Name` of layers and functions that a Keras file names.
        seed: Splits the rows.
        evaluate: The user's own metric in place of a named one: a function of labels and answers,
            or its import path `module:function`; None for none.
        higher_is_better: Of that function; False for losses and costs.
        loader: Import path of a function that takes `data` and returns its arrays; empty for none.
        train: Rows to train on with quantisation emulated, as `data` has them; None leaves the rung
            qat_int8 out.
        epochs: Passes over them.
        preprocess: What images of a folder become: `unit`, `signed`, `bytes`, or the import path of
            a function.
        limits: What a variant may take.
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
    relative: bool = False
    label: str | None = None
    target: CompressionTarget = CompressionTarget.SMALLEST
    metric: str | None = None
    output: str | None = None
    others: tuple[OutputRequest, ...] = ()
    classes: Path | None = None
    slice_columns: tuple[str, ...] = ()
    slice_budget: float | None = None
    signature: str | None = None
    custom_objects: tuple[str, ...] = ()
    evaluate: str | Callable[[Array, Array], float] | None = None
    higher_is_better: bool = True
    loader: str = ""
    train: Path | None = None
    epochs: int = FineTuningSettings.epochs
    preprocess: str = DEFAULT_SCALE
    limits: VariantLimits = field(default_factory=VariantLimits)
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
        if self.evaluate is not None and self.metric is not None:
            raise ConfigError(
                f"Expected --evaluate or --metric, received both, {self.metric} beside a function. "
                "Leave one out."
            )
        if self.train is None and QuantizationMode.QAT_INT8.value in self.rungs:
            raise ConfigError(
                "Expected --train FILE, rows to train on, beside the rung qat_int8, received none. "
                "The rows of --data judge the variants, so they must be others."
            )
        if self.train is not None and self.others:
            raise ConfigError(
                "Expected a budget of one output beside --train, received "
                f"{len(self.others) + 1}. Leave --train out: the other rungs need no training."
            )
        if self.max_rows is not None and self.max_rows < MIN_ROWS:
            raise ConfigError(
                f"Expected --rows of at least {MIN_ROWS}, received {self.max_rows}. Leave it out "
                "to use all rows."
            )
        limits = [("--budget", self.budget), ("--slice-budget", self.slice_budget)]
        limits += [(f"--budget {other.output}=", other.budget) for other in self.others]
        for option, value in limits:
            if value is not None and not 0 <= value < float("inf"):
                raise ConfigError(
                    f"Expected {option} of at least 0, in the metric's unit, received {value}. "
                    "0.005 of an accuracy is half a percentage point."
                )
            if self.relative and value is not None and value >= 1:
                raise ConfigError(
                    f"Expected {option} below 1 with --relative, a share of the model's own "
                    f"value, received {value:g}. One percent of it is 0.01 or 1%."
                )

    @property
    def evaluate_name(self) -> str:
        """What people call the user's own metric; empty for none."""
        name = getattr(self.evaluate, "__name__", None) or str(self.evaluate or "")
        return str(name).rpartition(":")[2].rpartition(".")[2]

    def settings(self) -> dict[str, Any]:
        """Returns the settings as the report has them."""
        return {
            "model": str(self.model),
            "data": str(self.data),
            "label": self.label,
            "budget": self.budget,
            "relative": self.relative,
            "slice_budget": self.slice_budget,
            "slices": list(self.slice_columns),
            "target": self.target.value,
            "metric": self.metric,
            "output": self.output,
            "others": {other.output: other.budget for other in self.others},
            "classes": str(self.classes) if self.classes else None,
            "signature": self.signature,
            "custom_objects": list(self.custom_objects),
            "evaluate": self.evaluate_name or None,
            "higher_is_better": self.higher_is_better,
            "loader": self.loader or None,
            "train": str(self.train) if self.train else None,
            "epochs": self.epochs,
            "preprocess": self.preprocess,
            "max_bytes": self.limits.max_bytes,
            "max_latency_ms": self.limits.max_latency_ms,
            "rungs": list(self.rungs),
            "io": self.io,
            "seed": self.seed,
            "max_rows": self.max_rows,
            "timeout_seconds": self.timeout_seconds,
            "memory_mb": self.memory_mb,
        }
