"""Models of all kinds on one table: how much each loses in truth, and what each rule says of it."""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from tests.benchmarks.faults.models import SOUND, Floats, train_all
from tests.benchmarks.faults.wide_tables import WIDE_NAMES, read_wide
from tests.benchmarks.package_tables import read_table
from tfx_loop.contracts.fault_report import SPLITS_SWAPPED
from tfx_loop.monitoring.fault_detector.fit import FitLosses, judge, measure
from tfx_loop.monitoring.fault_detector.reference_losses import ReferenceLosses, reference_losses
from tfx_loop.monitoring.fault_detector.rows import Task
from tfx_loop.monitoring.fault_detector.settings import DetectionSettings
from tfx_loop.monitoring.reference_models.feature_matrix import feature_matrices

# Rows of each part at most. What is left tells the truth, which no rule sees.
_TRAINING, _HELD_OUT, _TRUTH = 1_500, 1_500, 4_000
# Deviations at which a number is clipped.
_FAR = 8.0


@dataclass(frozen=True)
class JudgedModel:
    """One model on one table.

    Attributes:
        model: Its name.
        harm: Loss above that of the best sound model on rows that no rule sees, as a share of what
            there is to learn.
        kind: What ours found; empty for nothing.
        debugger: Whether SageMaker Debugger's over-fitting rule alarms: a gap of a tenth.
        by_reading: Whether deepchecks' defaults do, as we read them: a tenth lost between the
            splits, or less than a tenth gained on a naive model.
        deepchecks: Whether deepchecks itself alarms; None where it was not run.
        interchanged: Whether ours tells that both sides were interchanged, where they were.
        table: The table's name.
    """

    model: str
    harm: float
    kind: str
    debugger: bool
    by_reading: bool
    deepchecks: bool | None
    interchanged: bool
    table: str


def judged_models(job: tuple[str, int], deepchecks: str = "") -> list[JudgedModel]:
    """Returns what became of each model on a table, with a seed.

    Args:
        job: The table's name and the seed.
        deepchecks: Python of an environment that has deepchecks; empty does not run it.
    """
    # OpenMP's threads spin while they wait: on two busy cores a fit took a hundred times as long.
    with threadpool_limits(limits=1):
        return _judged_models(*job, deepchecks)


@dataclass(frozen=True)
class _Parts:
    """Training, held-out and truth rows, as models and as the reference see them."""

    sides: Sequence[tuple[Floats, Floats]]
    reference: Sequence[Floats]
    task: Task
    widest: int


def _parts(name: str, seed: int) -> _Parts:
    if name in WIDE_NAMES:
        wide = read_wide(name)
        features, labels, classes = wide.model_features, wide.labels, wide.classes
    else:
        table = read_table(name)
        wide, features, labels, classes = None, table.features, table.labels, table.classes
    order = np.random.default_rng(1_000 + seed).permutation(len(labels))
    first = min(_TRAINING, len(order) // 2)
    second = first + min(_HELD_OUT, len(order) // 4)
    parts = order[:first], order[first:second], order[second : second + _TRUTH]
    center, scale = features[parts[0]].mean(0), features[parts[0]].std(0)
    x = np.clip((features - center) / np.where(scale > 0, scale, 1), -_FAR, _FAR)
    y = labels
    if not classes:
        y = (y - y[parts[0]].mean()) / y[parts[0]].std()
    sides = [(x[part], y[part]) for part in parts]
    seen = [own for own, _ in sides[:2]]
    if wide is not None:
        seen = list(feature_matrices(*({"wide": wide.column[part]} for part in parts[:2])))
    widest = 64 if name == "digits" else int(np.prod(wide.column.shape[1:])) if wide else 1
    return _Parts(sides, seen, Task(classes), widest)


def _judged_models(name: str, seed: int, deepchecks: str) -> list[JudgedModel]:
    parts = _parts(name, seed)
    sides, task = parts.sides, parts.task
    known = [(own, y) for own, (_, y) in zip(parts.reference, sides, strict=False)]
    # As they are, and interchanged: then the reference learns from what was held out.
    references = [
        reference_losses(*pair, task, widest=parts.widest, seed=seed)
        for pair in (known, known[::-1])
    ]
    constants = [task.losses(task.constant(sides[0][1], len(b)), b) for _, b in sides]
    asks = train_all(*sides[0], task.classes, seed)
    answers = {model: [ask(a) for a, _ in sides] for model, ask in asks.items()}
    losses = {
        model: [task.losses(own, b) for own, (_, b) in zip(given, sides, strict=True)]
        for model, given in answers.items()
    }
    best = min(float(losses[model][2].mean()) for model in SOUND)
    learnable = float(constants[2].mean()) - best
    alarms = _deepchecks(deepchecks, sides, answers, task.classes)
    found = []
    for model, own in losses.items():
        faults = _faults(own[:2], constants[1], references[0], task)
        swapped = _faults(own[1::-1], constants[0], references[1], task)
        scores = [
            _score(given, b, task) for given, (_, b) in zip(answers[model], sides, strict=True)
        ]
        naive = _score(task.constant(sides[0][1], len(sides[1][1])), sides[1][1], task)
        found.append(
            JudgedModel(
                model=model,
                harm=(float(own[2].mean()) - best) / learnable,
                kind=faults[0] if faults else "",
                debugger=bool(own[1].mean() - own[0].mean() > 0.1 * max(own[0].mean(), 1e-12)),
                by_reading=_as_read(scores[0], scores[1], naive, task),
                deepchecks=alarms.get(model),
                interchanged=SPLITS_SWAPPED in swapped,
                table=name,
            )
        )
    return found


def _faults(
    losses: Sequence[Floats], constant: Floats, reference: ReferenceLosses, task: Task
) -> list[str]:
    """Returns the kinds that stop a push."""
    fit = FitLosses(training=losses[0], held_out=losses[1], constant=constant, reference=reference)
    faults = judge(fit, measure(fit, task), DetectionSettings().tolerance)
    return [fault.kind for fault in faults if fault.blocks]


def _deepchecks(
    python: str,
    sides: Sequence[tuple[Floats, Floats]],
    answers: Mapping[str, Sequence[Floats]],
    classes: int,
) -> dict[str, bool]:
    """Returns whether deepchecks itself alarms, by model; none where it is not to be run."""
    if not python:
        return {}
    given: dict[str, Any] = {"classes": classes, "models": len(answers)}
    for side in (0, 1):
        given[f"x{side}"], given[f"y{side}"] = sides[side]
        for place, own in enumerate(answers.values()):
            given[f"a{place}_{side}"] = own[side]
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/given.npz", **given)
        script = Path(__file__).with_name("deepchecks_peer.py")
        done = subprocess.run(
            [python, str(script), f"{folder}/given.npz"],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"HOME": folder, "PATH": "", "OMP_NUM_THREADS": "1"},
        )
    said = json.loads(done.stdout.decode().strip().splitlines()[-1])
    return {model: said[str(place)] for place, model in enumerate(answers)}


def _score(answers: Floats, labels: Floats, task: Task) -> float:
    """Returns accuracy, or the negative root mean squared error; higher is better."""
    if task.classes:
        return float(np.mean(answers.argmax(axis=1) == labels))
    return -float(np.sqrt(np.mean((answers - labels) ** 2)))


def _as_read(training: float, held_out: float, naive: float, task: Task) -> bool:
    """Deepchecks' defaults, as documented: TrainTestPerformance and SimpleModelComparison."""
    lost = (training - held_out) / abs(training) > 0.1 if training else False
    perfect = 1.0 if task.classes else 0.0
    gained = (held_out - naive) / max(perfect - naive, 1e-9)
    return bool(lost or gained < 0.1)
