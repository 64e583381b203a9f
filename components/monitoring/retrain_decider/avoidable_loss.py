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

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from tfx_loop.contracts.measured_loss import MeasuredLoss, ServedLoss
from tfx_loop.contracts.task import ModelTask, TaskKind
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.models.task_labels import inferred_task
from tfx_loop.models.task_losses import constant_answer
from tfx_loop.models.time_blocks import Floats, blocked_standard_error
from tfx_loop.monitoring.retrain_decider.served_loss import (
    ServedAnswers,
    served_loss,
)
from tfx_loop.monitoring.retrain_decider.surrogate import (
    FitSurrogate,
    Surrogate,
    SurrogateSettings,
    fit_surrogate,
    is_categorical,
)
from tfx_loop.monitoring.retrain_decider.thinning import (
    HELD_OUT,
    LabelledSample,
    NumberedRows,
    joined_rows,
)


@dataclass(frozen=True, kw_only=True)
class MeasureSettings:
    """How avoidable loss is measured.

    Attributes:
        max_rows: Rows that a surrogate is fitted on at most.
        blocks: Blocks of time that the newest window is cut into.
        surrogate: How the surrogate is fitted.
        seed: Seed of the subsamples.
        repeats: Subsamples that the measurement is averaged over; the error of more than one is
            widened by how far they differ.
    """

    # A decision is to take seconds, and it fits three pairs of surrogates.
    max_rows: int = 20_000
    # Blocks are the independent units of the standard error: 31 degrees of freedom make z nearly
    # normal.
    blocks: int = 32
    surrogate: SurrogateSettings = field(default_factory=SurrogateSettings)
    seed: int = 0
    repeats: int = 1

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.repeats < 1:
            raise ConfigError(f"repeats must be at least 1, got {self.repeats}.")
        if self.max_rows < 100:
            raise ConfigError(f"max_rows must be at least 100, got {self.max_rows}.")
        if self.blocks < 4 or self.blocks % 2:
            raise ConfigError(f"blocks must be even and at least 4, got {self.blocks}.")


@dataclass(frozen=True, kw_only=True)
class AvoidableLoss:
    """What a retraining would have saved in one window.

    Attributes:
        mean: Loss saved per row, in units of the task's loss.
        standard_error: Of the mean, over blocks of time.
        champion_loss: Mean loss per row of the champion's stand-in.
        champion_loss_error: Standard error of that, over blocks of time.
        expected_loss: Mean loss per row on rows held out of the champion's training sample.
        expected_loss_error: Standard error of that.
        rows: Labelled rows that both stand-ins were compared on.
        served: What the served model itself lost; None where its answers cannot tell.
    """

    mean: float
    standard_error: float
    champion_loss: float
    champion_loss_error: float
    expected_loss: float
    expected_loss_error: float
    rows: int
    served: ServedLoss | None = None

    @property
    def z(self) -> float:
        """The mean in standard errors; 0 where there is no variation to measure it by."""
        return self.mean / self.standard_error if self.standard_error > 0 else 0.0

    @property
    def risen_z(self) -> float:
        """How far the champion's loss exceeds that on its held-out rows, in standard errors."""
        # Held-out rows and the window's share none: their variances add up.
        error = float(np.hypot(self.champion_loss_error, self.expected_loss_error))
        return (self.champion_loss - self.expected_loss) / error if error > 0 else 0.0

    @property
    def relative(self) -> float:
        """The mean in units of the window's loss."""
        # A window without any loss leaves nothing to save, and no share to speak of.
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
            served=self.served,
        )


def measure_avoidable_loss(
    champion: LabelledSample,
    kept: LabelledSample,
    newest: pd.DataFrame,
    *,
    label: str,
    features: list[str],
    settings: MeasureSettings | None = None,
    answers: ServedAnswers | None = None,
    task: ModelTask | None = None,
    fit: FitSurrogate = fit_surrogate,
) -> AvoidableLoss:
    """Compares what the champion learnt from with what a retraining would learn from.

    Args:
        champion: A uniform sample of the champion's training rows.
        kept: Rows that a retraining would use besides the newest window.
        newest: All labelled rows of the newest window, oldest first.
        label: Column of the label, in all three, encoded (models/task_labels.py).
        features: Columns of the features, in all three.
        settings: How to measure.
        answers: What the champion answered to the rows of `newest`; None where that is unknown.
        task: What the labels are; None for labels of 0 and 1, and for amounts.
        fit: How a surrogate is fitted.

    Raises:
        DataError: A column is missing or changed its kind, there are too few rows to halve, or
            nobody said whether labels are classes or amounts.
    """
    settings = settings or MeasureSettings()
    for rows in (champion.rows, kept.rows, newest):
        check_columns(champion.rows, rows, [*features, label])
    _check_rows(champion.rows, newest, settings)
    trained = champion.rows[label].to_numpy(dtype=np.float64)
    task = task or inferred_task(trained, answers.scores if answers else None)
    settings = replace(settings, surrogate=replace(settings.surrogate, task=task))
    comparison = _Comparison(champion, kept, newest, label, features, settings, fit)
    repeats = [comparison.repeat(settings.seed + number) for number in range(settings.repeats)]
    champion_losses = np.mean([each.champion for each in repeats], axis=0)
    # Row by row: what is hard about a row is hard for both, and drops out of the difference.
    saved = champion_losses - np.mean([each.challenger for each in repeats], axis=0)
    error = blocked_standard_error(saved, comparison.block)
    if len(repeats) > 1:
        # What is left of the chance in the subsamples, after the mean over them.
        means = [float((each.champion - each.challenger).mean()) for each in repeats]
        error = float(np.hypot(error, np.std(means, ddof=1) / np.sqrt(len(means))))
    # Each repeat holds out rows of its own: their errors are independent but for few rows.
    expected = [each.expected for each in repeats]
    expected_error = [float(each.std() / np.sqrt(max(1, len(each)))) for each in expected]
    return AvoidableLoss(
        mean=float(saved.mean()),
        standard_error=error,
        champion_loss=float(champion_losses.mean()),
        champion_loss_error=blocked_standard_error(champion_losses, comparison.block),
        expected_loss=float(np.mean([each.mean() for each in expected])),
        expected_loss_error=float(np.sqrt(np.mean(np.square(expected_error)) / len(repeats))),
        rows=len(newest),
        served=None
        if answers is None
        else served_loss(
            answers,
            newest[label].to_numpy(dtype=np.float64),
            champion_losses,
            constant_answer(trained, task),
            comparison.block,
            task=task,
            least_rows=2 * settings.blocks,
        ),
    )


@dataclass(frozen=True)
class _Repeat:
    """Losses by row of the newest window, and on the rows held out of the champion's sample."""

    champion: Floats
    challenger: Floats
    expected: Floats


class _Comparison:
    """Both sides of one measurement, to be fitted on as many subsamples as are wanted."""

    def __init__(
        self,
        champion: LabelledSample,
        kept: LabelledSample,
        newest: pd.DataFrame,
        label: str,
        features: list[str],
        settings: MeasureSettings,
        fit: FitSurrogate,
    ) -> None:
        self._champion, self._kept, self._newest = champion, kept, newest
        self._label, self._features = label, features
        self._settings, self._fit = settings, fit
        self._fraction = _common_fraction(champion, kept, len(newest), settings.max_rows)
        # Equal runs of rows in order of time; even and odd ones are the two halves.
        self.block = np.arange(len(newest)) * settings.blocks // len(newest)

    def repeat(self, seed: int) -> _Repeat:
        """Fits stand-ins for champion and challenger on the subsamples of one seed."""
        learnt, held_out = self._thinned(self._champion, seed).split()
        stand_in = self._fitted(learnt.rows)
        # The rows held out by their number are left out here, too, or the challenger would have a
        # tenth more.
        older = self._thinned(self._kept, seed).split()[0]
        # Cross-fitting: each half of the newest rows is judged by a stand-in that learnt from the
        # other, as a retraining would know the window and not the very rows.
        challenger = np.empty(len(self._newest))
        for side in (0, 1):
            here = self.block % 2 == side
            other = self._thinned(LabelledSample(rows=self._newest[~here]), seed).split()[0]
            fitted = self._fitted(joined_rows(older, other))
            challenger[here] = fitted.losses(self._newest[here])
        return _Repeat(
            champion=stand_in.losses(self._newest),
            challenger=challenger,
            expected=stand_in.losses(held_out),
        )

    def _thinned(self, sample: LabelledSample, seed: int) -> NumberedRows:
        numbered = NumberedRows.of(sample.rows, [*self._features, self._label], seed)
        return numbered.thinned(self._fraction / sample.fraction)

    def _fitted(self, rows: pd.DataFrame) -> Surrogate:
        return self._fit(rows, self._label, self._features, self._settings.surrogate)


def _check_rows(sample: pd.DataFrame, newest: pd.DataFrame, settings: MeasureSettings) -> None:
    if len(sample) < 2 * HELD_OUT:
        raise DataError(
            f"Expected a sample of at least {2 * HELD_OUT} training rows, received {len(sample)}."
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
    # One fraction for both: a side with more rows to learn from would win by their number.
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
            # Whole numbers and fractions are one kind: pandas makes floats of whole numbers with
            # gaps.
            if is_categorical(before) == is_categorical(now):
                continue
            # A column without a value has whatever type the reader gave it.
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


def one_class_only(labels: pd.Series, task: ModelTask | None = None) -> bool:
    """Says whether labels of classes are all of one, which no loss can be learnt from.

    Without a task those of 0 and 1 are classes.
    """
    if task is None:
        return bool(labels.isin((0, 1)).all()) and labels.nunique() < 2
    classes = task.kind in (TaskKind.BINARY, TaskKind.CLASSES)
    # A label that the task does not know is one more class.
    return classes and labels.nunique(dropna=False) < 2
