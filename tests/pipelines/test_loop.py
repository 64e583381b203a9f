"""What the loop does with a window, a decision, an approval, and a run that fails."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2 as pb
from recorder import RecordedLauncher, monitoring_nodes, open_store, training_nodes

from tfx_loop.core.errors import ConfigError, DataError, PipelineFailed
from tfx_loop.pipelines.control import leases, ledger
from tfx_loop.pipelines.control.admission import AdmissionReason, AdmissionVerdict
from tfx_loop.pipelines.control.decisions import latest_decision
from tfx_loop.pipelines.control.launcher import RunState, RunStatus
from tfx_loop.pipelines.control.loop import Controller, Step
from tfx_loop.pipelines.control.retries import retry_training, retry_window
from tfx_loop.pipelines.control.settings import LoopMode, LoopSettings
from tfx_loop.pipelines.control.starts import ATTEMPTS_EXHAUSTED

HOUR = 3_600_000


class Bench:
    """A loop on a real store, with a clock and switches for what goes wrong."""

    def __init__(self, folder):
        self.folder, self.now = folder, 1_362_096_000_000
        self.store = open_store(folder / "metadata.db")
        self.verdicts, self.version, self.blessed, self.stable = {}, 1, True, 0
        self.worked, self.steps, self.decision = [], [], {}
        self.monitoring_work = self.training_work = lambda: None

    def loop(
        self,
        mode=LoopMode.ACT,
        training_launcher=None,
        window_ended=None,
        roll_back=None,
        **changes,
    ):
        settings = LoopSettings(model_name="flights", mode=mode, **changes)
        return Controller(
            self.store,
            settings,
            RecordedLauncher(self.store, "monitoring", self.folder / "m", self.monitoring),
            training_launcher
            or RecordedLauncher(self.store, "training", self.folder / "t", self.training),
            clock=lambda: self.now,
            on_step=self.steps.append,
            stable_version=lambda: self.stable,
            window_ended=window_ended,
            roll_back=roll_back,
        )

    def monitoring(self, run_id, request):
        decision = {
            "window": request.window,
            "verdict": self.verdicts.get(request.window, "RETRAIN"),
            "model_version": self.version,
            **self.decision,
        }
        return monitoring_nodes(decision, lambda: self.work(run_id, self.monitoring_work))

    def training(self, run_id, request):
        return training_nodes(
            request.model_version + 1,
            decision_uri=request.decision_uri,
            blessed=self.blessed,
            work=lambda: self.work(run_id, self.training_work),
        )

    def work(self, run_id, then):
        self.worked.append(run_id)
        then()

    def trainings(self):
        return [run_id for run_id in self.worked if run_id.startswith("retrain-")]

    def admissions(self):
        found = map(ledger.properties, self.store.get_executions_by_type(ledger.ADMISSION))
        return [(a["window"], a["verdict"], a["reason"]) for a in found]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def fail():
    raise PipelineFailed("the disk is full")


def test_retrain_decision_is_launched_in_act_mode(bench):
    result = bench.loop().step("2013-03")
    assert result.monitoring.state is RunState.SUCCEEDED
    assert result.decision.verdict == "RETRAIN"
    assert (result.admission.verdict, result.admission.reason) == (
        AdmissionVerdict.RETRAIN,
        AdmissionReason.ADMITTED,
    )
    assert (result.outcome.pushed_version, result.outcome.reason) == (2, "pushed")
    assert bench.trainings() == [result.run_id]
    assert bench.steps == [step for step in Step if step is not Step.HELD]


def test_hold_decision_reaches_no_gate(bench):
    bench.verdicts["2013-03"] = "HOLD"
    result = bench.loop().step("2013-03")
    assert (result.decision.verdict, result.admission, result.outcome) == ("HOLD", None, None)
    assert bench.admissions() == []
    assert bench.trainings() == []


def test_step_repeated_does_nothing_more(bench):
    first = bench.loop().step("2013-03")
    again = bench.loop().step("2013-03")
    assert again.outcome == first.outcome
    assert again.admission.reason is AdmissionReason.ALREADY_CLAIMED
    assert len(bench.worked) == 2
    assert bench.admissions() == [("2013-03", "RETRAIN", "admitted")]


def test_cooldown_holds_the_next_decision_and_the_answer_stands(bench):
    loop = bench.loop(cooldown_seconds=7200)
    loop.step("2013-03")
    bench.version, bench.now = 2, bench.now + HOUR
    held = loop.step("2013-04")
    assert held.admission.reason is AdmissionReason.COOLDOWN
    bench.now += 100 * HOUR
    assert loop.step("2013-04").admission.reason is AdmissionReason.COOLDOWN
    assert len(bench.trainings()) == 1
    assert loop.step("2013-05").outcome.pushed_version == 3
    assert bench.admissions() == [
        ("2013-03", "RETRAIN", "admitted"),
        ("2013-04", "HOLD", "cooldown"),
        ("2013-05", "RETRAIN", "admitted"),
    ]


def test_launch_that_brought_no_version_costs_the_shorter_quiet_time(bench):
    bench.training_work = fail
    loop = bench.loop(cooldown_seconds=100 * 3600, retry_seconds=7200)
    assert loop.step("2013-03").outcome.state is RunState.FAILED
    bench.now += HOUR
    assert loop.step("2013-04").admission.reason is AdmissionReason.COOLDOWN
    bench.now += HOUR
    bench.training_work, bench.blessed = (lambda: None), False
    assert loop.step("2013-05").outcome.reason == "not_pushed"
    with pytest.raises(ConfigError, match=r"ended \(not_pushed\), and the next window that asks"):
        retry_training(bench.store, "flights", "2013-05", "", 0)
    bench.now += 2 * HOUR
    bench.blessed = True
    assert loop.step("2013-06").outcome.pushed_version == 2
    bench.version, bench.now = 2, bench.now + 50 * HOUR
    assert loop.step("2013-07").admission.reason is AdmissionReason.COOLDOWN


def test_failed_training_is_tried_again_by_a_person_s_word_alone(bench):
    bench.training_work = fail
    loop = bench.loop(cooldown_seconds=100 * 3600)
    with pytest.raises(ConfigError, match="whose training failed"):
        retry_training(bench.store, "flights", "2013-03", "", 0)
    assert loop.step("2013-03").outcome.state is RunState.FAILED
    bench.training_work = lambda: None
    # Stepped again, a failed training is an outcome.
    assert loop.step("2013-03").outcome.state is RunState.FAILED
    retry_training(bench.store, "flights", "2013-03", "a larger disk", 0)
    with pytest.raises(ConfigError, match="its retry has not ended"):
        retry_training(bench.store, "flights", "2013-03", "", 0)
    again = loop.step("2013-03")
    assert again.outcome.pushed_version == 2
    assert len(set(bench.trainings())) == 2
    assert loop.step("2013-03").outcome == again.outcome
    with pytest.raises(ConfigError, match="its training ended"):
        retry_training(bench.store, "flights", "2013-03", "", 0)


def test_retried_training_that_fails_again_may_be_tried_once_more(bench):
    bench.training_work = fail
    loop = bench.loop(max_launches=2)
    loop.step("2013-03")
    for _ in range(2):
        retry_training(bench.store, "flights", "2013-03", "", 0)
        last = loop.step("2013-03")
    # The budget is the operator's: no retry goes beyond it.
    assert last.admission.reason is AdmissionReason.BUDGET_SPENT
    assert len(bench.trainings()) == 2


def test_budget_is_spent_by_failed_launches_too(bench):
    bench.training_work = fail
    loop = bench.loop(cooldown_seconds=0, retry_seconds=0, max_launches=2)
    assert loop.step("2013-03").outcome.state is RunState.FAILED
    assert loop.step("2013-04").outcome.state is RunState.FAILED
    assert loop.step("2013-05").admission.reason is AdmissionReason.BUDGET_SPENT


def test_observe_mode_records_and_launches_nothing(bench):
    result = bench.loop(LoopMode.OBSERVE).step("2013-03")
    assert result.admission.reason is AdmissionReason.OBSERVE_MODE
    assert bench.admissions() == [("2013-03", "HOLD", "observe_mode")]
    assert bench.trainings() == []


def test_suggest_mode_launches_after_the_approval(bench):
    loop = bench.loop(LoopMode.SUGGEST)
    asked = loop.step("2013-03")
    assert asked.admission.reason is AdmissionReason.APPROVAL_NEEDED
    approved = loop.approve(asked.decision.artifact_id, by="ada")
    assert approved.outcome.pushed_version == 2
    assert loop.approve(asked.decision.artifact_id).outcome == approved.outcome
    assert len(bench.trainings()) == 1
    [approval] = bench.store.get_executions_by_type(ledger.APPROVAL)
    assert ledger.properties(approval)["approved_by"] == "ada"


def test_approval_cut_off_before_the_claim_is_carried_on_by_the_next_start(bench):
    loop = bench.loop(LoopMode.SUGGEST)
    asked = loop.step("2013-03")

    class Cut(BaseException):
        pass

    def cut(step):
        raise Cut

    loop._on_step = cut
    with pytest.raises(Cut):
        loop.approve(asked.decision.artifact_id)
    assert bench.trainings() == []
    [outcome] = bench.loop(LoopMode.SUGGEST).reconcile()
    assert outcome.pushed_version == 2


def test_approval_of_what_is_no_decision_says_so(bench):
    loop = bench.loop(LoopMode.SUGGEST)
    bench.verdicts["2013-03"] = "HOLD"
    hold = loop.step("2013-03").decision
    with pytest.raises(DataError, match="There is nothing to approve"):
        loop.approve(hold.artifact_id)
    with pytest.raises(DataError, match="Expected the id of a RetrainDecision, received 9999"):
        loop.approve(9999)


def test_failed_training_is_recorded_with_node_and_reason_and_not_retried(bench):
    bench.training_work = fail
    result = bench.loop().step("2013-03")
    assert (result.outcome.state, result.outcome.node) == (RunState.FAILED, "Trainer")
    assert result.outcome.reason == "PipelineFailed: the disk is full"
    bench.training_work = lambda: None
    assert bench.loop().step("2013-03").outcome == result.outcome
    assert len(bench.trainings()) == 1


def test_training_that_pushes_nothing_has_ended(bench):
    bench.blessed = False
    outcome = bench.loop().step("2013-03").outcome
    assert (outcome.state, outcome.reason) == (RunState.SUCCEEDED, "not_pushed")
    assert outcome.pushed_version == 0


def test_failed_monitoring_is_told_and_tried_again_by_the_next_step(bench):
    bench.monitoring_work = fail
    result = bench.loop(max_attempts=2).step("2013-03")
    assert (result.monitoring.state, result.monitoring.node) == (RunState.FAILED, "DriftMonitor")
    assert result.decision is None
    bench.monitoring_work = lambda: None
    assert bench.loop(max_attempts=2).step("2013-03").outcome.pushed_version == 2


def test_monitoring_that_keeps_failing_is_left_after_max_attempts(bench):
    bench.monitoring_work = fail
    for _ in range(4):
        result = bench.loop(max_attempts=2).step("2013-03")
    assert result.monitoring.state is RunState.FAILED
    reason = "attempts_exhausted after 2: PipelineFailed: the disk is full"
    assert result.monitoring.reason == reason
    assert len(bench.worked) == 2


def test_training_broken_off_every_time_ends_after_max_attempts(bench):
    def break_off():
        raise KeyboardInterrupt

    bench.training_work = break_off
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            bench.loop(max_attempts=2).step("2013-03")
    result = bench.loop(max_attempts=2).step("2013-03")
    assert result.outcome.state is RunState.FAILED
    assert result.outcome.reason.startswith(ATTEMPTS_EXHAUSTED)
    assert (result.outcome.attempts, len(bench.trainings())) == (2, 2)
    assert len(set(bench.trainings())) == 1


class Cluster:
    """A launcher that hands the run over: `launch` returns at once, the state comes later."""

    def __init__(self):
        self.states, self.requests = {}, []

    def check(self, request):
        pass

    def launch(self, run_id, request):
        self.requests.append(request)
        self.states[run_id] = RunState.RUNNING

    def state(self, run_id):
        return RunStatus(state=self.states.get(run_id, RunState.ABSENT), reason="evicted")


def test_run_handed_to_a_cluster_is_in_flight_until_it_ends(bench):
    cluster = Cluster()
    loop = bench.loop(training_launcher=cluster, cooldown_seconds=0)
    first = loop.step("2013-03")
    assert first.outcome is None
    assert loop.step("2013-04").admission.reason is AdmissionReason.IN_FLIGHT
    [request] = cluster.requests
    assert request.decision_uri == first.decision.uri
    cluster.states[first.run_id] = RunState.FAILED
    [outcome] = loop.reconcile()
    assert (outcome.state, outcome.reason) == (RunState.FAILED, "evicted")
    assert loop.reconcile() == []
    assert loop.step("2013-05").admission.reason is AdmissionReason.ADMITTED


def test_launcher_that_cannot_start_raises_and_is_tried_again(bench):
    class Broken(Cluster):
        def launch(self, run_id, request):
            self.requests.append(request)
            raise ConnectionError("no route to the cluster")

    broken = Broken()
    with pytest.raises(ConnectionError):
        bench.loop(training_launcher=broken).step("2013-03")
    with pytest.raises(ConnectionError):
        bench.loop(training_launcher=broken).reconcile()
    assert [request.attempt for request in broken.requests] == [1, 2]
    [outcome] = bench.loop().reconcile()
    assert outcome.pushed_version == 2


def test_run_started_and_ended_behind_an_old_state_is_not_started_again(bench):
    """Another loop does all the work between this loop's look at the state and its lease."""
    stale = RecordedLauncher(bench.store, "training", bench.folder / "t", bench.training)
    look = stale.state

    def state(run_id):
        seen = look(run_id)
        if seen.state is RunState.ABSENT:
            bench.loop().reconcile()
        return seen

    stale.state = state
    result = bench.loop(training_launcher=stale).step("2013-03")
    assert len(bench.trainings()) == 1
    assert leases.latest(bench.store, result.run_id).attempt == 1


def test_gates_are_asked_again_when_another_decision_is_claimed_in_between(bench):
    """Both decisions pass the gates on the same history; only one may launch."""
    loop = bench.loop()

    def other_window_first(step):
        if step is Step.ADMITTED and not bench.trainings():
            bench.loop().step("2013-04")

    loop._on_step = other_window_first
    result = loop.step("2013-03")
    assert result.admission.reason is AdmissionReason.SUPERSEDED
    assert bench.admissions() == [
        ("2013-04", "RETRAIN", "admitted"),
        ("2013-03", "HOLD", "superseded"),
    ]
    assert len(bench.trainings()) == 1


def test_launch_number_that_no_claim_has_is_an_error_and_no_endless_loop(bench):
    other = bench.store.put_artifact_type(pb.ArtifactType(name="another"))
    taken = pb.Artifact(type_id=other, external_id="flights/launch/1")
    bench.store.put_artifacts([taken])
    with pytest.raises(DataError, match=r"Expected launch 1 of flights .* damaged"):
        bench.loop().step("2013-03")
    assert bench.trainings() == []


def test_decision_whose_file_is_gone_says_what_to_do(bench):
    loop = bench.loop(LoopMode.SUGGEST)
    decision = loop.step("2013-03").decision
    (bench.folder / "m" / decision.uri / "retrain_decision.json").unlink()
    with pytest.raises(DataError, match="monitor the window again"):
        loop.step("2013-03")


@pytest.mark.slow
def test_run_held_by_a_live_process_is_left_alone(bench):
    code = (
        "import sys, time; from recorder import open_store\n"
        "from tfx_loop.pipelines.control import leases\n"
        f"store = open_store({str(bench.folder / 'metadata.db')!r})\n"
        "leases.take(store, 'monitor-flights-2013-03', 1); print('taken', flush=True)\n"
        "time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": "src:tests/helpers", "PATH": "/usr/bin"},
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout.readline() == b"taken\n"
    try:
        result = bench.loop().step("2013-03")
        assert result.monitoring.state is RunState.RUNNING
        with (
            pytest.raises(leases.RunBusy, match="monitor-flights-2013-03"),
            leases.hold(bench.store, "monitor-flights-2013-03"),
        ):
            pass
        assert bench.worked == []
    finally:
        process.kill()
        process.wait()
    assert bench.loop().step("2013-03").outcome.pushed_version == 2


def test_roll_back_by_hand_is_what_serves(bench):
    loop = bench.loop(cooldown_seconds=0)
    assert loop.step("2013-03").outcome.pushed_version == 2
    # Version 1 serves again; without the record, everything about it would be superseded for ever.
    bench.stable = 1
    again = loop.step("2013-04")
    assert again.decision.model_version == 1
    assert again.admission.reason is AdmissionReason.ADMITTED
    bench.stable, bench.version = 1, 2
    assert loop.step("2013-05").admission.reason is AdmissionReason.SUPERSEDED


def test_model_fault_that_asks_for_the_version_before_rolls_back_in_act_mode(bench):
    bench.decision = {"verdict": "MODEL_FAULT", "action": "roll_back"}
    asked, roll_back = returning(1)
    result = bench.loop(roll_back=roll_back).step("2013-03")
    assert result.decision.verdict == "MODEL_FAULT"
    assert [one.model_version for one in asked] == [1]
    assert bench.trainings() == []
    bench.loop(LoopMode.SUGGEST, roll_back=roll_back).step("2013-04")
    assert len(asked) == 1


def returning(version):
    """What lets a version serve again, and the decisions that asked for it."""
    asked = []

    def roll_back(decision):
        asked.append(decision)
        return version

    return asked, roll_back


def returns_of(bench):
    return [ledger.properties(e) for e in bench.store.get_executions_by_type(ledger.RETURN)]


def test_reinstatement_is_carried_out_once_however_often_the_window_is_stepped(bench):
    bench.version = 2
    bench.decision = {"verdict": "REINSTATE", "action": "reinstate", "reinstate": 1}
    asked, roll_back = returning(1)
    for _ in range(3):
        result = bench.loop(roll_back=roll_back).step("2013-03")
    assert result.decision.reinstate == 1
    assert len(asked) == 1
    [told] = returns_of(bench)
    assert (told["model_version"], told["returned_version"]) == (2, 1)
    assert told["decision_id"] == asked[0].artifact_id
    assert bench.trainings() == []


def test_reinstatement_killed_before_it_was_recorded_is_recorded_by_the_next_step(bench):
    bench.decision = {"verdict": "REINSTATE", "action": "reinstate", "reinstate": 1}

    def killed(decision):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.loop(roll_back=killed).step("2013-03")
    assert returns_of(bench) == []
    asked, roll_back = returning(1)
    bench.loop(roll_back=roll_back).step("2013-03")
    assert (len(asked), len(returns_of(bench))) == (1, 1)


def test_reinstatement_waits_for_an_approval_where_the_loop_may_not_act(bench):
    bench.version = 2
    bench.decision = {"verdict": "REINSTATE", "action": "reinstate", "reinstate": 1}
    asked, roll_back = returning(1)
    loop = bench.loop(LoopMode.SUGGEST, roll_back=roll_back)
    decision = loop.step("2013-03").decision
    assert asked == []
    loop.approve(decision.artifact_id, "ann")
    loop.step("2013-03")
    assert len(asked) == 1
    assert bench.trainings() == []


def test_training_beside_a_reinstatement_replaces_the_version_that_came_back(bench):
    bench.version, bench.stable = 2, 1
    bench.decision = {"verdict": "REINSTATE", "action": "reinstate_and_retrain", "reinstate": 1}
    asked, roll_back = returning(1)
    result = bench.loop(roll_back=roll_back).step("2013-03")
    assert (len(asked), result.outcome.state) == (1, RunState.SUCCEEDED)
    [claim] = bench.store.get_artifacts_by_type(ledger.CLAIM)
    assert ledger.properties(claim)["model_version"] == 1


def test_model_fault_that_asks_for_a_retraining_passes_the_gates(bench):
    bench.decision = {"verdict": "MODEL_FAULT", "action": "retrain"}
    assert bench.loop().step("2013-03").outcome.pushed_version == 2
    bench.decision = {"verdict": "MODEL_FAULT", "action": "alarm"}
    assert bench.loop().step("2013-04").admission is None


def test_window_that_has_not_ended_leaves_no_answer(bench):
    ends = {"2013-03": bench.now + HOUR}
    loop = bench.loop(window_ended=lambda name, now: ends[name] <= now)
    early = loop.step("2013-03")
    assert (early.monitoring.state, early.monitoring.reason) == (RunState.ABSENT, "not_yet")
    assert bench.worked == []
    bench.now += HOUR
    assert loop.step("2013-03").outcome.pushed_version == 2


def test_what_is_not_there_yet_uses_no_attempt_up(bench):
    missing = True

    class Waiting(RecordedLauncher):
        def check(self, request):
            if missing:
                raise DataError("Expected the prediction log of 'flights', found none.")

    loop = bench.loop(max_attempts=2)
    loop._monitoring = Waiting(bench.store, "monitoring", bench.folder / "m", bench.monitoring)
    for _ in range(4):
        with pytest.raises(DataError, match="prediction log"):
            loop.step("2013-03")
    assert bench.worked == []
    missing = False
    assert loop.step("2013-03").outcome.pushed_version == 2


def test_retry_monitors_a_window_again_after_its_attempts_were_spent(bench):
    bench.monitoring_work = fail
    loop = bench.loop(max_attempts=2)
    for _ in range(3):
        spent = loop.step("2013-03").monitoring
    assert spent.reason.startswith("attempts_exhausted after 2: ")
    assert "the disk is full" in spent.reason
    bench.monitoring_work = lambda: None
    assert loop.step("2013-03").monitoring.state is RunState.FAILED
    run_id = retry_window(bench.store, "flights", "2013-03", "a larger disk", 1)
    with pytest.raises(ConfigError, match="asked for again already"):
        retry_window(bench.store, "flights", "2013-03", "", 2)
    assert loop.step("2013-03").outcome.pushed_version == 2
    assert bench.worked[-2] == run_id == "monitor-flights-2013-03-retry-1"
    with pytest.raises(ConfigError, match="monitored under this name"):
        retry_window(bench.store, "flights", "2013-3", "", 2)


def test_deleted_decision_stops_no_later_window(bench):
    bench.verdicts |= {name: "HOLD" for name in ("week-1", "week-2", "week-10")}
    loop = bench.loop()
    for name in ("week-1", "week-2", "week-10"):
        loop.step(name)
    assert latest_decision(bench.store, "flights", before="week-11").window == "week-10"
    newest = latest_decision(bench.store, "flights", before="week-11")
    shutil.rmtree(newest.uri)
    assert latest_decision(bench.store, "flights", before="week-11").window == "week-2"
    assert latest_decision(bench.store, "flights", before="week-2").window == "week-1"
    assert latest_decision(bench.store, "taxi", before="week-11") is None
