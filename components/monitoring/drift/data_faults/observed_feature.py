"""One feature as both sides have it, and when a share has risen beyond chance."""

from dataclasses import dataclass, field

from scipy import special

from tfx_loop.monitoring.drift.data_faults.sample_statistics import SampleStatistics
from tfx_loop.monitoring.profile.counts import ColumnCounts
from tfx_loop.monitoring.profile.reference import FeatureProfile
from tfx_loop.monitoring.profile.value_sample import FreshValues

# Each feature gets several checks in each window: one false fault in ten thousand of them.
_CHANCE = 1e-4


@dataclass(frozen=True)
class ObservedFeature:
    """One feature, as training had it and as the window has it.

    Attributes:
        profile: Training.
        counts: The window, on the profile's bins.
        sampled: Of the window's values, what counts do not tell.
        design_effects: Rows that one independent row stands for, in training and in the window
            (statistics/row_dependence.py); 1 where rows are independent.
        missing_effects: The same of missing values alone.
        fresh: Rows of the window with a value that training has not, where it has many.
    """

    profile: FeatureProfile
    counts: ColumnCounts
    sampled: SampleStatistics = field(default_factory=SampleStatistics)
    design_effects: tuple[float, float] = (1.0, 1.0)
    missing_effects: tuple[float, float] = (1.0, 1.0)
    fresh: FreshValues = field(default_factory=FreshValues)

    def surely_above(self, part: int, whole: int, baseline_part: int, baseline_whole: int) -> bool:
        """Says so of rows of the window and of training, as many as are independent."""
        before, now = self.design_effects
        counts = (part / now, whole / now, baseline_part / before, baseline_whole / before)
        return surely_above(*(round(count) for count in counts))


def surely_above(part: int, whole: int, baseline_part: int, baseline_whole: int) -> bool:
    """Says whether `part` of `whole` is more than the baseline's share can explain by chance.

    That share is taken at its upper 99.9 % bound (Clopper and Pearson 1934, "The use of confidence
    or fiducial limits illustrated in the case of the binomial").
    """
    if not part or not whole:
        return False
    rest = max(baseline_whole - baseline_part, 0)
    # Clopper and Pearson's upper bound is a quantile of Beta(part + 1, whole - part); the binomial
    # tail from there on is the chance of as many.
    bound = float(special.betaincinv(baseline_part + 1, rest, 0.999)) if rest else 1.0
    return float(special.bdtrc(part - 1, whole, bound)) < _CHANCE
