"""Faults of data, of labels and of served models, planted in the windows of a stream."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tests.benchmarks.decide.champions import fit_champion
from tests.benchmarks.decide.streams import LABEL, Stream

Floats = npt.NDArray[np.float64]
Answer = Callable[[pd.DataFrame], Floats]
Random = np.random.Generator


def _missing(values: "pd.Series[Any]", random: Random) -> "pd.Series[Any]":
    return pd.Series(np.full(len(values), np.nan), index=values.index)


def _half_zero(values: "pd.Series[Any]", random: Random) -> "pd.Series[Any]":
    return values.where(random.random(len(values)) < 0.5, 0)


FEATURE_FAULTS: Mapping[str, Callable[..., "pd.Series[Any]"]] = {
    "times 1,000": lambda values, random: values * 1000,
    "missing": _missing,
    "sign turned": lambda values, random: -values,
    "half zero": _half_zero,
}
LABEL_FAULTS: Mapping[str, Callable[..., "pd.Series[Any]"]] = {
    "times 1,000": lambda labels, random: labels * 1000,
    "turned over": lambda labels, random: 1 - labels,
    "half zero": _half_zero,
    "all zero": lambda labels, random: labels * 0,
}


def answers_of(model: Any, stream: Stream) -> Answer:
    """Returns how a fitted model answers rows: a probability each."""
    return lambda rows: np.asarray(model.predict_proba(rows[stream.features])[:, 1])


def strengths(
    stream: Stream, answer: Answer, rows: pd.DataFrame, random: Random
) -> dict[str, float]:
    """Returns by number among the features how much the loss rises once its values are mixed."""
    losses = {}
    for name in stream.features:
        if pd.api.types.is_numeric_dtype(rows[name].dtype):
            mixed = rows.assign(**{name: random.permutation(rows[name].to_numpy())})
            losses[name] = log_loss(rows, answer(mixed))
    return losses


def log_loss(rows: pd.DataFrame, scores: Floats) -> float:
    """Returns the mean log loss of scores on labelled rows."""
    sure = np.clip(np.where(rows[LABEL] > 0.5, scores, 1 - scores), 1e-7, 1.0)
    return float(-np.log(sure).mean())


def broken_champions(
    stream: Stream, trained: pd.DataFrame, sound: Answer, strongest: str, random: Random
) -> dict[str, tuple[Answer, Answer]]:
    """Returns champions by what is wrong with them.

    Each is how it answered the rows held out of its training, and how it answers when it serves.
    """
    shuffled = trained.assign(**{LABEL: random.permutation(trained[LABEL].to_numpy())})
    of_noise = answers_of(fit_champion(stream, shuffled), stream)
    numbers = [n for n in stream.features if pd.api.types.is_numeric_dtype(trained[n].dtype)]
    center, spread = trained[numbers].mean(), trained[numbers].std().replace(0.0, 1.0)

    def scaled_twice(rows: pd.DataFrame) -> Floats:
        return sound(rows.assign(**((rows[numbers] - center) / spread)))

    def skewed(rows: pd.DataFrame) -> Floats:
        # What is logged is right; the model gets a constant in place of its best feature.
        return sound(rows.assign(**{strongest: 0.0}))

    return {
        "shuffled labels": (of_noise, of_noise),
        "wrong preprocessing": (sound, scaled_twice),
        "skewed server": (sound, skewed),
    }
