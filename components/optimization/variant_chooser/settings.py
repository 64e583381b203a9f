"""Settings of VariantChooser."""

from dataclasses import dataclass

from tfx_loop.core.errors import ConfigError
from tfx_loop.models.guard.settings import GuardSettings
from tfx_loop.optimization.variant_chooser.choice import ChoiceTarget

# Each has three numbered inputs, as a channel holds one artifact: float, four techniques, and one
# of the user's own.
MOST_VARIANTS = 6


@dataclass(frozen=True, kw_only=True)
class VariantChooserSettings(GuardSettings):
    """Which variants there are, and what the chosen one is to be.

    Attributes:
        names: Names of the variants, in the order of their numbered inputs.
        target: `smallest` or `fastest`.
    """

    names: tuple[str, ...]
    target: ChoiceTarget = ChoiceTarget.SMALLEST

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= MOST_VARIANTS or len(set(self.names)) < len(self.names):
            raise ConfigError(
                f"Expected 1 to {MOST_VARIANTS} variants with names of their own, received "
                f"{list(self.names)}."
            )
