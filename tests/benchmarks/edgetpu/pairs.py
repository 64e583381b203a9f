"""Sources and what the real compiler made of them: the truth per operator."""

from dataclasses import dataclass
from pathlib import Path

from tfx_loop.models.tflite.model import EDGETPU_CUSTOM_OP, TFLiteModel
from tfx_loop.models.tflite.reading import read_model

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "edgetpu_pairs"
_TWIN = "_edgetpu"
# Models of one author, network and conversion; any other name is a family of its own.
_FAMILIES = {
    "bodypix": "posenet",
    "posenet": "posenet",
    "deeplab": "deeplab",
    "efficientdet": "efficientdet",
    "efficientnet": "efficientnet",
    "inception": "inception",
    "keras_lstm": "lstm",
    "mobilenet": "mobilenet",
    "tf2_mobilenet": "mobilenet",
    "movenet": "movenet",
    "ssd": "ssd",
    "tf2_ssd": "ssd",
    "split_concat": "split_concat",
}


@dataclass(frozen=True)
class Pair:
    """One source and its compiled twin.

    Attributes:
        name: Name of the source.
        family: Models that may teach each other something.
        path: The source.
        source: The source, read.
        left: Per operator of the source, whether the compiler left it on the CPU.
        twin: The compiled model.
    """

    name: str
    family: str
    path: Path
    source: TFLiteModel
    left: tuple[bool, ...]
    twin: Path


def load_pairs(folder: Path) -> list[Pair]:
    """Returns every source in a folder that has a compiled twin beside it."""
    pairs = []
    for path in sorted(folder.rglob("*.tflite")):
        twin = path.with_name(f"{path.stem}{_TWIN}.tflite")
        if path.stem.endswith(_TWIN) or not twin.is_file():
            continue
        source, compiled = read_model(path), read_model(twin)
        # An operator stayed on the CPU when its output survives outside the custom operator.
        surviving = {
            name
            for operator in compiled.main.operators
            if operator.custom != EDGETPU_CUSTOM_OP
            for name in compiled.main.output_names(operator)
        }
        left = tuple(
            bool(surviving & set(source.main.output_names(operator)))
            for operator in source.main.operators
        )
        pairs.append(Pair(path.stem, family_of(path.stem), path, source, left, twin))
    return pairs


def family_of(name: str) -> str:
    """Returns the family of a model by the beginning of its name."""
    known = [prefix for prefix in _FAMILIES if name.startswith(prefix)]
    return _FAMILIES[max(known, key=len)] if known else name
