"""False alarms and power where rows depend on each other, ours and others at defaults.

    python -m tests.benchmarks.drift.dependent [--quick | --times N]

Two families: ten rows of each customer, who has a level of his own, and series in which each row is
like the one before (autoregressions). Nothing drifts, or one of six features does, by half a
standard deviation. Ours stands there twice: told nothing, and with the group or the time named.
"""

import argparse
import time
import zlib

import numpy as np
import pandas as pd
from scipy import signal

from tests.benchmarks.drift.peers import SETTINGS, TOOLS, ours
from tests.benchmarks.drift.sections import table, write_section
from tests.benchmarks.drift.worlds import FIRST_SEED
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.profile.column_roles import ColumnRoles

FEATURES = 6
NAMED = {
    "customer": DriftSettings(roles=ColumnRoles(group="customer")),
    "at": DriftSettings(roles=ColumnRoles(time="at")),
}


def customers(share, rows, random):
    """Ten rows of each customer, of whom `share` of each number's variance is his own."""
    count = rows // 10
    own = np.repeat(random.normal(size=(FEATURES, count)), 10, axis=1)
    values = np.sqrt(share) * own + np.sqrt(1 - share) * random.normal(size=own.shape)
    frame = pd.DataFrame({f"x{place}": line for place, line in enumerate(values[:-1])})
    # A category that is the customer's own, such as where he lives.
    places = np.searchsorted([-1.0, -0.3, 0.3, 1.0], own[-1])
    frame["place"] = np.array(list("abcde"))[places]
    frame["customer"] = np.repeat(random.integers(0, 1 << 40, count), 10)
    return frame


def series(phi, rows, random):
    """An autoregression a feature, of variance 1, a row a minute."""
    noise = random.normal(size=(FEATURES, rows))
    noise[:, 0] /= np.sqrt(1 - phi**2)
    values = signal.lfilter([1], [1, -phi], noise) * np.sqrt(1 - phi**2)
    frame = pd.DataFrame({f"x{place}": line for place, line in enumerate(values)})
    frame["at"] = pd.date_range("2024-01-01", periods=rows, freq="min")
    return frame


# Name, what makes rows, rows of the reference and of the window.
FAMILIES = {
    "10 rows a customer, half of it his own": (customers, 0.5, 10_000, 2_000),
    "10 rows a customer, all of it his own": (customers, 1.0, 10_000, 2_000),
    "independent numbers, ten rows a customer, his place his own": (customers, 0.0, 10_000, 2_000),
    "autoregression 0.5": (series, 0.5, 10_000, 2_000),
    "autoregression 0.9": (series, 0.9, 10_000, 2_000),
    "autoregression 0.99": (series, 0.99, 10_000, 5_000),
    "independent rows in order of time": (series, 0.0, 10_000, 2_000),
}
# Windows with and without drift: ours and SciPy, the others. They take minutes.
_WINDOWS = (100, 10)
_QUICK = (20, 0)
_SHIFT = 0.5


def pair(family, seed, shift=0.0):
    """Returns reference and current frames; x0 of the current one is shifted."""
    make, strength, *sizes = FAMILIES[family]
    random = np.random.default_rng([FIRST_SEED, zlib.crc32(family.encode()), seed])
    frames = [make(strength, rows, random) for rows in sizes]
    frames[1]["x0"] += shift
    return frames


def named(reference, current):
    column = next(name for name in NAMED if name in reference)
    return ours(reference, current, NAMED[column])


def unnamed(reference, current):
    return ours(*(_features(frame) for frame in (reference, current)), SETTINGS)


def _features(frame):
    return frame.drop(columns=[name for name in NAMED if name in frame])


def _tools():
    others = {name: tool for name, tool in TOOLS.items() if name != "ours"}
    plain = {
        name: (lambda a, b, tool=tool: tool(_features(a), _features(b)))
        for name, tool in others.items()
    }
    return {"ours, named": named, "ours, told nothing": unnamed, **plain}


def run(windows, families=tuple(FAMILIES), tools=None, progress=lambda *_: None):
    """Returns (false alarms, found, windows) by (tool, family)."""
    many, few = windows
    found = {}
    for family in families:
        for name, tool in (tools or _tools()).items():
            count = many if name.startswith(("ours", "SciPy")) else few
            if not count:
                continue
            alarms = hits = 0
            for seed in range(count):
                alarms += any(alarm for _, alarm in tool(*pair(family, seed)).values())
                hits += tool(*pair(family, seed, _SHIFT))["x0"][1]
            found[name, family] = (alarms, hits, count)
            progress(family, name, found[name, family])
    return found


def report(found, seconds):
    """Returns the section's text."""
    tools = list(dict.fromkeys(tool for tool, _ in found))
    families = list(dict.fromkeys(family for _, family in found))

    def rows(place):
        return [
            [
                family,
                *(
                    f"{found[tool, family][place] / found[tool, family][2]:.0%}"
                    f" of {found[tool, family][2]}"
                    if (tool, family) in found
                    else "-"
                    for tool in tools
                ),
            ]
            for family in families
        ]

    return f"""## Rows that depend on each other

Share of windows in which any of six features raised an alarm, nothing having drifted: 10,000 rows
against 2,000 (5,000 at 0.99), each tool at its defaults. No other tool can be told what belongs
together. {seconds / 60:.0f} minutes.

{table(["rows", *tools], rows(0))}

Share of windows in which a shift of one feature by half a standard deviation was found. Where
nearly every window alarms anyway, that says nothing.

{table(["rows", *tools], rows(1))}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute, and no file written")
    parser.add_argument("--times", type=float, default=1, help="so many times the windows")
    args = parser.parse_args()
    windows = tuple(round(count * args.times) for count in (_QUICK if args.quick else _WINDOWS))
    began = time.perf_counter()
    found = run(windows, progress=lambda *said: print(*said, flush=True))
    text = report(found, time.perf_counter() - began)
    print(text)
    if not args.quick:
        write_section("dependent rows", text)


if __name__ == "__main__":
    main()
