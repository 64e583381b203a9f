"""Champion and challenger on the rows that are held out of both, row by row.

A row is held out by its group or key, the same in each training, so the challenger's held-out rows
were held out of the champion's training, too. The rows of the newest span stand apart: the champion
never saw their time, and the challenger did.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tfx_loop.contracts.task import ModelTask
from tfx_loop.core.errors import DataError
from tfx_loop.core.json_file import JsonFile
from tfx_loop.data.tables.tfrecord import read_records
from tfx_loop.models.example_predictor import ExamplePredictor
from tfx_loop.models.paired_losses import (
    ModelComparison,
    PairedComparison,
    compare,
)
from tfx_loop.models.task_labels import encoded_labels, inferred_task
from tfx_loop.models.task_losses import constant_answer, repeated, row_losses, shaped_answers
from tfx_loop.models.time_blocks import Floats, time_blocks

HELD_OUT_COMPARISON = JsonFile(
    name="comparison.json",
    kind=ModelComparison,
    title="a comparison of champion and challenger",
    remedy="Evaluate the model again with this release.",
)
_TIME, _SPAN = "event_time_ms", "span"
# Records decoded together; read_records holds one such list in memory.
_BATCH = 4_096
# More rows make the interval no narrower that matters, and asking two models takes seconds.
_MOST_ROWS = 50_000


def compare_models(
    files: Sequence[str],
    champion_folder: str,
    challenger_folder: str,
    label: str,
    slices: Sequence[str],
    margin: float,
    task: ModelTask | None = None,
    output: str = "",
) -> ModelComparison:
    """Asks both models the same rows.

    Args:
        files: TFRecord files of tf.Examples, held out of both.
        champion_folder: SavedModel of the champion.
        challenger_folder: SavedModel of the challenger.
        label: Feature of the label.
        slices: Features by whose values rows are told apart.
        margin: Share of the champion's loss by which a challenger may be worse.
        task: What they answer; None takes what labels and answers show.
        output: The output that is judged; empty takes the only one.

    Raises:
        DataError: There are no labelled rows, or a model gives no answer to a row.
    """
    rows = _held_out(files, label, slices)
    answers = [
        ExamplePredictor(folder, output)(rows.records)
        for folder in (champion_folder, challenger_folder)
    ]
    known = task or inferred_task(_numbers(rows.labels), answers[0])
    labelled = rows.labelled(known)
    champion, challenger = (
        row_losses(labelled.encoded(known), labelled.of(each, known), known) for each in answers
    )
    block = time_blocks(pd.to_numeric(labelled.rows[_TIME], errors="coerce").to_numpy(float))
    return _told_apart(labelled.rows, champion, challenger, block, slices, margin)


def gain_over_constant(
    files: Sequence[str], folder: str, label: str, task: ModelTask, output: str
) -> float:
    """Returns the share of the best constant answer's loss that a model saves on held-out rows.

    The constant is the best one for these very rows, known afterwards.

    Raises:
        DataError: There are no labelled rows, or the model gives no answer to a row.
    """
    rows = _held_out(files, label, ())
    answers = ExamplePredictor(folder, output)(rows.records)
    labelled = rows.labelled(task)
    labels = labelled.encoded(task)
    # The hardest constant to beat: one from the training rows would lose more here.
    flat = row_losses(labels, repeated(constant_answer(labels, task), len(labels)), task).mean()
    lost = row_losses(labels, labelled.of(answers, task), task).mean()
    return float(1 - lost / flat) if flat > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class _HeldOutRows:
    """Held-out rows: records, their labels as they are, and the places of those that are kept."""

    records: Sequence[bytes]
    labels: Any
    rows: pd.DataFrame
    places: npt.NDArray[np.int64]

    def encoded(self, task: ModelTask) -> Floats:
        return encoded_labels(self.labels, task)[self.places]

    def of(self, answers: Floats, task: ModelTask) -> Floats:
        return shaped_answers(answers, len(self.records), task)[self.places]

    def labelled(self, task: ModelTask) -> "_HeldOutRows":
        """Returns the rows with a label that the task knows."""
        places = np.flatnonzero(np.isfinite(encoded_labels(self.labels, task)))
        if not len(places):
            raise DataError(
                "Expected labels in the held-out rows that the task has, received none."
            )
        return replace(self, rows=self.rows.iloc[places].reset_index(drop=True), places=places)


def _held_out(files: Sequence[str], label: str, slices: Sequence[str]) -> _HeldOutRows:
    records = [record for file in files for batch in read_records(file, _BATCH) for record in batch]
    # Evenly over the files, which hold rows in no order.
    if len(records) > _MOST_ROWS:
        records = [records[i] for i in np.linspace(0, len(records) - 1, _MOST_ROWS).astype(int)]
    labels = _values(records, label)
    known = [place for place, value in enumerate(labels) if value]
    if not known:
        raise DataError(f"Expected labels {label!r} in the held-out rows, received none.")
    records = [records[place] for place in known]
    return _HeldOutRows(
        records=records,
        labels=pa.array([labels[place] for place in known]),
        rows=_columns(records, [_TIME, _SPAN, *slices]),
        places=np.arange(len(records)),
    )


def _numbers(labels: Any) -> Floats:
    """Returns labels as they are, where they are one number a row."""
    first = pd.Series([row[0] if len(row) == 1 else None for row in labels.to_pylist()])
    return np.asarray(pd.to_numeric(first, errors="coerce"), dtype=np.float64)


def _told_apart(
    rows: pd.DataFrame,
    champion: Floats,
    challenger: Floats,
    block: npt.NDArray[np.int64],
    slices: Sequence[str],
    margin: float,
) -> ModelComparison:
    def among(chosen: npt.NDArray[np.bool_]) -> PairedComparison:
        return compare(champion[chosen], challenger[chosen], block[chosen], margin)

    spans = pd.to_numeric(rows[_SPAN], errors="coerce")
    # A single span is the newest and all of them: it would be told twice.
    several = spans.nunique() > 1
    return ModelComparison(
        overall=among(np.ones(len(rows), dtype=bool)),
        newest=among((spans == spans.max()).to_numpy()) if several else None,
        slices={
            f"{name}={value}": among((rows[name] == value).to_numpy())
            for name in slices
            for value in sorted(rows[name].dropna().unique(), key=str)
        },
        margin=margin,
    )


def _values(records: Sequence[bytes], name: str) -> list[list[Any] | None]:
    """Returns all values of a feature of each record; None where there is none."""
    from tensorflow.core.example import example_pb2

    found: list[list[Any] | None] = []
    for record in records:
        features = example_pb2.Example.FromString(record).features.feature
        # Asked first: looking a feature up would make it.
        kind = features[name].WhichOneof("kind") if name in features else None
        values = getattr(features[name], kind).value if kind else ()
        plain = [value.decode() if isinstance(value, bytes) else value for value in values]
        found.append(plain or None)
    return found


def _columns(records: Sequence[bytes], names: Sequence[str]) -> pd.DataFrame:
    """Returns the first value of some features of each record; None where there is none."""
    found = {name: [v[0] if v else None for v in _values(records, name)] for name in names}
    return pd.DataFrame(found, index=range(len(records)))
