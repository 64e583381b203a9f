"""Rows without repetitions: a row that was delivered twice counts once, whatever the shards.

A repetition may lie in any shard. So rows are first parted by the hash of their identity, which
brings repetitions together; within a part each identity is kept once.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.monitoring.profile.layout import Layout
from tfx_loop.monitoring.profile.row_keys import KeyArray, id_keys

# "partitio" as bytes: apart from the keys that the sample is drawn by, or each part would hold a
# biased share of the sample.
_SALT = 0x706172746974696F


def identity_of(rows: Any, layout: Layout) -> tuple[str, ...]:
    """Returns the identifying columns that are there; none where the first of them is not."""
    names = tuple(name for name in layout.identity if name in rows.schema.names)
    return names if names and names[0] == layout.identity[0] else ()


def parts(batch: Any, count: int, layout: Layout) -> Iterator[tuple[int, Any]]:
    """Yields a record batch's rows in at most `count` parts, equal identities in the same part."""
    names = identity_of(batch, layout)
    if not names or count == 1:
        yield 0, batch
        return
    places = _keys(batch, names) % np.uint64(count)
    order = np.argsort(places, kind="stable")
    starts = np.flatnonzero(np.diff(places[order].astype(np.int64), prepend=-1))
    for rows in np.split(order, starts[1:]):
        if len(rows):
            yield int(places[rows[0]]), pc.take(batch, pa.array(rows))


def distinct(batches: Sequence[Any], layout: Layout) -> list[Any]:
    """Returns record batches with each identity once among all of them.

    Of repeated rows that differ the earliest by event time is kept, then the first by content: the
    order of delivery says nothing.
    """
    known = [batch for batch in batches if identity_of(batch, layout)]
    others = [batch for batch in batches if not identity_of(batch, layout)]
    if not known:
        return others
    keys = np.concatenate([_keys(batch, identity_of(batch, layout)) for batch in known])
    _, places, counts = np.unique(keys, return_inverse=True, return_counts=True)
    repeated = counts[places] > 1
    kept = ~repeated
    starts = np.cumsum([0, *(batch.num_rows for batch in known)])
    first: dict[int, tuple[int, str, int]] = {}
    for number, batch in enumerate(known):
        some = np.flatnonzero(repeated[starts[number] : starts[number + 1]])
        for place, row in zip(some, batch.take(pa.array(some)).to_pylist(), strict=True):
            at = int(starts[number] + place)
            rank = (row.get(layout.event_time) or 0, repr(sorted(row.items())), at)
            first[int(keys[at])] = min(rank, first.get(int(keys[at]), rank))
    kept[[at for _, _, at in first.values()]] = True
    cut = [kept[starts[n] : starts[n + 1]] for n in range(len(known))]
    return others + [
        batch if rows.all() else batch.filter(pa.array(rows))
        for batch, rows in zip(known, cut, strict=True)
    ]


def _keys(rows: Any, names: tuple[str, ...]) -> KeyArray:
    return id_keys(rows, names, _SALT)
