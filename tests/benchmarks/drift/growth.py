"""Ordinary growth and planted faults of numbers: which are called broken, and which drift.

    python -m tests.benchmarks.drift.growth

Growth by 0.6 to 1.9 times is no fault, whatever the range that the reference had; codes, units and
garbage are. Half a minute.
"""

import argparse
import zlib
from collections import Counter

import numpy as np
import pandas as pd

import tfx_loop

_ROWS = 2_000
SHAPES = {
    "normal, 100 +- 2": lambda random: random.normal(100, 2, _ROWS),
    "normal, 100 +- 5": lambda random: random.normal(100, 5, _ROWS),
    "normal, 50 +- 5": lambda random: random.normal(50, 5, _ROWS),
    "normal, 10 +- 3": lambda random: random.normal(10, 3, _ROWS),
    "evenly from 90 to 110": lambda random: random.uniform(90, 110, _ROWS),
    "lognormal": lambda random: random.lognormal(3, 1, _ROWS),
    "whole, 200 to 230": lambda random: random.integers(200, 231, _ROWS),
    "whole, 1,000 to 1,400": lambda random: random.integers(1_000, 1_401, _ROWS),
}
GROWTHS = (0.6, 0.75, 0.9, 1.1, 1.2, 1.3, 1.4, 1.6, 1.9)


def _some(share, value):
    return lambda values, random: np.where(random.random(_ROWS) < share, value, values)


def _times(factor, offset=0.0):
    return lambda values, random: values * factor + offset


def _garbage(values, random):
    wild = values * random.uniform(5, 50, _ROWS)
    return np.where(random.random(_ROWS) < 0.06, wild, values)


PLANTED = {
    "-999 in 3 %": _some(0.03, -999),
    "0 in 8 %": _some(0.08, 0),
    "9999 in 3 %": _some(0.03, 9_999),
    "6 % garbage": _garbage,
    "Fahrenheit": _times(1.8, 32),
    "Kelvin": _times(1, 273.15),
    "the sign": _times(-1),
    **{
        f"x{factor:g}": _times(factor)
        for factor in (10, 100, 1_000, 0.001, 2.54, 0.3048, 0.45359237, 1.609344)
    },
}


def _fates(changes):
    """Returns by (change, shape) the fault, `drift` or `stable`."""
    reference, current = {}, {}
    for change, move in changes.items():
        for shape, draw in SHAPES.items():
            name = f"{change}|{shape}"
            seed = zlib.crc32(name.encode())
            before, now, noise = (np.random.default_rng([seed, part]) for part in range(3))
            values = move(draw(now).astype(float), noise)
            reference[name] = draw(before)
            current[name] = np.round(values).astype(int) if shape.startswith("whole") else values
    found = tfx_loop.monitor(pd.DataFrame(reference), pd.DataFrame(current))
    fates = {}
    for feature in found.features:
        change, shape = feature.feature.split("|")
        fates[change, shape] = feature.fault or ("drift" if feature.drifted else "stable")
    return fates


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    for title, changes in (
        ("growth", {f"x{factor:g}": _times(factor) for factor in GROWTHS}),
        ("planted faults", PLANTED),
    ):
        fates = _fates(changes)
        called = sum(fate not in ("drift", "stable") for fate in fates.values())
        print(f"{title}: {called} of {len(fates)} are called faults")
        for change in changes:
            tally = Counter(fate for (name, _), fate in fates.items() if name == change)
            print(f"  {change:<14}{', '.join(f'{n} {fate}' for fate, n in tally.most_common())}")


if __name__ == "__main__":
    main()
