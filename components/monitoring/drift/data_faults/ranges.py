"""Numbers beyond the range that training had: far beyond it, or one code again and again."""

import numpy as np

from tfx_loop.monitoring.drift.data_faults.faults import OUT_OF_RANGE, Fault
from tfx_loop.monitoring.drift.data_faults.observed_feature import ObservedFeature
from tfx_loop.monitoring.drift.data_faults.sample_statistics import FloatArray
from tfx_loop.monitoring.drift.settings import FaultSettings
from tfx_loop.monitoring.profile.bins import CategoryBins, plausible
from tfx_loop.monitoring.profile.columns import FeatureType

# Of all values out of range, those that are one and the same code for "nobody knows".
_CODE_SHARE = 0.8
# Of the share of values out of range that is a fault, so much is one where all are one number, far
# beyond: 1 %, as of cells that do not fit their column.
_FAR_CODE = 0.2


def out_of_range(seen: ObservedFeature, settings: FaultSettings) -> Fault | None:
    """Numbers far beyond the training range, or one code beyond it again and again."""
    trained, counts = seen.profile.counts, seen.counts
    if not counts.present:
        return None
    beyond, rows = _far_beyond(seen)
    share = beyond / max(rows, 1)
    sure = seen.surely_above(beyond, rows, trained.outside, trained.present)
    if share > settings.outside_share and sure:
        return Fault(
            OUT_OF_RANGE,
            f"{share:.0%} lie far beyond the reference's range: up to {_farthest(seen)}, "
            f"where it has {trained.minimum:g} to {trained.maximum:g}",
        )
    # Fewer than that may still be one code for "nobody knows", such as -999.
    value, rows = _code(seen)
    # One and the same number far out is nobody's measurement: -999 in 2 % of the rows moves a mean
    # more than most drifts, and no test of bins sees it.
    least = settings.outside_share * (_FAR_CODE if _is_far(value, seen) else 1.0)
    if rows <= least * max(len(seen.sampled.values), 1):
        return None
    if not seen.surely_above(rows, len(seen.sampled.values), 0, trained.present):
        return None
    if rows < _CODE_SHARE * _beyond(seen).size:
        # Many values out there, and one of them often: a summer after a winter, not a code.
        return None
    return Fault(OUT_OF_RANGE, f"{value:g} again and again, outside of the reference's range")


def _is_far(value: float, seen: ObservedFeature) -> bool:
    low, high = seen.profile.counts.minimum, seen.profile.counts.maximum
    if low is None or high is None:
        return False
    least, most = plausible(low, high)
    return value < least or value > most


def _farthest(seen: ObservedFeature) -> str:
    trained, counts = seen.profile.counts, seen.counts
    ends = [end for end in (counts.minimum, counts.maximum) if end is not None]
    middle = ((trained.minimum or 0.0) + (trained.maximum or 0.0)) / 2
    return f"{max(ends, key=lambda end: abs(end - middle)):g}"


def _far_beyond(seen: ObservedFeature) -> tuple[int, int]:
    """Values that are not plausible beside those of training, and of how many.

    Bins of whole numbers keep no count of them: they are looked for among the sampled values.
    """
    trained, counts = seen.profile.counts, seen.counts
    if not isinstance(seen.profile.bins, CategoryBins):
        return counts.outside, counts.present
    low, high = trained.minimum, trained.maximum
    if low is None or high is None or seen.profile.type is not FeatureType.INTEGER:
        return 0, counts.present
    (least, most), values = plausible(low, high), seen.sampled.values
    far = (values < least) | (values > most)
    return int(np.count_nonzero(far)), len(values)


def _code(seen: ObservedFeature) -> tuple[float, int]:
    """The most frequent sampled value outside of the training range, and how often it is there."""
    found, times = np.unique(_beyond(seen), return_counts=True)
    if not len(found):
        return 0.0, 0
    place = int(np.argmax(times))
    return float(found[place]), int(times[place])


def _beyond(seen: ObservedFeature) -> FloatArray:
    """The sampled values outside of the training range.

    Of few whole numbers the next one, a sixth store after five, is no odder than the others; nor is
    a seventh, where there is a sixth.
    """
    low, high = seen.profile.counts.minimum, seen.profile.counts.maximum
    values, bins = seen.sampled.values, seen.profile.bins
    if low is None or high is None or seen.profile.type is FeatureType.BOOLEAN:
        return np.zeros(0)
    if isinstance(bins, CategoryBins):
        step = float(np.diff(np.sort(np.array(bins.categories, dtype=float))).max(initial=0))
        found = np.unique(values)
        high = _reached(high, found[found > high], step)
        low = -_reached(-low, -found[found < low][::-1], step)
    return values[(values < low) | (values > high)]


def _reached(end: float, beyond: FloatArray, step: float) -> float:
    """Returns how far values beyond an end, in order, go on without a gap wider than a step."""
    for value in beyond:
        if value > end + step:
            break
        end = float(value)
    return end
