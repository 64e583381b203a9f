"""What rows of a day, a week or so many rows do by themselves, measured on those of the reference.

A chunk of one day has one day of the week, whatever is well or broken, and Mondays are no Sundays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tfx_loop.core.errors import LoopError
from tfx_loop.data.tables.table_file import TableFile
from tfx_loop.monitoring.drift.season_floors import window_floors
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.file_comparison.chunks import DAY, WEEK, cut
from tfx_loop.monitoring.file_comparison.counting import CountedRows, count_rows
from tfx_loop.monitoring.file_comparison.plan import ComparisonPlan
from tfx_loop.monitoring.profile.counts import ColumnCounts
from tfx_loop.monitoring.profile.reference import FrozenProfile

_DAYS_A_WEEK = 7
# PSI of one value against all others: as large as rows are many, and no drift.
_NO_DRIFT = 1e9


@dataclass(frozen=True)
class Season:
    """What chunks of the reference do by themselves.

    Attributes:
        floors: By feature, how far such a chunk lies from the others.
        steady: Features that have one value in each of them, and another in the next.
    """

    floors: Mapping[str, float] = field(default_factory=dict)
    steady: frozenset[str] = frozenset()


NO_SEASON = Season()


def season_of(
    reference: TableFile,
    every: str,
    plan: ComparisonPlan,
    profile: FrozenProfile,
    settings: DriftSettings,
) -> Season:
    """Returns what chunks of the reference do; nothing where it has no times to cut by.

    Args:
        reference: The file.
        every: How it is cut, as `chunks.cut` has it.
        plan: How its rows are counted.
        profile: Its profile.
        settings: Chunks with fewer rows than `min_rows` tell nothing.
    """
    if plan.time_column not in reference.schema.names:
        return NO_SEASON
    chunks = cut(reference, every, plan.time_column)
    _, parts = count_rows(reference, plan, profile, {}, chunks)
    floors = window_floors(profile, [part.counts for part in parts], settings.min_rows)
    steady = _steady(profile, parts, settings.min_rows)
    return Season({**floors, **dict.fromkeys(steady, _NO_DRIFT)}, steady)


def season_of_span(
    reference: TableFile,
    current: TableFile,
    plan: ComparisonPlan,
    profile: FrozenProfile,
    settings: DriftSettings,
) -> Season:
    """Returns what stands still in stretches of the reference as long as a whole file.

    Nothing where the files have no times, or the current one spans more than a week: in so many
    days everything moves that is alive.
    """
    time = plan.time_column
    if not all(time in table.schema.names for table in (reference, current)):
        return NO_SEASON
    try:
        days = len(cut(current, DAY, time).names)
        if not 0 < days <= _DAYS_A_WEEK:
            return NO_SEASON
        of_days = season_of(reference, DAY, plan, profile, settings)
        whole = of_days if days == 1 else season_of(reference, WEEK, plan, profile, settings)
    # Times that cannot be cut by, in either file, tell nothing; they are no reason to stop.
    except LoopError:
        return NO_SEASON
    # Of some days what changes from day to day moved, as any column may, and is not stuck.
    return Season(dict.fromkeys(whole.steady, _NO_DRIFT), whole.steady | of_days.steady)


def _steady(profile: FrozenProfile, parts: Sequence[CountedRows], min_rows: int) -> frozenset[str]:
    found = set()
    for feature in profile.features:
        counts = [part.counts.total(feature.name).counts for part in parts if part.counts.rows]
        seen = [some for some in counts if some.present >= min_rows]
        places = {int(np.argmax(some.bins)) for some in seen}
        # The first chunk and the last are cut off, and others may hold a late row.
        if len(places) > 1 and all(_stands_still(some) for some in seen):
            found.add(feature.name)
    return frozenset(found)


def _stands_still(counts: ColumnCounts) -> bool:
    if counts.minimum is not None:
        return counts.minimum == counts.maximum
    return bool(max(counts.bins) == counts.present)
