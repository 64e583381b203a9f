"""Streams on which grid and prior of the correction by labels were chosen.

Run as `python -m tests.benchmarks.drift.estimated_development`. River's generators (Agrawal, SEA,
random RBF, a hyperplane) give rows with labels under two concepts. Every stream draws how its
inputs move (not at all, a walk, a season, a jump), how much of the second concept its windows hold
(none, suddenly, gradually, now and then, a walk, scattered), label noise, rows a window, rows
trained on and held out. No row of flights, census, taxi, loans or rain was looked at.
"""

import argparse
import warnings
from collections.abc import Iterator

import numpy as np
import threadpoolctl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.benchmarks.drift.estimated import Errors, ScoredStream, measured
from tests.benchmarks.drift.sections import table, write_section

POOL = 40_000
WINDOWS = 24
GENERATORS = ("agrawal", "sea", "hyperplane", "rbf")
CONCEPTS = ("none", "sudden", "gradual", "recurring", "scatter", "walk")
# Seeds below 200 are those that something was chosen on.
FIRST_SEED = 200
_METHODS = {
    "unchanged": "nothing changed",
    "newest": "newest labels",
    "cbpe": "CBPE on scores",
    "alone": "ours, scores alone",
    "ours": "ours, with labels",
}
_INSIDE = ("chance", "unlabelled", "labelled")


def main(arguments: list[str] | None = None) -> None:
    """Prints the table and writes it into RESULTS.md unless told not to."""
    parser = argparse.ArgumentParser(prog="bench-estimated-development", description=__doc__)
    parser.add_argument("--seeds", type=int, default=12, help="streams of each generator")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--no-write", action="store_true", help="print alone")
    options = parser.parse_args(arguments)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    found: dict[str, list[Errors]] = {concept: [] for concept in CONCEPTS}
    with threadpoolctl.threadpool_limits(1):
        for stream in streams(seeds):
            found[stream.name].append(measured(stream))
    heads = ("concept", "streams", *_METHODS.values(), *(f"inside, {name}" for name in _INSIDE))
    everything = [errors for group in found.values() for errors in group]
    rows = [_line(name, group) for name, group in {**found, "all": everything}.items() if group]
    text = (
        "## Estimated quality on generated streams\n\nMean absolute error of the AUC over "
        f"{WINDOWS} windows a stream, labels a window late, and share of the windows inside the "
        "95 % interval; by what the concept does. Seeds that nothing was chosen on.\n\n"
        + table(heads, rows)
    )
    print(text)
    if not options.no_write:
        write_section("estimated development", text)


def streams(seeds: range) -> Iterator[ScoredStream]:
    """Yields the streams of all generators, named by what their concept does."""
    for place, generator in enumerate(GENERATORS):
        for seed in seeds:
            if (stream := generated(generator, 1_000 * (place + 1) + seed)) is not None:
                yield stream


def generated(generator: str, seed: int) -> ScoredStream | None:
    """Returns one stream; None where a window or the training has labels of one kind only."""
    random = np.random.default_rng([seed, 77])
    features, concepts = _pool(generator, seed)
    tilt, name, share, noise, before = _drawn(random)
    rows = int(random.choice([300, 800, 2_500]))
    direction = ((features - features.mean(0)) / features.std(0)) @ random.normal(
        size=features.shape[1]
    )
    direction /= direction.std()
    order = random.permutation(POOL)
    trained, held = (int(random.choice(sizes)) for sizes in ((1e3, 3e3, 8e3), (400, 1_200, 4e3)))
    train, held_out, rest = np.split(order, [trained, trained + held])

    def labels(places: np.ndarray, second: float, flipped: float) -> np.ndarray:
        drawn = random.random((2, len(places)))
        label = np.where(drawn[0] < second, concepts[1][places], concepts[0][places])
        return np.where(drawn[1] < flipped, 1 - label, label)

    known = labels(train, 0.0, before)
    if not 0.02 < known.mean() < 0.98:
        return None
    model = (
        HistGradientBoostingClassifier(max_iter=80, random_state=0)
        if seed % 3
        else make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    )
    scores = model.fit(features[train], known).predict_proba(features)[:, 1]
    windows = []
    for number in range(WINDOWS):
        weight = np.exp(np.clip(tilt[number] * direction[rest], -6, 6))
        places = random.choice(rest, rows, p=weight / weight.sum())
        windows.append((scores[places], labels(places, share[number], noise[number])))
    if not all(0 < label.mean() < 1 for _, label in windows):
        return None
    return ScoredStream(name, (scores[held_out], labels(held_out, 0.0, before)), tuple(windows))


def _pool(generator: str, seed: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Returns rows and their labels under two concepts."""
    random = np.random.default_rng(seed)
    if generator == "hyperplane":
        features, weights = random.random((POOL, 8)), random.random(8)
        both = (weights, np.abs(weights + random.normal(0, 0.25, 8)))
        first, second = ((features @ w >= w.sum() / 2).astype(float) for w in both)
        return features, (first, second)
    from river.datasets import synth

    if generator == "rbf":
        features, first = _rows(
            synth.RandomRBF(seed_model=seed, seed_sample=seed, n_features=6, n_centroids=25)
        )
        near = KNeighborsClassifier(5).fit(features[:8_000], first[:8_000])
        moved = features + random.normal(0, 0.15, features.shape[1])
        return features, (first, near.predict(moved))
    if generator == "agrawal":
        which = random.choice(10, 2, replace=False)
        made = [synth.Agrawal(classification_function=int(w), seed=seed) for w in which]
    else:
        which = random.choice(4, 2, replace=False)
        made = [synth.SEA(variant=int(w), seed=seed) for w in which]
    (features, first), (_, second) = (_rows(stream) for stream in made)
    return features, (first, second)


def _rows(stream) -> tuple[np.ndarray, np.ndarray]:
    rows = list(stream.take(POOL))
    features = np.array([[float(value) for value in row.values()] for row, _ in rows])
    return features, np.array([float(label) for _, label in rows])


def _drawn(random: np.random.Generator) -> tuple[np.ndarray, str, np.ndarray, np.ndarray, float]:
    """Draws tilt of the inputs, name and share of the second concept, noise, noise before."""
    time, none = np.arange(WINDOWS), np.zeros(WINDOWS)
    tilt = {
        "none": none,
        "walk": np.cumsum(random.normal(0, 0.25, WINDOWS)),
        "season": np.sin(2 * np.pi * time / 12 + random.uniform(0, 6)),
        "jump": np.where(time >= random.integers(4, WINDOWS - 4), random.normal(0, 1.2), 0),
    }[random.choice(["none", "walk", "season", "jump"])]
    share = {
        "none": none,
        "sudden": np.where(time >= random.integers(3, WINDOWS - 3), random.uniform(0.2, 1), 0),
        "gradual": random.uniform(0.2, 1)
        * np.clip((time - random.integers(0, 12)) / random.integers(5, WINDOWS), 0, 1),
        "recurring": random.uniform(0.1, 0.7) * ((time // random.integers(3, 6)) % 2),
        "scatter": np.abs(random.normal(0, random.uniform(0.05, 0.2), WINDOWS)),
        "walk": np.abs(np.cumsum(random.normal(0, 0.05, WINDOWS))),
    }
    name = str(random.choice(["none", *CONCEPTS]))
    before = random.uniform(0.02, 0.25)
    extra = np.abs(random.normal(0, 0.03, WINDOWS)) if name == "scatter" else none
    noise = np.clip(before + extra, 0, 0.45)
    return tilt - tilt[0], name, np.clip(share[name], 0, 1), noise, before


def _line(name: str, group: list[Errors]) -> tuple[str, ...]:
    means = [np.mean([errors.by_method[key].mean() for errors in group]) for key in _METHODS]
    inside = [np.mean([errors.inside[key].mean() for errors in group]) for key in _INSIDE]
    return (
        *(name, str(len(group))),
        *(f"{mean:.4f}" for mean in means),
        *(f"{share:.0%}" for share in inside),
    )


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main()
