"""Where does a trained child lie, and from what are its signatures made? Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from tfx_loop.models.formats import KERAS_FOLDER, SERVING_FOLDER


class Signatures(str, Enum):
    """Where the signatures of an exported model come from."""

    EXPORT_FN = "export_fn"
    PARENT = "parent"
    TRANSFORM_GRAPH = "transform_graph"
    INPUTS = "inputs"


@dataclass(frozen=True, kw_only=True)
class Served:
    """What the signatures of a SavedModel are made from, in the order in which they are tried.

    Attributes:
        export_fn: Import path of the user's function; empty for none.
        parent_keras: The parent's Keras file, when parent and child have the same shape.
        parent_saved_model: The parent's SavedModel.
        transform_output: Folder of the Transform graph.
        label: Name of the label, which rows to be scored do not have.
        custom_objects: Import paths of layers and losses that the parent's Keras file names.
    """

    export_fn: str = ""
    parent_keras: str | None = None
    parent_saved_model: str | None = None
    transform_output: str | None = None
    label: str | None = None
    custom_objects: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Written:
    """A child on disk.

    Attributes:
        keras: `Format-Keras/model.keras`.
        saved_model: `Format-Serving/`.
        signatures: Where its signatures come from; None before it is written.
    """

    keras: Path
    saved_model: Path
    signatures: Signatures | None = None

    @classmethod
    def within(cls, folder: Path) -> "Written":
        """Returns the places in a TFX Model's folder."""
        return cls(keras=folder / KERAS_FOLDER / "model.keras", saved_model=folder / SERVING_FOLDER)

    def signed(self, signatures: str) -> "Written":
        """Returns the same with the source of its signatures."""
        return replace(self, signatures=Signatures(signatures))


def to_payload(written: Written, served: Served | None) -> dict[str, Any]:
    """Returns what a child process is told of the child that it writes."""
    return {
        "keras": str(written.keras),
        "saved_model": str(written.saved_model),
        "served": asdict(served or Served()),
    }


def from_payload(payload: Mapping[str, Any]) -> tuple[Written, Served]:
    """Returns what `to_payload` told."""
    written = Written(keras=Path(payload["keras"]), saved_model=Path(payload["saved_model"]))
    return written, Served(**payload["served"])
