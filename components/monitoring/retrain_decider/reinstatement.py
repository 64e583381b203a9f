"""The rule by which a version that served before is to serve again.

Pure. Concepts come back, and a push can make things worse: a version that is still there costs no
training. All versions in question answer the same rows, so they are compared row by row.

A version other than the newest must also not have done much worse than the champion before: what
fits one window of a kind that rarely comes would be taken back in the next. The newest other needs
no such proof, as it is what the champion replaced or was replaced by.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from tfx_loop.contracts.version_contest import VersionContest, VersionLoss
from tfx_loop.core.errors import ConfigError
from tfx_loop.models.time_blocks import Floats, blocked_standard_error
from tfx_loop.monitoring.retrain_decider.thinning import LabelledSample


@dataclass(frozen=True, kw_only=True)
class ReinstatementSettings:
    """When an earlier version is to serve again.

    Attributes:
        pool_versions: Versions that are asked at most: the first and the newest others.
        false_share: Chance that some version passes by chance alone where none is better.
        least_saving: Share of the champion's loss that it must save in the newest window.
        most_shortfall: Times its saving now that it may have lost more than the champion in an
            earlier window.
    """

    # Chosen on 60 generated streams and confirmed on 40 others (tests/benchmarks/decide).
    pool_versions: int = 5
    false_share: float = 0.05
    least_saving: float = 0.02
    most_shortfall: float = 2.0

    def __post_init__(self) -> None:
        if self.pool_versions < 0:
            raise ConfigError(
                f"pool_versions must not be below 0, got {self.pool_versions}. 0 asks no version."
            )
        if not 0 < self.false_share < 1:
            raise ConfigError(f"false_share must be in (0, 1), got {self.false_share}.")
        for name in ("least_saving", "most_shortfall"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}.")


@dataclass(frozen=True, kw_only=True)
class HeldContest:
    """What came of a contest.

    Attributes:
        contest: The losses, for the record.
        sample: What the winner was trained on; None without one.
    """

    contest: VersionContest
    sample: LabelledSample | None = None


def version_pool(served: Collection[int], champion: int, size: int) -> tuple[int, ...]:
    """Returns the versions to ask: the first that served and the newest, without the champion."""
    others = sorted(set(served) - {champion})
    if len(others) <= size:
        return tuple(others)
    # One place of `size` is the first version's: what it learnt is furthest from the champion's.
    newest = others[len(others) - max(size - 1, min(size, 1)) :]
    return tuple([*others[:1], *newest] if size > 1 else newest)


def hold_contest(
    champion: Floats,
    others: Mapping[int, Floats],
    shortfall: Callable[[int], float],
    block: npt.NDArray[np.int64],
    settings: ReinstatementSettings,
) -> VersionContest:
    """Compares versions with the champion row by row; the one that clearly saves most wins.

    Args:
        champion: Loss of each row of the newest labelled window, float64 [rows].
        others: The same of the versions of the pool.
        shortfall: Says by how much a version lost more than the champion in the worst earlier
            window that neither was trained on, 0 for one that never did. Asked only of versions
            that save now and are not the newest.
        block: Block of time of each row.
        settings: What is asked of them.
    """
    # Bonferroni: the chance that any of them passes by luck stays at `false_share`.
    asked = NormalDist().inv_cdf(1.0 - settings.false_share / max(1, len(others)))
    # The newest other than the champion is what it replaced or was replaced by, and is asked for no
    # history (module docstring).
    loss, newest = float(champion.mean()), max(others, default=0)
    versions, passed = [], []
    for version, losses in sorted(others.items()):
        saved = champion - losses
        saving, error = float(saved.mean()), blocked_standard_error(saved, block)
        # Sure, and large enough to be worth a push, which costs a restart and a window of doubt.
        certain = error > 0 and saving > asked * error and saving >= settings.least_saving * loss
        # Asking a version about older windows takes seconds, so only where the answer counts.
        short = shortfall(version) if certain and version != newest else None
        told = VersionLoss(
            version=version,
            mean=float(losses.mean()),
            saving=saving,
            standard_error=error,
            shortfall=short,
        )
        versions.append(told)
        if certain and (short is None or short <= settings.most_shortfall * saving):
            passed.append(told)
    best = max(passed, key=lambda each: each.saving, default=None)
    return VersionContest(
        rows=len(champion),
        champion_loss=loss,
        asked_z=asked,
        versions=tuple(versions),
        winner=best.version if best else None,
    )
