"""Counts of record batches on a reference's bins, all features at once and vectorised."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.profile.build import slice_values
from tfx_loop.monitoring.profile.columns import (
    FeatureType,
    flat,
    is_list,
    score_column_of,
)
from tfx_loop.monitoring.profile.counts import BinCounter
from tfx_loop.monitoring.profile.derived_columns import aspect_of, value_keys
from tfx_loop.monitoring.profile.feature_columns import (
    CountedFeature,
    beyond_bins,
    deviations_of,
    kept_values,
    nothing_counted,
    single_valued,
    with_repeated,
)
from tfx_loop.monitoring.profile.layout import PLAIN, Layout, RowGroup, answered, column_of, groups
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.profile.row_blocks import (
    RowBlocks,
    cells_of,
    count_blocks,
    group_blocks,
    merge_blocks,
)
from tfx_loop.monitoring.profile.row_contents import RowContents, content_keys, contents_of
from tfx_loop.monitoring.profile.row_keys import KeyArray, id_keys
from tfx_loop.monitoring.profile.row_sample import (
    ANSWERED,
    GROUP,
    KEY,
    TIME,
    RowSample,
    lowest,
    ordered,
)
from tfx_loop.monitoring.profile.value_sample import FreshValues, fresh_values
from tfx_loop.monitoring.profile.window_profile import (
    Cell,
    CellKey,
    FeatureCounts,
    WindowProfile,
    empty,
    merge,
)

# With at most 2**16 rows the sums of squared deviations are below 2**53, where doubles are exact.
MOST_ROWS = 1 << 16
# Columns by which rows are told apart.
# Eight, as each costs a pass of hashing over all rows; copies of a row agree in these as in all.
MOST_TELLING = 8


@dataclass(frozen=True)
class Profiler:
    """Counts record batches on the bins of one reference; made once for many batches.

    Attributes:
        reference: The frozen profile of the training rows.
        layout: Where a batch has what is counted.
    """

    reference: FrozenProfile
    layout: Layout = PLAIN
    _features: tuple[CountedFeature, ...] = field(init=False, repr=False)
    _telling: tuple[str, ...] = field(init=False, repr=False)
    _block_cells: Mapping[str, Any] = field(init=False, repr=False)
    _digest: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        prefix, score = self.layout.feature_prefix, self.reference.score
        found = [
            CountedFeature(p.name, prefix + p.column, p, BinCounter(p.type, p.bins))
            for p in self.reference.features
        ]
        if score and self.layout.score:
            counter = BinCounter(score.type, score.bins)
            found.append(CountedFeature(self.layout.score, self.layout.score, score, counter))
        object.__setattr__(self, "_features", tuple(found))
        # Rows are told apart by the columns with most bins: all of them would cost half the speed.
        plain = [p for p in self.reference.features if p.kind is not FeatureType.MULTIVALENT]
        widest = sorted(plain, key=lambda p: (-len(p.bins), p.name))
        columns = dict.fromkeys(prefix + p.column for p in widest)
        object.__setattr__(self, "_telling", tuple(columns)[:MOST_TELLING])
        object.__setattr__(self, "_digest", self.reference.digest())
        depends = self.layout.group or self.layout.in_order
        cells = {f.name: cells_of(f.profile) for f in found} if depends else {}
        object.__setattr__(self, "_block_cells", cells)

    def profile(self, batch: Any, sample_limit: int | None = None) -> WindowProfile:
        """Returns the counts of a record batch.

        Args:
            batch: Rows as the layout says; a feature that is not there is missing and `absent`.
            sample_limit: Key from which on a row needs not be in the sample (RowSample.limit of a
                profile that this one will be merged with).
        """
        result = empty(self._digest)
        for start in range(0, batch.num_rows, MOST_ROWS):
            part = self._profile(batch.slice(start, MOST_ROWS), sample_limit)
            result = merge(result, part)
        return result

    def profile_all(self, batches: Iterable[Any]) -> WindowProfile:
        """Returns the counts of all batches; memory holds one at a time."""
        result = empty(self._digest)
        for batch in batches:
            # The limit of what is kept so far: rows that would be dropped in the merge are never
            # copied.
            result = merge(result, self.profile(batch, result.sample.limit))
        return result

    def _profile(self, batch: Any, sample_limit: int | None) -> WindowProfile:
        batch = self._with_one_score(batch)
        mask = answered(batch, self.layout)
        kept = batch if mask is None else batch.filter(mask)
        cells: dict[CellKey, Cell] = {}
        groups_of_rows = times = RowBlocks()
        for group in groups(kept, self.layout):
            key = CellKey(group.model_version, group.window, "", group.sampling_rate)
            places: dict[str, Any] = {}
            cells[key] = self._cell(group.rows, places)
            groups_of_rows = merge_blocks(groups_of_rows, self._by_group(group.rows, places))
            times = merge_blocks(times, self._by_time(group.rows, places))
            for name, rows in self._slices(group):
                cells[replace(key, slice=name)] = self._cell(rows)
        return WindowProfile(
            reference=self._digest,
            cells=cells,
            failed_rows=batch.num_rows - kept.num_rows,
            unknown=self._unknown(kept),
            sample=self._sample(batch, mask, sample_limit),
            contents=self._contents(kept),
            groups=groups_of_rows,
            times=times,
        )

    def _with_one_score(self, batch: Any) -> Any:
        """Returns the rows with one score each, where the model answers with one a class."""
        name = self.layout.score
        if self.reference.score is None or name not in batch.schema.names:
            return batch
        place = batch.schema.get_field_index(name)
        column = score_column_of(batch.column(place))
        if column is batch.column(place) or column.type == batch.column(place).type:
            return batch
        columns = [column if i == place else c for i, c in enumerate(batch.columns)]
        return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)

    def _cell(self, rows: Any, places: dict[str, Any] | None = None) -> Cell:
        """Counts rows, and leaves the bin of each in `places`."""
        keys = self._keys(rows)
        counted = {f.name: self._count(f, rows, keys, places) for f in self._features}
        return Cell(rows.num_rows, counted)

    def _by_group(self, rows: Any, places: Mapping[str, Any]) -> RowBlocks:
        keys = self._group_keys(rows)
        if keys is None:
            return RowBlocks()
        return count_blocks(group_blocks(keys), places, self._block_cells)

    def _by_time(self, rows: Any, places: Mapping[str, Any]) -> RowBlocks:
        times = column_of(rows, self.layout.event_time)
        if times is None or not self.layout.in_order:
            return RowBlocks()
        there = times.is_valid().to_numpy(zero_copy_only=False)
        some = {name: placed[there] for name, placed in places.items()}
        whole = times.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        return count_blocks(whole[there], some, self._block_cells)

    def _group_keys(self, rows: Any) -> KeyArray | None:
        """A key a row that those of its group have, too; None where nobody named groups."""
        names = (self.layout.group, self.layout.feature_prefix + self.layout.group)
        columns = [column_of(rows, name) for name in names if self.layout.group]
        column = next((column for column in columns if column is not None), None)
        if column is None:
            return None
        column = flat(column)
        # The hash of the group's value: equal in every shard, without a table of groups.
        keys = value_keys(column)
        alone = self._keys(rows)
        missing = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
        if alone is not None and missing.any():
            # Rows of no group belong to nobody but themselves.
            keys = np.where(missing, alone, keys)
        return keys

    def _keys(self, rows: Any) -> KeyArray | None:
        names = tuple(name for name in self.layout.identity if name in rows.schema.names)
        # Without the first column of the identity, the request's id, the others do not tell rows
        # apart.
        return id_keys(rows, names) if self.layout.identity[:1] == names[:1] and names else None

    def _count(
        self,
        feature: CountedFeature,
        rows: Any,
        keys: KeyArray | None,
        places: dict[str, Any] | None = None,
    ) -> FeatureCounts:
        if places is not None and self._block_cells:
            # The place behind the last bin is `missing`, and what a column that is not there has in
            # every row.
            places[feature.name] = np.full(rows.num_rows, len(feature.profile.bins))
        column = column_of(rows, feature.column)
        if column is None:
            return nothing_counted(feature, rows.num_rows, absent=rows.num_rows)
        column, several = single_valued(column, feature.profile.aspect, feature.profile.kind)
        fresh = FreshValues()
        if feature.profile.values and not is_list(column.type):
            fresh = fresh_values(flat(column), feature.profile.values)
        try:
            column = aspect_of(column, feature.profile.aspect)
        except DataError:
            # Of another type than in training, text in place of numbers, say: values, but none that
            # fit.
            return nothing_counted(feature, rows.num_rows, unfit=rows.num_rows - column.null_count)
        placed = feature.counter.place(column)
        if places is not None and self._block_cells:
            places[feature.name] = placed.places
        counts = feature.counter.tally(placed)
        counts = replace(counts, unfit=counts.unfit + several) if several else counts
        first, second = deviations_of(feature.profile, placed, counts)
        registers, unseen = beyond_bins(feature, column, placed, counts, keys)
        return FeatureCounts(counts, first, second, registers, unseen, fresh)

    def _slices(self, group: RowGroup) -> Iterable[tuple[str, Any]]:
        for name, values in self.reference.slices.items():
            column = column_of(group.rows, self.layout.feature_prefix + name)
            if column is None:
                continue
            try:
                texts = slice_values(flat(column))
            except DataError:
                continue
            for value in values:
                rows = pc.fill_null(pc.equal(texts, value), False)
                if pc.any(rows).as_py():
                    yield f"{name}={value}", group.rows.filter(rows)

    def _unknown(self, rows: Any) -> Mapping[str, int]:
        prefix = self.layout.feature_prefix
        known = {feature.column for feature in self._features} | self.layout.envelope
        # What somebody left out on purpose is not unknown.
        known |= {prefix + name for name in self.reference.ignored}
        found = {
            name.removeprefix(prefix): len(column) - column.null_count
            for name, column in zip(rows.schema.names, rows.columns, strict=True)
            if name.startswith(prefix) and name not in known
        }
        return {name: count for name, count in found.items() if count}

    def _contents(self, rows: Any) -> RowContents:
        columns = [column_of(rows, name) for name in self._telling]
        return contents_of(content_keys(columns, rows.num_rows))

    def _sample(self, rows: Any, mask: Any, limit: int | None) -> RowSample:
        most = self.layout.sample_rows
        keys = self._keys(rows) if most else None
        if keys is None:
            return RowSample()
        found = with_repeated(keys, lowest(keys, most, limit), most)
        if not len(found):
            return RowSample(most)
        places = pa.array(found)
        times = column_of(rows, self.layout.event_time)
        table = {
            KEY: pa.array(keys[found]),
            TIME: pa.nulls(len(found)) if times is None else times.take(places),
            ANSWERED: pa.array(np.ones(len(found), bool)) if mask is None else mask.take(places),
        }
        table[TIME] = table[TIME].cast(pa.int64())
        if (groups_of_rows := self._group_keys(rows)) is not None:
            # Keys and not values: a sample must not say whose rows it has.
            table[GROUP] = pa.array(groups_of_rows[found])
        for feature in sorted(self._features, key=lambda feature: feature.name):
            profile = feature.profile
            lists = profile.kind is FeatureType.MULTIVALENT
            scored = feature.column == self.layout.score
            name = feature.name if lists or scored else profile.column
            if name not in table:
                aspect = profile.aspect if lists else ""
                table[name] = kept_values(column_of(rows, feature.column), profile, aspect, places)
        return RowSample(most, ordered(pa.table(table), most))


def profile_batch(batch: Any, reference: FrozenProfile, layout: Layout = PLAIN) -> WindowProfile:
    """Returns the counts of one record batch; for many batches make a Profiler."""
    return Profiler(reference, layout).profile(batch)
