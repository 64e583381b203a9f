"""The content of the demo's page: the JSON of a run, read into frozen dataclasses."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfx_loop.contracts.drift_report import DriftResult
from tfx_loop.contracts.retrain_decision import DecisionRecord
from tfx_loop.pipelines.pages.content import (
    WindowDecision,
    WindowResult,
    cells_of,
    decision_of,
    number,
)
from tfx_loop.presentation.heat_map import HeatCell

POLICIES = ("loop", "left_alone", "every_window")
POLICY_NAMES = {
    "loop": "the loop",
    "left_alone": "left alone",
    "every_window": "every window",
}


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """All that the page shows."""

    rows: int
    seconds: float
    windows: tuple[WindowResult, ...]
    trainings: Mapping[str, int]
    gain_recovered: Mapping[str, float | None]
    drift: Mapping[str, Mapping[str, HeatCell]]
    decisions: tuple[WindowDecision, ...]
    timings: tuple[tuple[str, float], ...]
    explanation: str


def read_report(
    summary: Mapping[str, Any],
    drift: Sequence[DriftResult],
    decisions: Sequence[DecisionRecord],
    timings: Iterable[tuple[str, float]],
    explanation: str,
) -> RunReport:
    """Reads what a run wrote.

    Args:
        summary: The document `summary.json`.
        drift: DriftMonitor's result of each window.
        decisions: What became of each window's decision.
        timings: Parts of the run and their seconds.
        explanation: What `loop explain` printed for the last version.
    """
    return RunReport(
        rows=int(summary["rows"]),
        seconds=float(summary["seconds"]),
        windows=tuple(_window(each) for each in summary["windows"]),
        trainings=dict(summary.get("trainings") or {}),
        gain_recovered={
            metric: number(share) for metric, share in (summary.get("gain_recovered") or {}).items()
        },
        drift={report.window: cells_of(report.features) for report in drift},
        decisions=tuple(decision_of(each) for each in decisions),
        timings=tuple((str(part), float(seconds)) for part, seconds in timings),
        explanation=explanation,
    )


def _window(document: Mapping[str, Any]) -> WindowResult:
    return WindowResult(
        name=str(document["window"]),
        rows=int(document.get("rows") or 0),
        quality={metric: _by_policy(document.get(metric)) for metric in ("auc", "log_loss")},
        avoidable_loss=number(document.get("avoidable_loss")),
        drifted=tuple(document.get("drifted") or ()),
        verdict=str(document.get("verdict") or ""),
        reason=str(document.get("reason") or ""),
        version=_whole(document.get("version")),
    )


def _by_policy(values: Mapping[str, Any] | None) -> dict[str, float | None]:
    return {policy: number((values or {}).get(policy)) for policy in POLICIES}


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
