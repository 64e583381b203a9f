"""Launchers of the training and the monitoring pipeline in this process.

Imports and Beam are paid for once. The loop may be killed with the pipeline: the lease in ML
Metadata then names a dead owner, and the next start resumes the run under its id.
"""

from collections.abc import Callable
from typing import Any

from tfx_loop.contracts.deployment_record import Deployment, read_record
from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.profile.profile_files import load_profile
from tfx_loop.pipelines.config import Settings
from tfx_loop.pipelines.control import leases
from tfx_loop.pipelines.control.calendar import Calendar, MonitoringWindow
from tfx_loop.pipelines.control.decisions import evidence_uris, latest_decision
from tfx_loop.pipelines.control.launcher import LaunchRequest, RunStatus
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.control.run_state import mlmd_run_state
from tfx_loop.pipelines.monitoring import MonitoringRequest, monitoring_pipeline
from tfx_loop.pipelines.runners.local import NodeTime, run_pipeline
from tfx_loop.pipelines.training import TrainingRequest, training_pipeline

OnNode = Callable[[str, NodeTime], None]


class LocalLauncher:
    """Runs pipelines in this process; one subclass builds each pipeline."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        calendar: Calendar,
        first_span: int,
        on_node: OnNode = lambda run_id, time: None,
    ) -> None:
        """Makes a launcher.

        Args:
            store: The metadata store that the pipelines record into.
            settings: What is trained, served and monitored.
            calendar: Windows and spans of the model.
            first_span: The oldest span that there is.
            on_node: Is told of each node as it ends.
        """
        self._store = store
        self._settings = settings
        self._calendar = calendar
        self._first_span = first_span
        self._on_node = on_node

    def launch(self, run_id: str, request: LaunchRequest) -> None:
        """Runs the pipeline, or the nodes of it that are not complete."""
        with leases.hold(self._store, run_id):
            run_pipeline(self.pipeline(request), run_id, lambda time: self._on_node(run_id, time))

    def state(self, run_id: str) -> RunStatus:
        """Says where the run stands."""
        return mlmd_run_state(self._store, run_id)

    def pipeline(self, request: LaunchRequest) -> Any:
        """Returns the pipeline that answers a request."""
        raise NotImplementedError

    def _champion(self, version: int = 0) -> Deployment:
        """Returns the stable version, or the one that a decision was about."""
        serving = self._settings.serving
        record = read_record(serving.base_path, self._settings.model.name)
        found = next((v for v in record.versions if v.version == version), record.stable)
        if found is None:
            raise DataError(
                f"Expected a stable version of {record.model_name!r} in {serving.base_path}, found "
                "none. Run the training pipeline once before the loop."
            )
        return found

    def _training_spans(self, newest_labelled: int) -> tuple[int, ...]:
        keep = self._settings.decision.training_windows
        first = max(self._first_span, newest_labelled - keep + 1) if keep else self._first_span
        return tuple(range(first, newest_labelled + 1))


class MonitoringLauncher(LocalLauncher):
    """Runs the monitoring pipeline of a window. Labels are one window late."""

    def pipeline(self, request: LaunchRequest) -> Any:
        """Returns the monitoring pipeline for the champion as the deployment record names it."""
        window = self._calendar.window(request.window)
        # Labels are one window late: when a window ends, those of the window before have come.
        label_window = self._calendar.window_of_span(window.span - 1)
        champion = self._champion()
        profile = load_profile(champion.reference_profile_uri)
        trained_until = self._calendar.window_of_span(max(profile.spans)).end_ms
        spans = self._training_spans(label_window.span)
        previous = latest_decision(self._store, request.model_name, before=request.window)
        before = evidence_uris(self._store, previous.artifact_id) if previous else {}
        return monitoring_pipeline(
            self._settings,
            MonitoringRequest(
                window=window,
                label_window=label_window,
                labelled_since_ms=trained_until,
                reference_profile_uri=champion.reference_profile_uri,
                previous_decision_uri=previous.uri if previous else None,
                previous_report_uri=before.get("drift_report"),
                previous_evaluation_uri=before.get("evaluation"),
                training_start_ms=(
                    self._calendar.window_of_span(spans[0]).start_ms
                    if self._settings.decision.training_windows
                    else None
                ),
            ),
        )


class TrainingLauncher(LocalLauncher):
    """Runs the training pipeline on every span whose labels are here."""

    def pipeline(self, request: LaunchRequest) -> Any:
        """Returns the training pipeline that answers a decision."""
        window = self._calendar.window(request.window)
        spans = self._training_spans(window.span - 1)
        return training_pipeline(
            self._settings,
            TrainingRequest(
                spans=spans,
                served_window=self._window_of(spans),
                champion_uri=self._champion(request.model_version).model_uri,
                decision_uri=request.decision_uri,
            ),
        )

    def _window_of(self, spans: tuple[int, ...]) -> MonitoringWindow:
        first, last = (self._calendar.window_of_span(span) for span in (spans[0], spans[-1]))
        name = first.name if first == last else f"{first.name} to {last.name}"
        return MonitoringWindow(
            name=name, span=last.span, start_ms=first.start_ms, end_ms=last.end_ms
        )
