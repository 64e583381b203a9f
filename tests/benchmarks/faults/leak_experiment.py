"""Leaks planted in one table, and the table as it is: what is found, by kind."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tests.benchmarks.package_tables import classes_of, read_columns
from tfx_loop.contracts.fault_report import (
    COPIED_ROWS,
    FEATURE_DOMINATES,
    FEATURE_TELLS_LABEL,
    FITTED_ON_ALL_ROWS,
    GROUPS_OVERLAP,
    LEAK_KINDS,
    NEAR_COPIES,
    OWN_LABEL_ENCODING,
)
from tfx_loop.monitoring.fault_detector.detection import detect_faults
from tfx_loop.monitoring.fault_detector.rows import SplitRows
from tfx_loop.monitoring.fault_detector.settings import DetectionSettings

Columns = dict[str, npt.NDArray[Any]]
_TRAINING, _HELD_OUT = 2_000, 1_500


@dataclass(frozen=True)
class LeakTrial:
    """One table with one leak, or none.

    Attributes:
        plant: What was planted; `clean` for nothing.
        wanted: The kinds that would be right; empty for none.
        kinds: The kinds that were found.
        table: The table's name.
    """

    plant: str
    wanted: tuple[str, ...]
    kinds: frozenset[str]
    table: str


@dataclass
class _World:
    """A table cut in two, to plant in."""

    columns: Columns
    labels: npt.NDArray[np.float64]
    cut: int
    random: np.random.Generator
    groups: npt.NDArray[Any] | None = None

    def numbers(self) -> list[str]:
        return [name for name, own in self.columns.items() if own.dtype.kind in "fiu"]


Plant = Callable[[_World], None]


def leak_trials(job: tuple[str, int]) -> list[LeakTrial]:
    """Returns what is found on a table, as it is and with each leak."""
    name, seed = job
    with threadpool_limits(limits=1):
        return [
            LeakTrial(title, wanted, _found(name, seed, plant), name)
            for title, wanted, plant in _plants()
        ]


def _found(name: str, seed: int, plant: Plant) -> frozenset[str]:
    columns, labels = read_columns(name)
    random = np.random.default_rng(700 + seed)
    order = random.permutation(len(labels))
    cut = min(_TRAINING, int(0.6 * len(order)))
    order = order[: cut + _HELD_OUT]
    world = _World(
        {key: own[order].copy() for key, own in columns.items()}, labels[order], cut, random
    )
    for key in world.numbers():
        world.columns[key] = world.columns[key].astype(np.float64)
    plant(world)
    training, held_out = (
        _side(world, rows) for rows in (slice(0, world.cut), slice(world.cut, None))
    )
    report = detect_faults(training, held_out, DetectionSettings(seed=seed))
    return frozenset(f.kind for f in report.findings if f.kind in LEAK_KINDS)


def _side(world: _World, rows: slice) -> SplitRows:
    """Returns rows with the answers of a constant: leaks are looked for, and not the fit."""
    labels, learnt = world.labels[rows], world.labels[: world.cut]
    classes = classes_of(learnt)
    if classes:
        shares = np.bincount(learnt.astype(int), minlength=classes) / len(learnt)
        outputs = np.tile(shares, (len(labels), 1))
    else:
        outputs = np.full(len(labels), learnt.mean())
    return SplitRows(
        features={name: own[rows] for name, own in world.columns.items()},
        labels=labels,
        outputs=outputs,
        groups=None if world.groups is None else world.groups[rows],
    )


def _plants() -> Iterator[tuple[str, tuple[str, ...], Plant]]:
    yield "clean", (), lambda world: None
    for share in (0.0, 0.02, 0.05, 0.1, 0.2):
        title = f"a feature is the label, {share:.0%} redrawn"
        yield title, (FEATURE_TELLS_LABEL, FEATURE_DOMINATES), _label_as_feature(share)
    for share in (0.005, 0.02, 0.1):
        yield f"{share:.1%} of the held-out rows copied", (COPIED_ROWS,), _copies(share, 0.0)
    for noise in (0.001, 0.01):
        title = f"5% copied with noise of {noise:g} deviations"
        yield title, (NEAR_COPIES, COPIED_ROWS), _copies(0.05, noise)
    for rows in (2, 5, 20):
        yield f"own-label encoding, {rows} rows a level", (OWN_LABEL_ENCODING,), _encoding(rows)
    yield "3 rows an entity, split by rows", (GROUPS_OVERLAP,), _entities
    yield "scaled on all rows", (FITTED_ON_ALL_ROWS,), _scaled


def _label_as_feature(share: float) -> Plant:
    def plant(world: _World) -> None:
        leak, rows = world.labels.copy(), len(world.labels)
        redrawn = world.random.random(rows) < share
        leak[redrawn] = world.random.permutation(world.labels)[redrawn]
        world.columns["leak"] = leak + world.random.normal(size=rows) * 0.05 * leak.std()

    return plant


def _copies(share: float, noise: float) -> Plant:
    def plant(world: _World) -> None:
        held_out = len(world.labels) - world.cut
        count = max(1, round(share * held_out))
        places = world.cut + world.random.permutation(held_out)[:count]
        origins = world.random.integers(0, world.cut, count)
        world.labels[places] = world.labels[origins]
        for name, own in world.columns.items():
            own[places] = own[origins]
            if noise and name in world.numbers():
                own[places] += noise * np.nanstd(own) * world.random.normal(size=count)

    return plant


def _encoding(rows_a_level: int) -> Plant:
    def plant(world: _World) -> None:
        labels = world.labels
        if classes := classes_of(labels):
            most = np.bincount(labels.astype(int), minlength=classes).argmax()
            labels = (labels == most).astype(float)
        levels = max(2, len(labels) // rows_a_level)
        ids = world.random.integers(0, levels, len(labels))
        learnt = slice(0, world.cut)
        sums = np.bincount(ids[learnt], weights=labels[learnt], minlength=levels)
        counts = np.bincount(ids[learnt], minlength=levels)
        known = np.where(counts > 0, sums / np.maximum(counts, 1), labels[learnt].mean())
        world.columns["encoded"] = known[ids]

    return plant


def _entities(world: _World) -> None:
    kept = len(world.labels) // 3
    order = world.random.permutation(3 * kept)
    entity = np.repeat(np.arange(kept), 3)[order]
    world.labels = world.labels[entity]
    for name in world.columns:
        world.columns[name] = world.columns[name][entity]
    for name in world.numbers():
        own = world.columns[name]
        own += 0.05 * np.nanstd(own) * world.random.normal(size=len(own))
    world.groups, world.cut = entity, int(0.6 * len(entity))


def _scaled(world: _World) -> None:
    for name in world.numbers():
        own = world.columns[name]
        spread = np.nanstd(own)
        world.columns[name] = (own - np.nanmean(own)) / (spread if spread else 1.0)
