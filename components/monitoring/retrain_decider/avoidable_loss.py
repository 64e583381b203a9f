"""Avoidable loss: what a retraining would have saved in the newest labelled window. Pure.

Drift says that the inputs moved, a fallen metric that the world got harder or the model worse.
Neither says that retraining helps, so that is measured: one surrogate learns from a sample of what
the champion learnt from, another from a sample of what a retraining would learn from, with half of
the newest labelled window; on the other half, crosswise, their losses are compared row by row.

Both samples keep the same fraction of their data: equal sizes would be blind to "more data helps".
The halves are made of alternating blocks of time, because rows near in time share their causes
(one hour's weather, one day's rush): halves drawn row by row would let the surrogate know the
answer. The standard error counts blocks, not rows, for the same reason.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from tfx_loop.contracts.retrain_decision import MeasuredLoss
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.monitoring.retrain_decider.surrogate import (
    FitSurrogate,
    Floats,
    SurrogateSettings,
    fit_surrogate,
    is_binary,
    is_categorical,
)

# One row in so many is held out of both samples, to see which loss to expect of
# the champion; one fit serves both questions so.
_HELD_OUT = 10


@dataclass(frozen=True, kw_only=True)
class MeasureSettings:
    """How avoidable loss is measured.

    Attributes:
        max_rows: Rows that a surrogate is fitted on at most.
        blocks: Blocks of time that the newest window is cut into.
        surrogate: How the surrogate is fitted.
        seed: Seed of the subsamples.
    """

    max_rows: int = 20_000
    blocks: int = 32
    surrogate: SurrogateSettings = field(default_factory=SurrogateSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.max_rows < 100:
            raise ConfigError(f"max_rows must be at least 100, got {self.max_rows}.")
        if self.blocks < 4 or self.blocks % 2:
            raise ConfigError(f"blocks must be even and at least 4, got {self.blocks}.")


@dataclass(frozen=True, kw_only=True)
class LabelledSample:
    """Labelled rows, and the fraction of all such rows that they are.

    Attributes:
        rows: One row an example, features and label under their plain names.
        fraction: Rows here over rows there were, in (0, 1].
    """

    rows: pd.DataFrame
    fraction: float = 1.0

    def __post_init__(self) -> None:
        """Checks the fraction."""
        if not 0.0 < self.fraction <= 1.0:
            raise ConfigError(f"fraction must be in (0, 1], got {self.fraction}.")


@dataclass(frozen=True, kw_only=True)
class AvoidableLoss:
    """What a retraining would have saved in one window.

    Attributes:
        mean: Loss saved per row (nats, or squared units of the label).
        standard_error: Of the mean, over blocks of time.
        champion_loss: Mean loss per row of the champion's stand-in.
        champion_loss_error: Standard error of that, over blocks of time.
        expected_loss: Mean loss per row on rows held out of the champion's training sample.
        expected_loss_error: Standard error of that.
        rows: Labelled rows that both stand-ins were compared on.
    """

    mean: float
    standard_error: float
    champion_loss: float
    champion_loss_error: float
    expected_loss: float
    expected_loss_error: float
    rows: int

    @property
    def z(self) -> float:
        """The mean in standard errors; 0 where there is no variation to measure it by."""
        return self.mean / self.standard_error if self.standard_error > 0 else 0.0

    @property
    def risen_z(self) -> float:
        """How far the champion's loss exceeds that on its held-out rows, in standard errors."""
        error = float(np.hypot(self.champion_loss_error, self.expected_loss_error))
        return (self.champion_loss - self.expected_loss) / error if error > 0 else 0.0

    @property
    def relative(self) -> float:
        """The mean in units of the window's loss."""
        return self.mean / self.champion_loss if self.champion_loss > 0 else 0.0

    @property
    def relative_standard_error(self) -> float:
        """The standard error in units of the window's loss."""
        return self.standard_error / self.champion_loss if self.champion_loss > 0 else 0.0

    def measured(self) -> MeasuredLoss:
        """Returns all of it as a decision's record has it."""
        return MeasuredLoss(
            mean=self.mean,
            standard_error=self.standard_error,
            z=self.z,
            relative=self.relative,
            relative_standard_error=self.relative_standard_error,
            champion_loss=self.champion_loss,
            champion_loss_error=self.champion_loss_error,
            promised_loss=self.expected_loss,
            promised_loss_error=self.expected_loss_error,
            risen_z=self.risen_z,
            rows=self.rows,
        )


def measure_avoidable_loss(
    champion: LabelledSample,
    kept: LabelledSample,
    newest: pd.DataFrame,
    *,
    label: str,
    features: list[str],
    settings: MeasureSettings | None = None,
    fit: FitSurrogate = fit_surrogate,
) -> AvoidableLoss:
    """Compares what the champion learnt from with what a retraining would learn from.

    Args:
        champion: A uniform sample of the champion's training rows.
        kept: Rows that a retraining would use besides the newest window.
        newest: All labelled rows of the newest window, oldest first.
        label: Column of the label, in all three.
        features: Columns of the features, in all three.
        settings: How to measure.
        fit: How a surrogate is fitted.

    Raises:
        DataError: A column is missing or changed its kind, or there are too few rows to halve.
    """
    settings = settings or MeasureSettings()
    for rows in (champion.rows, kept.rows, newest):
        check_columns(champion.rows, rows, [*features, label])
    _check_rows(champion.rows, newest, settings)
    fraction = _common_fraction(champion, kept, len(newest), settings.max_rows)
    # Equal runs of rows in order of time; even and odd ones are the two halves.
    block = np.arange(len(newest)) * settings.blocks // len(newest)

    learnt, held_out = _held_out(_thin(champion, fraction, settings.seed))
    stand_in = fit(learnt, label, features, settings.surrogate)
    champion_losses, expected = stand_in.losses(newest), stand_in.losses(held_out)
    challenger_losses = np.empty(len(newest))
    older = _thin(kept, fraction, settings.seed)
    for side in (0, 1):
        other = _thin(LabelledSample(rows=newest[block % 2 != side]), fraction, settings.seed)
        learnt = pd.concat([_held_out(older)[0], _held_out(other)[0]], sort=False)
        challenger = fit(learnt, label, features, settings.surrogate)
        challenger_losses[block % 2 == side] = challenger.losses(newest[block % 2 == side])
    saved = champion_losses - challenger_losses
    return AvoidableLoss(
        mean=float(saved.mean()),
        standard_error=_blocked_standard_error(saved, block),
        champion_loss=float(champion_losses.mean()),
        champion_loss_error=_blocked_standard_error(champion_losses, block),
        expected_loss=float(expected.mean()),
        expected_loss_error=float(expected.std() / np.sqrt(max(1, len(expected)))),
        rows=len(newest),
    )


def _check_rows(sample: pd.DataFrame, newest: pd.DataFrame, settings: MeasureSettings) -> None:
    if len(sample) < 2 * _HELD_OUT:
        raise DataError(
            f"Expected a sample of at least {2 * _HELD_OUT} training rows, received {len(sample)}."
        )
    if len(newest) < 2 * settings.blocks:
        raise DataError(
            f"Expected at least {2 * settings.blocks} labelled rows in the newest window, "
            f"received {len(newest)}."
        )


def _common_fraction(
    champion: LabelledSample, kept: LabelledSample, newest_rows: int, max_rows: int
) -> float:
    """Returns which fraction of all the rows there were both sides keep.

    One for both, so that more data is more here, too: what each would have in a training, scaled
    down until the larger fits. A challenger learns from one half of the newest window.
    """
    champion_rows = len(champion.rows) / champion.fraction
    kept_rows = len(kept.rows) / kept.fraction + newest_rows // 2
    return min(champion.fraction, kept.fraction, max_rows / max(champion_rows, kept_rows))


def column_faults(
    expected: pd.DataFrame, received: pd.DataFrame, columns: list[str]
) -> dict[str, str]:
    """Returns what is wrong with the columns: name to `missing` or `type_changed`."""
    faults: dict[str, str] = {}
    for name in columns:
        if name not in received.columns:
            faults[name] = "missing"
        elif len(received) and len(expected) and name in expected.columns:
            before, now = expected[name], received[name]
            if is_categorical(before) == is_categorical(now):
                continue
            if before.notna().any() and now.notna().any():
                faults[name] = "type_changed"
    return faults


def check_columns(expected: pd.DataFrame, received: pd.DataFrame, columns: list[str]) -> None:
    """Raises DataError where a column is missing or changed its kind."""
    if faults := column_faults(expected, received, columns):
        listed = ", ".join(f"{name} ({fault})" for name, fault in sorted(faults.items()))
        raise DataError(
            f"Expected the columns of the champion's training sample, received: {listed}. "
            "Log the same raw features that the model was trained on."
        )


def one_class_only(labels: pd.Series) -> bool:
    """Says whether binary labels hold a single class, which no loss can be learnt from."""
    return is_binary(labels) and labels.nunique() < 2


def _thin(sample: LabelledSample, fraction: float, seed: int) -> pd.DataFrame:
    """Returns a uniform subsample that is `fraction` of all the rows there were."""
    if fraction >= sample.fraction:
        return sample.rows
    count = min(
        len(sample.rows), max(_HELD_OUT, round(len(sample.rows) * fraction / sample.fraction))
    )
    # In the order that they came in: the rows stay in order of time.
    chosen = np.random.default_rng(seed).choice(len(sample.rows), count, replace=False)
    return sample.rows.iloc[np.sort(chosen)]


def _held_out(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Splits rows into those to learn from and one in so many to hold out.

    The challenger does without its share of rows too, so that both keep the same fraction.
    """
    # Every tenth in order of time, so that no season is held out as a whole.
    held = np.arange(len(rows)) % _HELD_OUT == _HELD_OUT - 1
    return rows[~held], rows[held]


def _blocked_standard_error(values: Floats, block: npt.NDArray[np.int64]) -> float:
    """Standard error of the mean, blocks of rows being the independent units (cluster-robust)."""
    # Liang and Zeger 1986: residuals are summed within a block, so whatever its rows share counts
    # in full; G / (G - 1) for the mean that was estimated.
    residual = values - values.mean()
    sums = np.bincount(block, weights=residual)
    count = len(sums)
    return float(np.sqrt(count / (count - 1) * np.sum(sums**2)) / len(values))
