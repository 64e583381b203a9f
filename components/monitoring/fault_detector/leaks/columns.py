"""Single columns of both splits: numbers or codes, and bins learnt on training rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfx_loop.monitoring.fault_detector.rows import AnyArray, SplitRows
from tfx_loop.monitoring.reference_models.row_losses import FloatArray
from tfx_loop.monitoring.reference_models.wide_features import shrunk

IntArray = npt.NDArray[np.int64]
# Up to so many distinct numbers each has a bin of its own.
_DISTINCT = 40
# Else bins of equal counts: fine enough for a curve, and some dozens of rows each on small tables.
_BINS = 24


@dataclass(frozen=True)
class Column:
    """A feature, or one place of a feature of several numbers a row.

    Attributes:
        name: Such as `age` or `image[3]`.
        training: Of the training rows: numbers with NaN where missing, or codes of categories.
        held_out: The same of the held-out rows; a category that training lacks is NaN.
        categories: Whether these are codes.
    """

    name: str
    training: FloatArray
    held_out: FloatArray
    categories: bool

    def bins(self) -> tuple[IntArray, IntArray, int]:
        """Returns the bin of each row on both sides, and how many bins there are."""
        if self.categories:
            # The bin behind the last is for categories that training lacks.
            count = int(self.training.max(initial=-1)) + 1
            return (
                self.training.astype(np.int64),
                np.where(np.isnan(self.held_out), count, self.held_out).astype(np.int64),
                count + 1,
            )
        known = self.training[np.isfinite(self.training)]
        distinct = np.unique(known)
        if len(distinct) <= _DISTINCT:
            # Halfway between neighbours, so that rounding on the other side changes no bin.
            edges = (distinct[:-1] + distinct[1:]) / 2
        else:
            edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1]))
        # Missing values are a bin of their own: that a value is missing may tell the label.
        missing = len(edges) + 1
        training, held_out = (
            np.where(np.isfinite(side), np.searchsorted(edges, side), missing).astype(np.int64)
            for side in (self.training, self.held_out)
        )
        return training, held_out, missing + 1


def columns_of(training: SplitRows, held_out: SplitRows) -> Iterator[Column]:
    """Yields every column that both sides have, by name."""
    for name in sorted({*training.features} & {*held_out.features}):
        sides = [_flat(side, name) for side in (training.features, held_out.features)]
        places = min(sides[0].shape[1], sides[1].shape[1])
        for place in range(places):
            title = name if sides[0].shape[1] == 1 else f"{name}[{place}]"
            yield _column(title, *(side[:, place] for side in sides))


def _flat(features: Mapping[str, AnyArray], name: str) -> AnyArray:
    return shrunk(np.asarray(features[name]))


def _column(name: str, training: AnyArray, held_out: AnyArray) -> Column:
    if training.dtype.kind in "fiub" and held_out.dtype.kind in "fiub":
        return Column(name, training.astype(np.float64), held_out.astype(np.float64), False)
    texts = [np.array([str(value) for value in side]) for side in (training, held_out)]
    kept, codes = np.unique(texts[0], return_inverse=True)
    places = np.searchsorted(kept, texts[1])
    # searchsorted gives the length for what is beyond the last one.
    known = kept[np.minimum(places, len(kept) - 1)] == texts[1]
    return Column(name, codes.reshape(-1).astype(np.float64), np.where(known, places, np.nan), True)
