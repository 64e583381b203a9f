"""Whether stand-ins that resemble the champion measure savings better: three ways to pool members.

    python -m tests.benchmarks.decide.resemblance [--seeds 101 104 100 102]

RetrainDecider pools boosting and a linear model alike. Beside that: a small network as a third
member, and all three weighted by how well they reproduce the champion's answers in the label
window, which needs no labels. The truth is what the champion's own kind saves, trained as a
retraining would be and asked crosswise. Development seeds, from 100 on; of them every third has a
network as champion.
"""

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import threadpoolctl
from scipy.optimize import nnls

from tests.benchmarks.decide.champions import fit_champion
from tests.benchmarks.decide.streams import LABEL, WINDOW, Stream, generated
from tfx_loop.monitoring.retrain_decider.surrogate import SurrogateSettings, fit_surrogate

Floats = npt.NDArray[np.float64]
STREAMS = (
    ("sudden", "agrawal"),
    ("sudden", "sea"),
    ("sudden", "sine"),
    ("gradual", "hyperplane"),
    ("recurring", "sea"),
)
WAYS = ("boosting and linear, alike", "with a network, alike", "weighted by the answers")
# The newest windows that champions were trained on, and label windows.
_CHAMPIONS, _WINDOWS = (3, 9), (7, 11, 15)
_BLOCKS, _HELD_OUT = 32, 10
_NETWORK_STEPS, _BATCH = 300, 256


def main() -> None:
    """Prints how far measured savings are from true ones, by kind of champion."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 104, 100, 102])
    parser.add_argument("--cache", type=Path, default=Path("out/bench-decide/streams"))
    options = parser.parse_args()
    found: list[dict[str, Any]] = []
    with threadpoolctl.threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in options.seeds:
            for kind, generator in STREAMS:
                found += measured(generated(kind, generator, seed, 1_000, options.cache))
                print(seed, kind, generator, flush=True)
    print(tabulate(pd.DataFrame(found)))


def measured(stream: Stream) -> list[dict[str, Any]]:
    """Returns the true saving and the measured ones, of each champion in each window."""
    standing: dict[int, tuple[Any, list[Any]]] = {}
    rows = []
    for window in _WINDOWS:
        newest = stream.between(window, window)
        learnt = stream.trained_on(window)
        older = learnt[learnt[WINDOW] < window]
        answers, true = _crosswise(stream, older, newest)
        for champion in (c for c in _CHAMPIONS if c < window):
            if champion not in standing:
                trained = stream.trained_on(champion)
                standing[champion] = fit_champion(stream, trained), _members(stream, trained)
            model, members = standing[champion]
            served = _odds(model.predict_proba(newest[stream.features])[:, 1])
            stand_in = _answers(members, newest)
            labels = newest[LABEL].to_numpy()
            row = {
                "champion": stream.champion,
                "true": float((_loss(labels, served) - true).mean()),
            }
            row["unit"] = float(_loss(labels, served).mean())
            for way, weights in zip(WAYS, _weightings(stand_in, served), strict=True):
                saved = _loss(labels, stand_in @ weights) - _loss(labels, answers @ weights)
                row[way] = float(saved.mean())
            rows.append(row)
    return rows


def _crosswise(stream: Stream, older: pd.DataFrame, newest: pd.DataFrame) -> tuple[Floats, Floats]:
    """Returns the members' log odds of rows they did not learn from, and the true kind's losses."""
    block = np.arange(len(newest)) * _BLOCKS // len(newest) % 2
    answers, true = np.empty((len(newest), 3)), np.empty(len(newest))
    for side in (0, 1):
        here = block == side
        rows = pd.concat([older, newest[~here]])
        asked = newest[here]
        answers[here] = _answers(_members(stream, rows), asked)
        model = fit_champion(stream, rows)
        odds = _odds(model.predict_proba(asked[stream.features])[:, 1])
        true[here] = _loss(asked[LABEL].to_numpy(), odds)
    return answers, true


def _members(stream: Stream, rows: pd.DataFrame) -> list[Any]:
    from sklearn.neural_network import MLPClassifier

    kept = rows[np.arange(len(rows)) % _HELD_OUT > 0]
    pair: Any = fit_surrogate(kept, LABEL, stream.features, SurrogateSettings())
    epochs = max(2, round(_NETWORK_STEPS * _BATCH / len(kept)))
    network = MLPClassifier(
        (16,),
        batch_size=_BATCH,
        max_iter=epochs,
        n_iter_no_change=epochs,
        learning_rate_init=5e-3,
        random_state=0,
    )
    matrix = pair.linear.matrix(pair.encoder.codes(kept))
    return [pair, network.fit(matrix, kept[LABEL].astype(int))]


def _answers(members: list[Any], rows: pd.DataFrame) -> Floats:
    """Returns log odds, of shape [rows, members]."""
    pair, network = members
    codes = pair.encoder.codes(rows)
    matrix = pair.linear.matrix(codes)
    models = [*zip(pair.models, (codes, matrix), strict=True), (network, matrix)]
    return np.stack([_odds(model.predict_proba(x)[:, 1]) for model, x in models], axis=1)


def _weightings(stand_in: Floats, served: Floats) -> tuple[Floats, Floats, Floats]:
    weights, _ = nnls(stand_in, served)
    whole = weights / weights.sum() if weights.sum() else np.full(3, 1 / 3)
    return np.array([0.5, 0.5, 0.0]), np.full(3, 1 / 3), whole


def _odds(chances: Floats) -> Floats:
    clipped = np.clip(chances, 1e-3, 1 - 1e-3)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _loss(labels: Floats, odds: Floats) -> Floats:
    return np.asarray(np.logaddexp(0, np.where(labels > 0.5, -odds, odds)))


def tabulate(found: pd.DataFrame) -> str:
    """Returns Markdown: root mean square and mean of measured less true savings, in loss shares."""
    lines = [f"| champion | pairs | true saving | {' | '.join(WAYS)} |", "|---|" + "---|" * 5]
    for kind, part in [*found.groupby("champion"), ("**all**", found)]:
        cells = []
        for way in WAYS:
            off = (part[way] - part["true"]) / part["unit"]
            cells.append(f"{np.sqrt((off**2).mean()):.1%} ({off.mean():+.1%})")
        true = (part["true"] / part["unit"]).mean()
        lines.append(f"| {kind} | {len(part)} | {true:.1%} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
