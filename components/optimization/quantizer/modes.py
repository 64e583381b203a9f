"""The ways to quantise a model, and what their variants take and give."""

from enum import Enum


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
