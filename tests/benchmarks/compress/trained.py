"""The float networks, trained once by name and seed, kept, and found again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.compress.conditions import NETWORKS, SIZES, dataset
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.storage import write_json
from tfx_loop.models.rows.splits import Rows
from tfx_loop.optimization.fine_tuning.rows_file import read_rows, write_rows

_TRAIN = "tests.benchmarks.compress.trained:train"


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained float network and its rows by use; no row has two uses.

    Attributes:
        network: Name in `NETWORKS`.
        seed: Of the split, the first weights and the order of the rows.
        keras: The `.keras` file, compiled.
        saved_model: The same network.
        training: Rows it learned from.
        search: Rows for calibrating and choosing.
        reporting: Rows that only report.
        metric: What is measured.
    """

    network: str
    seed: int
    keras: Path
    saved_model: Path
    training: Rows
    search: Rows
    reporting: Rows
    metric: str


def trained(network: str, seed: int, worker: Worker, folder: Path) -> TrainedNetwork:
    """Returns the trained network, from an earlier run where there was one."""
    place = folder / f"{network.replace(' ', '_')}-{seed}"
    training, search, reporting = split(network, seed)
    if not (place / "done.json").exists():
        place.mkdir(parents=True, exist_ok=True)
        payload = {
            "network": network,
            "seed": seed,
            "rows": str(write_rows(place / "rows.npz", training.inputs, training.labels)),
            "classes": int(dataset(network).labels.max()) + 1,
            "keras": str(place / "model.keras"),
            "saved_model": str(place / "saved_model"),
        }
        worker.call(_TRAIN, payload, doing=f"training {network}")
        write_json(str(place / "done.json"), {"network": network, "seed": seed})
    return TrainedNetwork(
        network=network,
        seed=seed,
        keras=place / "model.keras",
        saved_model=place / "saved_model",
        training=training,
        search=search,
        reporting=reporting,
        metric=NETWORKS[network].metric,
    )


def split(network: str, seed: int) -> tuple[Rows, Rows, Rows]:
    """Returns the rows for training, for the search and for reporting, drawn with the seed."""
    source, sizes = dataset(network), SIZES[network]
    order = np.random.default_rng(seed).permutation(len(source.labels))
    everything = Rows(inputs=source.inputs, labels=source.labels)
    first, second = sizes.training, sizes.training + sizes.search
    return (
        everything.take(order[:first]),
        everything.take(order[first:second]),
        everything.take(order[second:]),
    )


def train(payload: Mapping[str, Any]) -> None:
    """Trains and saves one network; runs in the child."""
    import tf_keras as keras

    from tfx_loop.models.write import save_saved_model

    entry, rows = NETWORKS[payload["network"]], read_rows(payload["rows"])
    keras.utils.set_random_seed(payload["seed"])
    shapes = {name: values.shape[1:] for name, values in rows.inputs.items()}
    model = entry.build(shapes, payload["classes"])
    model.fit(
        dict(rows.inputs), rows.labels, batch_size=entry.batch_rows, epochs=entry.epochs, verbose=0
    )
    model.save(payload["keras"])
    save_saved_model(model, payload["saved_model"])
