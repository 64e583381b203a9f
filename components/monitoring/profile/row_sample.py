"""Rows of a window that are kept whole, for what counts do not tell: order, time, togetherness.

Those whose identity hashes lowest: the same rows however the window was sharded, and a uniform
sample, because a hash does not know what is in the row.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.monitoring.profile.columns import flat
from tfx_loop.monitoring.profile.derived_columns import aspect_of
from tfx_loop.monitoring.profile.reference import FeatureProfile

KEY, TIME, ANSWERED, GROUP = "_key", "_time", "_answered", "_group"


@dataclass(frozen=True)
class RowSample:
    """The rows of a window with the smallest keys.

    Attributes:
        most: Rows to keep.
        rows: pyarrow table in the order of the keys, or None for no rows: the key in `_key`, the
            event time in `_time` (null where there is none), in `_answered` whether the row has
            an answer, in `_group` the key of its group where groups are named, and the features'
            columns; numbers as float64, all else as text.
    """

    most: int = 0
    rows: Any = None

    @property
    def limit(self) -> int | None:
        """Key beyond which a further row would not be kept; None while there is room."""
        if self.rows is None or self.rows.num_rows < self.most:
            return None
        return int(self.rows.column(KEY)[-1].as_py())

    def answered(self) -> Any:
        """Returns the answered rows in the order of their event times; None where there is none."""
        if self.rows is None:
            return None
        kept = self.rows.filter(self.rows.column(ANSWERED))
        return kept.take(pc.sort_indices(kept, [(TIME, "ascending"), (KEY, "ascending")]))

    def times(self) -> npt.NDArray[np.int64]:
        """Returns the event times of the rows, answered or not, of shape (rows,)."""
        if self.rows is None:
            return np.zeros(0, dtype=np.int64)
        return np.asarray(self.rows.column(TIME).drop_null().to_numpy(), dtype=np.int64)


def sampled_column(rows: Any, profile: FeatureProfile) -> Any:
    """Returns a feature's values in sampled rows as a flat column; None where they are not there.

    Args:
        rows: A table of sampled rows, of a window or of training.
        profile: The feature.
    """
    if profile.name in rows.column_names:
        return flat(rows.column(profile.name))
    if profile.column in rows.column_names:
        return aspect_of(rows.column(profile.column), profile.aspect)
    return None


def lowest(keys: npt.NDArray[np.uint64], most: int, limit: int | None) -> npt.NDArray[np.intp]:
    """Returns the places of at most `most` smallest keys, those above `limit` left out."""
    # At the limit a row may repeat the id of one that is kept, and come before it by its content.
    places = np.arange(len(keys)) if limit is None else np.flatnonzero(keys <= np.uint64(limit))
    if len(places) > most:
        # Linear: which keys are smallest is needed, not their order.
        places = places[np.argpartition(keys[places], most - 1)[:most]]
    return places


def merge_samples(left: RowSample, right: RowSample) -> RowSample:
    """Keeps the smallest keys of both; a row that is in both is kept once."""
    most = max(left.most, right.most)
    tables = [sample.rows for sample in (left, right) if sample.rows is not None]
    if not tables or not most:
        return RowSample(most)
    if len(tables) == 1 and tables[0].num_rows <= most:
        return RowSample(most, tables[0])
    return RowSample(most, ordered(concatenated(tables), most))


def ordered(table: Any, most: int) -> Any:
    """Returns at most `most` rows of a table by key, each key once; columns by name."""
    table = table.select(sorted(table.column_names))
    keys = table.column(KEY).to_numpy()
    _, places = np.unique(keys, return_index=True)
    if len(places) < len(keys):
        places = _first_by_content(table, keys)
    return table.take(pa.array(places[:most]))


def _first_by_content(table: Any, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.intp]:
    """Of rows with one key the first by content, so that their order of arrival says nothing."""
    texts = np.array([repr(sorted(row.items())) for row in table.to_pylist()])
    order = np.lexsort((texts, keys))
    first = np.concatenate([[True], keys[order][1:] != keys[order][:-1]])
    return np.asarray(order[first])


def concatenated(tables: list[Any]) -> Any:
    """Returns tables as one, with all of their columns; absent ones are missing."""
    names = sorted({name for table in tables for name in table.column_names})
    kinds = {f.name: f.type for table in tables for f in table.schema}
    return pa.concat_tables(
        [
            pa.table(
                {
                    name: table.column(name)
                    if name in table.column_names
                    else pa.nulls(table.num_rows, kinds[name])
                    for name in names
                }
            )
            for table in tables
        ]
    )
