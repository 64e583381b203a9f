"""Changes of a feature in the numbers that people know: means, quantiles, categories, bins.

Tests and effects say that a feature moved; this says from where to where.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.contracts.drift_report import DriftResult
from tfx_loop.contracts.feature_change import BinShare, Category, FeatureChange, FeatureSummary
from tfx_loop.core.redaction import OPEN, OTHER, Redaction
from tfx_loop.monitoring.profile.bins import CategoryBins
from tfx_loop.monitoring.profile.columns import FeatureType
from tfx_loop.monitoring.profile.counts import ColumnCounts
from tfx_loop.monitoring.profile.derived_columns import TOKEN
from tfx_loop.monitoring.profile.profile_files import StoredReference
from tfx_loop.monitoring.profile.reference import FeatureProfile, FrozenProfile, Moments
from tfx_loop.monitoring.profile.row_sample import sampled_column
from tfx_loop.monitoring.profile.window_profile import FeatureCounts, WindowProfile

# The median, the middle half, and the middle nine tenths.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# As many categories as a person compares at a glance.
_TOP = 5
# Categories that a table for people tells of.
_TOLD = 3


@dataclass(frozen=True, kw_only=True)
class SideRows:
    """What a side's numbers are taken from, beside its counts.

    Attributes:
        sample: Sampled rows; None for no quantiles.
        moments: Exact mean and deviation by column, where somebody added them up.
    """

    sample: Any = None
    moments: Mapping[str, Moments] = field(default_factory=dict)


def with_changes(report: DriftResult, changes: Mapping[str, FeatureChange]) -> DriftResult:
    """Returns a report whose features, those of slices apart, tell what changed in them."""
    told = (f if f.slice else replace(f, change=changes.get(f.feature)) for f in report.features)
    return replace(report, features=tuple(told))


def changes_of(
    reference: FrozenProfile,
    baseline: WindowProfile | None,
    current: WindowProfile,
    before: SideRows,
    now: SideRows,
    redaction: Redaction = OPEN,
) -> dict[str, FeatureChange]:
    """Returns what changed, by feature that both sides counted.

    Args:
        reference: The profile, with the counts of all rows.
        baseline: The reference's rows counted on its bins; None where that was not done.
        current: The current rows, counted on them.
        before: What else there is of the reference.
        now: What else there is of the current rows.
        redaction: Which values may be shown; of a feature that it hides shares alone are.
    """
    found = {}
    for profile in reference.features:
        if not current.has(profile.name):
            continue
        counted = FeatureCounts(profile.counts)
        if baseline is not None and baseline.has(profile.name):
            counted = baseline.total(profile.name)
        moments = counted.moments(profile.moments) if counted.first else profile.moments
        counts = current.total(profile.name)
        names = _names(profile, counted.counts, counts.counts, redaction)
        sides = (counted, moments, before), (counts, counts.moments(profile.moments), now)
        if redaction.hides(profile.name):
            summaries = [_shares_alone(profile, side[0], names) for side in sides]
        else:
            summaries = [_summary(profile, *side, names, redaction) for side in sides]
        bins = tuple(_bins(profile, counted.counts, counts.counts, names))
        if redaction.hides(profile.name):
            # The edges are quantiles of what is hidden.
            bins = tuple(replace(entry, above=None, up_to=None) for entry in bins)
        found[profile.name] = FeatureChange(reference=summaries[0], current=summaries[1], bins=bins)
    return found


def changes_of_window(
    reference: StoredReference, window: WindowProfile, redaction: Redaction
) -> dict[str, FeatureChange]:
    """Returns what changed in the features of a log's window against the training rows."""
    return changes_of(
        reference.profile,
        reference.counts,
        window,
        SideRows(sample=reference.sample),
        SideRows(sample=window.sample.answered()),
        redaction,
    )


def _names(
    profile: FeatureProfile, before: ColumnCounts, now: ColumnCounts, redaction: Redaction
) -> list[str]:
    """What each category is called; OTHER where it may not be named. Numbers have no names."""
    if not isinstance(profile.bins, CategoryBins):
        return []
    # Counts go on beyond the categories: the last bin counts all that have none of their own.
    rows = zip(profile.bins.categories, before.bins, now.bins, strict=False)
    return [redaction.name(profile.column, name, max(counts)) for name, *counts in rows]


def _is_named(profile: FeatureProfile) -> bool:
    """Says whether the categories are values that a person knows: no numbers, no buckets."""
    types = (FeatureType.CATEGORICAL, FeatureType.BOOLEAN)
    return (profile.type in types or profile.kind in types) and profile.aspect != TOKEN


def _shares_alone(
    profile: FeatureProfile, counted: FeatureCounts, names: Sequence[str]
) -> FeatureSummary:
    counts = counted.counts
    return FeatureSummary(
        rows=counts.rows,
        missing_share=counts.missing / max(counts.rows, 1),
        top=_top(names, counts) if _is_named(profile) else (),
    )


def _summary(
    profile: FeatureProfile,
    counted: FeatureCounts,
    moments: Moments | None,
    side: SideRows,
    names: Sequence[str],
    redaction: Redaction,
) -> FeatureSummary:
    counts = counted.counts
    found = _shares_alone(profile, counted, names)
    if _is_named(profile):
        unseen = Counter(text for _, text in counted.unseen)
        return replace(
            found,
            distinct=round(counted.distinct(len(names))),
            unseen=tuple(redaction.examples(profile.column, unseen, _TOP)),
        )
    if profile.aspect == TOKEN:
        return found
    # Moments are of the column itself, not of a length or another aspect of it.
    if not profile.aspect:
        moments = side.moments.get(profile.column, moments)
    return replace(
        found,
        mean=moments.mean if moments else None,
        std=moments.std if moments else None,
        minimum=counts.minimum,
        maximum=counts.maximum,
        quantiles=_quantiles(profile, side.sample),
    )


def _quantiles(profile: FeatureProfile, rows: Any) -> dict[str, float]:
    column = None if rows is None else sampled_column(rows, profile)
    if column is None or not len(column):
        return {}
    values: npt.NDArray[np.float64] = column.cast("float64").to_numpy(zero_copy_only=False)
    values = values[np.isfinite(values)]
    if not len(values):
        return {}
    found = np.quantile(values, QUANTILES)
    return {f"{q:g}": float(value) for q, value in zip(QUANTILES, found, strict=True)}


def _top(names: Sequence[str], counts: ColumnCounts) -> tuple[Category, ...]:
    pairs = zip(names, counts.bins, strict=False)
    ranked = sorted((-rows, name) for name, rows in pairs if rows and name != OTHER)[:_TOP]
    return tuple(
        Category(value=name, share=-rows / max(counts.present, 1)) for rows, name in ranked
    )


def _bins(
    profile: FeatureProfile, reference: ColumnCounts, current: ColumnCounts, names: Sequence[str]
) -> Iterator[BinShare]:
    shares = [
        (before / max(reference.rows, 1), now / max(current.rows, 1))
        for before, now in zip(reference.bins, current.bins, strict=True)
    ]
    if isinstance(profile.bins, CategoryBins):
        # What may not be named is among the others.
        rest = np.array(shares[-1])
        for name, (before, now) in zip(names, shares, strict=False):
            if name == OTHER:
                rest += (before, now)
            else:
                yield BinShare(value=name, reference=before, current=now)
        yield BinShare(reference=float(rest[0]), current=float(rest[1]))
        return
    edges = profile.bins.edges
    limits = zip((None, *edges), (*edges, None), strict=True)
    for (low, high), (before, now) in zip(limits, shares, strict=True):
        yield BinShare(above=low, up_to=high, reference=before, current=now)


def told_changes(change: FeatureChange) -> list[tuple[str, str, str]]:
    """Returns what a person compares: its name, the reference's side, the current side."""
    before, now = change.reference, change.current
    found = [
        (name, _number(getattr(before, name)), _number(getattr(now, name)))
        for name in ("mean", "std")
    ]
    sides = before.quantiles, now.quantiles
    wide = [_range(side.get("0.05"), side.get("0.95")) for side in sides]
    return [
        entry
        for entry in [
            *found,
            ("median", _number(sides[0].get("0.5")), _number(sides[1].get("0.5"))),
            ("5 % to 95 %", wide[0], wide[1]),
            ("range", _range(before.minimum, before.maximum), _range(now.minimum, now.maximum)),
            *_told_categories(change),
            ("missing", f"{before.missing_share:.1%}", f"{now.missing_share:.1%}"),
        ]
        if any(entry[1:])
    ]


def _told_categories(change: FeatureChange) -> list[tuple[str, str, str]]:
    """The categories of either side that moved most, by their share of all rows."""
    named = {category.value for side in (change.reference, change.current) for category in side.top}
    shares = [share for share in change.bins if share.value in named]
    shares.sort(key=lambda share: -abs(share.current - share.reference))
    found = [
        (f"share of {share.value or '(empty)'}", f"{share.reference:.1%}", f"{share.current:.1%}")
        for share in shares[:_TOLD]
    ]
    others = [share for share in change.bins if share.value is None and share.above is None]
    if named and others and (others[0].reference or others[0].current):
        unseen = f", such as {change.current.unseen[0]}" if change.current.unseen else ""
        told = f"{others[0].reference:.1%}", f"{others[0].current:.1%}{unseen}"
        found.append(("all others", *told))
    return found


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{_number(low)} to {_number(high)}"
