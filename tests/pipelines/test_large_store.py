"""What is asked of a store of many windows reads what it needs, and no file of every window."""

import large_store
import pytest

from tfx_loop.contracts.retrain_decision import RETRAIN_DECISION
from tfx_loop.pipelines.lineage.explain import explain
from tfx_loop.pipelines.lineage.graph import load
from tfx_loop.pipelines.lineage.sources import open_graph
from tfx_loop.pipelines.lineage.timeline import timeline


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    return large_store.build(str(folder / "metadata.sqlite"), folder / "artifacts", 400)


@pytest.fixture
def files_read(monkeypatch):
    read = []
    kind = type(RETRAIN_DECISION)
    find = kind.find

    def counted(self, uri):
        if self.name == RETRAIN_DECISION.name:
            read.append(uri)
        return find(self, uri)

    monkeypatch.setattr(kind, "find", counted)
    return read


@pytest.mark.slow
def test_explanation_reads_the_decisions_of_its_version_alone(large, files_read) -> None:
    graph = open_graph(large.address)
    found = explain(graph, "flights", 3)
    assert len(large.windows) > 40
    # Those that judged it, and the one that asked for it.
    assert [fact.window for fact in found.decided_since] == large.windows[8:12]
    assert found.why is not None
    assert found.why.window == large.windows[7]
    assert [fact.window for fact in found.windows] == large.windows[8:12]
    assert len(files_read) == 5


def test_timeline_reads_no_file_of_decisions(large, files_read) -> None:
    events = timeline(open_graph(large.address), "flights")
    decided = [event.window for event in events if event.kind == "DECIDED"]
    assert decided == large.windows
    assert files_read == []


@pytest.mark.slow
def test_both_ways_to_read_a_store_agree(large) -> None:
    from tfx_loop.pipelines.control.stores import StoreMode, open_store

    quick = open_graph(large.address, parameters=True)
    slow = load(open_store(large.address, StoreMode.READ))
    assert quick.executions == slow.executions
    assert quick.artifacts == slow.artifacts
