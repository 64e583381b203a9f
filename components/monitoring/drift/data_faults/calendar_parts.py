"""Parts of a date that are features: months, quarters, weeks and days of a month or a year.

They come round: within a window they may stand still, and the next one may have a value that
training did not reach. Neither is a fault, as long as the values are such parts.
"""

import re

from tfx_loop.monitoring.profile.bins import CategoryBins
from tfx_loop.monitoring.profile.columns import FeatureType
from tfx_loop.monitoring.profile.counts import ColumnCounts
from tfx_loop.monitoring.profile.reference import FeatureProfile

# The largest value of each, by how columns are called. Days of a week and hours are not among
# them: within a window of some weeks they vary, and one that stands still is broken.
_PARTS = tuple(
    (re.compile(rf"(^|[^a-z])({names})$"), largest)
    for names, largest in (
        ("month|month_?num(ber)?|month_?of_?year", 12),
        ("quarter|qtr|quarter_?of_?year|season", 4),
        ("week|week_?num(ber)?|week_?of_?year|iso_?week|woy", 53),
        ("day_?of_?month|dom", 31),
        ("day_?of_?year|doy", 366),
    )
)
# Amounts of a span of time: visits_last_month, claims_per_week.
_AMOUNT = re.compile(
    r"(^|[^a-z])(per|last|past|prev|previous|this|next|each|every|of_the)[^a-z]", re.IGNORECASE
)
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(
    r"(jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?"
    r"|oct(ober)?|nov(ember)?|dec(ember)?|spring|summer|autumn|fall|winter|q[1-4])\.?",
    re.IGNORECASE,
)


def is_calendar_part(profile: FeatureProfile, counts: ColumnCounts) -> bool:
    """Says whether a feature is a part of a date, and the window's values are such parts.

    Args:
        profile: Of the feature in training: of numbers its name tells, of words the words do.
        counts: The window's, on the profile's bins.
    """
    if profile.aspect:
        return False
    if profile.type is FeatureType.CATEGORICAL:
        return _are_words(profile)
    largest = _largest(profile.name)
    ends = (counts.minimum, counts.maximum)
    if largest is None or profile.counts.maximum is None or None in ends:
        return False
    low, high = (float(end) for end in ends if end is not None)
    whole = low == int(low) and high == int(high)
    # Months from 0 to 11 are as common as those from 1 on.
    return whole and low >= 0 and max(high, profile.counts.maximum) <= largest


def _largest(name: str) -> int | None:
    spelled = _CAPITAL.sub("_", name).lower()
    if _AMOUNT.search(spelled):
        return None
    return next((largest for names, largest in _PARTS if names.search(spelled)), None)


def _are_words(profile: FeatureProfile) -> bool:
    bins = profile.bins
    return (
        isinstance(bins, CategoryBins)
        and len(bins.categories) > 1
        and all(_WORD.fullmatch(str(word)) for word in bins.categories)
    )
