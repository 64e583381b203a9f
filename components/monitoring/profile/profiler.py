"""Counts of record batches on a reference's bins, all features at once and vectorised."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.profile import distinct_values
from tfx_loop.monitoring.profile.bins import CategoryBins
from tfx_loop.monitoring.profile.build import slice_values
from tfx_loop.monitoring.profile.columns import (
    FeatureType,
    flat,
    is_list,
    numbers,
    strings,
    type_of,
)
from tfx_loop.monitoring.profile.counts import BinCounter, BinPlacement, ColumnCounts
from tfx_loop.monitoring.profile.derived_columns import TOKEN, aspect_of, unchunked, value_keys
from tfx_loop.monitoring.profile.layout import PLAIN, Layout, RowGroup, answered, column_of, groups
from tfx_loop.monitoring.profile.reference import FeatureProfile, FrozenProfile
from tfx_loop.monitoring.profile.row_contents import RowContents, content_keys, contents_of
from tfx_loop.monitoring.profile.row_keys import KeyArray, id_keys, text_keys
from tfx_loop.monitoring.profile.row_sample import ANSWERED, KEY, TIME, RowSample, lowest, ordered
from tfx_loop.monitoring.profile.window_profile import (
    FARTHEST,
    STEPS,
    UNSEEN_KEPT,
    Cell,
    CellKey,
    FeatureCounts,
    WindowProfile,
    empty,
    merge,
    smallest,
)

# With at most 2**16 rows the sums of squared deviations are below 2**53, where doubles are exact.
MOST_ROWS = 1 << 16
# Columns by which rows are told apart.
MOST_TELLING = 8
# Of an unseen value that is kept to be shown.
_LONGEST_TEXT = 64


@dataclass(frozen=True)
class _Feature:
    """A feature and the counter of its bins."""

    name: str
    column: str
    profile: FeatureProfile
    counter: BinCounter


@dataclass(frozen=True)
class Profiler:
    """Counts record batches on the bins of one reference; made once for many batches.

    Attributes:
        reference: The frozen profile of the training rows.
        layout: Where a batch has what is counted.
    """

    reference: FrozenProfile
    layout: Layout = PLAIN
    _features: tuple[_Feature, ...] = field(init=False, repr=False)
    _telling: tuple[str, ...] = field(init=False, repr=False)
    _digest: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        prefix, score = self.layout.feature_prefix, self.reference.score
        found = [
            _Feature(p.name, prefix + p.column, p, BinCounter(p.type, p.bins))
            for p in self.reference.features
        ]
        if score and self.layout.score:
            counter = BinCounter(score.type, score.bins)
            found.append(_Feature(self.layout.score, self.layout.score, score, counter))
        object.__setattr__(self, "_features", tuple(found))
        # Rows are told apart by the columns with most bins: all of them would cost half the speed.
        plain = [p for p in self.reference.features if p.kind is not FeatureType.MULTIVALENT]
        widest = sorted(plain, key=lambda p: (-len(p.bins), p.name))
        columns = dict.fromkeys(prefix + p.column for p in widest)
        object.__setattr__(self, "_telling", tuple(columns)[:MOST_TELLING])
        object.__setattr__(self, "_digest", self.reference.digest())

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
            result = merge(result, self.profile(batch, result.sample.limit))
        return result

    def _profile(self, batch: Any, sample_limit: int | None) -> WindowProfile:
        mask = answered(batch, self.layout)
        kept = batch if mask is None else batch.filter(mask)
        cells: dict[CellKey, Cell] = {}
        for group in groups(kept, self.layout):
            key = CellKey(group.model_version, group.window, "", group.sampling_rate)
            cells[key] = self._cell(group.rows)
            for name, rows in self._slices(group):
                cells[replace(key, slice=name)] = self._cell(rows)
        return WindowProfile(
            reference=self._digest,
            cells=cells,
            failed_rows=batch.num_rows - kept.num_rows,
            unknown=self._unknown(kept),
            sample=self._sample(batch, mask, sample_limit),
            contents=self._contents(kept),
        )

    def _cell(self, rows: Any) -> Cell:
        keys = self._keys(rows)
        counted = {f.name: self._count(f, rows, keys) for f in self._features}
        return Cell(rows.num_rows, counted)

    def _keys(self, rows: Any) -> KeyArray | None:
        names = tuple(name for name in self.layout.identity if name in rows.schema.names)
        return id_keys(rows, names) if self.layout.identity[:1] == names[:1] and names else None

    def _count(self, feature: _Feature, rows: Any, keys: KeyArray | None) -> FeatureCounts:
        column = column_of(rows, feature.column)
        if column is None:
            return _nothing(feature, rows.num_rows, absent=rows.num_rows)
        column, several = _single(column, feature.profile.aspect)
        try:
            column = aspect_of(column, feature.profile.aspect)
        except DataError:
            return _nothing(feature, rows.num_rows, unfit=rows.num_rows - column.null_count)
        placed = feature.counter.place(column)
        counts = feature.counter.tally(placed)
        counts = replace(counts, unfit=counts.unfit + several) if several else counts
        first, second = _deviations(feature.profile, placed, counts)
        registers, unseen = _beyond(feature, column, placed, counts, keys)
        return FeatureCounts(counts, first, second, registers, unseen)

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
        found = _with_repeated(keys, lowest(keys, most, limit), most)
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
        for feature in sorted(self._features, key=lambda feature: feature.name):
            profile = feature.profile
            lists = profile.kind is FeatureType.MULTIVALENT
            scored = feature.column == self.layout.score
            name = feature.name if lists or scored else profile.column
            if name not in table:
                aspect = profile.aspect if lists else ""
                table[name] = _kept(column_of(rows, feature.column), profile, aspect, places)
        return RowSample(most, ordered(pa.table(table), most))


def profile_batch(batch: Any, reference: FrozenProfile, layout: Layout = PLAIN) -> WindowProfile:
    """Returns the counts of one record batch; for many batches make a Profiler."""
    return Profiler(reference, layout).profile(batch)


def _single(column: Any, aspect: str) -> tuple[Any, int]:
    """Returns a column in which rows of several values are missing, and how many these are.

    Where one value a row is counted such a row is unfit, and says nothing of the others: however
    rows come in batches, the counts are the same.
    """
    column = unchunked(column)
    if aspect not in ("", TOKEN) or not is_list(column.type):
        return column, 0
    several = pc.fill_null(pc.greater(pc.list_value_length(column), 1), False)
    found = pc.sum(several).as_py() or 0
    if not found:
        return column, 0
    places = pa.array(np.arange(len(column)), mask=several.to_numpy(zero_copy_only=False))
    return column.take(places), found


def _with_repeated(keys: KeyArray, places: npt.NDArray[np.intp], most: int) -> npt.NDArray[np.intp]:
    """Returns the places of the `most` smallest keys with all rows of each, whatever the batch."""
    once = len(np.unique(keys[places])) == len(places)
    # A row that was not taken may repeat an id of those that were.
    if once and (len(places) < most or np.sum(keys <= keys[places].max()) == len(places)):
        return places
    distinct = np.unique(keys)
    return np.flatnonzero(keys <= distinct[min(most, len(distinct)) - 1])


def _nothing(feature: _Feature, rows: int, unfit: int = 0, absent: int = 0) -> FeatureCounts:
    none = (0,) * len(feature.profile.bins)
    return FeatureCounts(ColumnCounts(none, rows, rows, unfit=unfit, absent=absent))


def _deviations(
    profile: FeatureProfile, placed: BinPlacement, counts: ColumnCounts
) -> tuple[int, int]:
    """Returns the sums of deviations from the reference's mean and of their squares, exactly."""
    values = placed.present
    if profile.moments is None or values is None or not len(values):
        return 0, 0
    if counts.infinite:
        values = values[np.isfinite(values)]
    # Whole steps, clipped: sums of integers are the same in any order, those of floats are not.
    unit = values.dtype.type((profile.moments.std or 1.0) / STEPS)
    with np.errstate(over="ignore"):
        steps = (values - values.dtype.type(profile.moments.mean)) / unit
    np.clip(steps, -FARTHEST * STEPS, FARTHEST * STEPS, out=steps)
    whole = np.rint(steps).astype(np.float64)
    first = int(whole.sum())
    # Not np.dot: its threads cost more than they gain.
    return first, int(np.square(whole, out=whole).sum())


def _beyond(
    feature: _Feature,
    column: Any,
    placed: BinPlacement,
    counts: ColumnCounts,
    keys: KeyArray | None,
) -> tuple[bytes, tuple[tuple[int, str], ...]]:
    """Returns the registers and kept values of what has no bin of its own."""
    bins = feature.profile.bins
    if not isinstance(bins, CategoryBins):
        if feature.profile.type is FeatureType.NUMERIC or not counts.present:
            return b"", ()
        return distinct_values.registers_of(value_keys(pa.array(placed.present))).tobytes(), ()
    if not counts.bins[-1] or feature.profile.kind is FeatureType.TEXT:
        return b"", ()
    rows = np.flatnonzero(placed.places == len(bins) - 1)
    values = column.take(pa.array(rows))
    if feature.counter.is_text:
        values = strings(values)
        hashes = text_keys(values)
    else:
        values = pa.array(numbers(values, feature.profile.type))
        hashes = value_keys(values)
    drawn = hashes if keys is None else keys[rows]
    some = _first_distinct(drawn) if keys is None else _distinct_pairs(drawn, hashes)
    texts = values.take(pa.array(some)).to_pylist()
    pairs = [(int(key), _text(text)) for key, text in zip(drawn[some], texts, strict=True)]
    return distinct_values.registers_of(hashes).tobytes(), smallest(pairs)


def _first_distinct(keys: KeyArray) -> npt.NDArray[np.intp]:
    """Returns the places of the smallest keys, each key once (equal keys mean equal values)."""
    # A few times as many as are kept are distinct nearly always; else all keys are sorted.
    some = lowest(keys, 8 * UNSEEN_KEPT, None)
    if len(np.unique(keys[some])) < min(UNSEEN_KEPT, len(keys)):
        some = np.unique(keys, return_index=True)[1]
    return some


def _distinct_pairs(keys: KeyArray, hashes: KeyArray) -> npt.NDArray[np.intp]:
    """Returns the places of the smallest keys, each once with each value that comes with it."""
    some = _with_repeated(keys, lowest(keys, UNSEEN_KEPT, None), UNSEEN_KEPT)
    pairs = np.stack([keys[some], hashes[some]])
    return np.asarray(some[np.unique(pairs, axis=1, return_index=True)[1]])


def _text(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _kept(column: Any, profile: FeatureProfile, aspect: str, places: Any) -> Any:
    """Returns rows of a column as the sample has them; of a wrong type they are missing."""
    text = profile.type is FeatureType.CATEGORICAL or profile.kind is FeatureType.TEXT
    nothing = pa.nulls(len(places), pa.string() if text else pa.float64())
    if column is None:
        return nothing
    try:
        column = aspect_of(_single(column.take(places), aspect)[0], aspect)
        received = type_of(column)
    except DataError:
        return nothing
    if received is None or (received is FeatureType.CATEGORICAL) != text:
        return nothing
    if text:
        return strings(column)
    values: npt.NDArray[np.float64] = numbers(column, profile.type)
    return pa.array(values, mask=np.isnan(values))
