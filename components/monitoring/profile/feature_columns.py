"""One feature's column in a record batch: what of it is counted beside the bins, and kept."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.profile import distinct_values
from tfx_loop.monitoring.profile.bins import CategoryBins
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
from tfx_loop.monitoring.profile.reference import FeatureProfile
from tfx_loop.monitoring.profile.row_keys import KeyArray, text_keys
from tfx_loop.monitoring.profile.row_sample import (
    lowest,
)
from tfx_loop.monitoring.profile.window_profile import (
    FARTHEST,
    STEPS,
    UNSEEN_KEPT,
    FeatureCounts,
    smallest,
)

# Of an unseen value that is kept to be shown.
_LONGEST_TEXT = 64


@dataclass(frozen=True)
class CountedFeature:
    """A feature, the column that it is read from, and the counter of its bins."""

    name: str
    column: str
    profile: FeatureProfile
    counter: BinCounter


def single_valued(column: Any, aspect: str, kind: FeatureType | None = None) -> tuple[Any, int]:
    """Returns a column in which rows of several values are missing, and how many these are.

    Where one value a row is counted such a row is unfit, and says nothing of the others: however
    rows come in batches, the counts are the same. Texts come out of lists, as logs of tf.Examples
    have them: their length is that of the text, and not how many there are.
    """
    column = unchunked(column)
    if not is_list(column.type) or (aspect not in ("", TOKEN) and kind is not FeatureType.TEXT):
        return column, 0
    several = pc.fill_null(pc.greater(pc.list_value_length(column), 1), False)
    found = pc.sum(several).as_py() or 0
    if found:
        places = pa.array(np.arange(len(column)), mask=several.to_numpy(zero_copy_only=False))
        column = column.take(places)
    return flat(column) if kind is FeatureType.TEXT else column, found


def with_repeated(keys: KeyArray, places: npt.NDArray[np.intp], most: int) -> npt.NDArray[np.intp]:
    """Returns the places of the `most` smallest keys with all rows of each, whatever the batch."""
    # All rows of an id or none: which of them came first says nothing.
    once = len(np.unique(keys[places])) == len(places)
    # A row that was not taken may repeat an id of those that were.
    if once and (len(places) < most or np.sum(keys <= keys[places].max()) == len(places)):
        return places
    distinct = np.unique(keys)
    return np.flatnonzero(keys <= distinct[min(most, len(distinct)) - 1])


def nothing_counted(
    feature: CountedFeature, rows: int, unfit: int = 0, absent: int = 0
) -> FeatureCounts:
    """Returns the counts of rows of which none has a value that fits."""
    none = (0,) * len(feature.profile.bins)
    return FeatureCounts(ColumnCounts(none, rows, rows, unfit=unfit, absent=absent))


def deviations_of(
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


def beyond_bins(
    feature: CountedFeature,
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
    some = with_repeated(keys, lowest(keys, UNSEEN_KEPT, None), UNSEEN_KEPT)
    pairs = np.stack([keys[some], hashes[some]])
    return np.asarray(some[np.unique(pairs, axis=1, return_index=True)[1]])


def _text(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def kept_values(column: Any, profile: FeatureProfile, aspect: str, places: Any) -> Any:
    """Returns rows of a column as the sample has them; of a wrong type they are missing."""
    text = profile.type is FeatureType.CATEGORICAL or profile.kind is FeatureType.TEXT
    nothing = pa.nulls(len(places), pa.string() if text else pa.float64())
    if column is None:
        return nothing
    try:
        column = aspect_of(single_valued(column.take(places), aspect)[0], aspect)
        received = type_of(column)
    except DataError:
        return nothing
    if received is None or (received is FeatureType.CATEGORICAL) != text:
        return nothing
    if text:
        return strings(column)
    values: npt.NDArray[np.float64] = numbers(column, profile.type)
    return pa.array(values, mask=np.isnan(values))
