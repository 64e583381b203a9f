"""The monitoring pipeline: from a window of predictions to a decision about retraining."""

from dataclasses import dataclass
from typing import Any

from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts

from tfx_loop.contracts.measured_loss import FaultyWindow
from tfx_loop.contracts.version_contest import PoolVersion
from tfx_loop.core.artifacts import DriftReport, ReferenceProfile, RetrainDecision
from tfx_loop.data.prediction_log.component import PredictionLogGen
from tfx_loop.data.prediction_log.label_joiner import LabelJoiner
from tfx_loop.monitoring.drift_monitor.component import DriftMonitor
from tfx_loop.monitoring.quality_monitor.component import QualityMonitor
from tfx_loop.monitoring.retrain_decider.component import RetrainDecider
from tfx_loop.pipelines.assembly import assemble, imported
from tfx_loop.pipelines.config import Settings
from tfx_loop.pipelines.control.calendar import MonitoringWindow
from tfx_loop.pipelines.evaluation.configs import served_config


@dataclass(frozen=True, kw_only=True)
class MonitoringRequest:
    """What one monitoring run looks at.

    Attributes:
        window: The window that ended; its predictions are checked for drift.
        label_window: The newest window whose labels have arrived; its quality is measured.
        labelled_since_ms: Where the champion's training data end, milliseconds UTC.
        reference_profile_uri: The champion's reference profile.
        previous_decision_uri: The decision of the window before, if there was one.
        previous_report_uri: The drift report of the window before, if there was one.
        previous_evaluation_uri: QualityMonitor's evaluation of the label window before, if there
            was one.
        training_start_ms: A retraining would use rows from this time on; None means all.
        quarantined: Windows whose rows are left out.
        champion_version: The version that the deployment record calls stable; 0 where there is no
            record.
        champion_model_uri: Folder of its model; empty asks no other version.
        pool: Versions that served before and may serve again.
        labels_as_of_ms: Labels that came later are left out, milliseconds UTC; None takes the end
            of the window.
        corrections: Whether later labels of a row replace earlier ones.
        late_windows: Windows served since the label window ended; None takes RetrainDecider's own.
    """

    window: MonitoringWindow
    label_window: MonitoringWindow
    labelled_since_ms: int
    reference_profile_uri: str
    previous_decision_uri: str | None = None
    previous_report_uri: str | None = None
    previous_evaluation_uri: str | None = None
    training_start_ms: int | None = None
    quarantined: tuple[FaultyWindow, ...] = ()
    champion_version: int = 0
    champion_model_uri: str = ""
    pool: tuple[PoolVersion, ...] = ()
    labels_as_of_ms: int | None = None
    corrections: bool = False
    late_windows: int | None = None


def monitoring_pipeline(
    settings: Settings, request: MonitoringRequest, metadata: bool = True
) -> Pipeline:
    """Returns the monitoring pipeline of one window.

    Args:
        settings: Whose log and labels to read, and what a training costs.
        request: The window, the labels that are here, the champion's profile.
        metadata: Connect to the local ML Metadata; False for Kubeflow and Vertex.
    """
    model = settings.model
    profile = imported("ReferenceProfileImporter", request.reference_profile_uri, ReferenceProfile)
    nodes: list[Any] = [profile]
    before = {
        kind: imported(f"Previous{name}Importer", uri, kind)
        for kind, name, uri in (
            (RetrainDecision, "Decision", request.previous_decision_uri),
            (DriftReport, "Report", request.previous_report_uri),
            (standard_artifacts.ModelEvaluation, "Evaluation", request.previous_evaluation_uri),
        )
        if uri
    }
    nodes += before.values()
    previous = {kind: importer.outputs["result"] for kind, importer in before.items()}
    current = PredictionLogGen(
        **settings.serving.logged,
        model_name=model.name,
        window=request.window.name,
        start_ms=request.window.start_ms,
        end_ms=request.window.end_ms,
    )
    # Labels of windows before the newest count too: a retraining would learn from them.
    to_label = PredictionLogGen(
        **settings.serving.logged,
        model_name=model.name,
        window=request.label_window.name,
        # A window before the end of the training data can be the newest with labels, at first.
        start_ms=min(request.labelled_since_ms, request.label_window.start_ms),
        end_ms=request.label_window.end_ms,
    ).with_id("LabelWindowLogGen")
    joiner = LabelJoiner(
        prediction_log=to_label.outputs["prediction_log"],
        labels_dir=settings.pipeline.labels,
        task=model.described,
        # Labels that came later were not known when the window ended, though a replay has them.
        as_of_ms=request.labels_as_of_ms or request.window.end_ms,
        corrections=request.corrections,
    )
    quality = QualityMonitor(
        labelled_log=joiner.outputs["labelled_log"],
        prediction_log=to_label.outputs["prediction_log"],
        reference_profile=profile.outputs["result"],
        previous_evaluation=previous.get(standard_artifacts.ModelEvaluation),
        eval_config=served_config(model),
        window=request.label_window.name,
        start_ms=request.label_window.start_ms,
        end_ms=request.label_window.end_ms,
    )
    drift = DriftMonitor(
        prediction_log=current.outputs["prediction_log"],
        reference_profile=profile.outputs["result"],
        previous_report=previous.get(DriftReport),
        evaluation=quality.outputs["evaluation"],
        window=request.window.name,
        model_name=model.name,
        ignore_features=model.ignore_features,
        score_output=f"output.{model.score}",
    )
    stated = {
        "training_cost": settings.decision.training_cost,
        "late_windows": request.late_windows,
    }
    decider = RetrainDecider(
        drift_report=drift.outputs["drift_report"],
        labelled_log=joiner.outputs["labelled_log"],
        reference_profile=profile.outputs["result"],
        evaluation=quality.outputs["evaluation"],
        previous_decision=previous.get(RetrainDecision),
        model_name=model.name,
        window=request.window.name,
        label_window=request.label_window.name,
        label_start_ms=request.label_window.start_ms,
        label_end_ms=request.label_window.end_ms,
        training_start_ms=request.training_start_ms,
        score_output=f"output.{model.score}",
        quarantined=request.quarantined,
        champion_version=request.champion_version,
        champion_model_uri=request.champion_model_uri,
        pool=request.pool,
        **{name: value for name, value in stated.items() if value is not None},
    )
    nodes += [current, to_label, joiner, quality, drift, decider]
    return assemble(f"{model.name}-monitoring", nodes, settings.pipeline, metadata)
