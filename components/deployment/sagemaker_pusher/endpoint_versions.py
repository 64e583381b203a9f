"""The versions of an endpoint as a roll-back sees them: one of them is to serve again.

Nothing is copied: the archive and the model of each version stay, and its config is made anew where
it was deleted. All traffic moves at once, as who rolls back is in a hurry; the old instances answer
until the others do.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tfx_loop.core.bucket.files import conditional_files
from tfx_loop.core.conditional_files import ConditionalFiles
from tfx_loop.core.errors import ConfigError
from tfx_loop.deployment.sagemaker_pusher.client import Aws
from tfx_loop.deployment.sagemaker_pusher.endpoint import POLL_SECONDS, Endpoint
from tfx_loop.deployment.sagemaker_pusher.release import (
    EndpointRelease,
    read_release,
    write_release,
)

# Instances start in some five to ten minutes.
_TIMEOUT_SECONDS = 3_600.0


@dataclass(frozen=True, kw_only=True)
class EndpointVersions:
    """What was pushed to one endpoint.

    Attributes:
        base_path: Where its record is.
        open_aws: Returns AWS in a region.
        clock: Seconds that only grow.
        sleep: Waits, in seconds.
        poll_seconds: Between two questions for the endpoint's state.
    """

    base_path: str
    open_aws: Callable[[str], Aws] = Aws
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    poll_seconds: float = POLL_SECONDS
    files: ConditionalFiles = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", conditional_files(self.base_path))

    def require(self, version: int) -> None:
        """Checks that a version was made; raises ConfigError."""
        self._release(version)

    def show_up_to(self, version: int) -> None:
        """Lets the endpoint serve a version, and returns when it does.

        Raises:
            ConfigError: The version was never made.
            ServingError: The endpoint does not serve it; it serves what it served.
        """
        release = self._release(version)
        endpoint = Endpoint(
            aws=self.open_aws(release.region),
            name=release.endpoint,
            clock=self.clock,
            sleep=self.sleep,
            poll_seconds=self.poll_seconds,
        )
        endpoint.ensure_model(release.model)
        if endpoint.ensure_config(release.config):
            write_release(self.files, release.with_config(release.config_name))
        endpoint.move(release.config_name, _TIMEOUT_SECONDS)

    def _release(self, version: int) -> EndpointRelease:
        release = read_release(self.files, version)
        if release is None:
            raise ConfigError(
                f"Expected what version {version} was made of below {self.base_path}/releases, "
                "found none. Push its model again."
            )
        return release
