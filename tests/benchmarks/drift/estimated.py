"""How near does quality estimated without labels come to what labels say later?

Run as `python -m tests.benchmarks.drift.estimated`. A gradient boosting model is trained on the
begin of a labelled stream, three quarters of it; what its scores mean is learned on the other
quarter: of the flights whole days, as those of an hour share their weather, and a model that knows
some of them does better on the others than it ever will again. The AUC of every later window is
estimated from its scores, and measured with its labels. Streams: flights of New York
(pipelines.flights; trained on January and February) by month and by week, also with a tenth of the
rows, and the Chicago taxi trips of TFX's wheel. Beside ours: the map of bins of equal width alone
(without what it gets wrong of the held-out rows), CBPE on the single scores
(what NannyML does: isotonic calibration, expected AUC), and "nothing changed", the AUC of the
held-out rows. "Labels' own noise" is what nobody can foresee: the mean distance of drawn labels'
AUC from its expectation, were the scores as meaningful as they were.
"""

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import threadpoolctl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from components.drift_monitor.estimation import interval_factor
from components.profile.estimated_quality import estimate, fit_calibration
from tests.benchmarks.drift.sections import table, write_section

BINS = 200
ARCSINE = np.sin(np.pi / 2 * np.arange(1, BINS) / BINS) ** 2
EQUAL = np.arange(1, BINS) / BINS
LEAST_ROWS = 200
_HEADS = (
    *("stream", "windows", "rows", "nothing changed", "equal-width bins", "CBPE on scores"),
    *("ours", "labels' own noise", "inside the 95 %", "widened by windows before"),
)
_LEARNED = """

Rows held out of the days that were trained on promise too much, as they share the weather of an
hour with training rows, and the estimate takes over what they promise: hold out whole days (or
machines, or accounts), whatever rows share. What is left are changes of what scores mean, which
none of these methods sees. The interval is that of chance; once labels of three windows have come,
DriftMonitor widens it by what estimates have been off before (last column, labels a window late).
"""


@dataclass(frozen=True)
class Scored:
    """A stream after the model: scores and labels of held-out rows, and of later windows."""

    name: str
    held_out: tuple[np.ndarray, np.ndarray]
    windows: tuple[tuple[np.ndarray, np.ndarray], ...]


@dataclass(frozen=True)
class Errors:
    """Absolute errors of the AUC by window, by method; and whether the intervals held it."""

    stream: Scored
    by_method: dict[str, np.ndarray]
    noise: float
    inside: np.ndarray
    inside_widened: np.ndarray


def main(arguments: list[str] | None = None) -> None:
    """Prints the table; writes it into RESULTS.md unless it is a short run."""
    parser = argparse.ArgumentParser(prog="bench-estimated", description=__doc__)
    parser.add_argument("--fraction", type=float, default=1.0, help="share of the flights")
    parser.add_argument("--no-write", action="store_true", help="print alone")
    options = parser.parse_args(arguments)
    rows = []
    for stream in streams(options.fraction):
        errors = measured(stream)
        rows.append(line(errors))
        print(" ".join(f"{head}={cell}" for head, cell in zip(_HEADS, rows[-1], strict=True)))
    text = (
        "## Estimated quality\n\nMean absolute error of the AUC estimated without labels, by "
        "window, beside the AUC that labels gave later.\n\n" + table(_HEADS, rows) + _LEARNED
    )
    if not options.no_write:
        write_section("estimated", text)


def streams(fraction: float) -> Iterator[Scored]:
    """Yields the streams, flights first."""
    yield from flights(fraction)
    yield next(flights(fraction / 10, "a tenth of the flights by month"))
    yield taxi()


def flights(fraction: float, by_month: str = "flights by month") -> Iterator[Scored]:
    """Yields the flights by month and by week; whole days held out, and rows of any day."""
    from pipelines.flights.data import FEATURES, LABEL, load_flights

    rows = load_flights(fraction)
    rows = rows[rows[LABEL].notna()].reset_index(drop=True)
    week = (rows["event_time_ms"] // (7 * 86_400_000)).to_numpy()
    weeks = np.where(rows["span"] > 2, week - week.min() + 1, 0)
    months = np.where(rows["span"] > 2, rows["span"], 0)
    features, label = rows[list(FEATURES)], rows[LABEL].to_numpy()
    days = rows["event_time_ms"].to_numpy() // 86_400_000
    scores, held = _scored(features, label, months == 0, days)
    for name, window in ((by_month, months), ("flights by week", weeks)):
        yield _windows(name, scores, label, window, held)
    scores, held = _scored(features, label, months == 0)
    yield _windows("by month, rows of any day held out", scores, label, months, held)


def taxi() -> Scored:
    """Returns the taxi trips: trained on the first four of 24 windows."""
    from tests.benchmarks.decide.streams import LABEL, WINDOW
    from tests.benchmarks.decide.streams import taxi as trips

    stream = trips(0)
    window = stream.rows[WINDOW].to_numpy()
    window = np.where(window < stream.initial_windows, 0, window)
    label = stream.rows[LABEL].to_numpy(float)
    scores, held = _scored(stream.rows[stream.features], label, window == 0)
    return _windows("taxi", scores, label, window, held)


def measured(stream: Scored) -> Errors:
    """Returns the errors of every method."""
    scores, labels = stream.held_out
    promised = roc_auc_score(labels, scores)
    held_out = _binned(scores, ARCSINE), _binned(scores, ARCSINE, labels)
    ours_map = fit_calibration(*held_out)
    equal_map = fit_calibration(_binned(scores, EQUAL), _binned(scores, EQUAL, labels))
    isotonic = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, labels)
    errors: dict[str, list[float]] = {"unchanged": [], "equal": [], "cbpe": [], "ours": []}
    inside, widened, noise = [], [], []
    met: list[tuple[float, float, float, float, float]] = []
    for seed, (now, truth) in enumerate(stream.windows):
        realised = roc_auc_score(truth, now)
        half = BINS // 2
        ours = estimate(_binned(now, ARCSINE), ours_map, half, seed, held_out)["auc"]
        equal = estimate(_binned(now, EQUAL), equal_map, half, seed)["auc"]
        calibrated = isotonic.predict(now)
        found = (promised, equal.value, expected_auc(now, calibrated), ours.value)
        for method, value in zip(errors, found, strict=True):
            errors[method].append(abs(value - realised))
        inside.append(ours.low <= realised <= ours.high)
        # The labels of the window before have not come when this one is estimated.
        factor = interval_factor(met[:-1])
        low = ours.value - factor * (ours.value - ours.low)
        high = ours.value + factor * (ours.high - ours.value)
        widened.append(low <= realised <= high)
        met.append((ours.value, ours.low, ours.high, 1.0, realised))
        noise.append(_noise(now, calibrated, seed))
    by_method = {name: np.array(values) for name, values in errors.items()}
    return Errors(stream, by_method, float(np.mean(noise)), np.array(inside), np.array(widened))


def expected_auc(scores: np.ndarray, ones: np.ndarray) -> float:
    """Returns the AUC of scores whose labels are 1 with the chances `ones`, ties at one half."""
    order = np.argsort(scores, kind="stable")
    values, places = np.unique(scores[order], return_inverse=True)
    positive = np.bincount(places, weights=ones[order], minlength=len(values))
    negative = np.bincount(places, weights=1 - ones[order], minlength=len(values))
    below = np.cumsum(negative) - negative
    return float(((below + negative / 2) * positive).sum() / (positive.sum() * negative.sum()))


def line(errors: Errors) -> tuple[str, ...]:
    """Returns a line of the table."""
    windows = errors.stream.windows
    means = [f"{values.mean():.4f}" for values in errors.by_method.values()]
    rows = int(np.median([len(scores) for scores, _ in windows]))
    inside = [f"{held.sum()} of {len(windows)}" for held in (errors.inside, errors.inside_widened)]
    return (
        *(errors.stream.name, str(len(windows)), f"{rows:,}"),
        *(*means, f"{errors.noise:.4f}", *inside),
    )


def _scored(
    features: pd.DataFrame, label: np.ndarray, early: np.ndarray, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns scores of all rows and which rows were held out from training, whole groups of it."""
    groups = np.arange(len(label)) if groups is None else groups - groups.min()
    held = early & (np.random.default_rng(0).random(groups.max() + 1) < 0.25)[groups]
    columns = _as_numbers(features)
    model = HistGradientBoostingClassifier(max_iter=150, learning_rate=0.08, random_state=0)
    # Threads that wait for each other on a busy machine take longer than one.
    with threadpoolctl.threadpool_limits(1):
        model.fit(columns[early & ~held], label[early & ~held])
        return model.predict_proba(columns)[:, 1], held


def _as_numbers(features: pd.DataFrame) -> np.ndarray:
    columns = []
    for name in features:
        values = features[name]
        if not pd.api.types.is_numeric_dtype(values):
            values = values.astype("category").cat.codes
        columns.append(values.to_numpy(float))
    return np.column_stack(columns)


def _windows(
    name: str, scores: np.ndarray, label: np.ndarray, window: np.ndarray, held: np.ndarray
) -> Scored:
    windows = []
    for number in np.unique(window[window > 0]):
        rows = window == number
        if rows.sum() >= LEAST_ROWS and 0 < label[rows].mean() < 1:
            windows.append((scores[rows], label[rows]))
    return Scored(name, (scores[held], label[held]), tuple(windows))


def _binned(scores: np.ndarray, edges: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    return np.bincount(np.searchsorted(edges, scores), weights=weights, minlength=BINS)


def _noise(scores: np.ndarray, chances: np.ndarray, seed: int) -> float:
    random = np.random.default_rng(seed)
    expected = expected_auc(scores, chances)
    drawn = [
        expected_auc(scores, (random.random(len(scores)) < chances).astype(float))
        for _ in range(20)
    ]
    return float(np.mean(np.abs(np.array(drawn) - expected)))


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main()
