"""Evidence for the faults of a file: which values, how often, and in which row first.

Counts on bins say that a column is broken, and not by what. A second look at the columns that are,
and at no others, finds the cells.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.contracts.drift_report import DriftResult
from tfx_loop.core.redaction import Redaction
from tfx_loop.data.tables.table_file import TableFile
from tfx_loop.monitoring.drift.data_faults.faults import (
    INFINITE_VALUES,
    NEW_CATEGORY_FLOOD,
    OUT_OF_RANGE,
)
from tfx_loop.monitoring.file_comparison.cells import CellReader
from tfx_loop.monitoring.file_comparison.known_values import KnownValues
from tfx_loop.monitoring.file_comparison.plain_columns import plain_column
from tfx_loop.monitoring.file_comparison.plan import ComparisonPlan
from tfx_loop.monitoring.profile.bins import CategoryBins
from tfx_loop.monitoring.profile.columns import FeatureType, flat, is_list, numbers, strings
from tfx_loop.monitoring.profile.reference import FeatureProfile, FrozenProfile
from tfx_loop.monitoring.profile.row_keys import text_keys

_FAULTS = (INFINITE_VALUES, NEW_CATEGORY_FLOOD, OUT_OF_RANGE)
# As many values as a sentence quotes.
_SHOWN = 3
# Kinds of cells that are told apart; a flood of more is told by its first ones.
_MOST_KINDS = 1_000
# Share of the cells out of range that have one value, from where on that is a code.
_CODE_SHARE = 0.8
# What people write for "nobody knows" where only a number fits.
_MARKERS = frozenset(
    sign * number for number in (1, 9, 99, 999, 9_999, 99_999, 999_999) for sign in (1, -1)
)


def with_evidence(
    report: DriftResult,
    table: TableFile,
    plan: ComparisonPlan,
    profile: FrozenProfile,
    known: Mapping[str, KnownValues],
    redaction: Redaction,
) -> DriftResult:
    """Returns the report with the values and rows behind its faults.

    Args:
        report: On the whole file.
        table: The file; it is read again where there are such faults.
        plan: How its cells are read.
        profile: The reference's.
        known: The reference's values, by feature of many values.
        redaction: Which values may be told.
    """
    profiles = {found.name: found for found in profile.features}
    searches = {
        f.feature: _Search(f.fault, profiles[f.feature], known.get(f.feature))
        for f in report.features
        if f.fault in _FAULTS and f.feature in profiles and not f.slice
        # What was derived (a length, a word's bucket) stands in no cell that could be quoted.
        if not (profiles[f.feature].aspect or redaction.hides(profiles[f.feature].column))
    }
    if not searches:
        return report
    columns = list(dict.fromkeys(search.profile.column for search in searches.values()))
    reader, first = CellReader(plan.cells, plan.missing), 0
    for batch in table.batches(columns):
        cells = {
            name: reader.read(name, plain_column(column))
            for name, column in zip(columns, batch.columns, strict=True)
        }
        for search in searches.values():
            search.add(cells[search.profile.column], first)
        first += batch.num_rows
    features = [
        replace(f, note="; ".join(filter(None, [f.note, searches[f.feature].told(redaction)])))
        if f.feature in searches and not f.slice
        else f
        for f in report.features
    ]
    return replace(report, features=tuple(features))


@dataclass
class _Search:
    """The cells of one column that are what its fault says.

    Attributes:
        fault: The fault.
        profile: What the reference has.
        known: The reference's values, where they are more than bins.
        rows: Rows that were looked at.
        found: Those with such a cell.
        first: The first of them, counted from 1.
        kinds: Rows by cell.
        low: The smallest such number.
        high: The largest.
    """

    fault: str
    profile: FeatureProfile
    known: KnownValues | None = None
    rows: int = 0
    found: int = 0
    first: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    low: float = np.inf
    high: float = -np.inf

    def add(self, column: Any, before: int) -> None:
        """Looks at some cells, with so many rows before them."""
        self.rows += len(column)
        if is_list(column.type):
            return
        column = flat(column)
        bad = self._new(column) if self.fault == NEW_CATEGORY_FLOOD else self._beyond(column)
        places = np.flatnonzero(bad)
        if not len(places):
            return
        self.first = self.first or before + int(places[0]) + 1
        self.found += len(places)
        cells = pc.value_counts(strings(column.take(pa.array(places)).cast(pa.string())))
        for text, times in zip(cells.field(0).to_pylist(), cells.field(1).to_pylist(), strict=True):
            if len(self.kinds) < _MOST_KINDS or text in self.kinds:
                self.kinds[text] += times

    def _new(self, column: Any) -> Any:
        texts = strings(column.cast(pa.string()))
        if self.known is not None and not self.known.overflown:
            held = np.isin(text_keys(texts), self.known.keys)
        else:
            bins = self.profile.bins
            categories = bins.categories if isinstance(bins, CategoryBins) else ()
            known = pa.array([str(value) for value in categories], pa.string())
            held = pc.is_in(texts, value_set=known).to_numpy(zero_copy_only=False)
        return ~held & texts.is_valid().to_numpy(zero_copy_only=False)

    def _beyond(self, column: Any) -> Any:
        if self.profile.type is FeatureType.CATEGORICAL or not len(column):
            return np.zeros(len(column), dtype=bool)
        values = numbers(column, self.profile.type)
        if self.fault == INFINITE_VALUES:
            return np.isinf(values)
        low, high = self.profile.counts.minimum, self.profile.counts.maximum
        if low is None or high is None:
            return np.zeros(len(column), dtype=bool)
        beyond = np.isfinite(values) & ((values < low) | (values > high))
        if beyond.any():
            self.low = min(self.low, float(values[beyond].min()))
            self.high = max(self.high, float(values[beyond].max()))
        return beyond

    def told(self, redaction: Redaction) -> str:
        """Returns the evidence in words; empty where nothing was found."""
        if not self.found:
            return ""
        shown = redaction.examples(self.profile.column, self.kinds, _SHOWN)
        first = f"first in row {self.first:,}"
        if self.fault == INFINITE_VALUES:
            return first
        if self.fault == NEW_CATEGORY_FLOOD:
            told = [f"{text!r} in {self._share(self.kinds[text])}" for text in shown]
            more = len(self.kinds) - len(shown)
            return ", ".join([*told, *([f"{more:,} more"] if told and more else []), first])
        counts = self.profile.counts
        told = [
            f"{self._share(self.found)} from {self.low:g} to {self.high:g}, where the reference "
            f"has {counts.minimum:g} to {counts.maximum:g}, {first}"
        ]
        often = shown[0] if shown else ""
        # Each cell another value is no code, however often the first of them counts.
        if often and self.kinds[often] >= _CODE_SHARE * self.found and len(self.kinds) < self.found:
            told.append(_code(often, self._share(self.kinds[often])))
        return "; ".join(told)

    def _share(self, rows: int) -> str:
        return f"{rows:,} row{'s' if rows != 1 else ''} ({rows / max(self.rows, 1):.1%})"


def _code(text: str, share: str) -> str:
    """One number again and again; what is usual for a missing value is called one."""
    number = float(text)
    if number not in _MARKERS:
        return f"{number:g} in {share}"
    return (
        f"{number:g} in {share} is likely a marker of missing values: --missing-values {number:g}"
    )
