"""Profiles as they may be shown: what `Redaction` hides is hashed, rounded or left out.

The profiles that nodes count on stay whole, in files of their owner's alone.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.redaction import Redaction
from tfx_loop.monitoring.profile.bins import Bins, CategoryBins, NumericBins
from tfx_loop.monitoring.profile.build import slice_values
from tfx_loop.monitoring.profile.columns import FeatureType, is_text_type, strings
from tfx_loop.monitoring.profile.counts import ColumnCounts
from tfx_loop.monitoring.profile.derived_columns import unchunked
from tfx_loop.monitoring.profile.reference import FeatureProfile, FrozenProfile, Moments
from tfx_loop.monitoring.profile.window_profile import (
    Cell,
    FeatureCounts,
    WindowProfile,
    regrouped,
)


def redaction_for(reference: FrozenProfile, given: Redaction) -> Redaction:
    """Returns what decides for a reference: what its maker redacted stays so."""
    return replace(given, features=given.features | {*(reference.redacted or ())})


def public_profile(profile: FrozenProfile, redaction: Redaction) -> FrozenProfile:
    """Returns a reference profile to show."""
    return replace(
        profile,
        features=tuple(_public_feature(feature, redaction) for feature in profile.features),
        slices={
            column: _public_slices(column, rows, redaction)
            for column, rows in profile.slices.items()
        },
    )


def named_values(column: Any, feature: str, redaction: Redaction) -> Any:
    """Returns a flat column of values to slice by under the names that reports give them."""
    tally = pc.value_counts(slice_values(column).drop_null())
    rows = dict(
        zip(tally.field("values").to_pylist(), tally.field("counts").to_pylist(), strict=True)
    )
    names = {value: redaction.name(feature, value, count) for value, count in rows.items()}
    if all(name == value for value, name in names.items()):
        return column
    return pa.array([names.get(value) for value in slice_values(column).to_pylist()], pa.string())


def public_rows(rows: Any, redaction: Redaction) -> Any:
    """Returns a pyarrow table of rows without values of redacted columns.

    Texts are hashed, so that equal ones still are equal; all else is left out.
    """
    # From the last on: a column that is removed does not move those before it.
    for place, name in reversed(list(enumerate(rows.column_names))):
        if not redaction.hides(name):
            continue
        if not is_text_type(rows.schema.field(name).type):
            rows = rows.remove_column(place)
            continue
        texts = strings(unchunked(rows.column(name))).dictionary_encode()
        tokens = [redaction.token(name, text) for text in texts.dictionary.to_pylist()]
        rows = rows.set_column(place, name, pa.array(tokens, pa.string()).take(texts.indices))
    return rows


def public_window(window: WindowProfile, redaction: Redaction) -> WindowProfile:
    """Returns a window's counts to show; slices were named before (`with_named_slices`)."""
    cells = {
        key: Cell(
            cell.rows,
            {name: _public_counts(name, f, redaction) for name, f in cell.features.items()},
        )
        for key, cell in window.cells.items()
    }
    return replace(window, cells=cells)


def with_named_slices(
    window: WindowProfile, reference: FrozenProfile, redaction: Redaction
) -> WindowProfile:
    """Returns counts whose slices are called what reports call them; rare ones are one slice.

    How many training rows a slice has says whether it is rare: so its name is the same in each
    window, as the rule k of n needs.
    """
    names = {
        f"{column}={value}": redaction.slice_name(f"{column}={value}", rows)
        for column, values in reference.slices.items()
        for value, rows in values.items()
    }
    if all(name == title for title, name in names.items()):
        return window
    return regrouped(window, lambda key: replace(key, slice=names.get(key.slice, key.slice)))


def _public_slices(column: str, rows: Mapping[str, int], redaction: Redaction) -> dict[str, int]:
    found = Counter[str]()
    for value, count in rows.items():
        found[redaction.name(column, value, count)] += count
    return dict(found)


def _public_feature(feature: FeatureProfile, redaction: Redaction) -> FeatureProfile:
    bins, counts = feature.bins, feature.counts
    if isinstance(bins, CategoryBins):
        # Buckets of words and 0 and 1 say nothing of a value by themselves.
        if feature.kind is FeatureType.TEXT or feature.type is FeatureType.BOOLEAN:
            return feature
        return _public_categories(feature, bins, redaction)
    if not redaction.hides(feature.name):
        return feature
    edges, merged = _rounded_edges(bins, counts.bins)
    moments = feature.moments
    return replace(
        feature,
        bins=edges,
        counts=replace(counts, bins=merged, minimum=None, maximum=None),
        moments=moments and Moments(_rounded(moments.mean), _rounded(moments.std)),
    )


def _public_categories(
    feature: FeatureProfile, bins: CategoryBins, redaction: Redaction
) -> FeatureProfile:
    hidden = redaction.hides(feature.name)
    rows = dict(zip(bins.categories, feature.counts.bins[:-1], strict=True))
    named = {value: count for value, count in rows.items() if redaction.names(count)}
    if len(named) == len(rows) and not hidden:
        return feature
    shown = {
        redaction.token(feature.column, value) if hidden else value: count
        for value, count in named.items()
    }
    rest = feature.counts.bins[-1] + sum(rows.values()) - sum(named.values())
    counts = replace(feature.counts, bins=(*shown.values(), rest), minimum=None, maximum=None)
    moments = None if hidden else feature.moments
    return replace(feature, bins=CategoryBins(tuple(shown)), counts=counts, moments=moments)


def _rounded_edges(bins: NumericBins, counts: tuple[int, ...]) -> tuple[Bins, tuple[int, ...]]:
    """Returns edges that are nobody's value, and the rows between those that are left."""
    edges = np.asarray(bins.edges)
    gaps = np.diff(edges) if len(edges) > 1 else np.ones(1)
    # To the power of ten below the gap to the nearer neighbour: edges stay apart, dense ones, too.
    nearer = np.minimum(np.append(gaps, np.inf), np.append(np.inf, gaps))[: len(edges)]
    step = 10.0 ** np.floor(np.log10(nearer))
    rounded = np.round(edges / step) * step
    kept, places = np.unique(rounded, return_inverse=True)
    merged = np.zeros(len(kept) + 1, dtype=np.int64)
    # Bin i ends at edge i: bins that end at one rounded edge are one.
    np.add.at(merged, np.append(places, len(kept)), np.asarray(counts))
    limits = [_rounded(limit) for limit in (bins.low, bins.high)]
    return NumericBins(tuple(kept.tolist()), *limits), tuple(int(rows) for rows in merged)


def _rounded(value: float) -> float:
    # Two digits show the size of a number and nobody's value.
    return float(f"{value:.2g}")


def _public_counts(name: str, found: FeatureCounts, redaction: Redaction) -> FeatureCounts:
    # The kept rows are a draw of all: a value that many of them have, many rows have.
    kept = Counter(value for _, value in found.unseen)
    unseen = tuple(
        (key, redaction.name(name.partition("#")[0], value, kept[value]))
        for key, value in found.unseen
    )
    if not redaction.hides(name):
        return replace(found, unseen=unseen)
    # Neither a single smallest value nor hashes without a key.
    counts: ColumnCounts = replace(found.counts, minimum=None, maximum=None)
    return replace(found, counts=counts, registers=b"", unseen=unseen)
