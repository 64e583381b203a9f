"""Which settings has the node Quantizer, and how do they travel as one JSON string?"""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from tfx_loop.core.errors import ConfigError
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.metrics.budget import CompressionTarget
from tfx_loop.optimization.quantizer.modes import LADDER, IoType, QuantizationMode, SearchSettings

SEARCH = "search"


@dataclass(frozen=True, kw_only=True)
class QuantizerSettings:
    """What the node is asked for.

    Attributes:
        mode: `search`, or one mode.
        max_metric_drop: What may be lost, in the metric's unit; None for one mode without a budget.
        max_slice_drop: What may be lost on each slice; None limits none.
        metric: Class name; empty takes the eval_config's, or accuracy (R2Score for numbers).
        label_key: Feature with the label; empty takes the eval_config's.
        slice_features: Features that losses are shown by; empty takes the eval_config's.
        output: Output that the label belongs to, where a model has several.
        signature: Of the SavedModel; empty takes the one that takes numbers.
        target: What is to be gained.
        io_type: What an int8 variant takes and gives.
        calibration_splits: Splits that calibration rows are drawn from.
        calibration_rows: Rows that fix the ranges.
        measure_splits: Splits that judge the variants; not those that the model was trained on.
        fine_tuning: How quantisation-aware training trains; None leaves it out.
        training_splits: Splits that it trains on.
        confidence: How sure it must be that a variant keeps to the budget.
        seed: Of the draw and of training.
        timeout_seconds: Of one conversion.
        memory_mb: Of the process that converts.
    """

    mode: str = SEARCH
    max_metric_drop: float | None = 0.005
    max_slice_drop: float | None = None
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
        """Returns the settings as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "QuantizerSettings":
        """Returns the settings that `to_json` wrote; a name that is not there keeps its default.

        Raises:
            ConfigError: A name is unknown or a value cannot work.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(content) - known):
            raise ConfigError(
                f"Expected settings of Quantizer among {', '.join(sorted(known))}, "
                f"received {', '.join(unknown)}."
            )
        values = dict(content)
        for name in ("slice_features", "calibration_splits", "measure_splits", "training_splits"):
            if name in values:
                values[name] = _names(values[name], name)
        if isinstance(values.get("fine_tuning"), dict):
            values["fine_tuning"] = FineTuningSettings.from_json(values["fine_tuning"])
        for name, kind in (("target", CompressionTarget), ("io_type", IoType)):
            if name in values:
                values[name] = _choice(values[name], kind, name)
        return cls(**values)


def _names(value: Any, name: str) -> tuple[str, ...]:
    if isinstance(value, str) or not all(isinstance(part, str) for part in value):
        raise ConfigError(f"Expected a list of names for {name}, received {value!r}.")
    return tuple(value)


def _choice(value: Any, kind: Any, name: str) -> Any:
    try:
        return kind(value)
    except ValueError as error:
        known = ", ".join(item.value for item in kind)
        raise ConfigError(f"Expected {name} of {known}, received {value!r}.") from error
