"""Schedule by which sparsity grows during training, and the first epoch of full sparsity. Pure."""

from dataclasses import dataclass

# Updates of the masks while the sparsity grows; training recovers between two of them.
_UPDATES = 40


@dataclass(frozen=True)
class PruningSchedule:
    """Steps of TFMOT's PolynomialDecay (Zhu and Gupta 2017, "To prune, or not to prune").

    Attributes:
        end_step: Training step at which the sparsity is whole.
        frequency: Steps between two updates of the masks; `end_step` is a multiple, for TFMOT
            updates only then, and would never reach the final sparsity otherwise.
        first_whole_epoch: The first epoch, from 1, at whose end the sparsity is whole.
    """

    end_step: int
    frequency: int
    first_whole_epoch: int


def schedule(steps_per_epoch: int, epochs: int, ramp: float) -> PruningSchedule:
    """Returns a schedule whose sparsity grows over the fraction `ramp` of all steps."""
    steps = steps_per_epoch * epochs
    # One step at least: TFMOT divides by the length of the ramp.
    wanted = max(1, int(steps * ramp))
    frequency = max(1, wanted // _UPDATES)
    end_step = wanted - wanted % frequency
    # Rounded up: the epoch in which the last update falls ends with the whole sparsity.
    return PruningSchedule(end_step, frequency, -(-end_step // steps_per_epoch))
