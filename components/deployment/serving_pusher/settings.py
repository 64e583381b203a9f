"""Settings of ServingPusher."""

from dataclasses import dataclass

from tfx_loop.core.errors import ConfigError
from tfx_loop.deployment.serving_pusher.targets import SERVER, target_named
from tfx_loop.models.guard.settings import GuardSettings


@dataclass(frozen=True, kw_only=True)
class ServingPusherSettings(GuardSettings):
    """Where a model is pushed, and how long that may take.

    Attributes:
        model_name: Name that the server serves it under, or that the bundle has.
        base_path: Folder of numbered versions that the server watches; of devices the folder or
            bucket that they fetch from.
        server_url: REST address of the server, such as `http://127.0.0.1:8501`; devices need none.
        load_timeout_seconds: How long the version may take to become available.
        lock_timeout_seconds: How long another push to the base path is waited for.
        golden_rows: How many rows are asked and compared.
        max_latency_ms: How long the answer to the golden rows may take, in milliseconds.
        target: `server` or `devices`.
        rollout_stages: For devices, pairs of group and percentage, in order; empty is the group
            `canary`, then 10, 50 and 100 % of the group `default`. The last stage makes the version
            everybody's.
    """

    model_name: str
    base_path: str
    server_url: str = ""
    load_timeout_seconds: int = 120
    lock_timeout_seconds: int = 600
    golden_rows: int = 8
    # Half of the time that the client itself waits by default: later is no answer to anybody.
    max_latency_ms: int = 5_000
    target: str = SERVER
    rollout_stages: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if self.golden_rows < 1 or self.max_latency_ms < 1:
            raise ConfigError(
                "Expected golden_rows and max_latency_ms of at least 1, received "
                f"{self.golden_rows} and {self.max_latency_ms}."
            )
        receiver = target_named(self.target)
        if receiver is not None:
            receiver.check_stages(self.rollout_stages)
        elif not self.server_url:
            raise ConfigError(
                "Expected server_url to push to a server, received no server_url. Give it, or set "
                "target to 'devices'."
            )
