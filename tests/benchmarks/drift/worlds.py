"""Rows that the drift benchmarks compare: seeded worlds, with and without a drift.

Settings were chosen on seeds below 1,000 and on other shapes (mixtures, spikes, Poisson counts,
uniform categories, gaps); what is reported uses seeds from 1,000 on and the shapes below.
"""

import numpy as np
import pandas as pd

from tfx_loop.data.tables.in_memory import as_table

FIRST_SEED = 1_000


def zipf(categories, rows, random):
    weights = 1 / np.arange(1, categories + 1)
    names = np.array([f"c{place}" for place in range(categories)])
    return names[random.choice(categories, rows, p=weights / weights.sum())]


def _outlier(rows, random):
    """Normal, and one value a million times too large."""
    values = random.normal(size=rows)
    values[random.integers(rows)] = 1e6
    return values


SHAPES = {
    "normal": lambda rows, random: random.normal(size=rows),
    "lognormal": lambda rows, random: random.lognormal(size=rows),
    "Zipf 3": lambda rows, random: zipf(3, rows, random),
    "Zipf 30": lambda rows, random: zipf(30, rows, random),
    "Zipf 300": lambda rows, random: zipf(300, rows, random),
    "one outlier": _outlier,
}


def no_drift(shape, rows, features, random):
    """Returns a frame whose features all have one shape."""
    return pd.DataFrame({f"x{i}": SHAPES[shape](rows, random) for i in range(features)})


def swapped(values):
    """The second and the fifth category change places: 4 and 1.6 % of Zipf 30 become 1.6 and 4."""
    return np.where(values == "c1", "c4", np.where(values == "c4", "c1", values))


DRIFTS = {
    "shift 0.1 sigma": ("normal", lambda values: values + 0.1),
    "shift 0.2 sigma": ("normal", lambda values: values + 0.2),
    "shift 0.5 sigma": ("normal", lambda values: values + 0.5),
    "scale x1.2": ("normal", lambda values: values * 1.2),
    "scale x1.5": ("normal", lambda values: values * 1.5),
    "category swap": ("Zipf 30", swapped),
}


def with_drift(drift, rows, random):
    """Returns reference and current frames of ten features, of which x0 drifted."""
    shape, change = DRIFTS[drift]
    frames = []
    for _ in range(2):
        frame = no_drift("normal", rows, 10, random)
        frame["x0"] = SHAPES[shape](rows, random)
        frames.append(frame)
    frames[1]["x0"] = change(frames[1]["x0"].to_numpy())
    return frames


def as_table_file(frame):
    """Returns a frame as `loop monitor` sees a file, without the disk."""
    return as_table(frame, "memory")
