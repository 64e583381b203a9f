"""Statistics of a window's sampled rows that counts on bins lack: runs, and the values themselves.

Read from the sampled rows in the order of their event times: shards and batches say nothing.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tfx_loop.monitoring.profile.bins import Bins
from tfx_loop.monitoring.profile.columns import FeatureType, numbers, strings
from tfx_loop.monitoring.profile.counts import count

FloatArray = npt.NDArray[np.float64]


def _no_values() -> FloatArray:
    return np.zeros(0)


@dataclass(frozen=True)
class SampleStatistics:
    """What the sampled rows of a window are like in one column.

    Attributes:
        rows: Sampled rows.
        present: Those of them that have a value.
        longest_run: Most of them on end with one and the same value.
        run_bin: Bin of that value; None where there is no run.
        values: Their finite numbers, of shape (numbers,); none for text.
    """

    rows: int = 0
    present: int = 0
    longest_run: int = 0
    run_bin: int | None = None
    values: FloatArray = field(default_factory=_no_values)


def sample_statistics(column: Any, kind: FeatureType, bins: Bins) -> SampleStatistics:
    """Returns the statistics of a flat column that fits the type, in the order of its rows."""
    if kind is FeatureType.CATEGORICAL:
        column = strings(column)
        encoded = column.dictionary_encode()
        values = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        missing, finite = values < 0, _no_values()
    else:
        values = numbers(column, kind)
        missing, finite = np.isnan(values), values[np.isfinite(values)]
    run, value = _longest_run(values, missing, column)
    place = None
    if run > 1:
        single = count(pa.array([value]), kind, bins)
        place = int(np.argmax(single.bins)) if single.present else None
    return SampleStatistics(len(values), int(np.count_nonzero(~missing)), run, place, finite)


def _longest_run(values: npt.NDArray[Any], missing: npt.NDArray[np.bool_], column: Any) -> Any:
    """Returns the length of the longest run of one value, and the value; (0, None) for none."""
    if missing.all():
        return 0, None
    starts = np.concatenate([[0], 1 + np.flatnonzero(values[1:] != values[:-1])])
    lengths = np.where(missing[starts], 0, np.diff(np.append(starts, len(values))))
    place = int(np.argmax(lengths))
    return int(lengths[place]), column[int(starts[place])].as_py()
