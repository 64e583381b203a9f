"""`make bench-privacy`: how often membership inference warns, by model, beside two peers.

For each table and seed, a model is trained on a third of the rows; another third it did not see.
The null models are trained on the last third, so that neither side is known to them and each
warning is false. The peers: the model's loss alone (Yeom et al. 2018), and calibration by
references that saw neither member but all members where others are asked (one side out of fold).
"""

import argparse
import multiprocessing
import sys
from collections import defaultdict

import numpy as np

from tests.benchmarks.package_tables import NAMES
from tests.benchmarks.privacy.experiment import Finding, findings_of
from tests.benchmarks.privacy.models import MODELS, NULL_MODELS
from tfx_loop.presentation.terminal import TextTable, show

# Seeds from 100 on were looked at while this was written; those below are reported.
_HEADINGS = ("model", "runs", "ours", "loss_alone", "one_side", "auc", "control", "tpr_at_1%")


def main() -> int:
    """Prints a row a model; returns 1 where a null model was warned of."""
    parser = argparse.ArgumentParser(prog="bench-privacy", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tables", nargs="*", default=NAMES, choices=NAMES)
    args = parser.parse_args()
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    tasks = [(name, seed) for name in args.tables for seed in seeds]
    by_model: dict[str, list[Finding]] = defaultdict(list)
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        for found in pool.imap_unordered(findings_of, tasks):
            for finding in found:
                by_model[finding.model].append(finding)
    rows = [_row(name, by_model[name]) for name in sorted(by_model, key=_rank)]
    show(TextTable(rows=rows, headings=_HEADINGS, numbers=_HEADINGS[1:]))
    return int(any(f.ours for name in NULL_MODELS for f in by_model[f"null: {name}"]))


def _rank(name: str) -> tuple[bool, int]:
    plain = name.removeprefix("null: ")
    return plain == name, [*MODELS].index(plain)


def _row(name: str, found: list[Finding]) -> list[str]:
    shares = [
        np.mean([getattr(finding, rule) for finding in found])
        for rule in ("ours", "loss_alone", "one_side")
    ]
    means = [
        np.mean([finding.calibrated.auc for finding in found]),
        np.mean([finding.control.auc for finding in found]),
        np.mean([finding.calibrated.true_positive_rate for finding in found]),
    ]
    return [name, str(len(found)), *(f"{value:.2f}" for value in shares)] + [
        f"{value:.3f}" for value in means
    ]


if __name__ == "__main__":
    sys.exit(main())
