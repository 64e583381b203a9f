"""Losses in a window of versions that served before, beside the champion's."""

from dataclasses import dataclass, field

from tfx_loop.contracts.measured_loss import MeasuredLoss, SavingState
from tfx_loop.core.json_codec import LEFT_OUT, none_as


@dataclass(frozen=True, kw_only=True)
class PoolVersion:
    """A version that served before and could serve again.

    Attributes:
        version: Its number.
        model_uri: Folder of its model.
        reference_profile_uri: Its reference profile, with what it promised and a sample of what it
            was trained on.
    """

    version: int
    model_uri: str
    reference_profile_uri: str


@dataclass(frozen=True, kw_only=True)
class VersionLoss:
    """What one version would have lost; losses are means per row.

    Attributes:
        version: Its number.
        mean: Its loss on the rows of the contest.
        saving: By how much less that is than the champion's.
        standard_error: Of the saving, over blocks of time.
        shortfall: By how much it lost more than the champion in the worst earlier window, 0 where
            it never did; None where that was not asked, as it does not save now or is the newest.
        promised: Its loss on rows held out of its training; None where its profile has no scores.
    """

    version: int
    mean: float
    saving: float
    standard_error: float
    shortfall: float | None = field(default=None, metadata=none_as(LEFT_OUT))
    promised: float | None = field(default=None, metadata=none_as(LEFT_OUT))

    @property
    def z(self) -> float:
        """The saving in standard errors; 0 where there is no variation to measure it by."""
        return self.saving / self.standard_error if self.standard_error > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class LeftOutVersion:
    """A version that could not be asked, and why."""

    version: int
    why: str


@dataclass(frozen=True, kw_only=True)
class VersionContest:
    """The versions of the pool beside the champion, all on the same rows.

    Attributes:
        rows: Labelled rows that all of them answered.
        champion_loss: What the champion loses on them, asked in the same way.
        asked_z: Standard errors that a saving must stand out by.
        versions: The versions that answered.
        left_out: Those that could not; the champion, where it is the one.
        winner: The version that is to serve again; None for none.
        avoidable_loss: What a retraining would have saved against the winner.
        saving: What is believed about the winner, carried to the next decision on it.
    """

    rows: int
    champion_loss: float
    asked_z: float
    versions: tuple[VersionLoss, ...] = ()
    left_out: tuple[LeftOutVersion, ...] = ()
    winner: int | None = field(default=None, metadata=none_as(LEFT_OUT))
    avoidable_loss: MeasuredLoss | None = field(default=None, metadata=none_as(LEFT_OUT))
    saving: SavingState | None = field(default=None, metadata=none_as(LEFT_OUT))

    @property
    def winning(self) -> VersionLoss | None:
        """The loss of the winner."""
        return next((each for each in self.versions if each.version == self.winner), None)
