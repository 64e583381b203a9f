"""Random halves of real tables and known streams: false alarms, false faults, named features.

    python -m tests.benchmarks.drift.real_tables [--quick | --halves N]

Two halves of one table have nothing between them but chance. With one of its numbers moved by half
a standard deviation in the second, that column alone is to be named. In known streams it is known
what moved. The same for exact tests with Benjamini-Hochberg, and for Evidently at its defaults.
"""

import argparse
import time
import zlib

import numpy as np
import pandas as pd

from tests.benchmarks.drift.packaged import NotFetchedError
from tests.benchmarks.drift.peers import SETTINGS, evidently, scipy_bh
from tests.benchmarks.drift.real_tables.tables import HALVES, MOST_ROWS, STREAMS
from tests.benchmarks.drift.sections import table, write_section
from tests.benchmarks.drift.worlds import FIRST_SEED, as_table_file
from tfx_loop.monitoring.file_comparison.compare_files import compare_files

_SHIFT = 0.5
PEERS = {"SciPy KS + BH": scipy_bh, "Evidently": evidently}


def halves(frame, name, number):
    """Returns two halves of a table's rows, at most 20,000 of them."""
    random = np.random.default_rng([FIRST_SEED, zlib.crc32(name.encode()), number])
    order = random.permutation(len(frame))[:MOST_ROWS]
    middle = len(order) // 2
    return [frame.iloc[part].reset_index(drop=True) for part in (order[:middle], order[middle:])]


def moved(frame):
    """Returns a number of many values, and the frame with it moved by half a deviation."""
    numbers = frame.select_dtypes("number")
    wide = [name for name in numbers if frame[name].nunique() > 30 and name not in _KEYS]
    if not wide:
        return "", frame
    column = sorted(wide, key=lambda name: (-frame[name].nunique(), name))[0]
    size = float(np.subtract(*frame[column].quantile([0.84, 0.16]))) / 2
    size = _SHIFT * (size or float(frame[column].std()))
    # Whole numbers stay whole: a fraction would be another type.
    whole = frame[column].dropna().mod(1).eq(0).all()
    return column, frame.assign(**{column: frame[column] + (np.ceil(size) if whole else size)})


# Columns that name rows or times: moving them is no drift of a feature.
_KEYS = frozenset(("id", "timestamp", "userId", "movieId", "flight", "case.id", "year", "occ10"))


def judged(reference, current):
    """Returns which features drifted and which are broken, by ours."""
    report = compare_files(as_table_file(reference), as_table_file(current), SETTINGS).report
    # The aspects of a text column are that column.
    drifted = {name.partition("#")[0] for name in report.drifted}
    return drifted, set(report.faulty), report


def alarmed(peer, frames):
    """Returns which columns a peer calls drifted; those it cannot read are left out."""
    usable = [
        name
        for name in frames[0]
        if all(frame[name].nunique(dropna=True) > 1 for frame in frames)
        and (frames[0][name].dtype != object or frames[0][name].nunique() < 300)
    ]
    plain = [
        frame[usable].apply(
            lambda column: column.fillna("") if column.dtype == object else column.astype(float)
        )
        for frame in frames
    ]
    # Exact tests know no missing values: a column that has some is left to the others.
    both = [name for name in plain[0] if not any(frame[name].isna().any() for frame in plain)]
    found = PEERS[peer](*(frame[both] for frame in plain))
    return {name for name, (_, alarm) in found.items() if alarm}


def of_halves(name, frame, count, peers):
    """Returns one line of the table of halves."""
    ours = {"alarms": 0, "faults": 0, "found": 0, "others": 0, "tried": 0}
    theirs = dict.fromkeys(peers, 0)
    for number in range(count):
        old, new = halves(frame, name, number)
        drifted, faulty, _ = judged(old, new)
        ours["alarms"] += bool(drifted)
        ours["faults"] += bool(faulty)
        for peer in peers:
            theirs[peer] += bool(alarmed(peer, (old, new)))
        column, other = moved(new)
        if column:
            drifted, faulty, _ = judged(old, other)
            ours["tried"] += 1
            ours["found"] += column in drifted
            ours["others"] += bool((drifted | faulty) - {column})
    tried = ours["tried"]
    return [
        name,
        f"{len(frame):,}",
        frame.shape[1],
        f"{ours['alarms']} of {count}",
        f"{ours['faults']} of {count}",
        *(f"{theirs[peer]} of {count}" for peer in peers),
        f"{ours['found']} of {tried}" if tried else "-",
        f"{ours['others']} of {tried}" if tried else "-",
    ], ours


def of_stream(name):
    """Returns one line of the table of streams."""
    old, new, known = STREAMS[name]
    old, new = old(), new()
    drifted, faulty, report = judged(old.head(MOST_ROWS), new.head(MOST_ROWS))
    hit = [column for column in known if column in drifted]
    tested = len({f.feature for f in report.features if f.p_value is not None})
    return [
        name,
        report.verdict.value,
        f"{len(hit)} of {len(known)}" if known else "nothing known to move",
        f"{len(drifted)} of {tested}",
        ", ".join(sorted(faulty)) or "none",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one half each, and no file written")
    parser.add_argument("--halves", type=int, default=4, help="random halves of each table")
    args = parser.parse_args()
    count, peers = (1, ()) if args.quick else (args.halves, tuple(PEERS))
    began = time.perf_counter()
    lines, sums = [], []
    for name, read in HALVES.items():
        try:
            frame = pd.DataFrame(read())
        except NotFetchedError as error:
            lines.append([name, f"not fetched: {error}", *[""] * 7])
            continue
        line, ours = of_halves(name, frame, count, peers)
        print(*line, flush=True)
        lines.append(line)
        sums.append(ours)
    streams = []
    for name in STREAMS:
        streams.append(of_stream(name))
        print(*streams[-1], flush=True)
    total = {key: sum(ours[key] for ours in sums) for key in sums[0]}
    text = report(lines, streams, total, count * len(sums), peers, time.perf_counter() - began)
    print(text)
    if not args.quick:
        write_section("real tables", text)


def report(lines, streams, total, windows, peers, seconds):
    heads = ["table", "rows", "columns", "drift", "faults", *(f"{peer}" for peer in peers)]
    heads += ["moved column named", "others named"]
    return f"""## Real tables

Random halves of {len(lines)} tables that packages carry, at most {MOST_ROWS:,} rows of each:
false alarms in {total["alarms"]} and false faults in {total["faults"]} of {windows}. With one
number of the second half moved by half of its usual deviation it was named in {total["found"]} of
{total["tried"]}, and another column in {total["others"]}. {seconds / 60:.0f} minutes.

{table(heads, lines)}

Known streams: what is known to have moved, and what was named.

{table(["stream", "verdict", "known named", "drifted of tested", "faults"], streams)}
"""


if __name__ == "__main__":
    main()
