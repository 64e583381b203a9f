"""A concept goes and comes back: the version that knows it serves again, without a training."""

import json
from pathlib import Path
from typing import Any

import pytest
from recorder import open_store
from returning_concept import NAME, ReturningConcept

from tfx_loop.contracts.retrain_decision import RETRAIN_DECISION, DecisionRecord
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.loop import Controller
from tfx_loop.pipelines.control.settings import LoopMode, LoopSettings
from tfx_loop.pipelines.examples.flights.calendar import FlightMonths
from tfx_loop.pipelines.lineage.timeline import timeline

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow, pytest.mark.timeout(900)]

# By month the concept of the world; labels come a month late.
WORLD = {3: 2, 4: 1, 5: 1, 6: 2, 7: 2}


class Story:
    """The loop over five months, with what it decided in each and which version served it."""

    def __init__(self, folder: Path) -> None:
        from tfx_loop.pipelines.runners.launchers import MonitoringLauncher, TrainingLauncher
        from tfx_loop.pipelines.runners.rolling_back import roll_back_of

        made = ReturningConcept(folder)
        settings = made.settings()
        self.store = open_store(settings.pipeline.metadata_path)
        parts = (self.store, settings, FlightMonths(), 1)
        now_ms = 0
        loop = Controller(
            self.store,
            LoopSettings(model_name=NAME, mode=LoopMode.ACT),
            MonitoringLauncher(*parts),
            TrainingLauncher(*parts),
            clock=lambda: now_ms,
            stable_version=lambda: made.desk.record.stable_version or 0,
            roll_back=roll_back_of(settings.serving.base_path, self.store),
        )
        self.served: dict[int, int] = {}
        self.decisions: dict[int, DecisionRecord] = {}
        for span, concept in WORLD.items():
            stable = made.desk.record.stable_version
            assert stable is not None
            self.served[span] = stable
            made.serve(span, concept, stable)
            window = FlightMonths().window_of_span(span)
            now_ms = window.end_ms
            result = loop.step(window.name)
            assert result.decision is not None, result
            self.decisions[span] = RETRAIN_DECISION.read(result.decision.uri)
            loop.step(window.name)
        self.record = made.desk.record


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("returns"))


def told(story: Story) -> dict[int, tuple[str, str]]:
    return {span: (d.verdict.value, d.reason) for span, d in story.decisions.items()}


def test_each_version_serves_again_as_soon_as_labels_tell_that_its_concept_is_back(
    story: Story,
) -> None:
    again = ("REINSTATE", "other_version_fits_better")
    decided = told(story)
    assert decided[3] == ("HOLD", "too_few_labels")
    assert decided[4][0] == decided[6][0] == "HOLD"
    assert (decided[5], decided[7]) == (again, again)
    assert (story.decisions[5].reinstate, story.decisions[7].reinstate) == (1, 2)
    assert story.served == {3: 2, 4: 2, 5: 2, 6: 1, 7: 1}
    assert story.record.stable_version == 2


def test_losses_on_record_are_those_of_the_models_themselves(story: Story) -> None:
    contest = story.decisions[5].evidence.contest
    assert contest is not None
    served = story.decisions[5].evidence.avoidable_loss
    assert served is not None
    assert served.served is not None
    # Version 2 answered April itself: asked again, its model loses what its answers lost.
    assert contest.champion_loss == pytest.approx(served.served.mean, rel=1e-3)
    winner = contest.winning
    assert winner is not None
    # In its own concept it loses what it promised.
    assert winner.promised is not None
    assert winner.mean == pytest.approx(winner.promised, rel=0.1)
    assert contest.avoidable_loss is not None
    assert contest.avoidable_loss.relative < 0.02 < served.relative


def test_nothing_was_trained_and_each_return_happened_once(story: Story) -> None:
    assert story.store.get_artifacts_by_type(ledger.CLAIM) == []
    done = [ledger.properties(e) for e in story.store.get_executions_by_type(ledger.RETURN)]
    assert [(one["model_version"], one["returned_version"]) for one in done] == [(2, 1), (1, 2)]
    backs = [e.detail for e in story.record.history if "other_version_fits_better" in e.detail]
    assert len(backs) == 2


def test_timeline_tells_the_returns(story: Story) -> None:
    events = timeline(story.store, NAME)
    returned = [e for e in events if e.kind == "RETURNED"]
    assert [e.text.split(" (")[0] for e in returned] == [
        "version 1 serves again",
        "version 2 serves again",
    ]


def test_explanation_is_a_sentence_of_the_numbers_on_record(story: Story) -> None:
    decision = story.decisions[5]
    contest = decision.evidence.contest
    assert contest is not None
    won: Any = contest.winning
    for number in (
        f"version 1, which served before, loses {won.mean:.3f}",
        f"version 2 loses {contest.champion_loss:.3f}",
        f"{won.saving / contest.champion_loss:.1%} less",
        f"{contest.rows:,} logged rows",
        f"{won.z:.1f} standard errors",
    ):
        assert number in decision.explanation
    assert json.loads(json.dumps(decision.settings))["pool_versions"] == 5
