"""The results of a run: what was measured in each window, and the files that hold it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfx_loop.contracts.drift_report import DRIFT_REPORT, DriftResult
from tfx_loop.contracts.retrain_decision import (
    DecisionRecord,
    RetrainVerdict,
)
from tfx_loop.core.key_file import read_keys
from tfx_loop.core.storage import write_bytes, write_json
from tfx_loop.data.prediction_log.reader import read_window
from tfx_loop.pipelines.config import Settings
from tfx_loop.pipelines.control.calendar import MonitoringWindow
from tfx_loop.pipelines.examples.flights.data import LABEL
from tfx_loop.pipelines.examples.flights.demo import policies
from tfx_loop.pipelines.examples.flights.demo.page import RunReport, read_report, render_page
from tfx_loop.pipelines.examples.flights.demo.replay import requests_of

METRICS = ("auc", "log_loss")


@dataclass(frozen=True, kw_only=True)
class MonitoredWindow:
    """One window after the loop has seen it.

    Attributes:
        window: The window.
        flights: All its flights, in order of departure.
        version: The version that served it.
        served: Its labelled rows with the columns `score` (what was answered) and the label.
        rows: Rows that the server answered, labelled or not.
        decision: What the decider wrote.
        drift: What DriftMonitor wrote.
        verdict: What came of it: the decider's verdict, or the loop's where it held the decision.
        reason: Why.
    """

    window: MonitoringWindow
    flights: pd.DataFrame
    version: int
    served: pd.DataFrame
    rows: int
    decision: DecisionRecord
    drift: DriftResult
    verdict: str
    reason: str


def served_rows(
    settings: Settings, window: MonitoringWindow, flights: pd.DataFrame
) -> pd.DataFrame:
    """Returns what was answered beside what came of it: the truth that nobody had at the time."""
    serving = settings.serving
    log = read_window(
        serving.prediction_log,
        settings.model.name,
        window.start_ms,
        window.end_ms,
        keys=read_keys(serving.prediction_log_key),
    ).table.to_pandas()
    parts = [
        pd.DataFrame(
            {
                "request_id": request_id,
                "instance_index": range(len(rows)),
                LABEL: rows[LABEL].to_numpy(),
            }
        )
        for request_id, _, rows in requests_of(flights)
    ]
    truth = pd.concat(parts, ignore_index=True)
    output = f"output.{settings.model.score}"
    answered = log[["request_id", "instance_index", output]]
    joined = truth.merge(answered, on=["request_id", "instance_index"], how="inner")
    return joined.rename(columns={output: "score"})


def drift_report(settings: Settings, window: str) -> DriftResult:
    """Returns the newest drift report of a window."""
    root = Path(settings.pipeline.root)
    found = [
        report
        for path in sorted(
            root.glob(f"DriftMonitor/drift_report/*/{DRIFT_REPORT.name}"),
            key=lambda path: int(path.parent.name),
        )
        if (report := DRIFT_REPORT.load(path)).window == window
    ]
    return found[-1]


def summarise(
    windows: Sequence[MonitoredWindow],
    first_model: Path,
    every_window: Mapping[str, Sequence[float]],
    seconds: float,
) -> dict[str, Any]:
    """Returns the content of `summary.json`.

    Args:
        windows: What the loop saw, in order.
        first_model: SavedModel of version 1, the policy `left_alone`.
        every_window: Scores of the policy `every_window` by window, from its first training on;
            before that it is the first model too.
        seconds: How long the run took.

    Returns:
        As the README shows it. A training counts when its model served a replayed window.
    """
    entries = [
        _entry(monitored, first_model, every_window.get(monitored.window.name))
        for monitored in windows
    ]
    served_by = {monitored.version for monitored in windows}
    rows = {monitored.window.name: len(monitored.served) for monitored in windows}
    return {
        "rows": sum(monitored.rows for monitored in windows),
        "seconds": round(seconds, 1),
        "windows": entries,
        "trainings": {"loop": len(served_by) - 1, "every_window": len(every_window)},
        "gain_recovered": {
            metric: policies.gain_recovered(
                {entry["window"]: entry[metric] for entry in entries},
                rows,
                lower_is_better=metric == "log_loss",
            )
            for metric in reversed(METRICS)
        },
    }


def write_results(
    folder: Path,
    summary: dict[str, Any],
    windows: Sequence[MonitoredWindow],
    timings: Sequence[tuple[str, float]],
    explanation: str,
) -> RunReport:
    """Writes `summary.json`, `timings.json`, `explain.txt` and the page; returns its content."""
    report = read_report(
        summary,
        [monitored.drift for monitored in windows],
        [
            replace(
                monitored.decision,
                verdict=RetrainVerdict(monitored.verdict),
                reason=monitored.reason,
            )
            for monitored in windows
        ],
        timings,
        explanation,
    )
    write_bytes(str(folder / "index.html"), render_page(report).encode())
    write_json(str(folder / "summary.json"), summary)
    write_json(str(folder / "timings.json"), {part: round(spent, 2) for part, spent in timings})
    write_bytes(str(folder / "explain.txt"), explanation.encode())
    return report


def _entry(
    monitored: MonitoredWindow, first_model: Path, every_window: Sequence[float] | None
) -> dict[str, Any]:
    flights, served = monitored.flights, monitored.served
    known = flights[LABEL].notna().to_numpy()
    labels = flights[LABEL].to_numpy()[known]
    alone = policies.scores_of_saved_model(first_model, flights)
    always = alone if every_window is None else np.asarray(every_window)
    measured = {
        "loop": policies.quality(served[LABEL].to_numpy(), served["score"].to_numpy()),
        "left_alone": policies.quality(labels, alone[known]),
        "every_window": policies.quality(labels, always[known]),
    }
    loss = monitored.decision.evidence.avoidable_loss
    return {
        "window": monitored.window.name,
        "rows": monitored.rows,
        **{
            metric: {policy: values[metric] for policy, values in measured.items()}
            for metric in METRICS
        },
        "avoidable_loss": loss.relative if loss else None,
        "drifted": list(monitored.drift.drifted),
        "verdict": monitored.verdict,
        "reason": monitored.reason,
        "version": monitored.version,
    }
