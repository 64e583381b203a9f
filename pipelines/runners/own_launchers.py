"""Launchers around a training pipeline of the user's own.

A window is judged by its own labels, which have been waited for.
"""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfx_loop.contracts.deployment_record import Deployment
from tfx_loop.core.errors import DataError, ModelError
from tfx_loop.core.storage import is_remote
from tfx_loop.data.prediction_log.reader import logged_days
from tfx_loop.deployment.model_server.client import ModelClient
from tfx_loop.models.fetching import on_this_machine
from tfx_loop.models.formats import SERVING_FOLDER
from tfx_loop.models.saved_model.graph import read_graph, specs
from tfx_loop.models.tensors import DEFAULT_SIGNATURE
from tfx_loop.monitoring.profile.profile_files import load_sample
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.pipelines.config import Settings
from tfx_loop.pipelines.control.calendar import MonitoringWindow
from tfx_loop.pipelines.control.claims import ClaimBook
from tfx_loop.pipelines.control.launcher import LaunchRequest
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.control.quarantine import quarantine
from tfx_loop.pipelines.control.schedule import windows_served_since
from tfx_loop.pipelines.control.windows import WindowSequence
from tfx_loop.pipelines.own_pipeline import (
    OwnPipeline,
    OwnTraining,
    own_training_pipeline,
    utc,
)
from tfx_loop.pipelines.runners.launchers import (
    LabelledWindow,
    LocalLauncher,
    MonitoringLauncher,
)

# A run that begins with less would end in the middle, and use up one of its attempts.
LEAST_FREE_BYTES = 200 * 1024 * 1024


def check_disk(folder: str, least_bytes: int = LEAST_FREE_BYTES) -> None:
    """Raises DataError where a disk has no room for a run."""
    if is_remote(folder):
        return
    place = Path(folder)
    # The folder of the first run is not made yet: the disk is that of the nearest folder above.
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < least_bytes:
        raise DataError(
            f"Expected {least_bytes // 2**20} MiB free for a run in {folder}, found "
            f"{free // 2**20}. Make room; the loop goes on by itself."
        )


class OwnMonitoringLauncher(MonitoringLauncher):
    """Runs the monitoring pipeline of a window whose own labels have been waited for."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        windows: WindowSequence,
        clock: Callable[[], int],
        first_ms: int,
    ) -> None:
        """Makes a launcher.

        Args:
            store: The metadata store that the pipelines record into.
            settings: What is served and monitored.
            windows: The model's windows.
            clock: Returns now, milliseconds UTC.
            first_ms: Where the first training's rows ended, milliseconds UTC.
        """
        super().__init__(store, settings, windows, first_span=1)
        self._windows, self._clock, self._first_ms = windows, clock, first_ms

    def check(self, request: LaunchRequest) -> None:
        """Raises DataError for a lost store, a log that is not there, and a full disk."""
        super().check(request)
        check_disk(self._settings.pipeline.root)

    def _labelled(self, window: MonitoringWindow) -> LabelledWindow:
        now_ms, serving = self._clock(), self._settings.serving
        days = None
        if serving.capture is None:
            days = logged_days(serving.prediction_log, self._settings.model.name)
        since = windows_served_since(self._windows, window, now_ms, days)
        return LabelledWindow(window=window, as_of_ms=now_ms, corrections=True, late_windows=since)

    def _settings_for(self, champion: Deployment) -> Settings:
        """Returns the settings with the output that decides, asked of the model's signature."""
        model = self._settings.model
        if model.score:
            return self._settings
        # An endpoint's versions are archives; the artifact that one was made of says the same.
        of_artifact = f"{champion.model_uri}/{SERVING_FOLDER}"
        served = self._location(champion.version) or of_artifact
        with on_this_machine(served) as folder:
            score = only_output(folder)
        return dataclasses.replace(self._settings, model=dataclasses.replace(model, score=score))

    def _trained_until_ms(self, champion: Deployment, profile: FrozenProfile) -> int:
        """Returns where the champion's training data end.

        The rows' own times say it best; else the claim whose run pushed it, which names the window.
        """
        sample = load_sample(champion.reference_profile_uri)
        if any(profile.spans) or "event_time_ms" in sample.column_names:
            return super()._trained_until_ms(champion, profile)
        claims = ClaimBook(self._store, self._settings.model.name).claims()
        window = next((one.window for one in claims if one.run_id == champion.run_id), "")
        # Without a claim the version is the first, which `loop.first` trained.
        return self._windows.window(window).end_ms if window else self._first_ms


class OwnTrainingLauncher(LocalLauncher):
    """Runs the user's training pipeline for a decision."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        windows: WindowSequence,
        pipeline: OwnPipeline,
        judged_here: bool | None,
    ) -> None:
        """Makes a launcher; the arguments are those of `own_training_pipeline`."""
        super().__init__(store, settings, windows, first_span=1)
        self._windows, self._pipeline, self._judged_here = windows, pipeline, judged_here

    def check(self, request: LaunchRequest) -> None:
        """Raises where a training could not begin, or would train for hours and not be pushed.

        Raises:
            DataError: The store is lost, or the disk is full.
            ServerUnavailable: The server does not answer.
        """
        super().check(request)
        check_disk(self._settings.pipeline.root)
        serving = self._settings.serving
        if serving.endpoint:
            return  # The pusher asks AWS before it changes anything.
        ModelClient(serving.server_url, self._settings.model.name).status()

    def pipeline(self, request: LaunchRequest) -> Any:
        """Returns the user's pipeline as it answers a decision."""
        window = self._windows.window(request.window)
        first = self._windows.window_of_span(self._training_spans(window.span)[0])
        keeps = bool(self._settings.decision.training_windows)
        training = OwnTraining(
            rows_from=utc(first.start_ms) if keeps else None,
            rows_until=utc(window.end_ms),
            window=window.name,
            champion_uri=self._champion(request.model_version).model_uri,
            quarantined=quarantine(self._store, request.model_name),
        )
        return own_training_pipeline(
            self._pipeline,
            self._settings,
            training,
            request.decision_uri,
            judged_here=self._judged_here,
        )


def only_output(folder: Path) -> str:
    """Returns the name of the one output of a SavedModel that takes tf.Examples.

    Raises:
        ModelError: It has several, or no such signature.
    """
    graph = read_graph(folder)
    names = []
    if DEFAULT_SIGNATURE in graph.signature_def:
        names = [spec.name for spec in specs(graph.signature_def[DEFAULT_SIGNATURE])[1]]
    if len(names) != 1:
        raise ModelError(
            f"Expected a signature {DEFAULT_SIGNATURE!r} with one output in {folder}, found "
            f"{', '.join(names) or 'none'}. Name the output that decides as `score`."
        )
    return names[0]
