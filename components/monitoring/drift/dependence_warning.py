"""Warnings of rows that seem to depend on each other where nobody said so, and of idle groups.

Tests take rows for independent unless a group or the time is named. Names and order tell what might
be named, and the rows whether it would matter: how many of them one independent row stands for.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.drift.statistics.row_dependence import dependence_of
from tfx_loop.monitoring.profile.column_roles import ColumnRoles
from tfx_loop.monitoring.profile.columns import FeatureType, flat, type_of
from tfx_loop.monitoring.profile.counts import BinCounter
from tfx_loop.monitoring.profile.derived_columns import aspect_of, value_keys
from tfx_loop.monitoring.profile.reference import FeatureProfile
from tfx_loop.monitoring.profile.row_blocks import (
    MOST_BLOCKS,
    RowBlocks,
    cells_of,
    count_blocks,
    group_blocks,
)
from tfx_loop.monitoring.profile.row_sample import GROUP, KEY, RowSample
from tfx_loop.monitoring.profile.window_profile import WindowProfile

IntArray = npt.NDArray[np.int64]
# Whose rows they are is told by a name: equal ages or cities are no reason to belong together.
_OWNER = re.compile(
    r"(^|[_\s.-])(id|ids|uuid|guid|key|hash)$|(?-i:(?<=[a-z])I[dD]$)|customer|client|user|account"
    r"|^cust([_\s.-]|$)|patient|subject|person|player|member|device|machine|sensor|vehicle|session|visitor|household",
    re.IGNORECASE,
)
# Fewer values may be a handful of sites, which are categories and no sample of groups.
_LEAST_GROUPS, _LEAST_ROWS = 30, 300
# Fewer repeats bear no effect that matters: a design effect is at most 1 + (rows a group - 1).
_LEAST_REPEATS = 1.5
_MANY_MISSING = 0.05
# Independent rows stay below it: the effect of 64 blocks is known to a sixth, of a few cells less.
_LEAST_EFFECT = 1.6
# One feature may be constant within an owner (an age) in data that is fine otherwise; a quarter of
# all is the data's make.
_QUARTILE = 0.75
# As many rows and features tell what the others would.
_MOST_ROWS, _MOST_FEATURES = 20_000, 30


def group_warning(
    columns: Mapping[str, Any],
    profiles: Sequence[FeatureProfile],
    roles: ColumnRoles,
    flag: str,
) -> str:
    """Returns what to name as the group; empty where nothing seems to be one.

    Args:
        columns: Some rows, each column as it is counted.
        profiles: The features.
        roles: What is named already.
        flag: How a group is named.
    """
    if roles.group:
        return ""
    for name in columns:
        if not _OWNER.search(name):
            continue
        repeats, blocks = _repeated(columns[name])
        # A key that hardly repeats is what it should be.
        if repeats < _LEAST_REPEATS:
            continue
        others = [profile for profile in profiles if profile.column != name]
        effect = _effect(columns, others, lambda counted: {"groups": counted}, blocks)
        if effect >= _LEAST_EFFECT:
            return (
                f"rows repeat `{name}` {repeats:.2g} times on average, and {effect:.2g} of them "
                f"tell as much as one independent row: name it with {flag}"
            )
    return ""


def idle_group_warnings(group: str, sides: Mapping[str, RowSample]) -> tuple[str, ...]:
    """Returns where a column that was named as the group says little of which rows belong together.

    Args:
        group: The column.
        sides: Sampled rows by what they are called, with the key of each row's group.
    """
    if not group:
        return ()
    found = [_idle(sample, side) for side, sample in sides.items() if sample.rows is not None]
    return tuple(f"the group `{group}` {told}" for told in found if told)


def _idle(sample: RowSample, side: str) -> str:
    if GROUP not in sample.rows.column_names:
        return f"is no column of {side}"
    keys, groups = (sample.rows.column(name).to_numpy() for name in (KEY, GROUP))
    # A row without a group has a key of its own as that of its group (profiler.py).
    missing = keys == groups
    if missing.mean() > _MANY_MISSING:
        rows = "any row" if missing.all() else f"{missing.mean():.0%} of the rows"
        return f"has no value in {rows} of {side}, which were taken for independent"
    if len(keys) >= _LEAST_ROWS and len(np.unique(groups[~missing])) == 1:
        return f"has one value in all rows of {side}, so it does not say which belong together"
    return ""


def order_warning(
    columns: Mapping[str, Any],
    profiles: Sequence[FeatureProfile],
    roles: ColumnRoles,
    times: tuple[str, Any],
    flag: str,
) -> str:
    """Returns that rows depend on those before; empty where they do not, or the time is named.

    Args:
        columns: Some rows, each column as it is counted.
        profiles: The features.
        roles: What is named already.
        times: Name of the column of times, and what orders the rows.
        flag: How the time is named.
    """
    name, order = times
    if roles.time or not name or order.null_count or len(order) < _LEAST_ROWS:
        return ""
    # Blocks of as many rows each, in order: only their sequence matters.
    places = np.argsort(np.argsort(order.to_numpy(zero_copy_only=False), kind="stable"))
    blocks = places * MOST_BLOCKS // len(places)
    effect = _effect(columns, profiles, lambda counted: {"times": counted}, blocks)
    if effect < _LEAST_EFFECT:
        return ""
    return (
        f"rows are like those before them by `{name}`, and {effect:.2g} of them tell as much as "
        f"one independent row: name it with {flag}"
    )


def _repeated(column: Any) -> tuple[float, IntArray]:
    """How often a value is there on average, and the block of each row."""
    nothing = 0.0, np.zeros(0, dtype=np.int64)
    try:
        kind = type_of(flat(column))
    except DataError:
        return nothing
    if kind not in (FeatureType.INTEGER, FeatureType.CATEGORICAL) or column.null_count:
        return nothing
    keys = value_keys(flat(column))
    found = len(np.unique(keys))
    if found < _LEAST_GROUPS or len(keys) < _LEAST_ROWS:
        return nothing
    return len(keys) / found, group_blocks(keys)


def _effect(
    columns: Mapping[str, Any], profiles: Sequence[FeatureProfile], of: Any, blocks: IntArray
) -> float:
    """The design effect that a quarter of the features has or exceeds with these blocks.

    Not the largest: the hour of the day depends on the time in any table.
    """
    places, cells = {}, {}
    for profile in profiles[:_MOST_FEATURES]:
        column = columns.get(profile.column)
        if column is None:
            continue
        seen = aspect_of(column[:_MOST_ROWS], profile.aspect)
        places[profile.name] = BinCounter(profile.type, profile.bins).place(seen).places
        cells[profile.name] = cells_of(profile)
    counted: RowBlocks = count_blocks(blocks[:_MOST_ROWS], places, cells)
    window = WindowProfile("", **of(counted))
    effects = [dependence_of(window, name) for name in places]
    found = [effect.design_effect for effect in effects if effect]
    return float(np.quantile(found, _QUARTILE)) if found else 1.0
