"""Settings of Pruner: which weights become zero or share values, in which pattern. Pure."""

from dataclasses import dataclass, field
from enum import Enum

from tfx_loop.core.errors import ConfigError
from tfx_loop.optimization.fine_tuning.settings import FineTuningNodeSettings, FineTuningSettings


class Pattern(str, Enum):
    """Where the zeros lie."""

    # Weights stay as they are; for clustering alone.
    NONE = "none"
    UNSTRUCTURED = "unstructured"
    # Two zeros among four consecutive input channels: what sparse matrix units multiply.
    TWO_OF_FOUR = "2:4"
    BLOCK = "block"


@dataclass(frozen=True, kw_only=True)
class PruningSettings:
    """What is pruned and clustered, and how the network is trained meanwhile.

    Attributes:
        pattern: Where the zeros lie.
        sparsity: Fraction of each kernel's weights (of its blocks) that become zero; 2:4 is half.
        block: Rows and columns of a block, in the layout [inputs, outputs] of a Dense kernel.
            TFLite stores [outputs, inputs]: its blocks of 1 x 4 are (4, 1) here.
        exclude: Layers left alone, by name or glob such as `block_1_*`.
        ramp: Fraction of the training steps over which the sparsity grows.
        clusters: How many different values a kernel may have afterwards; 0 leaves them be. Zeros of
            pruning stay zero and are one of the values.
        output: Output that the label belongs to, where the model has several; the others are
            trained to answer as they do.
        clustering: How the clustered network is trained; None takes `fine_tuning`.
        fine_tuning: How the network is trained while it is pruned.
    """

    pattern: Pattern = Pattern.UNSTRUCTURED
    sparsity: float = 0.5
    # The blocks of TensorFlow Lite's sparse FullyConnected kernel, 1 x 4 in its own layout
    # [outputs, inputs].
    block: tuple[int, int] = (4, 1)
    exclude: tuple[str, ...] = ()
    # The rest of the epochs are for what is left to make up for what went. Chosen, not measured.
    ramp: float = 0.6
    clusters: int = 0
    output: str = ""
    clustering: FineTuningSettings | None = None
    fine_tuning: FineTuningSettings = field(default_factory=FineTuningSettings)

    def __post_init__(self) -> None:
        if not 0 < self.sparsity < 1:
            raise ConfigError(
                f"Expected a sparsity above 0 and below 1, received {self.sparsity}. "
                "0.5 makes half of the weights zero; to prune nothing, set pattern to 'none'."
            )
        if self.pattern is Pattern.TWO_OF_FOUR and self.sparsity != 0.5:
            raise ConfigError(
                f"Expected sparsity 0.5 with pattern 2:4, received {self.sparsity}. Leave it out."
            )
        if len(self.block) != 2 or min(self.block) < 1 or max(self.block) < 2:
            raise ConfigError(
                f"Expected block as two sizes, one of them above 1, received {self.block}. "
                "Blocks of one weight are pattern 'unstructured'."
            )
        if not 0 < self.ramp <= 1:
            raise ConfigError(f"Expected ramp above 0 and up to 1, received {self.ramp}.")
        # Two values beside the zero that pruning keeps; above 256 an index takes more than a byte.
        if self.clusters and not 3 <= self.clusters <= 256:
            raise ConfigError(f"Expected clusters 0 or from 3 to 256, received {self.clusters}.")
        if self.pattern is Pattern.NONE and not self.clusters:
            raise ConfigError(
                "Expected something to do, received pattern 'none' and clusters 0. "
                "Name a pattern, or how many clusters each kernel may have."
            )

    @property
    def technique(self) -> str:
        """Returns what reports call it."""
        done = ["pruning"] * (self.pattern is not Pattern.NONE)
        return " and ".join([*done, *["clustering"] * bool(self.clusters)])

    @property
    def variant(self) -> str:
        """Returns the name of the model's variant."""
        done = ["pruned"] * (self.pattern is not Pattern.NONE)
        return "_".join([*done, *["clustered"] * bool(self.clusters)])


@dataclass(frozen=True, kw_only=True)
class PrunerSettings(FineTuningNodeSettings, PruningSettings):
    """What Pruner is told: what is pruned, and how the result is judged."""
