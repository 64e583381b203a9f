"""Losses of two models on the same rows, compared row by row. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt

from tfx_loop.models.time_blocks import Floats, half_width


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
        # A champion without any loss leaves no share to speak of; the plain difference is told
        # then.
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
    saved, count = champion - challenger, len(np.unique(block))
    low = high = None
    word = ComparisonWord.CANNOT_TELL
    reach = half_width(saved, block)
    if reach is not None:
        low, high = float(saved.mean() - reach), float(saved.mean() + reach)
        allowed = margin * float(champion.mean())
        # From the strictest claim on: a challenger that is surely better is not merely "not worse".
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
