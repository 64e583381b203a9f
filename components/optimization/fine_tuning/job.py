"""A fine-tuning job: the model to start from, its rows, where the child goes, how it is judged.

Pruner and Distiller share it. What crosses to the child process is `ChildFiles` and
`ExportSources`; this module imports no TensorFlow, so that both sides can.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from tfx_loop.core import json_codec
from tfx_loop.core.errors import ModelError
from tfx_loop.core.texts import listed
from tfx_loop.models.formats import KERAS_FOLDER, SERVING_FOLDER
from tfx_loop.models.preprocessing.source import ReadExamples
from tfx_loop.models.rows.splits import Rows
from tfx_loop.models.tensors import TensorSpec
from tfx_loop.optimization.fine_tuning.comparison import Acceptance, ComparedModel
from tfx_loop.optimization.reporting.facts import MeasuredModel


class SignatureSource(str, Enum):
    """Where the signatures of an exported model come from."""

    EXPORT_FN = "export_fn"
    PARENT = "parent"
    PREPROCESSING = "preprocessing"
    TRANSFORM_GRAPH = "transform_graph"
    INPUTS = "inputs"


@dataclass(frozen=True, kw_only=True)
class ExportSources:
    """What the signatures of a SavedModel are made from, in the order in which they are tried.

    Attributes:
        export_fn: Import path of the user's function; empty for none.
        parent_keras: The parent's Keras file, when parent and child have the same shape.
        parent_saved_model: The parent's SavedModel.
        preprocessing: Of the parent, a SavedModel's folder.
        transform_output: Folder of the Transform graph.
        label: Name of the label, which rows to be scored do not have.
        custom_objects: Import paths of layers and losses that the parent's Keras file names.
    """

    export_fn: str = ""
    parent_keras: str | None = None
    parent_saved_model: str | None = None
    preprocessing: str | None = None
    transform_output: str | None = None
    label: str | None = None
    custom_objects: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChildFiles:
    """A child in the folder of a TFX Model, as Keras file and as SavedModel.

    Attributes:
        folder: The Model's folder.
    """

    folder: Path

    @property
    def keras(self) -> Path:
        """The Keras file."""
        return self.folder / KERAS_FOLDER / "model.keras"

    @property
    def saved_model(self) -> Path:
        """The SavedModel's folder."""
        return self.folder / SERVING_FOLDER


def to_payload(child: ChildFiles, sources: ExportSources | None) -> dict[str, Any]:
    """Returns what a child process is told of the model that it writes."""
    return {
        "child": str(child.folder),
        "export_sources": json_codec.to_json(sources or ExportSources()),
    }


def from_payload(payload: Mapping[str, Any]) -> tuple[ChildFiles, ExportSources]:
    """Returns what `to_payload` told."""
    sources = json_codec.from_json(ExportSources, payload["export_sources"], "export_sources")
    return ChildFiles(Path(payload["child"])), sources


@dataclass(frozen=True, kw_only=True)
class FineTuningJob:
    """A model to start from, rows, and by what the child is judged.

    Attributes:
        parent: The file that answers: the Keras file, or another model that takes numbers.
        deployed: The file or folder whose bytes count as the parent's.
        child: Where the child goes.
        training: Examples to train on.
        reporting: Examples to judge the child on.
        acceptance: By what the child is judged.
        preprocessing: What makes the parent's inputs of tf.Examples; None for none.
        told: What a report says of the parent, in sentences.
        export_fn: Import path of the user's function that writes the SavedModel; empty for none.
        transform_output: Folder of the Transform graph; None for none.
        shown_parent: What the report calls the parent.
        shown_child: What the report calls the child.
    """

    parent: Path
    deployed: Path
    child: ChildFiles
    training: ReadExamples
    reporting: ReadExamples
    acceptance: Acceptance
    preprocessing: Path | None = None
    told: tuple[str, ...] = ()
    export_fn: str = ""
    transform_output: str | None = None
    shown_parent: str = ""
    shown_child: str = ""

    @property
    def export_sources(self) -> ExportSources:
        """What the signatures of a child of another shape than its parent are made from."""
        return ExportSources(
            export_fn=self.export_fn,
            parent_saved_model=str(self.deployed),
            transform_output=self.transform_output,
            preprocessing=str(self.preprocessing) if self.preprocessing else None,
            label=self.acceptance.label,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What was made of the parent, and which slices are left out, in sentences."""
        columns = self.reporting.table.column_names
        return (*self.told, *slices_in(self.acceptance.slices, columns)[1])

    def training_rows(self, inputs: Sequence[TensorSpec]) -> Rows:
        """Returns the rows to train on, as a model with these inputs takes them.

        Raises:
            DataError: They lack a column.
        """
        return self.training.rows(inputs, self.acceptance.label)

    def reporting_rows(self, inputs: Sequence[TensorSpec]) -> Rows:
        """Returns the rows to judge on, with their slices; raises as `training_rows`."""
        slices, _ = slices_in(self.acceptance.slices, self.reporting.table.column_names)
        return self.reporting.rows(inputs, self.acceptance.label, slices)

    def compared_parent(
        self, rows: Rows, custom_objects: tuple[str, ...], output: str | None = None
    ) -> ComparedModel:
        """Returns the parent as it is compared on the reporting rows."""
        model = MeasuredModel(
            path=str(self.parent), custom_objects=custom_objects, shown_path=self.shown_parent
        )
        return ComparedModel(model=model, rows=rows, deployed=self.deployed, output=output)

    def compared_child(
        self,
        rows: Rows,
        mode: str,
        custom_objects: tuple[str, ...] = (),
        output: str | None = None,
    ) -> ComparedModel:
        """Returns the child as it is compared on the reporting rows."""
        model = MeasuredModel(
            path=str(self.child.keras),
            mode=mode,
            custom_objects=custom_objects,
            shown_path=self.shown_child,
        )
        return ComparedModel(model=model, rows=rows, deployed=self.child.saved_model, output=output)


def preprocessed_inputs(
    takes: Sequence[str], made: Collection[str], others: Collection[str] = ()
) -> dict[str, str]:
    """Returns by input of a network what a preprocessing gives it.

    A single input takes a single output, whatever they are called, as rows are fitted, too.

    Args:
        takes: Inputs of the network.
        made: Outputs of the preprocessing.
        others: Transformed features that it gives to no model, and that rows have all the same.

    Raises:
        ModelError: An input has another name than all that the preprocessing makes.
    """
    # An input that is called as another transformed feature asks for that feature.
    if len(takes) == len(made) == 1 and takes[0] not in set(others) - set(made):
        return dict(zip(takes, made, strict=True))
    if missing := sorted(set(takes) - set(made)):
        raise ModelError(
            f"Expected a student that takes some of {listed(sorted(made))}, which the teacher's "
            f"preprocessing makes, received one that takes {listed(missing)}. Name the student's "
            "inputs so, give the transform_graph that names them, or give export_fn."
        )
    return {name: name for name in takes}


def slices_in(
    slices: tuple[str, ...], columns: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the slices that the rows have, and a note for those that they lack."""
    found = tuple(name for name in slices if name in columns)
    lacking = [name for name in slices if name not in columns]
    note = f"Not broken down by {', '.join(lacking)}: the examples have no such column."
    return found, (note,) if lacking else ()
