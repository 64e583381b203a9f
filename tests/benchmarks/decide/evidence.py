"""What can be known about a stream, whatever rule decides; fitted once and kept.

The champions' losses and the measurements of RetrainDecider are the dear part, and no rule is in
them: they are written to disk, and rules are replayed over them in milliseconds.
"""

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tests.benchmarks.decide.champions import Losses, loss_matrix
from tests.benchmarks.decide.drift_scores import psi_matrix
from tests.benchmarks.decide.streams import LABEL, WINDOW, Stream
from tfx_loop.monitoring.retrain_decider.avoidable_loss import (
    AvoidableLoss,
    MeasureSettings,
    measure_avoidable_loss,
)
from tfx_loop.monitoring.retrain_decider.surrogate import (
    Surrogate,
    SurrogateSettings,
    fit_surrogate,
)
from tfx_loop.monitoring.retrain_decider.thinning import LabelledSample

# Above 24 windows of 1,000 rows: on the generated streams all fits are shared between pairs.
_MAX_ROWS = 24_000


@dataclass(frozen=True, kw_only=True)
class StreamEvidence:
    """What all rules on one stream read.

    Attributes:
        name: The stream's.
        kind: The stream's.
        seed: The stream's.
        champion: What kind of model serves.
        initial_windows: Windows that the first champion is trained on.
        losses: Of every champion in every window.
        stability: Highest PSI of all features, float64 [trained through window, window].
        measured: Avoidable loss by champion (the newest window it was trained on) and window.
    """

    name: str
    kind: str
    seed: int
    champion: str
    initial_windows: int
    losses: Losses
    stability: np.ndarray
    measured: dict[tuple[int, int], AvoidableLoss]


def gather(
    stream: Stream, measured: dict[tuple[int, int], AvoidableLoss] | None = None
) -> StreamEvidence:
    """Fits what there is to fit; `measured` where another champion on the same rows knows it."""
    return StreamEvidence(
        name=stream.name,
        kind=stream.kind,
        seed=stream.seed,
        champion=stream.champion,
        initial_windows=stream.initial_windows,
        losses=loss_matrix(stream),
        stability=psi_matrix(stream),
        measured=measured or _measure_all(stream),
    )


def read(path: Path) -> list[StreamEvidence]:
    """Returns what `write` kept."""
    # The benchmark's own file, written by `write` in this checkout.
    found: list[StreamEvidence] = pickle.loads(path.read_bytes())  # noqa: S301
    return found


def write(path: Path, evidence: list[StreamEvidence]) -> None:
    """Keeps evidence for the next run; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_bytes(pickle.dumps(evidence))
    unfinished.replace(path)


def _measure_all(stream: Stream) -> dict[tuple[int, int], AvoidableLoss]:
    """Measures every champion in every window that a choice can ask about."""
    fits = _SharedFits()
    measured = {}
    for window in range(stream.initial_windows, stream.windows - 2):
        learnt = stream.trained_on(window)
        for champion in range(stream.initial_windows - 1, window):
            measured[champion, window] = measure_avoidable_loss(
                LabelledSample(rows=stream.trained_on(champion)),
                LabelledSample(rows=learnt[learnt[WINDOW] < window]),
                stream.between(window, window),
                label=LABEL,
                features=stream.features,
                settings=MeasureSettings(max_rows=_MAX_ROWS),
                fit=fits,
            )
    return measured


class _SharedFits:
    """Fits each set of rows once: the index says which rows these are."""

    def __init__(self) -> None:
        self._fits: dict[bytes, Surrogate] = {}

    def __call__(
        self, rows: pd.DataFrame, label: str, features: list[str], settings: SurrogateSettings
    ) -> Surrogate:
        """Returns the surrogate of these rows."""
        key = _key(rows)
        if key not in self._fits:
            self._fits[key] = _Remembering(fit_surrogate(rows, label, features, settings))
        return self._fits[key]


class _Remembering:
    """A surrogate that predicts each set of rows once."""

    def __init__(self, fitted: Surrogate) -> None:
        self._fitted = fitted
        self._losses: dict[bytes, np.ndarray] = {}

    def losses(self, rows: pd.DataFrame) -> np.ndarray:
        """Returns the loss of each row."""
        key = _key(rows)
        if key not in self._losses:
            self._losses[key] = self._fitted.losses(rows)
        return self._losses[key]


def _key(rows: pd.DataFrame) -> bytes:
    return hashlib.sha256(rows.index.to_numpy().tobytes()).digest()
