"""Stores written while the package was imported as `components`: lineage and loop read them."""

import pytest
from recorder import (
    RecordedLauncher,
    monitoring_nodes,
    open_store,
    training_nodes,
    under_former_names,
)

from tfx_loop.core import type_names
from tfx_loop.core.errors import DataError
from tfx_loop.pipelines.control.decisions import decision_by_id, latest_decision
from tfx_loop.pipelines.control.loop import Controller
from tfx_loop.pipelines.control.settings import LoopMode, LoopSettings
from tfx_loop.pipelines.lineage.explain import explain
from tfx_loop.pipelines.lineage.timeline import timeline

WINDOWS = ("2013-03", "2013-04")


class RecordedHistory:
    """A loop over two windows; the nodes of the first `former` windows have the former names."""

    def __init__(self, folder, former, mode=LoopMode.ACT):
        self.former, self.done, self.version = former, 0, 1
        self.store = open_store(folder / "metadata.db")
        self.loop = Controller(
            self.store,
            LoopSettings(model_name="flights", mode=mode, cooldown_seconds=0),
            RecordedLauncher(self.store, "monitoring", folder / "m", self.monitoring),
            RecordedLauncher(self.store, "training", folder / "t", self.training),
            clock=lambda: 1_362_096_000_000 + self.done,
        )

    def step(self, window):
        result = self.loop.step(window)
        self.done += 1
        if result.outcome:
            self.version = result.outcome.pushed_version
        return result

    def named(self, nodes):
        return under_former_names(nodes) if self.done < self.former else nodes

    def monitoring(self, run_id, request):
        told = {"window": request.window, "verdict": "RETRAIN", "model_version": self.version}
        return self.named(monitoring_nodes(told))

    def training(self, run_id, request):
        return self.named(
            training_nodes(request.model_version + 1, decision_uri=request.decision_uri)
        )


def facts(store):
    """What lineage tells, without times and ids."""
    found = [explain(store, "flights", version) for version in (2, 3)]
    return (
        [(e.kind, e.window, e.version, e.text) for e in timeline(store, "flights")],
        [(e.why.window, e.why.explanation, e.why.verdict, e.why.outcome) for e in found],
        [[fact.window for fact in e.decided_since] for e in found],
    )


@pytest.mark.slow
@pytest.mark.parametrize("former", [1, 2])
def test_lineage_tells_the_same_of_a_store_under_former_names(tmp_path, former):
    told = []
    for count in (0, former):
        folder = tmp_path / str(count)
        folder.mkdir()
        history = RecordedHistory(folder, count)
        for window in WINDOWS:
            history.step(window)
        told.append(facts(history.store))
    names = {kind.name for kind in history.store.get_artifact_types()}
    assert "components.RetrainDecision" in names
    assert told[0] == told[1]
    assert [event[0] for event in told[0][0]].count("DECIDED") == 2


def test_a_decision_under_its_former_name_is_approved_and_carried_out(tmp_path):
    """Monitored before the upgrade, trained after: the import makes a node of today's type."""
    history = RecordedHistory(tmp_path, former=1, mode=LoopMode.SUGGEST)
    asked = history.step("2013-03")
    assert asked.decision is not None
    assert asked.outcome is None
    history.loop.approve(asked.decision.artifact_id, by="ada")
    carried_out = history.loop.step("2013-03")
    assert carried_out.outcome.pushed_version == 2
    why = explain(history.store, "flights", 2).why
    assert (why.decision_id, why.approved_by) == (asked.decision.artifact_id, "ada")


def test_the_latest_decision_is_found_under_either_name(tmp_path):
    history = RecordedHistory(tmp_path, former=1)
    first, second = (history.step(window).decision for window in WINDOWS)
    assert latest_decision(history.store, "flights", before="2013-04") == first
    assert latest_decision(history.store, "flights", before="2013-05") == second
    assert decision_by_id(history.store, first.artifact_id) == first


def test_another_artifact_is_no_decision_under_either_name(tmp_path):
    history = RecordedHistory(tmp_path, former=1)
    history.step("2013-03")
    [report] = history.store.get_artifacts_by_type("components.DriftReport")
    with pytest.raises(DataError, match="Expected the id of a RetrainDecision"):
        decision_by_id(history.store, report.id)


def test_only_our_own_types_have_former_names():
    assert type_names.current_type_name("components.SkewReport") == type_names.SKEW_REPORT
    assert type_names.current_type_name("components.Turbine") == "components.Turbine"
    assert type_names.known_type_names("Model") == ("Model",)
    assert type_names.known_type_names(type_names.DRIFT_REPORT) == (
        "tfx_loop.DriftReport",
        "components.DriftReport",
    )
