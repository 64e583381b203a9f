"""The loop over the windows of a model: monitor, read, admit, claim, launch, reconcile.

The loop keeps nothing in memory that matters. Every step first writes a fact to MLMD under a unique
name and then acts, in this order:

    1. lease `MONITOR_RUN#n`    then the monitoring pipeline is launched
    2. (the run writes)         executions, the RetrainDecision, and the end of its lease
    3. admission + claim        one transaction; from here on the retraining will happen
    4. lease `TRAINING_RUN#n`   then the training pipeline is launched
    5. (the run writes)         executions, PushedModel, and the end of its lease
    6. outcome                  the claim has ended

Killed before 3, the window is looked at again and nothing was launched: monitoring has a run id
made of model and window, so a finished run is found and an interrupted one is resumed. Killed after
3, the claim without an outcome is found at the next start, and its run, whose id is made of the
claim's name, is looked up: never started, it is started; interrupted, it is resumed under the same
id; ended, its outcome is recorded. Two loops on one store meet at the unique names.

Only `ml_metadata` is imported here, never TFX.
"""

import enum
import logging
from collections.abc import Callable
from dataclasses import dataclass

from tfx_loop.core.errors import DataError
from tfx_loop.pipelines.control import approvals, decisions, returns, starts
from tfx_loop.pipelines.control.admission import (
    Admission,
    AdmissionReason,
    AdmissionVerdict,
    RetrainRequest,
    admit,
)
from tfx_loop.pipelines.control.claims import Claim, ClaimBook, RetrainingOutcome
from tfx_loop.pipelines.control.decisions import RecordedDecision
from tfx_loop.pipelines.control.launcher import Launcher, LaunchRequest, RunState, RunStatus
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.control.retries import monitoring_run_id, training_retries
from tfx_loop.pipelines.control.settings import LoopMode, LoopSettings

_LOG = logging.getLogger(__name__)
_ENDED = (RunState.SUCCEEDED, RunState.FAILED)
# Reason of a step on a window that has not ended.
NOT_YET = "not_yet"


class Step(enum.Enum):
    """Points that a step passes, in order; `on_step` hears each of them."""

    RECONCILED = "reconciled"
    MONITORING_LEASED = "monitoring_leased"
    MONITORED = "monitored"
    DECISION_READ = "decision_read"
    ADMITTED = "admitted"
    HELD = "held"
    CLAIMED = "claimed"
    TRAINING_LEASED = "training_leased"
    TRAINED = "trained"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What came of one window.

    Attributes:
        window: The window.
        monitoring: Where its monitoring run stands. RUNNING: another process is at it; ABSENT with
            the reason `not_yet`: the window has not ended.
        decision: What the monitoring run decided; None when it made no decision.
        admission: The answer to a RETRAIN decision; None for every other.
        run_id: The training run of the decision's claim; empty without a claim.
        outcome: How the claim ended; None without a claim, or while the run is not done.
    """

    window: str
    monitoring: RunStatus
    decision: RecordedDecision | None = None
    admission: Admission | None = None
    run_id: str = ""
    outcome: RetrainingOutcome | None = None


class Controller:
    """Looks after one model: `step` it through its windows."""

    def __init__(
        self,
        store: Store,
        settings: LoopSettings,
        monitoring_launcher: Launcher,
        training_launcher: Launcher,
        clock: Callable[[], int],
        on_step: Callable[[Step], None] | None = None,
        stable_version: Callable[[], int] | None = None,
        window_ended: Callable[[str, int], bool] | None = None,
        roll_back: returns.RollBack | None = None,
    ) -> None:
        """Makes a loop on a metadata store.

        Args:
            store: An `ml_metadata.MetadataStore`; the one that the launchers record into.
            settings: The operator's limits.
            monitoring_launcher: Runs the monitoring pipeline of a window.
            training_launcher: Runs the training pipeline for a decision.
            clock: Returns now, in milliseconds since epoch UTC; cooldown and budget use it.
            on_step: Told at each point that a step passes, for progress and for tests.
            stable_version: Returns the version that the deployment record calls stable, 0 for none;
                without it the newest push of this loop counts as stable.
            window_ended: Says whether a window has ended at a time of the clock; without it every
                window has.
            roll_back: Lets the version serve that a decision asks for, the one before the judged
                one or another, and does nothing where the judged one serves no more; returns the
                version that serves then. Needed for decisions that ask for it.
        """
        self._store = store
        self._settings = settings
        self._monitoring = monitoring_launcher
        self._training = training_launcher
        self._clock = clock
        self._on_step = on_step or (lambda step: None)
        self._stable_version = stable_version or (lambda: 0)
        self._window_ended = window_ended
        self._roll_back = roll_back
        self._book = ClaimBook(store, settings.model_name)

    def step(self, window: str) -> StepResult:
        """Monitors a window once, and carries out what it decides.

        May be called for the same window again, at any time and from several processes: what is
        done is found in MLMD and not done twice.

        Raises:
            DataError: The window's decision cannot be read.
        """
        # First what earlier steps left unfinished: its outcome may open or close a gate.
        self.reconcile()
        self._on_step(Step.RECONCILED)
        run_id = monitoring_run_id(self._store, self._settings.model_name, window)
        if self._window_ended is not None and not self._window_ended(window, self._clock()):
            # No lease, no run: an answer from half of a window would stand for good.
            _LOG.info("window=%s monitoring=%s", window, NOT_YET)
            status = RunStatus(state=RunState.ABSENT, reason=NOT_YET)
            return StepResult(window=window, monitoring=status)
        request = LaunchRequest(model_name=self._settings.model_name, window=window)
        # Monitoring changes nothing and is tried again; a training that failed is an outcome.
        status = self._run(self._monitoring, run_id, request, Step.MONITORING_LEASED, retry=True)
        _LOG.info("window=%s run=%s monitoring=%s", window, run_id, status.state.value)
        if status.state is not RunState.SUCCEEDED:
            return StepResult(window=window, monitoring=status)
        self._on_step(Step.MONITORED)
        decision = decisions.decision_of_run(self._store, run_id)
        self._on_step(Step.DECISION_READ)
        if decision is not None and decision.asks_for.moves:
            self._go_back(decision, allowed=self._settings.mode is LoopMode.ACT)
        if decision is None or not decision.asks_for.retrains:
            return StepResult(window=window, monitoring=status, decision=decision)
        return self._answer(decision, status)

    def approve(self, decision_id: int, by: str = "") -> StepResult:
        """Records a human's yes to a held decision, and carries out what it asks for.

        A version that is to serve again does so at once; a retraining is asked of the gates again.

        Args:
            decision_id: MLMD id of the RetrainDecision; `loop timeline` shows it.
            by: Who approved.

        Raises:
            DataError: No such decision, or one that asks for nothing.
        """
        decision = approvals.approvable(self._store, self._settings.model_name, decision_id)
        self._book.record_approval(decision, self._claim_name(decision), by, self._clock())
        self.reconcile()
        run_id = monitoring_run_id(self._store, decision.model_name, decision.window)
        monitoring = self._monitoring.state(run_id)
        if decision.asks_for.moves:
            self._go_back(decision, allowed=True)
        if not decision.asks_for.retrains:
            return StepResult(window=decision.window, monitoring=monitoring, decision=decision)
        return self._answer(decision, monitoring)

    def reconcile(self) -> list[RetrainingOutcome]:
        """Compares every claim that has not ended with its run, and carries on where it stands.

        Approved decisions whose launch was cut off before the claim are asked again.

        Returns:
            The outcomes that were recorded by this call.
        """
        found = [self._carry_on(claim) for claim in self._book.open_claims()]
        claimed = {claim.name for claim in self._book.claims()}
        for name, decision_id in self._book.approvals().items():
            if name not in claimed:
                found.append(self._ask_again(decision_id))
        return [outcome for outcome in found if outcome is not None]

    def _ask_again(self, decision_id: int) -> RetrainingOutcome | None:
        try:
            decision = decisions.decision_by_id(self._store, decision_id)
        except DataError as error:
            # One lost file must not stop the loop; the warning comes back at each step.
            _LOG.warning("decision=%d approved=1 unreadable=%s", decision_id, error)
            return None
        if decision.asks_for.moves:
            self._go_back(decision, allowed=True)
        if not decision.asks_for.retrains:
            return None
        return self._carry_on_if_claimed(self._admit(decision)[1])

    def _answer(self, decision: RecordedDecision, monitoring: RunStatus) -> StepResult:
        admission, claim = self._admit(decision)
        outcome = self._carry_on_if_claimed(claim)
        return StepResult(
            window=decision.window,
            monitoring=monitoring,
            decision=decision,
            admission=admission,
            run_id=claim.run_id if claim else "",
            outcome=outcome,
        )

    def _admit(self, decision: RecordedDecision) -> tuple[Admission, Claim | None]:
        """Asks the gates, and records the answer before anything is done about it.

        An answer stands: a decision that was held is not asked again when the cooldown is over or
        the settings have changed, because by then newer evidence speaks. Only an approval asks
        again.
        """
        name = self._claim_name(decision)
        request = RetrainRequest(
            claim_name=name,
            model_version=decision.serving_version,
            window=decision.window,
            stable_version=self._stable_version(),
            retried=training_retries(self._store, decision.model_name, decision.window) > 0,
        )
        policy = self._settings.policy_version
        # No history has so few launches, so the first turn is no repetition.
        seen = -1
        while True:
            history = self._book.history()
            if len(history.launches) == seen:
                raise DataError(
                    f"Expected launch {seen + 1} of {decision.model_name} in the metadata store, "
                    "as its number is taken, found no claim that has it: the store is damaged. "
                    "Restore it from a copy, or go on under another model name."
                )
            seen = len(history.launches)
            answer = admit(request, history, self._settings, self._clock())
            if answer.reason is AdmissionReason.ALREADY_CLAIMED:
                # The admission that made the claim is the record of this decision.
                return answer, self._book.claim(name)
            held = self._book.held(name)
            # The gates were asked all the same: a claim that was made meanwhile is told first.
            if held is not None and name not in history.approvals:
                return held, None
            self._on_step(Step.ADMITTED)
            if answer.verdict is AdmissionVerdict.HOLD:
                self._book.record_hold(decision, name, answer.reason, policy, self._clock())
                self._log_admission(decision, answer)
                self._on_step(Step.HELD)
                return answer, None
            claim = self._book.record_launch(
                decision, name, len(history.launches), policy, self._clock()
            )
            if claim is not None:
                self._log_admission(decision, answer)
                self._on_step(Step.CLAIMED)
                return answer, claim
            # Another process claimed in between; its launch is in the history now, and the gates
            # answer again. This ends: a turn without one more launch is an error.

    def _go_back(self, decision: RecordedDecision, *, allowed: bool) -> None:
        roll_back = self._roll_back if allowed else None
        if not returns.carry_out(self._store, decision, roll_back, self._clock()):
            why = "no_roll_back_given" if allowed else "mode"
            _LOG.warning("decision=%d roll_back=not_done reason=%s", decision.artifact_id, why)

    def _carry_on_if_claimed(self, claim: Claim | None) -> RetrainingOutcome | None:
        if claim is None:
            return None
        return self._book.outcomes().get(claim.name) or self._carry_on(claim)

    def _carry_on(self, claim: Claim) -> RetrainingOutcome | None:
        """Launches or resumes the run of a claim, or records how it ended."""
        request = LaunchRequest(
            model_name=claim.model_name,
            window=claim.window,
            decision_uri=claim.decision_uri,
            decision_id=claim.decision_id,
            model_version=claim.model_version,
        )
        status = self._run(self._training, claim.run_id, request, Step.TRAINING_LEASED, retry=False)
        if status.state not in _ENDED:
            return None
        self._on_step(Step.TRAINED)
        attempts = starts.attempts(self._store, claim.run_id)
        outcome = self._book.record_outcome(claim, status, attempts, self._clock())
        _LOG.info(
            "claim=%s run=%s outcome=%s version=%d node=%s attempts=%d refused=%s",
            claim.artifact_id,
            claim.run_id,
            outcome.state.value,
            outcome.pushed_version,
            outcome.node,
            attempts,
            outcome.detail or "-",
        )
        self._on_step(Step.ENDED)
        return outcome

    def _run(
        self, launcher: Launcher, run_id: str, request: LaunchRequest, leased: Step, retry: bool
    ) -> RunStatus:
        return starts.start_or_resume(
            self._store,
            launcher,
            run_id,
            request,
            max_attempts=self._settings.max_attempts,
            retry_failed=retry,
            on_leased=lambda: self._on_step(leased),
            lease_seconds=self._settings.lease_seconds,
        )

    def _claim_name(self, decision: RecordedDecision) -> str:
        return approvals.claim_name_of(self._store, decision, self._settings.policy_version)

    def _log_admission(self, decision: RecordedDecision, answer: Admission) -> None:
        _LOG.info(
            "window=%s decision=%d admission=%s reason=%s serving_version=%d",
            decision.window,
            decision.artifact_id,
            answer.verdict.value,
            answer.reason.value,
            decision.model_version,
        )
