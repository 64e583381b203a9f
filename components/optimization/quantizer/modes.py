"""The ways to quantise a model, and which of them a target may use."""

from dataclasses import dataclass
from enum import Enum

from tfx_loop.core.errors import ConfigError
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.metrics.budget import CompressionTarget


class QuantizationMode(str, Enum):
    """How a variant is made."""

    # Weights and activations int8; ranges from calibration rows.
    INT8 = "int8"
    # The same after training with quantisation emulated; needs the tf_keras model and labels.
    QAT_INT8 = "qat_int8"
    # int8, with the layers that suffer most left in float.
    SELECTIVE_INT8 = "selective_int8"
    # Weights int8, activations int16.
    INT16X8 = "int16x8"
    # Weights float16, computed in float32.
    FLOAT16 = "float16"
    # Weights int8, activations quantised while the model runs.
    DYNAMIC_RANGE = "dynamic_range"
    FLOAT = "float"


class IoType(str, Enum):
    """What the model takes and gives where all of it is quantised."""

    FLOAT = "float"
    INT8 = "int8"
    UINT8 = "uint8"

    @property
    def dtype(self) -> str:
        """NumPy's name."""
        return "float32" if self is IoType.FLOAT else self.value


# The order in which people read the ladder; which rung is taken is a matter of the target.
LADDER = tuple(QuantizationMode)
CALIBRATED = (QuantizationMode.INT8, QuantizationMode.SELECTIVE_INT8, QuantizationMode.INT16X8)
_WHOLE_NUMBERS_INSIDE_OUT = (
    QuantizationMode.INT8,
    QuantizationMode.QAT_INT8,
    QuantizationMode.SELECTIVE_INT8,
)
_TITLES = {
    QuantizationMode.INT8: "int8",
    QuantizationMode.QAT_INT8: "int8, trained for it",
    QuantizationMode.SELECTIVE_INT8: "selective int8",
    QuantizationMode.INT16X8: "int16 activations, int8 weights",
    QuantizationMode.FLOAT16: "float16",
    QuantizationMode.DYNAMIC_RANGE: "dynamic range",
    QuantizationMode.FLOAT: "float TFLite",
}


def title(mode: QuantizationMode) -> str:
    """Returns what people call a mode."""
    return _TITLES[mode]


def io_type_of(mode: QuantizationMode, wanted: IoType) -> IoType:
    """Returns what a variant takes and gives: whole numbers only where int8 is used inside."""
    return wanted if mode in _WHOLE_NUMBERS_INSIDE_OUT else IoType.FLOAT


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
    confidence: float = 0.95
    max_probes: int = 64
    fine_tuning: FineTuningSettings | None = None
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
                "0.95 lets one choice in twenty be wrong."
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
