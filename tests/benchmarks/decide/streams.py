"""Streams that the policies are compared on.

River's generators (seeded, made once and kept as Parquet), the Chicago taxi trips that come in
TFX's wheel, and the flights of `tfx_loop.pipelines.examples.flights`. A stream is labelled rows in
windows.
"""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

LABEL = "label"
WINDOW = "window"
INITIAL_WINDOWS = 4
SERVED_WINDOWS = 20
CHAMPIONS = ("boosting", "logistic", "network")
GENERATED = {
    "sudden": ("agrawal", "sea", "sine"),
    "gradual": ("agrawal", "hyperplane"),
    "recurring": ("agrawal", "sea"),
    "none": ("agrawal", "sea", "hyperplane"),
    "harder": ("sea",),
    "hungry": ("names",),
}
# Of the task that a champion needs many rows for: names, values of each, and plain numbers beside.
_NAMES, _VALUES, _NUMBERS = 3, 200, 3
# Share of labels turned by chance in the last window of a world that only gets harder.
_HARDEST = 0.25
_TAXI_FEATURES = (
    *("fare", "trip_miles", "trip_seconds", "trip_start_hour", "trip_start_day"),
    *("trip_start_month", "pickup_latitude", "pickup_longitude", "dropoff_latitude"),
    *("dropoff_longitude", "payment_type", "company"),
)
_SINES = ((0, 2, 0), (2, 0, 2), (1, 3, 1), (3, 1, 3))


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Labelled rows in windows, and how its champion is trained.

    Attributes:
        name: For tables.
        kind: `sudden`, `gradual`, `recurring`, `none`, `harder`, `hungry`, `taxi` or
            `flights`.
        seed: Seed of the generator, of the champion's kind and of its training policy.
        rows: Features, `label` and `window` (int from 0), ordered by time; the index is 0..n-1.
        initial_windows: Windows that the first champion is trained on.
        training_windows: Windows back that a training uses; 0 is all there are.
        champion: What kind of model serves: one of CHAMPIONS.
    """

    name: str
    kind: str
    seed: int
    rows: pd.DataFrame
    initial_windows: int
    training_windows: int
    champion: str

    @property
    def features(self) -> list[str]:
        """Names of the features."""
        return [name for name in self.rows.columns if name not in (LABEL, WINDOW)]

    @property
    def windows(self) -> int:
        """How many windows there are."""
        return int(self.rows[WINDOW].iloc[-1]) + 1

    def trained_on(self, newest: int) -> pd.DataFrame:
        """Rows that a training with labels up to window `newest` uses."""
        first = max(0, newest + 1 - self.training_windows) if self.training_windows else 0
        return self.between(first, newest)

    def between(self, first: int, last: int) -> pd.DataFrame:
        """Rows of the windows `first` to `last`, both included."""
        starts = self.rows[WINDOW].searchsorted([first, last + 1])
        return self.rows.iloc[starts[0] : starts[1]]


def generated(kind: str, generator: str, seed: int, window_rows: int, cache: Path) -> Stream:
    """Returns a generated stream; champion and training policy follow from the seed.

    Over six seeds every kind of champion meets both training policies (all windows, last four). Of
    the kind `hungry` nothing drifts, and the champion, a logistic regression over names of many
    values, gains by rows: it learns from all windows.
    """
    path = cache / f"{kind}-{generator}-{seed}-{window_rows}.parquet"
    if path.exists():
        rows = pd.read_parquet(path)
    else:
        rows = _generate(kind, generator, seed, window_rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        rows.to_parquet(path)
    return Stream(
        name=f"{generator}-{kind}",
        kind=kind,
        seed=seed,
        rows=rows,
        initial_windows=INITIAL_WINDOWS,
        training_windows=0 if kind == "hungry" else (0, 4)[seed % 2],
        champion="logistic" if kind == "hungry" else CHAMPIONS[seed % 3],
    )


def taxi(seed: int) -> Stream:
    """Returns the taxi trips in 24 windows of 625 trips: is the tip above a fifth of the fare?"""
    spec = importlib.util.find_spec("tfx")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The taxi trips come with TFX, which is not installed here.")
    folder = Path(next(iter(spec.submodule_search_locations)))
    trips = pd.read_csv(folder / "examples/chicago_taxi_pipeline/data/simple/data.csv")
    trips = trips.sort_values("trip_start_timestamp", kind="stable").reset_index(drop=True)
    rows = trips[list(_TAXI_FEATURES)].copy()
    rows[LABEL] = (trips["tips"] > 0.2 * trips["fare"]).astype(float)
    rows[WINDOW] = np.arange(len(rows)) * 24 // len(rows)
    return Stream(
        name="taxi",
        kind="taxi",
        seed=seed,
        rows=rows,
        initial_windows=3,
        training_windows=0,
        champion=CHAMPIONS[seed % 3],
    )


def flights(seed: int, fraction: float, drawn: int = 0) -> Stream:
    """Returns the flights of 2013, a window a month: will it leave more than 15 minutes late?

    Args:
        seed: Chooses the kind of champion.
        fraction: Share of the flights.
        drawn: Seed by which they are drawn.
    """
    from tfx_loop.pipelines.examples.flights.data import FEATURES, load_flights

    table = load_flights(fraction=fraction, seed=drawn)
    # A flight that never left has no label.
    table = table[table["late"].notna()].reset_index(drop=True)
    rows = table[list(FEATURES)].copy()
    rows[LABEL] = table["late"].astype(float)
    rows[WINDOW] = table["span"].astype(int) - int(table["span"].min())
    return Stream(
        name="flights",
        kind="flights",
        seed=seed,
        rows=rows,
        initial_windows=2,
        training_windows=0,
        champion=CHAMPIONS[seed % 3],
    )


def _generate(kind: str, generator: str, seed: int, window_rows: int) -> pd.DataFrame:
    windows = INITIAL_WINDOWS + SERVED_WINDOWS
    # The position of every change is drawn apart from the rows.
    rng = np.random.default_rng([seed, len(kind), len(generator)])
    if generator == "names":
        return _many_names(windows, window_rows, rng)
    if generator == "hyperplane":
        drawn = _moving(seed, moves=kind == "gradual")
        records = [next(drawn) for _ in range(windows * window_rows)]
    else:
        concept = _concepts(kind, windows, window_rows, rng)
        streams = _stationary(generator, seed, rng)
        records = [next(streams[which]) for which in concept]
    rows = pd.DataFrame([{f"x_{name}": value for name, value in x.items()} for x, _ in records])
    rows[LABEL] = np.array([float(y) for _, y in records])
    if kind == "harder":
        position = np.arange(len(rows)) / window_rows - INITIAL_WINDOWS
        turned = rng.random(len(rows)) < _HARDEST * np.clip(position / SERVED_WINDOWS, 0, 1)
        rows[LABEL] = np.where(turned, 1 - rows[LABEL], rows[LABEL])
    rows[WINDOW] = np.arange(len(rows)) // window_rows
    return rows


def _many_names(windows: int, window_rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Returns rows whose label follows names of many values, each of which has to be seen often."""
    names = rng.integers(_VALUES, size=(windows * window_rows, _NAMES))
    numbers = rng.normal(size=(windows * window_rows, _NUMBERS))
    effects = rng.normal(size=(_VALUES, _NAMES))
    score = numbers @ rng.normal(size=_NUMBERS) / 2
    score += np.take_along_axis(effects, names, axis=0).sum(axis=1)
    rows = pd.DataFrame(numbers, columns=[f"x_{n}" for n in range(_NUMBERS)])
    for n in range(_NAMES):
        rows[f"x_name_{n}"] = [f"name-{value}" for value in names[:, n]]
    rows[LABEL] = (rng.random(len(rows)) < 1 / (1 + np.exp(-score))).astype(float)
    rows[WINDOW] = np.arange(len(rows)) // window_rows
    return rows


def _concepts(kind: str, windows: int, window_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Says for each row which concept labels it: 0, 1 or 2."""
    position = np.arange(windows * window_rows) / window_rows
    served = windows - INITIAL_WINDOWS
    if kind in ("none", "harder"):
        return np.zeros(len(position), dtype=int)
    if kind == "sudden":
        first = INITIAL_WINDOWS + rng.uniform(1, served / 2)
        second = rng.uniform(first + 3, windows - 2)
        return (position >= first).astype(int) + (position >= second)
    if kind == "gradual":
        start, length = INITIAL_WINDOWS + rng.uniform(0, 4), rng.uniform(6, 14)
        share = np.clip((position - start) / length, 0.0, 1.0)
        return (rng.random(len(position)) < share).astype(int)
    period = rng.uniform(4, 7)
    return ((position - INITIAL_WINDOWS) // period % 2 == 1).astype(int)


def _stationary(generator: str, seed: int, rng: np.random.Generator) -> list[Iterator]:
    """Returns three concepts of one generator as endless streams."""
    from river.datasets import synth

    if generator == "agrawal":
        functions = rng.permutation(10)[:3]
        return [
            iter(
                synth.Agrawal(classification_function=int(f), seed=seed + 97 * i, perturbation=0.1)
            )
            for i, f in enumerate(functions)
        ]
    if generator == "sea":
        variants = rng.permutation(4)[:3]
        return [
            iter(synth.SEA(variant=int(v), noise=0.1, seed=seed + 97 * i))
            for i, v in enumerate(variants)
        ]
    # Never a mere swap of the classes (0 and 1, 2 and 3): a model that is sure of itself would then
    # lose more in one window than all trainings cost, and the table would show that stream alone.
    functions = _SINES[rng.integers(len(_SINES))]
    return [
        iter(synth.Sine(classification_function=int(f), seed=seed + 97 * i, has_noise=True))
        for i, f in enumerate(functions)
    ]


def _moving(seed: int, *, moves: bool) -> Iterator:
    """Returns a hyperplane that moves a little with every row, or not at all."""
    from river.datasets import synth

    return iter(
        synth.Hyperplane(
            seed=seed,
            n_features=10,
            n_drift_features=5 if moves else 0,
            mag_change=0.0005 if moves else 0.0,
            noise_percentage=0.05,
        )
    )
