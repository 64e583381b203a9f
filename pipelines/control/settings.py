"""The operator's limits on automatic retraining."""

import enum
from dataclasses import dataclass

from tfx_loop.core.errors import ConfigError


class LoopMode(enum.Enum):
    """What the loop may do with a decision to retrain."""

    OBSERVE = "observe"
    SUGGEST = "suggest"
    ACT = "act"


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """Limits on automatic retraining of one model.

    Attributes:
        model_name: Name of the served model that this loop looks after.
        mode: `observe` records only, `suggest` asks for an approval, `act` launches.
        cooldown_seconds: Quiet time after a launch that brought a new version, in seconds of the
            loop's clock.
        retry_seconds: Quiet time after one that brought none, as the training failed or the gate
            refused its model; never longer than the cooldown.
        max_launches: Launches allowed in any `budget_seconds`; failed ones count.
        budget_seconds: Length of the sliding budget period, in seconds of the loop's clock.
        max_attempts: How often one run may be started, the first time included.
        lease_seconds: How long a run on another machine counts as alive after its last heartbeat.
        policy_version: Name of these admission rules; a part of every claim's name.
    """

    model_name: str
    mode: LoopMode = LoopMode.SUGGEST
    # A day, in which the new version serves and its first labels come; a week of budget keeps a
    # loop that is wrong from costing more than a few trainings. Chosen, not measured.
    cooldown_seconds: int = 86_400
    retry_seconds: int = 3_600
    max_launches: int = 3
    budget_seconds: int = 7 * 86_400
    max_attempts: int = 3
    lease_seconds: float = 600.0
    policy_version: str = "admission/1"

    def __post_init__(self) -> None:
        if not self.model_name:
            raise ConfigError("model_name must name the served model, got an empty string.")
        if not isinstance(self.mode, LoopMode):
            modes = ", ".join(f"LoopMode({mode.value!r})" for mode in LoopMode)
            raise ConfigError(f"mode must be one of {modes}, got {self.mode!r}.")
        if self.max_launches < 1:
            raise ConfigError(
                f"max_launches must be at least 1, got {self.max_launches}. "
                "To stop automatic launches, set mode to 'observe' or 'suggest'."
            )
        if self.max_attempts < 1:
            raise ConfigError(f"max_attempts must be at least 1, got {self.max_attempts}.")
        if not self.lease_seconds > 0:
            raise ConfigError(f"lease_seconds must be positive, got {self.lease_seconds}.")
        for name in ("cooldown_seconds", "retry_seconds", "budget_seconds"):
            if getattr(self, name) < 0:
                raise ConfigError(
                    f"{name} must be 0 or more, got {getattr(self, name)}. 0 switches it off."
                )
        if not self.policy_version:
            raise ConfigError("policy_version must name the admission rules, e.g. 'admission/1'.")
