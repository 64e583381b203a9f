"""An endpoint of the loopback SageMaker: fleets, traffic, and blue/green updates with alarms.

The waits of an update are those of its DeploymentConfig times `pace`, so that ten minutes pass in a
second. States, messages and what happens to the traffic follow botocore's documentation of
UpdateEndpoint and the developer guide's pages on deployment guardrails.
"""

import contextlib
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sagemaker_capture import CaptureWriter
from sagemaker_container import Container, LayoutError, OpenContainer

_POLL_SECONDS = 0.005
_SERVING = ("InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed")


@dataclass
class Variant:
    """One variant of a fleet."""

    name: str
    weight: float
    container: Container


@dataclass
class Fleet:
    """The instances of one endpoint config."""

    config: str
    variants: dict[str, Variant]
    shadows: dict[str, Variant]
    capture: CaptureWriter
    capture_config: Mapping[str, Any] | None
    asked: int = 0
    under_way: int = 0

    def chosen(self, target: str, draw: random.Random) -> Variant | None:
        """Returns the variant that answers; None where the target is none of them."""
        if target:
            return self.variants.get(target)
        weights = [variant.weight for variant in self.variants.values()]
        return draw.choices(list(self.variants.values()), weights)[0]

    def stop(self) -> None:
        """Ends the containers once the last request is answered."""
        while self.under_way:
            time.sleep(_POLL_SECONDS)
        for variant in (*self.variants.values(), *self.shadows.values()):
            variant.container.stop()


@dataclass
class World:
    """What endpoints stand on.

    Attributes:
        models: Requests of CreateModel by name.
        configs: Requests of CreateEndpointConfig by name.
        s3: A client of the store.
        alarm_states: The states of alarms by name, as CloudWatch has them now.
        open_container: Starts a container.
        pace: Seconds here for a second of the service.
        next_outcome: What the next update ends with, in place of InService.
        captured_at: Time of what is captured from now on; None for the machine's.
    """

    models: dict[str, dict[str, Any]]
    configs: dict[str, dict[str, Any]]
    s3: Any
    alarm_states: Callable[[list[str]], Mapping[str, str]]
    open_container: OpenContainer
    pace: float
    next_outcome: list[str] = field(default_factory=list)
    captured_at: datetime | None = None


class DeploymentFailed(Exception):
    """Why an update went back."""


class Endpoint:
    """One endpoint."""

    def __init__(self, world: World, name: str, config: str) -> None:
        """Begins to come up."""
        self._world, self.name, self.config = world, name, config
        self.status, self.failure = "Creating", ""
        self.created = self.modified = time.time()
        self.blue: Fleet | None = None
        self.green: Fleet | None = None
        # The share of the traffic that the green fleet gets, 0 to 1.
        self.green_share = 0.0
        self.last_deployment: Mapping[str, Any] | None = None
        # What served whom, for tests: config names in the order of requests.
        self.served: list[str] = []
        self._random, self._lock = random.Random(0), threading.Lock()
        self._work = threading.Thread(target=self._create, daemon=True)
        self._work.start()

    def update(self, config: str, deployment: Mapping[str, Any] | None) -> None:
        """Begins an update."""
        self.status, self.last_deployment = "Updating", deployment
        self._work = threading.Thread(target=self._update, args=(config, deployment), daemon=True)
        self._work.start()

    def reweight(self, weights: Mapping[str, float]) -> None:
        """Sets the weights of variants, at once."""
        assert self.blue is not None
        for name, weight in weights.items():
            self.blue.variants[name].weight = weight

    def delete(self) -> None:
        """Ends every container."""
        self.status = "Deleting"
        self._work.join()
        for fleet in (self.blue, self.green):
            if fleet is not None:
                fleet.stop()

    def invoke(
        self, body: bytes, content_type: str, target: str, inference_id: str, attributes: str
    ) -> tuple[int, bytes, str] | None:
        """Returns status, body and variant; None where nothing serves, or no such variant."""
        if self.status not in _SERVING:
            return None
        with self._taken() as fleet:
            if fleet is None or (variant := fleet.chosen(target, self._random)) is None:
                return None
            self.served.append(fleet.config)
            status, answer = variant.container.invoke(body, content_type, attributes)
            self._capture(fleet, variant, (body, content_type), (status, answer), inference_id)
            for shadow in fleet.shadows.values():
                # The sampling percentage is the ratio of its weight to the production variant's.
                if self._random.uniform(0, variant.weight or 1.0) <= shadow.weight:
                    shadowed = shadow.container.invoke(body, content_type, attributes)
                    asked = (body, content_type)
                    self._capture(fleet, shadow, asked, shadowed, inference_id)
            return status, answer, variant.name

    @contextlib.contextmanager
    def _taken(self) -> Iterator[Fleet | None]:
        with self._lock:
            green = self.green is not None and self._random.random() < self.green_share
            fleet = self.green if green else self.blue
            if fleet is not None:
                fleet.under_way += 1
                fleet.asked += 1
        try:
            yield fleet
        finally:
            if fleet is not None:
                with self._lock:
                    fleet.under_way -= 1

    def _capture(
        self,
        fleet: Fleet,
        variant: Variant,
        request: tuple[bytes, str],
        answer: tuple[int, bytes],
        inference_id: str,
    ) -> None:
        if answer[0] == 200 and fleet.capture.samples():
            fleet.capture.write(
                variant.name,
                request,
                (answer[1], "application/json"),
                inference_id,
                self._world.captured_at,
            )

    def _create(self) -> None:
        try:
            self.blue = self._brought_up(self.config)
            self.status = "InService"
        except DeploymentFailed as error:
            self.status, self.failure = "Failed", str(error)
        self.modified = time.time()

    def _update(self, config: str, deployment: Mapping[str, Any] | None) -> None:
        ended, failure = "InService", ""
        try:
            green = self._brought_up(config)
            with self._lock:
                self.green = green
            try:
                self._shift_traffic(deployment or {})
            except DeploymentFailed:
                with self._lock:
                    self.green, self.green_share = None, 0.0
                green.stop()
                raise
            with self._lock:
                old, self.blue, self.green, self.green_share = self.blue, green, None, 0.0
            self.config = config
            if old is not None:
                old.stop()
        except DeploymentFailed as error:
            failure = str(error)
        if self._world.next_outcome:
            ended = self._world.next_outcome.pop()
            failure = failure or f"The update ended with {ended}."
        self.modified, self.failure, self.status = time.time(), failure, ended

    def _shift_traffic(self, deployment: Mapping[str, Any]) -> None:
        """Moves the traffic step by step, and raises DeploymentFailed when an alarm goes off."""
        policy = deployment.get("BlueGreenUpdatePolicy", {})
        routing = policy.get("TrafficRoutingConfiguration", {"Type": "ALL_AT_ONCE"})
        alarms = deployment.get("AutoRollbackConfiguration", {}).get("Alarms", [])
        watched = [alarm["AlarmName"] for alarm in alarms]
        for share in _steps(routing):
            with self._lock:
                self.green_share = share
            self._bake(routing.get("WaitIntervalInSeconds", 0), watched)
        self._bake(policy.get("TerminationWaitInSeconds", 0), watched)

    def _bake(self, seconds: float, alarms: list[str]) -> None:
        end = time.monotonic() + seconds * self._world.pace
        while True:
            states = self._world.alarm_states(alarms) if alarms else {}
            off = sorted(name for name, state in states.items() if state == "ALARM")
            if off:
                raise DeploymentFailed(
                    f"Alarm {off[0]} was in ALARM while traffic shifted; the deployment was rolled "
                    "back."
                )
            if time.monotonic() >= end:
                return
            time.sleep(_POLL_SECONDS)

    def _brought_up(self, config: str) -> Fleet:
        request = self._world.configs[config]
        started: list[Variant] = []
        groups: dict[str, dict[str, Variant]] = {}
        try:
            for group in ("ProductionVariants", "ShadowProductionVariants"):
                groups[group] = {}
                for variant in request.get(group, ()):
                    made = self._started(variant)
                    started.append(made)
                    groups[group][made.name] = made
        except DeploymentFailed:
            for variant in started:
                variant.container.stop()
            raise
        capture = CaptureWriter(self._world.s3, self.name, request.get("DataCaptureConfig"))
        return Fleet(config, *groups.values(), capture, request.get("DataCaptureConfig"))

    def _started(self, variant: Mapping[str, Any]) -> Variant:
        name = variant["VariantName"]
        definition = self._world.models[variant["ModelName"]]["PrimaryContainer"]
        bucket, _, key = definition["ModelDataUrl"].removeprefix("s3://").partition("/")
        with tempfile.TemporaryDirectory() as scratch:
            archive = Path(scratch) / "model.tar.gz"
            try:
                self._world.s3.download_file(bucket, key, str(archive))
            except Exception as error:
                raise DeploymentFailed(
                    f"Failed to download model data for container of variant {name}: {error}"
                ) from error
            unhealthy = DeploymentFailed(
                f"The primary container for production variant {name} did not pass the ping health "
                f"check. Please check CloudWatch logs for this endpoint."
            )
            try:
                container = self._world.open_container(archive, definition.get("Environment", {}))
            except (LayoutError, RuntimeError) as error:
                # The service says no more than this, whatever the archive's fault.
                raise unhealthy from error
        if container.ping() != 200:
            container.stop()
            raise unhealthy
        return Variant(name, variant.get("InitialVariantWeight", 1.0), container)


def _steps(routing: Mapping[str, Any]) -> list[float]:
    """Returns the shares of the traffic that a new fleet gets, one after the other."""
    if routing["Type"] == "CANARY":
        return [routing["CanarySize"]["Value"] / 100, 1.0]
    if routing["Type"] == "LINEAR":
        step = routing["LinearStepSize"]["Value"]
        return [*(share / 100 for share in range(step, 100, step)), 1.0]
    return [1.0]
