"""Settings of EdgeBundler."""

from dataclasses import dataclass

from tfx_loop.core.errors import ConfigError
from tfx_loop.edge.edge_bundle.golden import Tolerance
from tfx_loop.models.guard.settings import GuardSettings


@dataclass(frozen=True, kw_only=True)
class EdgeBundlerSettings(Tolerance, GuardSettings):
    """What a bundle is called, what it carries, and how far a device may be off.

    Attributes:
        name: What the bundle is called on devices.
        labels: Names of the classes in order; empty takes those packed into the model, if any.
        golden_rows: How many rows each device asks before it uses a version.
    """

    name: str
    labels: tuple[str, ...] = ()
    golden_rows: int = 8

    def __post_init__(self) -> None:
        if not self.name or self.golden_rows < 1:
            raise ConfigError(
                f"Expected a name and golden_rows of at least 1, received {self.name!r} and "
                f"{self.golden_rows}."
            )
