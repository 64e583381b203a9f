"""Traffic of an endpoint during an update: SageMaker's deployment guardrails. Pure.

Limits are those of botocore's service model (`TrafficRoutingConfig`, `BlueGreenUpdatePolicy`,
`AutoRollbackConfig`) and of its documentation, which a test compares them with.
"""

import math
from dataclasses import dataclass
from typing import Any

from tfx_loop.core.errors import ConfigError

MAX_WAIT_SECONDS = 3_600
MAX_ALARMS = 10
MAX_ALARM_NAME = 255
LEAST_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS = 600, 28_800
# "Value must be less than or equal to 50% of the variant's total instance count."
MAX_CANARY_PERCENT = 50
# "Value must be 10-50% of the variant's total instance count."
LINEAR_PERCENT = (10, 50)


@dataclass(frozen=True, kw_only=True)
class TrafficSettings:
    """How traffic moves to a new version, and when it goes back.

    Attributes:
        canary_percent: Share of the capacity that gets traffic first, at most 50 %; the rest
            follows after `wait_seconds`. 0 sends no canary.
        linear_percent: Share of the capacity that gets traffic in each step, 10 to 50 %; 0 takes no
            such steps. Without either all traffic moves at once.
        wait_seconds: How long alarms watch each step, at most 3600.
        termination_wait_seconds: How long they watch all of the traffic before the old instances
            end, at most 3600.
        maximum_seconds: How long the update may take, 600 to 28800, and more than its waits; 0
            leaves it to SageMaker.
        rollback_alarms: Names of CloudWatch alarms, at most 10, any of which takes the update back.
            They must be there, and be OK, before it starts.
    """

    canary_percent: int = 0
    linear_percent: int = 0
    wait_seconds: int = 0
    termination_wait_seconds: int = 0
    maximum_seconds: int = 0
    rollback_alarms: tuple[str, ...] = ()

    def check_traffic(self) -> None:
        """Raises ConfigError for what SageMaker would refuse."""
        if self.canary_percent and self.linear_percent:
            raise ConfigError(
                "Expected one policy, canary_percent or linear_percent, received both: "
                f"{self.canary_percent} and {self.linear_percent}. Leave one out."
            )
        _between("canary_percent", self.canary_percent, 0, MAX_CANARY_PERCENT, "percent")
        if self.linear_percent:
            _between("linear_percent", self.linear_percent, *LINEAR_PERCENT, "percent")
        for name in ("wait_seconds", "termination_wait_seconds"):
            _between(name, getattr(self, name), 0, MAX_WAIT_SECONDS, "seconds")
        if self.maximum_seconds:
            limits = LEAST_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS
            _between("maximum_seconds", self.maximum_seconds, *limits, "seconds")
            if self.maximum_seconds <= self.waits_seconds:
                raise ConfigError(
                    f"Expected maximum_seconds above the waits of {self.waits_seconds} s, received "
                    f"{self.maximum_seconds}. Raise it, or wait for less."
                )
        elif self.waits_seconds >= MAX_TIMEOUT_SECONDS:
            raise ConfigError(
                f"Expected waits of less than {MAX_TIMEOUT_SECONDS} s, the longest that an update "
                f"may take, received {self.waits_seconds}. Take larger steps or shorter waits."
            )
        self._check_alarms()

    @property
    def waits_seconds(self) -> int:
        """How long all waits take together."""
        steps = 1
        if self.canary_percent:
            steps = 2
        elif self.linear_percent:
            steps = math.ceil(100 / self.linear_percent)
        return steps * self.wait_seconds + self.termination_wait_seconds

    def deployment_config(self) -> dict[str, Any]:
        """Returns the DeploymentConfig of UpdateEndpoint; empty where it would say nothing."""
        routing: dict[str, Any] = {
            "Type": "ALL_AT_ONCE",
            "WaitIntervalInSeconds": self.wait_seconds,
        }
        if self.canary_percent:
            size = {"Type": "CAPACITY_PERCENT", "Value": self.canary_percent}
            routing |= {"Type": "CANARY", "CanarySize": size}
        elif self.linear_percent:
            size = {"Type": "CAPACITY_PERCENT", "Value": self.linear_percent}
            routing |= {"Type": "LINEAR", "LinearStepSize": size}
        elif not self.waits_seconds and not self.maximum_seconds and not self.rollback_alarms:
            return {}
        policy: dict[str, Any] = {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": self.termination_wait_seconds,
        }
        if self.maximum_seconds:
            policy["MaximumExecutionTimeoutInSeconds"] = self.maximum_seconds
        config: dict[str, Any] = {"BlueGreenUpdatePolicy": policy}
        if self.rollback_alarms:
            alarms = [{"AlarmName": name} for name in self.rollback_alarms]
            config["AutoRollbackConfiguration"] = {"Alarms": alarms}
        return config

    def _check_alarms(self) -> None:
        names = self.rollback_alarms
        if len(names) > MAX_ALARMS:
            raise ConfigError(
                f"Expected at most {MAX_ALARMS} rollback_alarms, received {len(names)}. Join some "
                "into a composite alarm."
            )
        if len(set(names)) < len(names):
            raise ConfigError(f"Expected each of rollback_alarms once, received {list(names)}.")
        for name in names:
            if not name.strip() or len(name) > MAX_ALARM_NAME:
                raise ConfigError(
                    f"Expected names of alarms, 1 to {MAX_ALARM_NAME} characters, received "
                    f"{name!r} among rollback_alarms."
                )


def _between(name: str, value: int, least: int, most: int, unit: str) -> None:
    if not least <= value <= most:
        raise ConfigError(f"Expected {name} of {least} to {most} {unit}, received {value}.")
