"""The content of `optimization_report.json`: what was done to a model, and what that cost.

One report a run of Quantizer, Pruner, Distiller or `loop compress`; VariantChooser, `loop report`
and the page read it. A number that could not be measured is None, never NaN.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tfx_loop.core.json_file import JsonFile


class OptimizationVerdict(str, Enum):
    """Whether a variant keeps to the budget."""

    KEPT = "KEPT"
    NOT_KEPT = "NOT_KEPT"


class OptimizationReason(str, Enum):
    """Why the verdict is what it is."""

    WITHIN_BUDGET = "within_budget"
    # Of earlier releases, which kept a variant over the budget on few reporting rows.
    WITHIN_ON_ALL_HELD_OUT = "within_budget_on_all_held_out_rows"
    NO_VARIANT_KEEPS_BUDGET = "no_variant_keeps_budget"
    # The rows that chose said yes, the rows that nobody had seen said no.
    NOT_CONFIRMED = "not_confirmed_on_reporting_rows"
    # No budget was given, or no labels: the variant was made as asked.
    NO_BUDGET = "no_budget"
    SPARSITY_NOT_REACHED = "sparsity_not_reached"


class RungStatus(str, Enum):
    """What became of a rung of the ladder."""

    CHOSEN = "chosen"
    # Keeps to the budget, and another one serves the target better.
    KEPT = "kept"
    OVER_BUDGET = "over_budget"
    # Could not be converted, loaded or run.
    FAILED = "failed"
    SKIPPED = "skipped"


class SliceStatus(str, Enum):
    """Whether a slice keeps to its limit."""

    WITHIN = "within"
    OVER = "over"
    # Too few rows to say; it does not decide.
    TOO_FEW_ROWS = "too_few_rows"
    NOT_LIMITED = "not_limited"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A number with its 95 % confidence interval; the bounds are None where none can be given."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class MetricUsed:
    """Which metric was measured.

    Attributes:
        name: Class name as TFMA and Keras know it, such as `AUC`.
        higher_is_better: False for losses.
    """

    name: str
    higher_is_better: bool = True


@dataclass(frozen=True, kw_only=True)
class SliceResult:
    """The metric of parent and child on the same rows.

    Attributes:
        slice: `overall`, or `column:value`.
        rows: Rows in it.
        parent: Metric of the model that was optimised.
        child: Metric of the variant.
        drop: What was lost, in the metric's unit; positive means that the child is worse.
        limit: What may be lost; None when nothing was asked.
        status: Whether the drop stays within the limit.
    """

    slice: str
    rows: int
    parent: Interval
    child: Interval
    drop: Interval
    limit: float | None = None
    status: SliceStatus = SliceStatus.NOT_LIMITED


@dataclass(frozen=True, kw_only=True)
class Size:
    """Bytes of a model's files: as they are, and zipped (DEFLATE, level 9).

    Variants that were not chosen are not zipped (None), which takes longer than to measure them.
    """

    raw_bytes: int
    zipped_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class Latency:
    """How long one call takes on this machine, in milliseconds."""

    runtime: str
    batch_size: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    calls: int


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer's (or tensor's) weights.

    Attributes:
        name: Name in the model.
        shape: Shape of its largest weight.
        parameters: Numbers in all its weights.
        zeros: How many of them are exactly zero.
        dtype: Type of the largest weight, such as `float32` or `int8`.
        kept_in_float: True where a selective rung left this layer in float.
        error: Root mean square change of the model's outputs when this layer alone is quantised;
            None where it was not measured.
    """

    name: str
    shape: tuple[int, ...] = ()
    parameters: int = 0
    zeros: int = 0
    dtype: str = "float32"
    kept_in_float: bool = False
    error: float | None = None


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How far the child's outputs are from the parent's, on the same rows.

    Attributes:
        max_difference: Largest absolute difference of an output.
        mean_difference: Mean absolute difference.
        top_class_agreement: Fraction of rows with the same decision; None for regression.
        rows: Rows compared.
    """

    max_difference: float
    mean_difference: float
    top_class_agreement: float | None = None
    rows: int = 0


@dataclass(frozen=True, kw_only=True)
class OutputResult:
    """One output of a model with several.

    Attributes:
        output: Its name.
        parity: How far the child's answers are from the parent's.
        metric: What was measured; None without a budget.
        overall: The metric of both, against the budget; None without one.
    """

    output: str
    parity: Parity
    metric: MetricUsed | None = None
    overall: SliceResult | None = None


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What is known of one model file.

    Attributes:
        path: File or folder, as the report's reader finds it.
        format: `saved_model`, `keras`, `h5` or `tflite`.
        mode: How it was made, such as `float` or `int8`.
        runtime: What ran it for the numbers here.
        size: Bytes.
        parameters: Numbers in its weights.
        sparsity: Fraction of the weights that are zero, None when unknown.
        layers: Weights by layer.
        latency: By batch size.
        weight_bytes: Bytes of its weights alone, without the optimizer's memory that Keras files
            keep; 0 where nobody counted.
        inputs: `name shape dtype`, one a tensor.
        outputs: The same for outputs.
    """

    path: str
    format: str
    size: Size
    mode: str = "float"
    runtime: str = ""
    parameters: int = 0
    sparsity: float | None = None
    layers: tuple[Layer, ...] = ()
    latency: tuple[Latency, ...] = ()
    weight_bytes: int = 0
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One variant that was tried, or passed over.

    Attributes:
        name: What people call it, such as `selective int8, 3 layers in float`.
        mode: Mode's value, such as `selective_int8`.
        status: What became of it.
        reason: Stable code, such as `drop_over_budget`, `larger_than_chosen`.
        explanation: One sentence for people.
        size: Bytes; None when no file came of it.
        metric: The child's metric on the choosing rows.
        drop: Against the parent on the choosing rows.
        limit: What may be lost.
        slices: Per slice on the choosing rows, where slices are asked for.
        parity: With the parent, on the choosing rows.
        latency_ms: Median of one call at batch 1, where the target is speed.
        float_layers: Layers that a selective rung left in float.
        layer_errors: Root mean square change of the model's outputs when a layer alone is
            quantised, by layer, where it was measured.
        seconds: Time to make and to measure it.
        file: File name within the output folder, empty when it was not kept.
    """

    name: str
    mode: str
    status: RungStatus
    reason: str
    explanation: str = ""
    size: Size | None = None
    metric: Interval | None = None
    drop: Interval | None = None
    limit: float | None = None
    slices: tuple[SliceResult, ...] = ()
    parity: Parity | None = None
    latency_ms: float | None = None
    float_layers: tuple[str, ...] = ()
    layer_errors: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    file: str = ""


@dataclass(frozen=True, kw_only=True)
class OptimizationProperties:
    """What the artifact says of itself, for conditions and queries; None where nobody knows.

    Attributes:
        technique: As in the report.
        verdict: Whether a variant keeps to the budget.
        kept: The same, for conditions of a pipeline.
        reason: Why.
        variant: Which variant goes on.
        size_bytes: Of its files.
        zipped_bytes: Of the same, zipped.
        sparsity: Fraction of its weights that are zero.
        metric_drop: What was lost on the reporting rows, in the metric's unit.
    """

    technique: str | None = None
    verdict: str
    kept: bool | None = None
    reason: str | None = None
    variant: str
    size_bytes: int | None = None
    zipped_bytes: int | None = None
    sparsity: float | None = None
    metric_drop: float | None = None


@dataclass(frozen=True, kw_only=True)
class OptimizationResult:
    """What an optimiser did.

    Attributes:
        technique: `quantization`, `pruning`, `clustering`, `distillation`.
        verdict: Whether a variant keeps to the budget.
        reason: Why.
        explanation: One sentence for people.
        parent: The model that came in.
        child: The model that went out; None when none keeps to the budget.
        baseline: The parent as a float .tflite, which a variant is smaller and faster than: the
            parent's own file may hold an optimizer, and runs in another runtime; None where it
            was not made.
        metric: What was measured, None without labels.
        overall: Parent and child on the reporting rows, which nothing was chosen on.
        slices: The same by slice.
        parity: The same for the outputs.
        outputs: Each output on the reporting rows, of a model with several.
        rungs: All that was tried, in the order of the ladder.
        front: Names of the rungs that no other beats in size, loss and time, the smallest first.
        rows: Rows by use: `calibration`, `choosing`, `reporting`.
        settings: What was asked for; JSON values.
        notes: What was assumed of the data, in sentences.
    """

    technique: str
    verdict: OptimizationVerdict
    reason: OptimizationReason
    explanation: str
    parent: ModelFacts
    child: ModelFacts | None = None
    baseline: ModelFacts | None = None
    metric: MetricUsed | None = None
    overall: SliceResult | None = None
    slices: tuple[SliceResult, ...] = ()
    parity: Parity | None = None
    outputs: tuple[OutputResult, ...] = ()
    rungs: tuple[Rung, ...] = ()
    front: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


OPTIMIZATION_REPORT = JsonFile(
    name="optimization_report.json",
    kind=OptimizationResult,
    title="an OptimizationReport",
    remedy="Name a report that loop compress or an optimiser of this release wrote.",
)
