"""Models cut and rows preprocessed in a child process, and what a parent process asks for it."""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfx_loop.core import json_codec
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.models.preprocessing.folder import Preprocessing, rows_as_they_come
from tfx_loop.models.rows.arrays import load_arrays, load_records, save_arrays, save_records
from tfx_loop.models.tensors import Array

_HERE = "tfx_loop.models.preprocessing.in_child"


@dataclass(frozen=True, kw_only=True)
class CutModel:
    """The two halves of a model on disk.

    Attributes:
        preprocessing: SavedModel from rows as they come to the network's inputs.
        network: SavedModel from these to the answers, its weights constants.
        names: Names of the network's inputs.
        named: Whether they are the names of the transformed features.
    """

    preprocessing: str
    network: str
    names: tuple[str, ...]
    named: bool


def cut_model(
    worker: Worker,
    folder: Path,
    serialized: Sequence[bytes],
    out: Path,
    *,
    signature: str = "",
    transformed_names: Sequence[str] = (),
    refused: Collection[str] = (),
) -> CutModel:
    """Returns the halves of a SavedModel that takes tf.Examples, written into `out`.

    Args:
        worker: Runs it.
        folder: The SavedModel.
        serialized: Some real tf.Examples.
        out: Gets the halves.
        signature: Which one is cut; empty for `serving_default` or the only one.
        transformed_names: What the Transform graph calls its outputs, where that is known.
        refused: Operations that the network must not have.

    Raises:
        ModelError: It cannot be cut; one line says why.
        DataError: The Examples do not fit the model.
    """
    worker.may_write(out)
    save_records(out / "records.npz", serialized)
    payload = {
        "folder": str(folder),
        "records": str(out / "records.npz"),
        "out": str(out),
        "signature": signature,
        "transformed_names": list(transformed_names),
        "refused": sorted(refused),
    }
    told = worker.call(f"{_HERE}:cut", payload, doing=f"dividing {folder}")
    found: CutModel = json_codec.from_json(CutModel, told, str(folder))
    return found


def preprocessed(
    worker: Worker, preprocessing: Path, serialized: Sequence[bytes], transformed: bool = False
) -> dict[str, Array]:
    """Returns what the network takes for tf.Examples, by input, or all transformed features.

    Raises:
        DataError: The Examples do not fit.
        ModelError: The preprocessing failed on them.
    """
    with tempfile.TemporaryDirectory(prefix="loop-examples-", dir=worker.folder) as scratch:
        records, out = Path(scratch) / "records.npz", Path(scratch) / "rows.npz"
        save_records(records, serialized)
        payload = {
            "folder": str(preprocessing),
            "records": str(records),
            "out": str(out),
            "transformed": transformed,
        }
        worker.call(f"{_HERE}:preprocess", payload, doing="transforming the Examples")
        return load_arrays(out)


def cut(payload: Mapping[str, Any]) -> Any:
    """Does what `cut_model` asks, in the child."""
    from tfx_loop.models.preprocessing import cut as cutting
    from tfx_loop.models.saved_model import graph as saved_model

    folder = Path(payload["folder"])
    graph = saved_model.read_graph(folder)
    signature = saved_model.choose_any_signature(graph, folder, payload["signature"] or None)
    inputs, _ = saved_model.specs(graph.signature_def[signature])
    rows = rows_as_they_come(
        inputs, saved_model.examples_input(graph, signature), load_records(payload["records"])
    )
    found = cutting.cut(
        folder,
        rows,
        Path(payload["out"]),
        signature=signature,
        transformed_names=payload["transformed_names"],
        refused=payload["refused"],
    )
    return json_codec.to_json(found)


def preprocess(payload: Mapping[str, Any]) -> None:
    """Does what `preprocessed` asks, in the child."""
    opened = Preprocessing(Path(payload["folder"]))
    records = load_records(payload["records"])
    made = opened.transformed(records) if payload["transformed"] else opened.columns(records)
    # .npz would pickle texts, and no network takes them.
    numeric = {name: values for name, values in made.items() if values.dtype != object}
    save_arrays(payload["out"], numeric)
