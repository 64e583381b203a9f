"""All windows, decisions and versions of a model, read from its lineage for a page."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tfx_loop.contracts.drift_report import DRIFT_REPORT, DriftProperties, DriftResult
from tfx_loop.contracts.pushed_model import PushedProperties
from tfx_loop.contracts.quality_report import QUALITY_REPORT
from tfx_loop.contracts.retrain_decision import DecisionProperties, DecisionRecord, RetrainVerdict
from tfx_loop.core import type_names
from tfx_loop.core.custom_properties import from_properties
from tfx_loop.core.errors import DataError, LoopError
from tfx_loop.monitoring.drift.quality.realised import realised_quality
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.decisions import window_order
from tfx_loop.pipelines.lineage import facts
from tfx_loop.pipelines.lineage.explain import explain
from tfx_loop.pipelines.lineage.facts import DecisionFact, PushFact
from tfx_loop.pipelines.lineage.graph import Graph
from tfx_loop.pipelines.lineage.show import render_explanation
from tfx_loop.pipelines.lineage.timeline import TimelineEvent, timeline
from tfx_loop.pipelines.pages.content import (
    WindowDecision,
    WindowResult,
    cells_of,
    decision_of,
    number,
)
from tfx_loop.presentation.heat_map import HeatCell

MEASURED, ESTIMATED = "measured", "estimated"


@dataclass(frozen=True, kw_only=True)
class ModelReport:
    """What the page of a model shows.

    Attributes:
        model_name: Name that it is served under.
        windows: In order of time.
        drift: By window, each feature's cell.
        decisions: One a window, what the loop answered included.
        versions: Pushes, oldest first.
        facts: What followed from the decisions, oldest first.
        events: The timeline, oldest first.
        explanation: What `loop explain` says of the newest version; empty where none was pushed.
    """

    model_name: str
    windows: tuple[WindowResult, ...]
    drift: Mapping[str, Mapping[str, HeatCell]]
    decisions: tuple[WindowDecision, ...]
    versions: tuple[PushFact, ...]
    facts: tuple[DecisionFact, ...]
    events: tuple[TimelineEvent, ...]
    explanation: str

    @property
    def serving(self) -> int:
        """The version that was pushed or promoted last; 0 for none."""
        return self.versions[-1].version if self.versions else 0


def model_names(graph: Graph) -> list[str]:
    """Returns the models that were pushed or decided on."""
    pushed = (
        from_properties(PushedProperties, a.properties).model_name
        for a in graph.artifacts_of_type(ledger.PUSHED_MODEL)
    )
    decided = (
        from_properties(DecisionProperties, a.properties).model_name
        for a in graph.artifacts_of_type(type_names.RETRAIN_DECISION)
    )
    return sorted({name for name in (*pushed, *decided) if name})


def model_report(graph: Graph, model_name: str) -> ModelReport:
    """Reads what is known of a model.

    Raises:
        DataError: The store knows no such model.
    """
    versions = facts.pushes(graph, model_name)
    decided = facts.decisions(graph, model_name)
    if not versions and not decided:
        known = ", ".join(model_names(graph)) or "none"
        raise DataError(f"Expected a model of the store ({known}), received {model_name!r}.")
    # A window that was monitored again has the answer of its newest run.
    newest = {fact.window: fact for fact in decided}
    names = sorted(newest, key=window_order)
    records = {name: _record(graph, newest[name]) for name in names}
    drifts = _drift_reports(graph, model_name)
    quality = _quality(records, drifts, _measured(graph, model_name))
    return ModelReport(
        model_name=model_name,
        windows=tuple(
            _window(newest[name], records[name], drifts.get(name), quality.get(name, {}))
            for name in names
        ),
        drift={name: cells_of(report[1].features) for name, report in drifts.items() if report[1]},
        decisions=tuple(
            replace(decision_of(record), verdict=_answered(newest[name])[0])
            for name in names
            if (record := records[name]) is not None
        ),
        versions=tuple(versions),
        facts=tuple(decided),
        events=tuple(timeline(graph, model_name)),
        explanation=(
            render_explanation(explain(graph, model_name, versions[-1].version)) if versions else ""
        ),
    )


_Drift = tuple[DriftProperties, DriftResult | None]


def _record(graph: Graph, fact: DecisionFact) -> DecisionRecord | None:
    return facts.decision_record(graph.artifacts[fact.decision_id])


def _drift_reports(graph: Graph, model_name: str) -> dict[str, _Drift]:
    """Returns the newest report of each window, with its file where that is there."""
    found = {}
    for artifact in graph.artifacts_of_type(type_names.DRIFT_REPORT):
        maker = graph.maker(artifact)
        said = from_properties(DriftProperties, artifact.properties)
        if maker is None or not maker.done or not said.window:
            continue
        if not facts.logged_names(graph, maker) <= {model_name}:
            continue
        try:
            content = DRIFT_REPORT.find(artifact.uri)
        except LoopError:
            content = None
        # Without its file a report is told by its properties; files of earlier releases name no
        # model.
        if content is None or content.model_name in ("", model_name):
            found[said.window] = (said, content)
    return found


def _measured(graph: Graph, model_name: str) -> dict[str, Mapping[str, float]]:
    """Returns by window what QualityMonitor measured last, in the estimates' names."""
    found: dict[str, Mapping[str, float]] = {}
    # Evaluator writes artifacts of the type, too, of challengers; those have no such file.
    for artifact in sorted(graph.artifacts_of_type("ModelEvaluation"), key=lambda one: one.id):
        maker = graph.maker(artifact)
        if maker is None or not maker.done:
            continue
        if not facts.logged_names(graph, maker) <= {model_name}:
            continue
        try:
            report = QUALITY_REPORT.find(artifact.uri)
        except LoopError:
            continue
        realised = realised_quality(report) if report is not None else None
        if realised is not None:
            found[realised.window] = realised.metrics
    return found


def _quality(
    records: Mapping[str, DecisionRecord | None],
    drifts: Mapping[str, _Drift],
    measured: Mapping[str, Mapping[str, float]],
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Returns by window and metric what was measured once labels came, and estimated before."""
    found: dict[str, dict[str, dict[str, float | None]]] = {}

    def keep(window: str, kind: str, metrics: Mapping[str, float | None]) -> None:
        for name, value in metrics.items():
            found.setdefault(window, {}).setdefault(name, {})[kind] = number(value)

    for window, (_, content) in drifts.items():
        estimated = content.estimated.metrics if content and content.estimated else {}
        keep(window, ESTIMATED, {name: one.value for name, one in estimated.items()})
    for record in records.values():
        # Numbers of a decision are those of the window whose labels had come.
        if record is not None:
            keep(record.label_window, MEASURED, record.evidence.quality)
    for window, metrics in measured.items():
        keep(window, MEASURED, metrics)
    return found


def _window(
    fact: DecisionFact,
    record: DecisionRecord | None,
    drift: _Drift | None,
    quality: Mapping[str, Mapping[str, float | None]],
) -> WindowResult:
    said, content = drift if drift else (None, None)
    loss = record.evidence.avoidable_loss if record else None
    verdict, reason = _answered(fact)
    return WindowResult(
        name=fact.window,
        rows=said.rows if said else record.evidence.rows if record else 0,
        quality=quality,
        avoidable_loss=loss.relative if loss else None,
        drifted=content.drifted if content else (),
        verdict=verdict,
        reason=reason,
        version=(said.model_version if said else 0) or fact.model_version or None,
    )


def _answered(fact: DecisionFact) -> tuple[str, str]:
    """Returns the decision as the loop answered it: what was asked for may have been held back."""
    if fact.admission == RetrainVerdict.HOLD.value:
        return fact.admission, fact.admission_reason
    return fact.verdict, fact.reason
