"""A store of ten months as the loop leaves it: drift reports, decisions with quality, pushes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from page_run import page_inputs
from recorder import RecordedNode, RecordedOutput, RecordedRun, open_store, training_nodes

from tfx_loop.contracts.drift_report import DRIFT_REPORT
from tfx_loop.contracts.retrain_decision import RETRAIN_DECISION
from tfx_loop.core.custom_properties import to_properties


def paged_store(folder: Path, model_name: str = "flights") -> str:
    """Builds it; returns its address."""
    store = open_store(folder / "metadata.sqlite")
    inputs = page_inputs()
    version = 0
    labels = ""
    for number, (drift, record) in enumerate(
        zip(inputs["drift"], inputs["decisions"], strict=True)
    ):
        if record.model_version != version:
            version = record.model_version
            _push(store, folder, model_name, version, number)
        window = record.window
        evidence = replace(record.evidence, quality={"auc": 0.7 + number / 200} if labels else {})
        record = replace(record, model_name=model_name, label_window=labels, evidence=evidence)
        _monitor(store, folder, model_name, replace(drift, model_name=model_name), record)
        labels = window
    return str(folder / "metadata.sqlite")


def _push(store: Any, folder: Path, model_name: str, version: int, number: int) -> None:
    nodes = training_nodes(version, pushed_at_ms=1_362_096_000_000 + number * 2_592_000_000)
    nodes[-1].outputs["pushed_model"].properties["model_name"] = model_name
    run = RecordedRun(store, "train", f"train-{model_name}-{version}", folder / f"t{version}")
    run.run(nodes)


def _monitor(store: Any, folder: Path, model_name: str, drift: Any, record: Any) -> None:
    said = {
        "verdict": record.verdict.value,
        "reason": record.reason,
        "window": record.window,
        "model_version": record.model_version,
        "retrain": int(record.verdict.value == "RETRAIN"),
        "avoidable_loss": 0.01,
        "accumulated": record.evidence.accumulated,
        "model_name": model_name,
    }
    log = {"window": record.window, "model_name": model_name}
    nodes = [
        RecordedNode(
            "PredictionLogGen", outputs={"log": RecordedOutput("tfx_loop.PredictionLog", log)}
        ),
        RecordedNode(
            "DriftMonitor",
            inputs={"prediction_log": "PredictionLogGen.log"},
            outputs={
                "report": RecordedOutput(
                    "tfx_loop.DriftReport",
                    to_properties(drift.properties),
                    {DRIFT_REPORT.name: DRIFT_REPORT.content(drift)},
                )
            },
        ),
        RecordedNode(
            "RetrainDecider",
            inputs={"drift_report": "DriftMonitor.report"},
            outputs={
                "decision": RecordedOutput(
                    "tfx_loop.RetrainDecision",
                    said,
                    {RETRAIN_DECISION.name: RETRAIN_DECISION.content(record)},
                )
            },
        ),
    ]
    run_id = f"monitor-{model_name}-{record.window}"
    RecordedRun(store, "monitor", run_id, folder / run_id).run(nodes)
