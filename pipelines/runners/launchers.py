"""Launchers of the training and the monitoring pipeline in this process.

Imports and Beam are paid for once. The loop may be killed with the pipeline: the lease in ML
Metadata then names a dead owner, and the next start resumes the run under its id.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from tfx.dsl.io import fileio

from tfx_loop.contracts.deployment_record import (
    Deployment,
    DeploymentRecord,
    DeploymentState,
    read_record,
)
from tfx_loop.contracts.version_contest import PoolVersion
from tfx_loop.core import storage
from tfx_loop.core.errors import DataError
from tfx_loop.deployment.serving_pusher.version_base import VersionBase, open_base
from tfx_loop.monitoring.profile.profile_files import load_profile, load_sample
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.pipelines.config import Settings
from tfx_loop.pipelines.control import leases
from tfx_loop.pipelines.control.calendar import Calendar, MonitoringWindow
from tfx_loop.pipelines.control.claims import unknown_retrainings
from tfx_loop.pipelines.control.decisions import evidence_uris, latest_decision
from tfx_loop.pipelines.control.launcher import LaunchRequest, RunStatus
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.control.quarantine import quarantine
from tfx_loop.pipelines.control.run_state import mlmd_run_state
from tfx_loop.pipelines.monitoring import MonitoringRequest, monitoring_pipeline
from tfx_loop.pipelines.runners.captures import with_captures_named
from tfx_loop.pipelines.runners.local import NodeTime, run_pipeline
from tfx_loop.pipelines.training import TrainingRequest, training_pipeline

# When rows happened, milliseconds UTC.
TIME = "event_time_ms"
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

    def check(self, request: LaunchRequest) -> None:
        """Raises DataError where the store is not the one that the deployed versions came of.

        A lost store has forgotten claims, cooldown and budget: what was trained would be trained
        again.
        """
        model = self._settings.model.name
        record = read_record(self._settings.serving.base_path, model)
        pushed = {one.run_id: one.version for one in record.versions}
        for run_id in unknown_retrainings(self._store, model, list(pushed)):
            raise DataError(
                f"Expected the claim of run {run_id}, which pushed version {pushed[run_id]} of "
                f"{model!r}, in the metadata store, found none: the store was lost, emptied or is "
                "another one. Restore it or name the right one; to begin anew, choose a new "
                "base path."
            )

    def launch(self, run_id: str, request: LaunchRequest) -> None:
        """Runs the pipeline, or the nodes of it that are not complete."""
        with leases.hold(self._store, run_id) as lease:

            def on_node(time: NodeTime) -> None:
                self._on_node(run_id, time)
                # Before the next node: what another machine took over goes on there alone.
                leases.check_held(self._store, lease)

            run_pipeline(self.pipeline(request), run_id, on_node)

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
        # 0 keeps all, as a training does that never forgets.
        keep = self._settings.decision.training_windows
        first = max(self._first_span, newest_labelled - keep + 1) if keep else self._first_span
        return tuple(range(first, newest_labelled + 1))


@dataclass(frozen=True, kw_only=True)
class LabelledWindow:
    """The window whose labels a monitoring run goes by.

    Attributes:
        window: The newest window whose labels have come.
        as_of_ms: Labels that came later are left out, milliseconds UTC.
        corrections: Whether later labels of a row replace earlier ones.
        late_windows: Windows served since it ended; None takes RetrainDecider's own.
    """

    window: MonitoringWindow
    as_of_ms: int
    corrections: bool = False
    late_windows: int | None = None


class MonitoringLauncher(LocalLauncher):
    """Runs the monitoring pipeline of a window. Labels are one window late."""

    def check(self, request: LaunchRequest) -> None:
        """Raises DataError for a lost store, and for a log that is not there."""
        super().check(request)
        self._check_log()

    def pipeline(self, request: LaunchRequest) -> Any:
        """Returns the monitoring pipeline for the champion as the deployment record names it."""
        window = self._calendar.window(request.window)
        labelled = self._labelled(window)
        label_window = labelled.window
        champion = self._champion()
        profile = load_profile(champion.reference_profile_uri)
        trained_until = self._trained_until_ms(champion, profile)
        spans = self._training_spans(label_window.span)
        previous = latest_decision(self._store, request.model_name, before=request.window)
        known = evidence_uris(self._store, previous.artifact_id) if previous else {}
        # What somebody removed of an earlier window stops no later one: its memory begins anew.
        before = {key: uri for key, uri in known.items() if fileio.exists(uri)}
        return monitoring_pipeline(
            with_captures_named(self._settings_for(champion), self._record(), champion),
            MonitoringRequest(
                labels_as_of_ms=labelled.as_of_ms,
                corrections=labelled.corrections,
                late_windows=labelled.late_windows,
                window=window,
                label_window=label_window,
                labelled_since_ms=trained_until,
                reference_profile_uri=champion.reference_profile_uri,
                previous_decision_uri=previous.uri if previous else None,
                previous_report_uri=before.get("drift_report"),
                previous_evaluation_uri=before.get("evaluation"),
                champion_version=champion.version,
                champion_model_uri=self._location(champion.version),
                pool=self._pool(champion),
                quarantined=quarantine(self._store, request.model_name, request.window),
                training_start_ms=(
                    self._calendar.window_of_span(spans[0]).start_ms
                    if self._settings.decision.training_windows
                    else None
                ),
            ),
        )

    def _labelled(self, window: MonitoringWindow) -> LabelledWindow:
        """Returns the window whose labels have come when a window ends: the one before."""
        before = self._calendar.window_of_span(window.span - 1)
        return LabelledWindow(window=before, as_of_ms=window.end_ms)

    def _settings_for(self, champion: Deployment) -> Settings:
        """Returns what is monitored of a champion."""
        return self._settings

    def _trained_until_ms(self, champion: Deployment, profile: FrozenProfile) -> int:
        """Returns where the champion's training data end, as far as anything tells.

        Spans say it; examples of CsvExampleGen have none, or the one span 0: then the newest time
        of the training sample, and where rows have no times the push, before which no row of its
        training can have been served by it.
        """
        if any(profile.spans):
            return self._calendar.window_of_span(max(profile.spans)).end_ms
        sample = load_sample(champion.reference_profile_uri)
        if TIME in sample.column_names and sample.num_rows:
            newest = pc.max(sample.column(TIME)).as_py()
            if newest is not None:
                # The row of that time was trained on: served rows are new from the next millisecond
                # on.
                return int(newest) + 1
        return champion.pushed_at_ms

    def _location(self, version: int) -> str:
        return "" if self._settings.serving.endpoint else self._base().location(version)

    def _base(self) -> VersionBase:
        return open_base(self._settings.serving.base_path)

    def _pool(self, champion: Deployment) -> tuple[PoolVersion, ...]:
        """Returns the versions that may serve again.

        Not those that were rolled back: a person or a fault took them out of service. Versions of
        a SageMaker endpoint are archives, which nobody asks here.
        """
        if self._settings.serving.endpoint:
            return ()
        record, base = self._record(), self._base()
        return tuple(
            PoolVersion(
                version=one.version,
                model_uri=base.location(one.version),
                reference_profile_uri=one.reference_profile_uri,
            )
            for one in record.versions
            if one.state is DeploymentState.RETIRED and one.version != champion.version
        )

    def _record(self) -> DeploymentRecord:
        return read_record(self._settings.serving.base_path, self._settings.model.name)

    def _check_log(self) -> None:
        """Refuses a log that is not there: it would look like a window without traffic.

        PredictionLogGen does it for captures.
        """
        if self._settings.serving.capture is not None:
            return
        log, name = self._settings.serving.prediction_log, self._settings.model.name
        if storage.is_remote(log) or Path(log, name).is_dir():
            return
        found = sorted(path.name for path in Path(log).glob("*") if path.is_dir())
        raise DataError(
            f"Expected the prediction log of {name!r} in {log}, found "
            f"{', '.join(found) if found else 'no log of any model'}. Check the model's name and "
            "the folder that the server logs to, or wait for the first request."
        )


class TrainingLauncher(LocalLauncher):
    """Runs the training pipeline on every span whose labels are here."""

    def pipeline(self, request: LaunchRequest) -> Any:
        """Returns the training pipeline that answers a decision."""
        window = self._calendar.window(request.window)
        spans = self._sound_spans(self._training_spans(window.span - 1), request.model_name)
        return training_pipeline(
            self._settings,
            TrainingRequest(
                spans=spans,
                served_window=self._window_of(spans),
                champion_uri=self._champion(request.model_version).model_uri,
                decision_uri=request.decision_uri,
            ),
        )

    def _sound_spans(self, spans: tuple[int, ...], model_name: str) -> tuple[int, ...]:
        """Returns the spans without those of quarantined windows."""
        held = quarantine(self._store, model_name)
        faulty = {self._calendar.window(each.window).span for each in held}
        sound = tuple(span for span in spans if span not in faulty)
        if not sound:
            raise DataError(
                f"Expected spans to train on among {spans[0]} to {spans[-1]}, but all of them are "
                f"quarantined: {'; '.join(each.told for each in held)}. Fix them, or release them "
                "with `loop release`."
            )
        return sound

    def _window_of(self, spans: tuple[int, ...]) -> MonitoringWindow:
        first, last = (self._calendar.window_of_span(span) for span in (spans[0], spans[-1]))
        name = first.name if first == last else f"{first.name} to {last.name}"
        return MonitoringWindow(
            name=name, span=last.span, start_ms=first.start_ms, end_ms=last.end_ms
        )
