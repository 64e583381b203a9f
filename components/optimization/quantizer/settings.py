"""Settings of Quantizer."""

from dataclasses import dataclass, replace
from typing import Any

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.json_codec import to_json
from tfx_loop.models.guard.settings import GuardSettings
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.metrics.budget import CompressionTarget
from tfx_loop.optimization.quantizer.modes import LADDER, IoType, QuantizationMode, SearchSettings

SEARCH = "search"


@dataclass(frozen=True, kw_only=True)
class QuantizerSettings(GuardSettings):
    """What Quantizer is told: what may be lost, what for, and on which rows that is judged.

    Attributes:
        mode: `search`, or one of dynamic_range, float16, int8, int16x8, selective_int8, qat_int8,
            float.
        max_metric_drop: What may be lost, in the metric's unit; None for one mode as it comes.
        max_slice_drop: What may be lost on each slice; None limits none.
        eval_config: The Evaluator's own `tfma.EvalConfig` (or its JSON): gives metric, label and
            slices where they are not named here.
        metric: Class name as TFMA has it; empty takes the eval_config's, or accuracy (R2Score for
            numbers).
        label_key: Feature with the label; empty takes the eval_config's.
        slice_features: Features that losses are shown and limited by; empty takes the
            eval_config's.
        output: Output that the label belongs to, where a model has several.
        signature: Of the SavedModel; empty takes the one that takes numbers.
        target: What is to be gained: `smallest`, `fastest` or `edge_tpu`.
        io_type: What an int8 variant takes and gives: `float`, `int8` or `uint8`.
        calibration_splits: Splits that calibration rows are drawn from.
        calibration_rows: How many rows fix the ranges; drawn with the seed, each class in
            proportion.
        measure_splits: Splits that judge the variants; a variant is judged too kindly or too
            harshly on rows that the model was trained on.
        fine_tuning: How quantisation-aware training trains (epochs, batch_size, learning_rate,
            compile_fn, …); None leaves that rung out.
        training_splits: Splits that it trains on.
        confidence: How sure, one-sided, it must be that a variant keeps to the budget.
        seed: Of the draw and of training.
        timeout_seconds: How long one conversion may take.
        memory_mb: Memory that the converting process may take, in MiB.
    """

    mode: str = SEARCH
    max_metric_drop: float | None = 0.005
    max_slice_drop: float | None = None
    eval_config: str = ""
    metric: str = ""
    label_key: str = ""
    slice_features: tuple[str, ...] = ()
    output: str = ""
    signature: str = ""
    target: CompressionTarget = CompressionTarget.SMALLEST
    io_type: IoType = IoType.FLOAT
    calibration_splits: tuple[str, ...] = ("train",)
    calibration_rows: int = 300
    measure_splits: tuple[str, ...] = ("eval",)
    fine_tuning: FineTuningSettings | None = None
    training_splits: tuple[str, ...] = ("train",)
    confidence: float = 0.95
    seed: int = 0
    timeout_seconds: float = 600
    memory_mb: float = 8192

    def __post_init__(self) -> None:
        """Checks what can be checked without a model."""
        if self.mode != SEARCH and self.mode not in list(QuantizationMode):
            raise ConfigError(
                f"Expected mode {SEARCH} or one of {', '.join(LADDER)}, received {self.mode!r}."
            )
        if self.mode == SEARCH and self.max_metric_drop is None:
            raise ConfigError(
                "Expected max_metric_drop for mode 'search', received none. Say how much of the "
                "metric may be lost, or name one mode."
            )
        if self.mode == QuantizationMode.QAT_INT8 and self.fine_tuning is None:
            raise ConfigError(
                "Expected fine_tuning for mode 'qat_int8', received none. Say how long it trains."
            )
        if self.calibration_rows < 1:
            raise ConfigError(
                f"Expected calibration_rows of at least 1, received {self.calibration_rows}. "
                "Some hundreds fix the ranges."
            )
        if not self.calibration_splits or not self.measure_splits:
            raise ConfigError("Expected calibration_splits and measure_splits, received none.")
        self.search()

    def search(self) -> SearchSettings:
        """Returns what the search may use."""
        modes = LADDER if self.mode == SEARCH else (QuantizationMode(self.mode),)
        return SearchSettings(
            modes=modes,
            io_type=self.io_type,
            confidence=self.confidence,
            fine_tuning=self.fine_tuning,
        )

    def float_only(self) -> SearchSettings:
        """Returns the settings that make nothing but the float .tflite."""
        return replace(self.search(), modes=(QuantizationMode.FLOAT,), io_type=IoType.FLOAT)

    def to_json(self) -> dict[str, Any]:
        """Returns the settings as a report keeps them, without the Evaluator's configuration."""
        content: dict[str, Any] = to_json(self)
        del content["eval_config"]
        return content
