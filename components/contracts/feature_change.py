"""From where to where a feature moved, in the numbers that people know, as reports hold it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Category:
    """A value and its share of the rows that have one."""

    value: str
    share: float


@dataclass(frozen=True, kw_only=True)
class FeatureSummary:
    """A feature on one side; None where it has no such number.

    Attributes:
        rows: All rows.
        missing_share: Share of the rows without a value, in [0, 1].
        mean: Of the finite numbers, in the feature's unit, as std, minimum, maximum and quantiles.
        std: Standard deviation of the finite numbers.
        minimum: Smallest finite number.
        maximum: Largest finite number.
        quantiles: By probability, of a sample of up to 5,000 rows; empty where rows have weights.
        distinct: Distinct categories, about; None for numbers.
        top: The most frequent categories.
        unseen: Some values without a bin of their own, which the reference has rarely or never.
    """

    rows: int
    missing_share: float
    mean: float | None = None
    std: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    quantiles: Mapping[str, float] = field(default_factory=dict)
    distinct: int | None = None
    top: tuple[Category, ...] = ()
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BinShare:
    """Rows of both sides in one bin.

    Attributes:
        value: The category, or None: of a bin of numbers, and for all other categories.
        above: Lower edge of a bin of numbers, which is not in it; None for none.
        up_to: Upper edge, which is in it; None for none.
        reference: Share of the reference's rows, in [0, 1]; the bins and the missing make 1.
        current: Share of the current rows.
    """

    value: str | None = None
    above: float | None = None
    up_to: float | None = None
    reference: float
    current: float


@dataclass(frozen=True, kw_only=True)
class FeatureChange:
    """A feature before and now; `bins` are the frozen bins that the tests count on."""

    reference: FeatureSummary
    current: FeatureSummary
    bins: tuple[BinShare, ...] = ()
