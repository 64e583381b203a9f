"""Windows and decisions as pages show them."""

from calendar import month_abbr
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tfx_loop.contracts.drift_report import FeatureDrift
from tfx_loop.contracts.retrain_decision import DecisionRecord
from tfx_loop.contracts.version_contest import VersionContest
from tfx_loop.presentation.heat_map import HeatCell


@dataclass(frozen=True, kw_only=True)
class WindowResult:
    """One window. None stands for "not measured (yet)".

    Attributes:
        name: Its name.
        rows: Rows that were served.
        quality: By metric, such as `auc`, and by line of its plot.
        avoidable_loss: What a retraining would have saved, as a share of the window's loss.
        drifted: Features that drifted, the largest effect first.
        verdict: What was decided.
        reason: Why, as a code.
        version: The version that served it.
    """

    name: str
    rows: int
    quality: Mapping[str, Mapping[str, float | None]]
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


def decision_of(record: DecisionRecord) -> WindowDecision:
    """Returns what a page shows of a decision."""
    return WindowDecision(
        window=record.window,
        verdict=record.verdict.value,
        reason=record.reason,
        explanation=record.explanation,
        model_version=record.model_version,
        accumulated=record.evidence.accumulated,
        training_cost=number(record.settings.get("training_cost")),
        label_window=record.label_window,
        contest=record.evidence.contest,
    )


def cells_of(features: Iterable[FeatureDrift]) -> dict[str, HeatCell]:
    """Returns the cells of a heat map's column, by feature; slices are left out."""
    return {
        feature.feature: HeatCell(
            psi=feature.psi_corrected, drifted=feature.drifted, fault=feature.fault or ""
        )
        for feature in features
        if not feature.slice
    }


def short_name(window: str) -> str:
    """Returns "Mar" for "2013-03", and any other window's name as it is."""
    year, _, month = window.partition("-")
    if year.isdigit() and month.isdigit() and 1 <= int(month) <= 12:
        return month_abbr[int(month)]
    return window


def in_words(code: str) -> str:
    """Returns a reason code as words: "avoidable_loss_reached_cost" reads better with spaces."""
    return code.replace("_", " ")


def number(value: Any) -> float | None:
    """Returns a number; None for what is none, or not a number."""
    if value is None or value != value:  # NaN is the one number that differs from itself
        return None
    return float(value)
