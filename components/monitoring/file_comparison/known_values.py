"""Values of columns with more categories than bins, and how many rows have one that is new.

Most rows of such a column fall into the bin of all others, in which a catalogue that was written
anew looks as it did before. So the reference's values are kept, as 64-bit keys, and each row of the
current file is looked up among them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tfx_loop.monitoring.drift.data_faults.faults import NEW_CATEGORY_FLOOD, Fault, surely_above
from tfx_loop.monitoring.drift.settings import FaultSettings
from tfx_loop.monitoring.profile.columns import FeatureType, flat, is_text_type, strings
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.profile.row_keys import KeyArray, text_keys

# 32 MB of keys and counts a column; one with more values is a key, or as good as one.
MOST_VALUES = 2_000_000
_EXAMPLES = 3


def many_valued(reference: FrozenProfile) -> tuple[str, ...]:
    """Returns the columns of text that have more values than bins."""
    return tuple(
        profile.column
        for profile in reference.features
        if profile.type is FeatureType.CATEGORICAL
        and not profile.aspect
        and profile.counts.bins[-1]
    )


def _no_keys() -> KeyArray:
    return np.zeros(0, dtype=np.uint64)


@dataclass
class KnownValues:
    """The distinct values of one column of the reference, and how often each is there.

    Attributes:
        keys: Their keys, rising.
        counts: Rows of each.
        overflown: There were more than MOST_VALUES; then nothing is known.
    """

    keys: KeyArray = field(default_factory=_no_keys)
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    overflown: bool = False

    @property
    def rows(self) -> int:
        """Rows with a value."""
        return int(self.counts.sum())

    @property
    def single(self) -> int:
        """Values that a single row has.

        Their share of the rows estimates that of unseen values among new rows (Good 1953, "The
        population frequencies of species").
        """
        return int(np.count_nonzero(self.counts == 1))

    def add(self, column: Any) -> None:
        """Takes the values of more rows."""
        if self.overflown:
            return
        _, fresh, rows = _distinct(column)
        self.keys, places = np.unique(np.concatenate([self.keys, fresh]), return_inverse=True)
        weights = np.concatenate([self.counts, rows])
        self.counts = np.bincount(places, weights, len(self.keys)).astype(np.int64)
        if len(self.keys) > MOST_VALUES:
            self.keys, self.counts, self.overflown = _no_keys(), self.counts[:0], True


@dataclass
class UnseenRows:
    """Rows of the current file whose value the reference does not have.

    Attributes:
        rows: Rows with a value.
        unseen: Those of them whose value is new.
        examples: Some of the new values.
    """

    rows: int = 0
    unseen: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, column: Any, known: KnownValues) -> None:
        """Looks the values of more rows up."""
        texts, keys, rows = _distinct(column)
        new = np.isin(keys, known.keys, assume_unique=True, invert=True)
        self.rows += int(rows.sum())
        self.unseen += int(rows[new].sum())
        if len(self.examples) < _EXAMPLES and new.any():
            shown = texts.filter(pa.array(new)).slice(0, 2 * _EXAMPLES).to_pylist()
            self.examples += [text for text in shown if text not in self.examples]
            del self.examples[_EXAMPLES:]

    def fault(self, known: KnownValues, settings: FaultSettings) -> Fault | None:
        """Returns the flood, where new values are far more than the reference lets one expect."""
        if known.overflown or not self.rows or not known.rows:
            return None
        rise = self.unseen / self.rows - known.single / known.rows
        if rise <= settings.new_category_rise:
            return None
        if not surely_above(self.unseen, self.rows, known.single, known.rows):
            return None
        shown = ", ".join(repr(text) for text in self.examples)
        share = self.unseen / self.rows
        note = f"{share:.0%} are values that the reference does not have, such as {shown}"
        return Fault(NEW_CATEGORY_FLOOD, note)


def collected(batches: Iterable[Any], into: Mapping[str, KnownValues]) -> Iterator[Any]:
    """Yields record batches, and takes the values of some columns on the way."""
    for batch in batches:
        for name, known in into.items():
            if (column := _text_of(batch, name)) is not None:
                known.add(column)
        yield batch


def looked_up(
    batches: Iterable[Any], known: Mapping[str, KnownValues], into: Mapping[str, UnseenRows]
) -> Iterator[Any]:
    """Yields record batches, and counts the rows with a new value on the way."""
    for batch in batches:
        for name, unseen in into.items():
            if (column := _text_of(batch, name)) is not None and not known[name].overflown:
                unseen.add(column, known[name])
        yield batch


def _text_of(batch: Any, name: str) -> Any:
    place = batch.schema.get_field_index(name)
    if place < 0 or not is_text_type(batch.schema.field(place).type):
        return None
    return batch.column(place)


def _distinct(column: Any) -> tuple[Any, KeyArray, npt.NDArray[np.int64]]:
    """Returns a column's distinct texts, their keys, and how many rows have each."""
    words = strings(flat(column)).drop_null().dictionary_encode()
    codes = words.indices.to_numpy(zero_copy_only=False)
    rows = np.bincount(codes, minlength=len(words.dictionary)).astype(np.int64)
    return words.dictionary, text_keys(words.dictionary), rows
