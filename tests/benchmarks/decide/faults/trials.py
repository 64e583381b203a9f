"""Trials of one stream: sound windows, a planted fault in one window, broken champions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from tests.benchmarks.decide.champions import fit_champion
from tests.benchmarks.decide.faults.loop_on_files import (
    LoopOnFiles,
    held_out,
    with_times,
    write_reference,
)
from tests.benchmarks.decide.faults.planted import (
    FEATURE_FAULTS,
    LABEL_FAULTS,
    Answer,
    answers_of,
    broken_champions,
    log_loss,
    strengths,
)
from tests.benchmarks.decide.streams import LABEL, Stream
from tfx_loop.contracts.retrain_decision import DecisionAction, RetrainVerdict

SOUND_WINDOWS = 5
# A window of before the fault, and one of after it, when a training would learn from the fault.
_BROKEN, _LAST = 1, 2
_TRAINS = (DecisionAction.RETRAIN, DecisionAction.REINSTATE_AND_RETRAIN)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of one trial.

    Attributes:
        stream: Name of the stream.
        seed: Its seed.
        kind: `sound`, `feature`, `label` or `champion`.
        fault: What was planted; empty for nothing.
        found: Whether the fault was named: the window quarantined, the champion called faulty.
        trained_on: Trainings that would have learnt from the faulty window.
        windows: Sound windows that were judged.
        quarantined: Of these, the ones that were quarantined, each as `window: faults`.
        called_faulty: Windows in which a sound champion was called faulty.
        harm: Of a broken champion, the loss that it adds, as a share of the loss of a sound one.
    """

    stream: str
    seed: int
    kind: str
    fault: str = ""
    found: bool = False
    trained_on: int = 0
    windows: int = 0
    quarantined: tuple[str, ...] = ()
    called_faulty: int = 0
    harm: float = 0.0


@dataclass(frozen=True, kw_only=True)
class _Desk:
    """A stream with the champion of its first windows."""

    stream: Stream
    rows: pd.DataFrame
    first: pd.DataFrame
    answer: Answer
    strong: str
    weak: str
    reference: Path

    @classmethod
    def of(cls, stream: Stream, folder: Path) -> "_Desk":
        rows = with_times(stream.rows)
        first = rows[rows["window"] < stream.initial_windows]
        held = held_out(first)
        answer = answers_of(fit_champion(stream, first[~held]), stream)
        random = np.random.default_rng([stream.seed, 1])
        found = strengths(stream, answer, first[held], random)
        return cls(
            stream=stream,
            rows=rows,
            first=first,
            answer=answer,
            strong=max(found, key=found.__getitem__),
            weak=min(found, key=found.__getitem__),
            reference=write_reference(stream, first, answer, folder / "reference"),
        )

    def window(self, number: int) -> tuple[int, pd.DataFrame]:
        """Returns the number of a served window in the stream, and its rows."""
        place = self.stream.initial_windows + number
        return place, self.rows[self.rows["window"] == place]


def trials_of(stream: Stream) -> Iterator[Trial]:
    """Runs all trials of one stream."""
    with TemporaryDirectory(prefix="bench-decide-") as folder:
        desk = _Desk.of(stream, Path(folder))
        yield _sound(desk)
        for strength, name in (("strong", desk.strong), ("weak", desk.weak)):
            for fault, change in FEATURE_FAULTS.items():
                yield _faulty_feature(desk, name, f"{fault}, {strength}", change)
        for fault, change in LABEL_FAULTS.items():
            yield _faulty_labels(desk, fault, change)
        random = np.random.default_rng([stream.seed, 2])
        trained = desk.first[~held_out(desk.first)]
        broken = broken_champions(stream, trained, desk.answer, desk.strong, random)
        for fault, (promised, answer) in broken.items():
            beside = Path(folder) / fault.replace(" ", "-")
            reference = write_reference(stream, desk.first, promised, beside)
            yield _broken_champion(desk, fault, reference, answer)


def _sound(desk: _Desk) -> Trial:
    with _started(desk, desk.reference, desk.answer) as loop:
        called = 0
        for number in range(SOUND_WINDOWS):
            place, rows = desk.window(number)
            loop.log(place, rows, rows[LABEL])
            if number:
                called += loop.decide(place).verdict is RetrainVerdict.MODEL_FAULT
        return Trial(
            stream=desk.stream.name,
            seed=desk.stream.seed,
            kind="sound",
            # The last window's labels are not judged, and the first one's features.
            windows=SOUND_WINDOWS - 1,
            quarantined=_told(loop),
            called_faulty=called,
        )


def _faulty_feature(desk: _Desk, name: str, fault: str, change: Callable[..., Any]) -> Trial:
    random = np.random.default_rng([desk.stream.seed, 3])

    def break_rows(rows: pd.DataFrame) -> tuple[pd.DataFrame, Any]:
        return rows.assign(**{name: change(rows[name], random)}), rows[LABEL]

    return _faulty_window(desk, "feature", fault, break_rows)


def _faulty_labels(desk: _Desk, fault: str, change: Callable[..., Any]) -> Trial:
    random = np.random.default_rng([desk.stream.seed, 4])

    def break_labels(rows: pd.DataFrame) -> tuple[pd.DataFrame, Any]:
        return rows, change(rows[LABEL], random)

    return _faulty_window(desk, "label", fault, break_labels)


def _faulty_window(
    desk: _Desk, kind: str, fault: str, broken: Callable[[pd.DataFrame], tuple[pd.DataFrame, Any]]
) -> Trial:
    """Plants a fault in one window, and decides until a training would have learnt from it."""
    faulty, trained_on = str(desk.window(_BROKEN)[0]), 0
    with _started(desk, desk.reference, desk.answer) as loop:
        for number in range(_LAST + 1):
            place, rows = desk.window(number)
            given, labels = broken(rows) if number == _BROKEN else (rows, rows[LABEL])
            loop.log(place, given, labels)
            # Before the fault nothing can go wrong; of a quarantined window no row is used again.
            if number < _BROKEN or faulty in loop.quarantined:
                continue
            record = loop.decide(place)
            # A training learns from windows whose labels have come: the faulty one's come next.
            trains = record.action in _TRAINS and number > _BROKEN
            trained_on += trains and faulty not in loop.quarantined
        return Trial(
            stream=desk.stream.name,
            seed=desk.stream.seed,
            kind=kind,
            fault=fault,
            found=faulty in loop.quarantined,
            trained_on=trained_on,
        )


def _broken_champion(desk: _Desk, fault: str, reference: Path, answer: Answer) -> Trial:
    with _started(desk, reference, answer) as loop:
        for number in (0, 1):
            place, rows = desk.window(number)
            loop.log(place, rows, rows[LABEL])
        verdict = loop.decide(place).verdict
        rows = desk.window(0)[1]
        sound = log_loss(rows, desk.answer(rows))
        return Trial(
            stream=desk.stream.name,
            seed=desk.stream.seed,
            kind="champion",
            fault=fault,
            found=verdict is RetrainVerdict.MODEL_FAULT,
            harm=log_loss(rows, answer(rows)) / sound - 1,
        )


@contextmanager
def _started(desk: _Desk, reference: Path, answer: Answer) -> Iterator[LoopOnFiles]:
    """A loop in a folder of its own, with one version serving."""
    with TemporaryDirectory(prefix="bench-decide-") as folder:
        yield LoopOnFiles(desk.stream, Path(folder), reference, answer)


def _told(loop: LoopOnFiles) -> tuple[str, ...]:
    return tuple(f"{each.window}: {', '.join(each.faults)}" for each in loop.quarantined.values())
