"""The service of one model, put together from the server's flags."""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

from tfx_loop.contracts.deployment_record import CANDIDATE_PREFIX, PUSH_LOCK
from tfx_loop.core.conditional_files import FolderFiles
from tfx_loop.core.expiring_lock import lock_token
from tfx_loop.core.redaction import Redaction
from tfx_loop.data.prediction_log.writer import PredictionLogWriter
from tfx_loop.deployment.model_server.engine import PredictionEngine
from tfx_loop.deployment.model_server.loading import check_in_child, load_version
from tfx_loop.deployment.model_server.log_flags import make_gateway
from tfx_loop.deployment.model_server.logging_gateway import Servable
from tfx_loop.deployment.model_server.model_config import ModelConfig
from tfx_loop.deployment.model_server.routing import Routing, routing_reader
from tfx_loop.deployment.model_server.service import ModelService
from tfx_loop.deployment.model_server.serving_metrics import ServingMetrics
from tfx_loop.deployment.model_server.version_folders import list_versions
from tfx_loop.deployment.model_server.versions import LoadRetries, Versions
from tfx_loop.deployment.model_server.warmup import warm_up
from tfx_loop.models.signing.signer import Trust


class ModelMaker:
    """Makes services that share a log and differ in model, folder and policy."""

    def __init__(
        self,
        flags: argparse.Namespace,
        writer: PredictionLogWriter | None,
        clock_ms: Callable[[], int],
        engine: PredictionEngine,
        metrics: ServingMetrics,
    ) -> None:
        """Keeps what all models have in common.

        Args:
            flags: Of the server.
            writer: Of the prediction log; None logs nothing.
            clock_ms: Milliseconds since the epoch, UTC.
            engine: Runs the predictions of all models.
            metrics: Where loads and runs are counted.
        """
        self._metrics = metrics
        self._engine = engine
        self._serves = False
        self._flags = flags
        self._writer = writer
        self._clock_ms = clock_ms
        self._trust = Trust.read(flags.public_key) if flags.public_key else None

    def make(self, config: ModelConfig) -> ModelService:
        """Returns the service of a model, which has loaded nothing yet."""
        flags = self._flags
        read_record = routing_reader(config.base_path, config.name)

        def read_routing() -> Routing:
            return service.config_routing(read_record())

        versions: Versions[Servable] = Versions(
            config.name,
            list_folders=lambda: list_versions(config.base_path),
            list_candidates=lambda: list_versions(config.base_path, CANDIDATE_PREFIX),
            read_routing=read_routing,
            load=self._load,
            clock=time.monotonic,
            retries=LoadRetries(
                max_retries=flags.max_num_load_retries,
                interval_seconds=flags.load_retry_interval_micros / 1e6,
            ),
        )
        files, log = FolderFiles(Path(config.base_path)), flags.prediction_log or ""
        service = ModelService(
            config,
            versions,
            make_gateway(flags, config.name, self._writer, self._clock_ms, self._engine),
            self._clock_ms,
            push_token=lambda: lock_token(files.read(PUSH_LOCK)),
            redaction=Redaction(features=frozenset(flags.prediction_log_redact or ())),
            folders={
                "model_base_path": os.path.abspath(config.base_path),
                "prediction_log": log and os.path.abspath(log),
            },
            check_method_names=flags.enable_signature_method_name_check,
            metrics=self._metrics,
        )
        return service

    def _load(self, version: int, folder: Path) -> Servable:
        """Returns a version that has answered its own warm-up requests."""
        flags, started, status = self._flags, time.monotonic(), "fail"
        try:
            if flags.load_in_child and self._serves:
                key = flags.public_key or ""
                check_in_child(version, folder, flags.prefer_tflite_model, key)
            servable = load_version(version, folder, flags.prefer_tflite_model, self._trust)
            # What comes from now on is loaded beside traffic.
            self._serves = True
            if flags.enable_model_warmup:
                began = time.monotonic()
                if warm_up(servable, folder, flags.num_request_iterations_for_warmup):
                    self._metrics.warmed_up(str(folder), time.monotonic() - began)
            status = "success"
            return servable
        finally:
            self._metrics.loaded(str(folder), status, time.monotonic() - started)
