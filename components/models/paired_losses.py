"""Losses of two models on the same rows, compared row by row. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
# Fewer blocks tell no error of a mean: the quantile of Student's t grows without bound.
_LEAST_BLOCKS = 4
_CONFIDENCE = 0.95
_DAY_MS = 86_400_000
# Days are the units where there are enough of them; else equal runs of rows, as in RetrainDecider.
_LEAST_DAYS, _RUNS = 8, 32


class ComparisonWord(str, Enum):
    """What a paired interval says of a challenger."""

    BETTER = "better"
    NOT_WORSE = "not worse"
    CANNOT_TELL = "can't tell"
    WORSE = "worse"


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """A challenger beside a champion; losses are means per row.

    Attributes:
        word: What the interval says.
        rows: Rows that both answered.
        blocks: Independent blocks of them.
        champion_loss: What the champion loses.
        challenger_loss: What the challenger loses.
        low: Lower end of the 95 % interval of what the challenger saves; None with too few blocks.
        high: Upper end.
    """

    word: ComparisonWord
    rows: int
    blocks: int
    champion_loss: float
    challenger_loss: float
    low: float | None
    high: float | None

    @property
    def told(self) -> str:
        """The comparison in words, shares being those of the champion's loss."""
        base = self.champion_loss if self.champion_loss > 0 else 1.0
        saved = (self.champion_loss - self.challenger_loss) / base
        size = f"{abs(saved):.1%} {'less' if saved >= 0 else 'more'}"
        if self.low is None or self.high is None:
            between = f"too few blocks for an interval: {self.blocks}"
        else:
            ends = f"{self.low / base:+.1%} to {self.high / base:+.1%}"
            between = f"95 % interval of the saving {ends}, {self.blocks} blocks"
        return (
            f"{self.word.value}: loses {self.challenger_loss:.4f} where the champion loses "
            f"{self.champion_loss:.4f} on the same {self.rows:,} rows, {size} ({between})"
        )


@dataclass(frozen=True, kw_only=True)
class ModelComparison:
    """A comparison on rows held out of both models' training.

    Attributes:
        overall: On all of them.
        newest: On those of the newest span; None where rows have no span.
        slices: By slice, such as `origin=JFK`.
        margin: Share of the champion's loss that a challenger may surely lose more.
    """

    overall: PairedComparison
    newest: PairedComparison | None = None
    slices: Mapping[str, PairedComparison] = field(default_factory=dict)
    margin: float = 0.0

    @property
    def told(self) -> str:
        """All of it in one sentence; of slices those that are worse."""
        newest = f"; on the newest: {self.newest.told}" if self.newest else ""
        worse = [n for n, one in self.slices.items() if one.word is ComparisonWord.WORSE]
        slices = f"; worse on {', '.join(worse)}" if worse else ""
        return f"{self.overall.told}{newest}{slices}"


def time_blocks(times_ms: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Returns the independent unit of each row: its day, or a run of rows near in time.

    Args:
        times_ms: When rows happened, milliseconds UTC; NaN where nobody knows: then rows next to
            each other are a run.
    """
    places = np.arange(len(times_ms))
    if np.isfinite(times_ms).all():
        days = np.asarray(times_ms // _DAY_MS, dtype=np.int64)
        if len(np.unique(days)) >= _LEAST_DAYS:
            return days
        places = np.argsort(np.argsort(times_ms, kind="stable"), kind="stable")
    return np.asarray(places * min(_RUNS, len(places)) // max(1, len(places)))


def blocked_standard_error(values: Floats, block: npt.NDArray[np.int64]) -> float:
    """Standard error of the mean, blocks of rows being the independent units (cluster-robust)."""
    # Liang and Zeger 1986: residuals are summed within a block, so whatever its rows share counts
    # in full; G / (G - 1) for the mean that was estimated.
    residual = values - values.mean()
    sums = np.bincount(np.unique(block, return_inverse=True)[1].ravel(), weights=residual)
    count = len(sums)
    if count < 2:
        return 0.0
    return float(np.sqrt(count / (count - 1) * np.sum(sums**2)) / len(values))


def compare(
    champion: Floats, challenger: Floats, block: npt.NDArray[np.int64], margin: float
) -> PairedComparison:
    """Compares the losses of two models on the same rows.

    Args:
        champion: Loss of each row, float64 [rows].
        challenger: The same of the other model.
        block: The independent unit that each row belongs to, such as its day.
        margin: Share of the champion's loss by which a challenger may be worse.
    """
    from scipy import stats

    saved, count = champion - challenger, len(np.unique(block))
    low = high = None
    word = ComparisonWord.CANNOT_TELL
    if count >= _LEAST_BLOCKS:
        reach = stats.t.ppf(0.5 + _CONFIDENCE / 2, count - 1) * blocked_standard_error(saved, block)
        low, high = float(saved.mean() - reach), float(saved.mean() + reach)
        allowed = margin * float(champion.mean())
        if low > 0:
            word = ComparisonWord.BETTER
        elif high < -allowed:
            word = ComparisonWord.WORSE
        elif low >= -allowed:
            word = ComparisonWord.NOT_WORSE
    return PairedComparison(
        word=word,
        rows=len(champion),
        blocks=count,
        champion_loss=float(champion.mean()),
        challenger_loss=float(challenger.mean()),
        low=low,
        high=high,
    )
