"""The policies beside the loop: the first model left alone, and one retrained after every window.

`left_alone` is version 1 of the pipeline itself. `every_window` is trained by the same function
outside TFX, on the same rows that the pipeline would train on, with the labels that had arrived.
This module runs as a process of its own beside the loop:
`python -m tfx_loop.pipelines.examples.flights.demo.policies`.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import numpy.typing as npt
import pandas as pd

from tfx_loop.core.hashing import hash_fractions
from tfx_loop.core.storage import write_json
from tfx_loop.pipelines.examples.flights.data import LABEL, load_flights, window_name
from tfx_loop.pipelines.examples.flights.demo.page.report import POLICIES
from tfx_loop.pipelines.examples.flights.settings import MODEL, REPLAYED, TRAINED_ON


def retrained_every_window(
    flights: pd.DataFrame, seed: int, replayed: Sequence[int] = REPLAYED
) -> dict[str, list[float]]:
    """Returns the policy's scores of the flights of each window, from its first training on.

    When a window ends, the labels of the window before have arrived; the model trained on them
    serves the window after.

    Args:
        flights: All rows.
        seed: Seed of weights and of the rows held back.
        replayed: The months replayed.
    """
    from tfx_loop.pipelines.examples.flights import model
    from tfx_loop.pipelines.examples.flights.features import NumpyTransform

    scores = {}
    # The first two windows are served before any label of a replayed window has come.
    for served in replayed[2:]:
        spans = range(TRAINED_ON[0], served - 1)
        rows = training_rows(flights[flights["span"].isin(spans)])
        measured = NumpyTransform.of(rows)
        network = model.train(
            measured(rows), rows[LABEL].to_numpy("float32"), len(measured.vocabulary) + 1, seed
        )
        window = flights[flights["span"] == served]
        predicted = network.predict(measured(window), batch_size=8192, verbose=0)
        scores[window_name(served)] = [float(score) for score in predicted[:, 0]]
    return scores


def training_rows(flights: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows that SpanExampleGen puts into the split `train`."""
    labelled = flights[flights[LABEL].notna()]
    fractions = hash_fractions(labelled[MODEL.group_column], MODEL.seed, "split")
    return labelled[fractions >= MODEL.eval_fraction]


def scores_of_saved_model(folder: Path, flights: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Returns one score a flight, from a SavedModel with the signature for raw columns."""
    import tensorflow as tf

    from tfx_loop.models.saved_model.loading import load_saved_model
    from tfx_loop.pipelines.examples.flights.model import SCORE, SERVING_COLUMNS

    signature = load_saved_model(folder).signatures[SERVING_COLUMNS]
    _, inputs = signature.structured_input_signature
    columns = {
        name: tf.constant(
            flights[name].to_numpy(dtype=object).astype("S")
            if spec.dtype == tf.string
            else flights[name].to_numpy(),
            dtype=spec.dtype,
        )
        for name, spec in inputs.items()
    }
    return np.asarray(signature(**columns)[SCORE].numpy(), dtype=float)


def quality(labels: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]) -> dict[str, float]:
    """Returns AUC and log loss (natural) of scores on labelled rows."""
    from sklearn.metrics import log_loss, roc_auc_score

    return {
        "auc": float(roc_auc_score(labels, scores)),
        # A score of exactly 0 or 1 that is wrong would make the loss infinite.
        "log_loss": float(log_loss(labels, np.clip(scores, 1e-7, 1 - 1e-7))),
    }


def gain_recovered(
    by_window: Mapping[str, Mapping[str, float]], rows: Mapping[str, int], lower_is_better: bool
) -> float | None:
    """Returns which share of what retraining always gains over leaving alone the loop gained.

    Args:
        by_window: Window to policy to metric.
        rows: Labelled rows by window, the weights.
        lower_is_better: True for a loss.

    Returns:
        1 when the loop did as well as retraining every window; None when that gained nothing.
    """
    # By rows, so that a short month counts for less, as it would for who bears the loss.
    weights = np.array([rows[window] for window in by_window], dtype=float)
    mean = {
        policy: float(np.average([v[policy] for v in by_window.values()], weights=weights))
        for policy in POLICIES
    }
    sign = 1.0 if lower_is_better else -1.0
    possible = sign * (mean["left_alone"] - mean["every_window"])
    return sign * (mean["left_alone"] - mean["loop"]) / possible if possible > 0 else None


def main() -> None:
    """Writes the scores of `every_window` as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fraction", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--windows", type=int, required=True)
    parser.add_argument("--output", required=True)
    args = parser.parse_args()
    flights = load_flights(args.fraction, args.seed)
    write_json(
        args.output,
        {"scores": retrained_every_window(flights, MODEL.seed, REPLAYED[: args.windows])},
    )


if __name__ == "__main__":
    main()
