"""Settings of EdgeBundler."""

from dataclasses import dataclass

from tfx_loop.core.errors import ConfigError
from tfx_loop.edge.edge_bundle.golden import Tolerance
from tfx_loop.edge.edgetpu_compiler.settings import COMPANION_INPUTS
from tfx_loop.models.guard.settings import GuardSettings
from tfx_loop.models.signing.settings import SigningSettings


@dataclass(frozen=True, kw_only=True)
class EdgeBundlerSettings(Tolerance, SigningSettings, GuardSettings):
    """What a bundle is called, what it carries, and how far a device may be off.

    Attributes:
        name: What the bundle is called on devices.
        labels: Names of the classes in order; empty takes those packed into the model, if any.
        golden_rows: How many rows each device asks before it uses a version.
        redact: Inputs whose values golden rows do not have: they are 0.
        companion: Which companion of `compiled_with` the model is: 1, 2 or 3; 0 for none.
    """

    name: str
    labels: tuple[str, ...] = ()
    # As many as a push asks (serving_pusher/settings.py): a device answers them at each start.
    golden_rows: int = 8
    redact: tuple[str, ...] = ()
    companion: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.companion <= len(COMPANION_INPUTS):
            raise ConfigError(
                f"Expected companion from 0 to {len(COMPANION_INPUTS)}, received "
                f"{self.companion}. Give the number of its input of EdgeTPUCompiler."
            )
        if not self.name or self.golden_rows < 1:
            raise ConfigError(
                f"Expected a name and golden_rows of at least 1, received {self.name!r} and "
                f"{self.golden_rows}."
            )
