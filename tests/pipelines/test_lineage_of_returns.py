"""What `loop explain` and `loop timeline` tell of a version that serves again."""

import pytest
from recorder import RecordedLauncher, RecordedRun, monitoring_nodes, open_store, training_nodes

from tfx_loop.pipelines.control.loop import Controller
from tfx_loop.pipelines.control.settings import LoopMode, LoopSettings
from tfx_loop.pipelines.lineage.explain import explain
from tfx_loop.pipelines.lineage.show import render_explanation
from tfx_loop.pipelines.lineage.timeline import timeline


class TwoVersions:
    """Two versions were pushed; a window asks for the first to serve again."""

    def __init__(self, folder):
        self.folder, self.store = folder, open_store(folder / "metadata.db")
        for version in (1, 2):
            run = RecordedRun(self.store, "training", f"run-{version}", folder / "t")
            run.run(training_nodes(version, pushed_at_ms=version))

    def step(self, mode=LoopMode.ACT):
        def monitoring(run_id, request):
            return monitoring_nodes(
                {
                    "window": request.window,
                    "verdict": "REINSTATE",
                    "action": "reinstate",
                    "reason": "other_version_fits_better",
                    "model_version": 2,
                    "reinstate": 1,
                }
            )

        launcher = RecordedLauncher(self.store, "monitoring", self.folder / "m", monitoring)
        loop = Controller(
            self.store,
            LoopSettings(model_name="flights", mode=mode),
            launcher,
            launcher,
            clock=lambda: 1_362_096_000_000,
            roll_back=lambda decision: decision.reinstate,
        )
        loop.step("2013-05")

    def told(self, version):
        return " ".join(render_explanation(explain(self.store, "flights", version)).split())


@pytest.fixture
def versions(tmp_path):
    return TwoVersions(tmp_path)


def test_both_versions_tell_of_the_return(versions):
    versions.step()
    verdict = "REINSTATE (other_version_fits_better), avoidable loss 0.03"
    done = f"{verdict}: done, version 1 serves again"
    assert f"2013-05 {done}" in versions.told(2)
    assert f"2013-05 about version 2: {done}" in versions.told(1)
    # The window was judged with version 2 alone.
    assert "judged on" not in versions.told(1)


def test_return_that_nobody_carried_out_is_told_as_not_done(versions):
    versions.step(LoopMode.OBSERVE)
    assert "not done, version 1 was not let serve again" in versions.told(2)
    assert [e.kind for e in timeline(versions.store, "flights") if e.window] == ["DECIDED"]


def test_timeline_tells_the_return_after_its_decision(versions):
    versions.step()
    told = [e for e in timeline(versions.store, "flights") if e.window == "2013-05"]
    assert [e.kind for e in told] == ["DECIDED", "RETURNED"]
    assert told[1].text == "version 1 serves again (other_version_fits_better)"
    assert told[1].decision_id == told[0].decision_id


def test_training_that_reads_no_decision_is_explained_by_its_run(tmp_path):
    # As of a pipeline whose examples are not made by SpanExampleGen.
    store = open_store(tmp_path / "metadata.db")
    RecordedRun(store, "training", "run-1", tmp_path / "t").run(training_nodes(1, pushed_at_ms=1))
    loop = Controller(
        store,
        LoopSettings(model_name="flights", mode=LoopMode.ACT),
        RecordedLauncher(
            store,
            "monitoring",
            tmp_path / "m",
            lambda run_id, request: monitoring_nodes({"window": "2013-05", "verdict": "RETRAIN"}),
        ),
        RecordedLauncher(
            store,
            "training",
            tmp_path / "t",
            lambda run_id, request: training_nodes(2, pushed_at_ms=2),
        ),
        clock=lambda: 1_362_096_000_000,
    )
    loop.step("2013-05")
    told = " ".join(render_explanation(explain(store, "flights", 2)).split())
    assert "why window 2013-05 said RETRAIN of version 1" in told
    assert "by hand" not in told
