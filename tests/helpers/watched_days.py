"""Runs the watch driver day after day, starting it again whenever it died, and reads what came."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from recorder import open_store
from watch_driver import ASKING, DISK_FULL, day_of

from tfx_loop.contracts.deployment_record import read_record
from tfx_loop.contracts.retrain_decision import DecisionProperties
from tfx_loop.core import type_names
from tfx_loop.core.custom_properties import from_properties
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.claims import ClaimBook

DRIVER = Path(__file__).parent / "watch_driver.py"
ROOT = DRIVER.parents[2]
_MOST_STARTS = 200


@dataclass(frozen=True)
class WatchedDays:
    """What is on record after the last day."""

    kills: int
    decisions: Counter
    claims: list
    outcomes: dict
    versions: list
    told: list
    memory_kb: dict


def watched(folder: Path, days: int, seed: int = 0, kill_rate: float = 0.0) -> WatchedDays:
    """Watches some days, with kills; returns what is on record."""
    path = os.pathsep.join(
        [str(ROOT / "src"), str(DRIVER.parent), os.environ.get("PYTHONPATH", "")]
    )
    said = ""
    for start in range(_MOST_STARTS):
        command = [sys.executable, str(DRIVER), str(folder), str(days)]
        done = subprocess.run(
            [*command, str(seed + start), str(kill_rate)],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        said += done.stderr
        if done.returncode == 0:
            return _record(folder, start, said)
        assert done.returncode == -9, done.stderr[-3000:]
    raise AssertionError(f"It did not end in {_MOST_STARTS} starts.")


def _record(folder: Path, kills: int, said: str) -> WatchedDays:
    store = open_store(folder / "home/metadata.sqlite")
    found = ledger.artifacts_of_type(store, type_names.RETRAIN_DECISION)
    # An Importer of the training pipeline may register the decision once more, under its URI.
    uris = {one.uri: from_properties(DecisionProperties, ledger.properties(one)) for one in found}
    book = ClaimBook(store, "flights")
    return WatchedDays(
        kills=kills,
        decisions=Counter(one.window for one in uris.values() if one.window),
        claims=[claim.window for claim in book.claims()],
        outcomes={one.run_id: one.reason for one in book.outcomes().values()},
        versions=[one.run_id for one in read_record(str(folder / "serving"), "flights").versions],
        told=[line.partition("change=")[2] for line in said.splitlines() if "change=" in line],
        memory_kb=json.loads((folder / "memory.json").read_text()),
    )


def check(found: WatchedDays, days: int) -> None:
    """Nothing was launched twice, nothing was forgotten."""
    # The newest windows may still wait: for their labels, three days at most.
    decided = sorted(map(day_of, found.decisions))
    assert decided == list(range(1, decided[-1] + 1))
    assert decided[-1] >= days - 4
    assert set(found.decisions.values()) == {1}
    asked = sorted(day for day in ASKING if day <= decided[-1])
    claimed = list(map(day_of, found.claims))
    # The last may have been decided at the last look, and be launched at the next.
    assert claimed in (asked, asked[:-1])
    assert set(found.outcomes.values()) <= {"pushed"}
    assert len(found.versions) == len(set(found.versions)) == 1 + len(found.outcomes)
    troubles = [line for line in found.told if line.startswith("trouble ")]
    if days > max(DISK_FULL) and not found.kills:
        # The server and the disk: each is told when it begins, and not at each look.
        assert len(troubles) == 2, found.told
