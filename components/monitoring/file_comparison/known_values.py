"""Values of columns with more categories than bins, and how many rows have one that is new.

Most rows of such a column fall into the bin of all others, in which a catalogue that was written
anew looks as it did before. So the reference's values are kept, as 64-bit keys, and each row of the
current file is looked up among them.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tfx_loop.monitoring.drift.data_faults.faults import NEW_CATEGORY_FLOOD, Fault
from tfx_loop.monitoring.drift.data_faults.observed_feature import surely_above
from tfx_loop.monitoring.drift.settings import FaultSettings
from tfx_loop.monitoring.profile.columns import FeatureType, flat, is_list, is_text_type, strings
from tfx_loop.monitoring.profile.derived_columns import VALUE, aspect_of
from tfx_loop.monitoring.profile.reference import FeatureProfile, FrozenProfile
from tfx_loop.monitoring.profile.row_keys import KeyArray, text_keys

# 32 MB of keys and counts a column; one with more values is a key, or as good as one.
MOST_VALUES = 2_000_000
# As many values as a sentence quotes.
_EXAMPLES = 3


def many_valued(reference: FrozenProfile) -> dict[str, FeatureProfile]:
    """Returns the features of text, or of lists of text, that have more values than bins."""
    return {
        profile.name: profile
        for profile in reference.features
        if profile.type is FeatureType.CATEGORICAL
        and profile.aspect in ("", VALUE)
        and profile.counts.bins[-1]
    }


def _no_keys() -> KeyArray:
    return np.zeros(0, dtype=np.uint64)


@dataclass
class KnownValues:
    """The distinct values of one feature of the reference, and how often each is there.

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

    def single(self, design_effect: float = 1.0) -> int:
        """Returns the rows of values that a single row has, or the rows of a single group.

        Their share of the rows estimates that of unseen values among new rows (Good 1953, "The
        population frequencies of species").
        """
        # Rows of one group (a customer's orders) share a value as one row does.
        return int(self.counts[self.counts <= max(design_effect, 1.0)].sum())

    def add(self, column: Any) -> None:
        """Takes the values of more rows."""
        if self.overflown:
            return
        _, fresh, rows = _distinct(column)
        # Keys and not texts: 8 bytes a value, and two of two million meet with a chance of 1e-7.
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

    def fault(
        self,
        known: KnownValues,
        settings: FaultSettings,
        effects: tuple[float, float] = (1.0, 1.0),
    ) -> Fault | None:
        """Returns the flood, where new values are far more than the reference lets one expect.

        Args:
            known: The values of the reference.
            settings: How many are a flood.
            effects: Rows that an independent row stands for, on either side.
        """
        if known.overflown or not self.rows or not known.rows:
            return None
        before, now = effects
        single = known.single(before)
        rise = self.unseen / self.rows - single / known.rows
        if rise <= settings.new_category_rise:
            return None
        # As many independent rows, on either side, as these are worth.
        counts = (self.unseen / now, self.rows / now, single / before, known.rows / before)
        if not surely_above(*(round(count) for count in counts)):
            return None
        shown = ", ".join(repr(text) for text in self.examples)
        share = self.unseen / self.rows
        note = f"{share:.0%} are values that the reference does not have, such as {shown}"
        return Fault(NEW_CATEGORY_FLOOD, note)


def texts_of(batch: Any, profile: FeatureProfile) -> Any:
    """Returns a feature of a record batch, one text a row; None where there is no text."""
    place = batch.schema.get_field_index(profile.column)
    if place < 0:
        return None
    column = batch.column(place)
    held = column.type.value_type if is_list(column.type) else column.type
    return aspect_of(column, profile.aspect) if is_text_type(held) else None


def _distinct(column: Any) -> tuple[Any, KeyArray, npt.NDArray[np.int64]]:
    """Returns a column's distinct texts, their keys, and how many rows have each."""
    words = strings(flat(column)).drop_null().dictionary_encode()
    codes = words.indices.to_numpy(zero_copy_only=False)
    rows = np.bincount(codes, minlength=len(words.dictionary)).astype(np.int64)
    return words.dictionary, text_keys(words.dictionary), rows
