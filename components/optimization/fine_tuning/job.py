"""What is an optimiser that trains given besides its settings, and what is compared after it?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfx_loop.models.rows.fitting import rows_from_table
from tfx_loop.models.rows.rows import Rows
from tfx_loop.models.tensors import TensorSpec
from tfx_loop.optimization.fine_tuning.comparison import Asked, Side
from tfx_loop.optimization.fine_tuning.node import Judged, present
from tfx_loop.optimization.fine_tuning.outputs import Served, Written
from tfx_loop.optimization.reporting.facts import Described


@dataclass(frozen=True, kw_only=True)
class Job:
    """A model to start from, rows, and by what the child is judged.

    Attributes:
        parent: The file that answers: the Keras file, or another model that takes numbers.
        deployed: The file or folder whose bytes count as the parent's.
        training: pyarrow Table of rows to train on, columns by the models' inputs.
        reporting: The same of rows to judge the child on.
        judged: By what the child is judged.
        export_fn: Import path of the user's function that writes the SavedModel; empty for none.
        transform_output: Folder of the Transform graph; None for none.
        shown_parent: What the report calls the parent.
        shown_child: What the report calls the child.
    """

    parent: Path
    deployed: Path
    training: Any
    reporting: Any
    judged: Judged
    export_fn: str = ""
    transform_output: str | None = None
    shown_parent: str = ""
    shown_child: str = ""

    @property
    def served(self) -> Served:
        """What the signatures of a child of another shape than its parent are made from."""
        return Served(
            export_fn=self.export_fn,
            parent_saved_model=str(self.deployed),
            transform_output=self.transform_output,
            label=self.judged.label,
        )

    def training_rows(self, inputs: Sequence[TensorSpec]) -> Rows:
        """Returns the rows to train on, as a model with these inputs takes them.

        Raises:
            DataError: They lack a column.
        """
        return rows_from_table(self.training, inputs, self.judged.label)

    def reporting_rows(self, inputs: Sequence[TensorSpec]) -> Rows:
        """Returns the rows to judge on, with their slices; raises as `training_rows`."""
        slices, _ = self._slices()
        return rows_from_table(self.reporting, inputs, self.judged.label, slices)

    def parent_side(
        self, rows: Rows, custom_objects: tuple[str, ...], output: str | None = None
    ) -> Side:
        """Returns the parent as it is compared on the reporting rows."""
        described = Described(
            path=str(self.parent), custom_objects=custom_objects, shown_path=self.shown_parent
        )
        return Side(asked=described, rows=rows, deployed=self.deployed, output=output)

    def child_side(
        self, written: Written, rows: Rows, mode: str, custom_objects: tuple[str, ...] = ()
    ) -> Side:
        """Returns the child as it is compared on the reporting rows."""
        described = Described(
            path=str(written.keras),
            mode=mode,
            custom_objects=custom_objects,
            shown_path=self.shown_child,
        )
        return Side(asked=described, rows=rows, deployed=written.saved_model)

    def asked(
        self, technique: str, settings: Mapping[str, Any], notes: Sequence[str], refused: str = ""
    ) -> Asked:
        """Returns what is judged, and by what; `notes` and `refused` as `Asked` has them."""
        _, lacking = self._slices()
        return Asked(
            technique=technique,
            settings=settings,
            judged=self.judged,
            refused=refused,
            notes=(*lacking, *notes),
        )

    def _slices(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return present(self.judged.slices, self.reporting.column_names)
