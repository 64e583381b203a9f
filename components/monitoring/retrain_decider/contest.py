"""The contest of versions on logged, labelled rows: champion and pool asked alike, row by row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tfx_loop.contracts.task import ModelTask
from tfx_loop.contracts.version_contest import (
    LeftOutVersion,
    PoolVersion,
    VersionContest,
)
from tfx_loop.core.errors import DataError
from tfx_loop.models.example_predictor import ExamplePredictor
from tfx_loop.models.task_losses import answered, may_judge, row_losses, shaped_answers
from tfx_loop.models.time_blocks import Floats
from tfx_loop.monitoring.retrain_decider.avoidable_loss import column_faults
from tfx_loop.monitoring.retrain_decider.inputs import DeciderInputs
from tfx_loop.monitoring.retrain_decider.labelled_rows import TIME, VERSION
from tfx_loop.monitoring.retrain_decider.reinstatement import (
    HeldContest,
    hold_contest,
    version_pool,
)
from tfx_loop.monitoring.retrain_decider.settings import DecisionSettings
from tfx_loop.monitoring.retrain_decider.thinning import LabelledSample
from tfx_loop.monitoring.retrain_decider.version_reference import (
    logged_answers,
    promised_loss,
    read_reference,
)

# Of the spread of the logged answers; what roundings and runtimes make of one model is far below.
_TOLERATED = 0.1

Ask = Callable[[Sequence[bytes]], Floats]
OpenVersion = Callable[[str], Ask]


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A version that answers.

    Attributes:
        version: Its number.
        losses: Returns its loss on labelled rows of the log, float64 [rows].
        trained_until_ms: Time of the last row that it is known to have learnt from; 0 where its
            sample has no times.
        sample: What it was trained on.
        promised: Its loss on rows held out of its training; None where that is unknown.
    """

    version: int
    losses: Callable[[pd.DataFrame], Floats]
    trained_until_ms: float
    sample: LabelledSample
    promised: float | None = None


class VersionPool:
    """The versions that may serve again beside the champion, to be asked when it comes to that."""

    def __init__(
        self,
        inputs: DeciderInputs,
        pool: Sequence[PoolVersion],
        champion_uri: str,
        output: str,
        settings: DecisionSettings,
        open_version: OpenVersion | None = None,
    ) -> None:
        """Asks nothing yet.

        Args:
            inputs: Rows, champion and what a retraining would use.
            pool: All versions that served before and may serve again.
            champion_uri: Folder of the champion's model; empty where it is not known.
            output: The model's answer.
            settings: How many versions are asked, and on how many rows.
            open_version: Opens a model's folder.
        """
        self._inputs, self._settings = inputs, settings
        self._champion_uri = champion_uri
        self._open = open_version or (lambda uri: ExamplePredictor(uri, output))
        number = inputs.evidence.model_version
        served = {one.version: one for one in pool}
        size = settings.reinstatement.pool_versions
        asked = version_pool({*served, number}, number, size) if champion_uri else ()
        self._asked = [served[version] for version in asked]

    def hold(self) -> HeldContest | None:
        """Lets champion and pool answer the newest labelled rows; None where there is no pool."""
        if not self._asked:
            return None
        inputs, number = self._inputs, self._inputs.evidence.model_version
        rows = _spread(inputs.newest, self._settings.measure.max_rows)
        left_out: list[LeftOutVersion] = []
        try:
            champion = self._contestant(number, self._champion_uri, inputs.champion)
            expected = champion.losses(rows)
        except DataError as error:
            left = LeftOutVersion(version=number, why=str(error))
            return HeldContest(contest=_without(rows, left))
        others, losses = dict[int, Contestant](), dict[int, Floats]()
        for one in self._asked:
            try:
                other = self._of_pool(one)
                losses[one.version] = other.losses(rows)
                others[one.version] = other
            # One version that cannot be asked does not keep the others from it.
            except (DataError, OSError) as error:
                left_out.append(LeftOutVersion(version=one.version, why=str(error)))
        # The same blocks of time as avoidable loss has, for the same reason.
        block = np.arange(len(rows)) * self._settings.measure.blocks // len(rows)
        held = hold_contest(
            expected,
            losses,
            lambda version: self._shortfall(champion, others[version]),
            block,
            self._settings.reinstatement,
        )
        versions = tuple(replace(v, promised=others[v.version].promised) for v in held.versions)
        held = replace(held, versions=versions, left_out=tuple(left_out))
        return HeldContest(
            contest=held, sample=others[held.winner].sample if held.winner is not None else None
        )

    def _of_pool(self, one: PoolVersion) -> Contestant:
        """Opens a version; raises DataError where it could not serve or not be judged."""
        if not one.model_uri:
            raise DataError("its folder is gone")
        reference = read_reference(one.reference_profile_uri)
        profile, sample = reference.profile, reference.sample
        if reference.task != self._inputs.task:
            raise DataError(f"its task is another: {reference.task.told}")
        if faults := column_faults(sample.rows, self._inputs.newest, self._inputs.features):
            raise DataError(f"it was trained on other columns: {', '.join(sorted(faults))}")
        missing = [name for name in self._inputs.features if name not in sample.rows.columns]
        if missing:
            raise DataError(f"it was trained without {', '.join(missing)}")
        known = promised_loss(profile)
        contestant = self._contestant(one.version, one.model_uri, sample)
        start = self._inputs.newest[TIME].min()
        # It knows these rows: its loss on them would promise what it cannot keep.
        if contestant.trained_until_ms >= start:
            raise DataError("it was trained on rows of this window")
        return replace(contestant, promised=known[0] if known else None)

    def _contestant(self, version: int, uri: str, sample: LabelledSample) -> Contestant:
        ask, inputs = self._open(uri), self._inputs
        task = inputs.task

        def losses(rows: pd.DataFrame) -> Floats:
            answers = shaped_answers(ask(inputs.log.examples(rows)), len(rows), task)
            _check_answers(answers, rows, version, task)
            return row_losses(rows[inputs.label].to_numpy(dtype=np.float64), answers, task)

        times = sample.rows.get(TIME)
        until = 0.0 if times is None or times.empty else float(times.max())
        return Contestant(version=version, losses=losses, trained_until_ms=until, sample=sample)

    def _shortfall(self, champion: Contestant, other: Contestant) -> float:
        """Returns by how much a version lost more in the worst earlier window.

        A window is a stretch of time as long as the label window, counted back from its begin.
        """
        newest, older = self._inputs.newest[TIME], self._inputs.older
        length = max(1, self._inputs.label_span_ms)
        since = max(champion.trained_until_ms, other.trained_until_ms)
        seen = _spread(older[older[TIME] > since], self._settings.measure.max_rows)
        if seen.empty:
            return 0.0
        start = min(self._inputs.label_start_ms, int(newest.min()))
        # Counted back from the label window, 0 being the stretch right before it.
        window = (start - 1 - seen[TIME].to_numpy()) // length
        more = pd.Series(other.losses(seen) - champion.losses(seen)).groupby(window)
        # Of a few rows nothing is known.
        told = more.mean()[more.count() >= 2 * self._settings.measure.blocks]
        return max(0.0, float(told.max())) if len(told) else 0.0


def _without(rows: pd.DataFrame, left: LeftOutVersion) -> VersionContest:
    """Returns a contest in which nobody was asked: the champion itself does not answer."""
    return VersionContest(rows=len(rows), champion_loss=0.0, asked_z=0.0, left_out=(left,))


def _spread(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """Returns at most so many rows, evenly over time."""
    if len(rows) <= most:
        return rows
    # Rows are oldest first: a draw by chance would give other versions other rows, and no repeat.
    return rows.iloc[np.linspace(0, len(rows) - 1, most).astype(int)]


def _check_answers(answers: Floats, rows: pd.DataFrame, version: int, task: ModelTask) -> None:
    """Checks that answers are what the log has of this version, where it has them.

    A log without the redacted columns, or a server that sees other values than it logs, would let
    a model be judged by answers that it never gives.
    """
    if not answered(answers).all():
        raise DataError("it answers numbers that are not finite")
    if not may_judge(answers, task):
        raise DataError("its answers are no probabilities")
    logged = logged_answers(rows, task)
    if logged is None or VERSION not in rows.columns:
        return
    own = (rows[VERSION].to_numpy() == version) & answered(logged)
    if not own.any():
        return
    apart = float(np.abs(answers[own] - logged[own]).mean())
    # 1e-6 for a version whose answers are all alike, where a tenth of their spread is 0.
    if apart > _TOLERATED * float(logged[own].std(axis=0).mean()) + 1e-6:
        raise DataError(
            f"asked again, it answers {apart:.3g} apart from what the log has of it on average"
        )
