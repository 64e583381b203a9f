"""Settings of the search for a variant, what a target allows of them, and those of Quantizer."""

from dataclasses import dataclass, replace
from typing import Any

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.json_codec import to_json
from tfx_loop.models.guard.settings import GuardSettings
from tfx_loop.optimization.compression_target import CompressionTarget
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.metrics.intervals import CONFIDENCE
from tfx_loop.optimization.quantizer.modes import LADDER, IoType, QuantizationMode

SEARCH = "search"


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """What the search may use.

    Attributes:
        modes: Rungs to try; the others are left out without a word.
        io_type: What an int8 variant takes and gives.
        confidence: One-sided: how sure it must be that a variant keeps to the budget.
        max_probes: Conversions that selective int8 may spend on finding the worst layers.
        fine_tuning: How quantisation-aware training trains; None leaves that rung out.
        latency_seconds: Time for measuring each variant where the target is speed.
    """

    modes: tuple[QuantizationMode, ...] = LADDER
    io_type: IoType = IoType.FLOAT
    confidence: float = CONFIDENCE
    max_probes: int = 64
    fine_tuning: FineTuningSettings | None = None
    # Some hundred calls of a small model, whose median is steady then; a rung each.
    latency_seconds: float = 1.0

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if not self.modes:
            raise ConfigError(
                f"Expected at least one mode of {', '.join(QuantizationMode)}, received none. "
                "Name the rungs."
            )
        if not 0.5 <= self.confidence < 1:
            raise ConfigError(
                f"Expected confidence from 0.5 to below 1, received {self.confidence}. "
                f"{CONFIDENCE} lets one choice in twenty be wrong."
            )
        if self.max_probes < 2:
            raise ConfigError(f"Expected max_probes of at least 2, received {self.max_probes}.")


def for_target(
    settings: SearchSettings, target: CompressionTarget
) -> tuple[tuple[QuantizationMode, ...], IoType]:
    """Returns the rungs and the I/O type that a target allows.

    The Edge TPU runs int8 from input to output and nothing else; I/O in float is turned to int8.

    Raises:
        ConfigError: None of the rungs asked for serves the target.
    """
    if target is not CompressionTarget.EDGE_TPU:
        return tuple(m for m in LADDER if m in settings.modes), settings.io_type
    # Each other rung leaves operators in float or int16, which the compiler gives to the CPU.
    modes = tuple(
        m for m in (QuantizationMode.INT8, QuantizationMode.QAT_INT8) if m in settings.modes
    )
    if not modes:
        raise ConfigError(
            f"Expected the mode int8 or qat_int8 for the Edge TPU, received "
            f"{', '.join(settings.modes)}. It runs nothing else."
        )
    whole = settings.io_type is not IoType.FLOAT
    return modes, settings.io_type if whole else IoType.INT8


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
        classes: Names of the classes in the order of the outputs, for labels that are text; empty
            takes them from the model, or numbers them in sorted order where that is clear.
        signature: Of the SavedModel; empty takes one of numbers, else `serving_default`, or
            `serving_tf_example` where that one alone takes tf.Examples.
        parse_fn: Import path of a function from the Examples' features to the model's inputs,
            arrays by name in and out, for a model that takes decoded images or encoded text.
        target: What is to be gained: `smallest`, `smallest_zipped`, `fastest` or `edge_tpu`.
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
    # Half a point of an accuracy. Chosen, not measured: what a smaller model is worth is the user's
    # to state.
    max_metric_drop: float | None = 0.005
    max_slice_drop: float | None = None
    eval_config: str = ""
    metric: str = ""
    label_key: str = ""
    slice_features: tuple[str, ...] = ()
    output: str = ""
    classes: tuple[str, ...] = ()
    signature: str = ""
    parse_fn: str = ""
    target: CompressionTarget = CompressionTarget.SMALLEST
    io_type: IoType = IoType.FLOAT
    calibration_splits: tuple[str, ...] = ("train",)
    # TensorFlow's guide of post-training quantisation takes 100 to 500 rows; more hardly move a
    # range that is a minimum and a maximum.
    calibration_rows: int = 300
    measure_splits: tuple[str, ...] = ("eval",)
    fine_tuning: FineTuningSettings | None = None
    training_splits: tuple[str, ...] = ("train",)
    confidence: float = CONFIDENCE
    seed: int = 0
    # The default of a conversion, which takes seconds: the limit is for what hangs.
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
