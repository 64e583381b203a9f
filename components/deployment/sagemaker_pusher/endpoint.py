"""An endpoint's state, and its moves from one config to another.

SageMaker tells by its status alone that an update has ended, not how: after a roll-back the status
is InService as after a success. So an update is done only when the endpoint is InService with the
config that was asked for.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tfx_loop.core.errors import (
    ConfigError,
    ModelRejected,
    ServerUnavailable,
    ServingError,
)
from tfx_loop.deployment.sagemaker_pusher.client import (
    LOG_GROUP,
    SAGEMAKER,
    Aws,
    AwsRefusal,
    AwsUnavailable,
    already_exists,
    is_absent,
    is_under_way,
)

_LOG = logging.getLogger(__name__)
# An update takes minutes; four questions a minute are far below the limit of DescribeEndpoint. The
# first come sooner: a roll-back of a config that is refused ends at once.
POLL_SECONDS = 15.0
_FIRST_POLL_SECONDS = 1.0
# After UpdateEndpoint its status may still be the old one for a moment. Chosen, not measured.
_GRACE_SECONDS = 60.0
IN_SERVICE, FAILED, ROLLBACK_FAILED = "InService", "Failed", "UpdateRollbackFailed"
_MOVING = ("Creating", "Updating", "SystemUpdating", "RollingBack")


@dataclass(frozen=True, kw_only=True)
class EndpointState:
    """What DescribeEndpoint says.

    Attributes:
        status: Such as InService.
        config: Name of the config that is live.
        failure: Why the last update failed; empty if it did not.
        modified: When it was changed last, as text.
        captures: Whether data capture is enabled.
    """

    status: str
    config: str
    failure: str = ""
    modified: str = ""
    captures: bool = False

    @property
    def moves(self) -> bool:
        """Whether it is being changed."""
        return self.status in _MOVING


def state_of(told: Mapping[str, Any]) -> EndpointState:
    """Returns the state in an answer of DescribeEndpoint."""
    return EndpointState(
        status=str(told["EndpointStatus"]),
        config=str(told["EndpointConfigName"]),
        failure=" ".join(str(told.get("FailureReason", "")).split()),
        modified=str(told.get("LastModifiedTime", "")),
        captures=bool(told.get("DataCaptureConfig", {}).get("EnableCapture")),
    )


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One endpoint, asked and changed by name.

    Attributes:
        aws: Carries out the calls.
        name: The endpoint's.
        clock: Seconds that only grow.
        sleep: Waits, in seconds.
        poll_seconds: Between two questions for its state.
    """

    aws: Aws
    name: str
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    poll_seconds: float = POLL_SECONDS

    @property
    def log_group(self) -> str:
        """Where its containers log."""
        return f"{LOG_GROUP}/{self.name}"

    def state(self) -> EndpointState | None:
        """Returns its state; None where it is not there."""
        told = self._described("describe_endpoint", EndpointName=self.name)
        if told is None:
            return None
        return state_of(told)

    def config(self, name: str) -> dict[str, Any] | None:
        """Returns an endpoint config; None where it is not there."""
        return self._described("describe_endpoint_config", EndpointConfigName=name)

    def tags_of(self, arn: str) -> list[dict[str, str]]:
        """Returns the tags of a resource."""
        return list(self.aws.pages(SAGEMAKER, "list_tags", "Tags", ResourceArn=arn))

    def ensure_model(self, request: Mapping[str, Any]) -> bool:
        """Makes a model, unless it is there as asked for; says whether it was made.

        Raises:
            ConfigError: Another model has its name.
        """
        return self._ensure("model", "ModelName", request)

    def ensure_config(self, request: Mapping[str, Any]) -> bool:
        """Makes an endpoint config, as `ensure_model` does a model."""
        return self._ensure("endpoint_config", "EndpointConfigName", request)

    def delete_config(self, name: str) -> bool:
        """Deletes a config that the endpoint does not use; says whether it was there.

        An endpoint whose config is gone can be updated no more, so it is asked first which it uses.
        """
        state = self.state()
        if state is not None and (state.config == name or state.moves):
            return False
        try:
            self.aws.call(SAGEMAKER, "delete_endpoint_config", EndpointConfigName=name)
        except AwsRefusal as error:
            if not is_absent(error):
                raise
            return False
        return True

    def create(self, config: str, tags: list[dict[str, str]], seconds: float) -> EndpointState:
        """Makes the endpoint, and waits until it serves; raises as `wait`."""
        try:
            request = {"EndpointName": self.name, "EndpointConfigName": config, "Tags": tags}
            self.aws.call(SAGEMAKER, "create_endpoint", **request)
        except AwsRefusal as error:
            if not already_exists(error):
                raise
        return self.wait(config, seconds)

    def move(
        self, config: str, seconds: float, deployment: Mapping[str, Any] | None = None
    ) -> EndpointState:
        """Updates the endpoint to a config, and waits until it serves it.

        Args:
            config: The config's name.
            seconds: How long that may take.
            deployment: DeploymentConfig; None moves all traffic at once.

        Raises:
            ModelRejected: It went back to the config before, or failed.
            ServerUnavailable: It did not end in time; the endpoint goes on by itself.
        """
        before = self.rest(seconds)
        if before.config == config:
            return before
        request: dict[str, Any] = {"EndpointName": self.name, "EndpointConfigName": config}
        if deployment:
            request["DeploymentConfig"] = dict(deployment)
        try:
            self.aws.call(SAGEMAKER, "update_endpoint", **request)
        except AwsRefusal as error:
            if is_under_way(error):
                raise ServerUnavailable(
                    f"Expected endpoint {self.name} at rest, received an update by somebody else. "
                    "Wait until it has ended, then run again."
                ) from error
            raise
        _LOG.info("endpoint=%s update config=%s", self.name, config)
        return self.wait(config, seconds, before)

    def rest(self, seconds: float) -> EndpointState:
        """Waits until the endpoint is InService, whatever its config.

        Raises:
            ServingError: It is in no state that ends by itself.
            ServerUnavailable: It is still being changed after all of `seconds`.
        """
        state = self._until(lambda state: None if state.moves else state, seconds)
        if state.status != IN_SERVICE:
            raise ServingError(self._unusable(state))
        return state

    def wait(
        self, config: str, seconds: float, before: EndpointState | None = None
    ) -> EndpointState:
        """Waits until the endpoint serves a config; raises as `move`."""
        began = self.clock()

        def served(state: EndpointState) -> EndpointState | None:
            if state.moves:
                return None
            if state.status == IN_SERVICE and state.config == config:
                return state
            fresh = before is not None and state == before
            if fresh and self.clock() - began < _GRACE_SECONDS:
                return None
            raise ModelRejected(self._not_served(state, config))

        return self._until(served, seconds)

    def settled(self, seconds: float) -> EndpointState | None:
        """Waits until nothing changes the endpoint; returns its state, None where it is gone.

        Raises:
            ServerUnavailable: It is still being changed after all of `seconds`.
        """
        if self.state() is None:
            return None
        return self._until(lambda state: None if state.moves else state, seconds)

    def delete(self, seconds: float) -> None:
        """Deletes the endpoint, if it is there, and waits until its name is free."""
        try:
            self.aws.call(SAGEMAKER, "delete_endpoint", EndpointName=self.name)
        except AwsRefusal as error:
            if not is_absent(error):
                raise
        deadline = self.clock() + seconds
        while self.state() is not None and self.clock() < deadline:
            self.sleep(self.poll_seconds)

    def _until(
        self, found: Callable[[EndpointState], EndpointState | None], seconds: float
    ) -> EndpointState:
        deadline = self.clock() + seconds
        pause = min(_FIRST_POLL_SECONDS, self.poll_seconds)
        while True:
            try:
                state = self.state()
            except AwsUnavailable:
                # Throttled, or a moment without network: what the endpoint does it does alone.
                if self.clock() >= deadline:
                    raise
            else:
                if state is None:
                    raise ServingError(
                        f"Expected endpoint {self.name}, found none: somebody deleted it. Run "
                        "again to make it anew."
                    )
                if (done := found(state)) is not None:
                    return done
                if self.clock() >= deadline:
                    raise ServerUnavailable(
                        f"Expected endpoint {self.name} at rest within {seconds:g} s, received "
                        f"{state.status}: SageMaker goes on by itself. Run again, or raise "
                        "endpoint_timeout_seconds."
                    )
            self.sleep(pause)
            pause = min(2 * pause, self.poll_seconds)

    def _not_served(self, state: EndpointState, config: str) -> str:
        """Returns why an update counts as failed."""
        if state.status != IN_SERVICE:
            return self._unusable(state)
        reason = state.failure or "SageMaker gives no reason: the update changed nothing"
        return (
            f"Expected endpoint {self.name} to serve config {config}, received {state.config}, to "
            f"which it went back: {reason.rstrip('. ')}. The container's log group is "
            f"{self.log_group}."
        )

    def _unusable(self, state: EndpointState) -> str:
        reason = (state.failure or "SageMaker gives no reason").rstrip(". ")
        head = f"Expected endpoint {self.name} InService, received {state.status}: {reason}. "
        if state.status == ROLLBACK_FAILED:
            return (
                f"{head}It is not known which version serves: instances of both configs may "
                f"answer. See {self.log_group}, and have it repaired by AWS or delete it."
            )
        if state.status == FAILED:
            return f"{head}A failed endpoint can only be deleted. See {self.log_group}."
        return f"{head}See {self.log_group}."

    def _ensure(self, kind: str, member: str, request: Mapping[str, Any]) -> bool:
        name = request[member]
        found = self._described(f"describe_{kind}", **{member: name})
        if found is None:
            try:
                self.aws.call(SAGEMAKER, f"create_{kind}", **request)
                return True
            except AwsRefusal as error:
                if not already_exists(error):
                    raise
            found = self._described(f"describe_{kind}", **{member: name}) or {}
        if differing := differences(request, found):
            raise ConfigError(
                f"Expected {kind} {name} as this push makes it, found another of that name: "
                f"{', '.join(differing)} differ. Give the model another name, or delete it."
            )
        return False

    def _described(self, operation: str, **request: str) -> dict[str, Any] | None:
        try:
            return self.aws.call(SAGEMAKER, operation, **request)
        except AwsRefusal as error:
            if is_absent(error):
                return None
            raise


def differences(request: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Returns the members of a request that a description does not repeat.

    A description says more than was asked, such as defaults; tags it does not tell.
    """
    return sorted(
        member
        for member, wanted in request.items()
        if member != "Tags" and not _repeats(wanted, found.get(member))
    )


def _repeats(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, Mapping):
        # An empty environment is left out of a description.
        return all(
            _repeats(value, found.get(key) if isinstance(found, Mapping) else None)
            for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            return False
        return all(_repeats(*pair) for pair in zip(wanted, found, strict=True))
    # A flag that is false is left out of a description.
    return bool(wanted == found) or (wanted is False and found is None)
