"""The real rows that models are trained and measured on: what packages carry."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt

_VOWEL_STEPS = 29


@dataclass(frozen=True)
class Dataset:
    """Real rows.

    Attributes:
        name: What people call it.
        inputs: Arrays by input name, a row a row.
        labels: Class numbers from 0 on, of shape [rows].
    """

    name: str
    inputs: Mapping[str, npt.NDArray[np.float32]]
    labels: npt.NDArray[np.int64]

    def rows(self, chosen: npt.NDArray[np.intp]) -> "Dataset":
        """Returns the rows at the given places."""
        inputs = {name: values[chosen] for name, values in self.inputs.items()}
        return Dataset(self.name, inputs, self.labels[chosen])


def digits() -> Dataset:
    """Returns scikit-learn's 1,797 images of digits, 8 by 8, brightness in [0, 1]."""
    # Half a second that whoever only reads the tests need not pay.
    from sklearn.datasets import load_digits

    source = load_digits()
    images = (source.images[..., None] / 16).astype(np.float32)
    return Dataset("digits 8x8", {"image": images}, source.target.astype(np.int64))


def large_digits() -> Dataset:
    """Returns the digits at the size and depth that ResNet-8 takes: 32 by 32, three channels."""
    small = digits()
    images = small.inputs["image"][..., 0]
    places = (np.arange(32) + 0.5) / 4 - 0.5
    low = np.clip(np.floor(places).astype(int), 0, 7)
    high = np.clip(low + 1, 0, 7)
    share = np.clip(places - low, 0, 1).astype(np.float32)
    rows = images[:, low] * (1 - share)[None, :, None] + images[:, high] * share[None, :, None]
    both = rows[:, :, low] * (1 - share) + rows[:, :, high] * share
    return Dataset("digits 32x32x3", {"image": np.repeat(both[..., None], 3, axis=3)}, small.labels)


def vowels() -> Dataset:
    """Returns 640 utterances of nine speakers: 29 steps of 12 cepstrum coefficients.

    Source: M. Kudo, J. Toyama, M. Shimbo, "Multidimensional curve classification using
    passing-through regions", Pattern Recognition Letters 20 (1999); carried by sktime.
    """
    folder = resources.files("sktime") / "datasets" / "data" / "JapaneseVowels"
    signals, speakers = [], []
    for part in ("TRAIN", "TEST"):
        text = (folder / f"JapaneseVowels_{part}.ts").read_text(encoding="utf-8")
        for line in text.partition("@data")[2].split():
            *channels, speaker = line.split(":")
            signal = np.array([np.array(c.split(","), np.float32) for c in channels]).T
            padded = np.zeros((_VOWEL_STEPS, signal.shape[1]), np.float32)
            padded[: len(signal)] = signal
            signals.append(padded)
            speakers.append(int(speaker) - 1)
    return Dataset(
        "vowels 29x12", {"signal": np.stack(signals)[..., None]}, np.array(speakers, np.int64)
    )


def flights() -> Dataset:
    """Returns a seventh of the flights of 2013: will it leave more than 15 minutes late?

    One input of numbers (scaled by their mean and deviation) and categories (one column each).
    """
    from tfx_loop.pipelines.examples.flights.data import (
        CATEGORICAL_FEATURES,
        FLOAT_FEATURES,
        INTEGER_FEATURES,
        LABEL,
        load_flights,
    )

    table = load_flights(fraction=0.15, seed=0)
    table = table[table[LABEL].notna()].reset_index(drop=True)
    numbers = table[[*INTEGER_FEATURES, *FLOAT_FEATURES]].astype(np.float64)
    numbers = ((numbers - numbers.mean()) / numbers.std()).fillna(0.0)
    columns = [numbers.to_numpy(np.float32)]
    for name in CATEGORICAL_FEATURES:
        known = sorted(table[name].unique())
        columns.append((table[name].to_numpy()[:, None] == np.array(known)).astype(np.float32))
    labels = table[LABEL].to_numpy().astype(np.int64)
    return Dataset("flights", {"features": np.concatenate(columns, axis=1)}, labels)
