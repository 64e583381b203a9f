"""The content of the demo's page: the JSON of a run, read into frozen dataclasses."""

from calendar import month_abbr
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfx_loop.contracts.drift_report import DriftResult, FeatureDrift
from tfx_loop.contracts.retrain_decision import DecisionRecord
from tfx_loop.contracts.version_contest import VersionContest
from tfx_loop.presentation.heat_map import HeatCell

POLICIES = ("loop", "left_alone", "every_window")
POLICY_NAMES = {
    "loop": "the loop",
    "left_alone": "left alone",
    "every_window": "every window",
}


@dataclass(frozen=True, kw_only=True)
class WindowResult:
    """One window under the three policies. None stands for "not measured (yet)".

    Attributes:
        auc: Area under the ROC curve by policy.
        log_loss: Log loss by policy, in nats.
        avoidable_loss: What a retraining would have saved, as a share of a window's loss.
        version: The version that served the window.
    """

    name: str
    rows: int
    auc: Mapping[str, float | None]
    log_loss: Mapping[str, float | None]
    avoidable_loss: float | None
    drifted: tuple[str, ...]
    verdict: str
    reason: str
    version: int | None


@dataclass(frozen=True, kw_only=True)
class WindowDecision:
    """One decision of the loop; `accumulated` and `training_cost` are shares of a window's loss."""

    window: str
    verdict: str
    reason: str
    explanation: str
    model_version: int
    accumulated: float
    training_cost: float | None
    label_window: str = ""
    contest: VersionContest | None = None


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
            metric: _number(share)
            for metric, share in (summary.get("gain_recovered") or {}).items()
        },
        drift={report.window: _cells(report.features) for report in drift},
        decisions=tuple(_decision(each) for each in decisions),
        timings=tuple((str(part), float(seconds)) for part, seconds in timings),
        explanation=explanation,
    )


def short_name(window: str) -> str:
    """Returns "Mar" for "2013-03", and any other window's name as it is."""
    year, _, month = window.partition("-")
    if year.isdigit() and month.isdigit() and 1 <= int(month) <= 12:
        return month_abbr[int(month)]
    return window


def _window(document: Mapping[str, Any]) -> WindowResult:
    return WindowResult(
        name=str(document["window"]),
        rows=int(document.get("rows") or 0),
        auc=_by_policy(document.get("auc")),
        log_loss=_by_policy(document.get("log_loss")),
        avoidable_loss=_number(document.get("avoidable_loss")),
        drifted=tuple(document.get("drifted") or ()),
        verdict=str(document.get("verdict") or ""),
        reason=str(document.get("reason") or ""),
        version=_whole(document.get("version")),
    )


def _by_policy(values: Mapping[str, Any] | None) -> dict[str, float | None]:
    return {policy: _number((values or {}).get(policy)) for policy in POLICIES}


def _cells(features: Iterable[FeatureDrift]) -> dict[str, HeatCell]:
    return {
        feature.feature: HeatCell(
            psi=feature.psi_corrected, drifted=feature.drifted, fault=feature.fault or ""
        )
        for feature in features
        if not feature.slice
    }


def _decision(record: DecisionRecord) -> WindowDecision:
    return WindowDecision(
        window=record.window,
        verdict=record.verdict.value,
        reason=record.reason,
        explanation=record.explanation,
        model_version=record.model_version,
        accumulated=record.evidence.accumulated,
        training_cost=_number(record.settings.get("training_cost")),
        label_window=record.label_window,
        contest=record.evidence.contest,
    )


def _number(value: Any) -> float | None:
    if value is None or value != value:  # NaN is the one number that differs from itself
        return None
    return float(value)


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
