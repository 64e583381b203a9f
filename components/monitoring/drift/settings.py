"""Settings of the monitor: when a feature has drifted, and when it is broken."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tfx_loop.core import json_codec
from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.profile.column_roles import ColumnRoles

# The tests count on bins, and their distributions hold for large counts.
FEWEST_ROWS = 50


# Whoever raises it says that values may lack.
USUAL_MISSING_RISE = 0.2


@dataclass(frozen=True, kw_only=True)
class FaultSettings:
    """From where on an odd feature is a broken one.

    Every share must also be beyond what chance explains (faults.py).

    Attributes:
        missing_rise: Rise of the share of missing values since training, in [0, 1]; a quarter of
            it is enough where the share has become five times as large, unless it is above 0.2:
            then missing values up to it are no drift, either.
        new_category_rise: Rise of the share of values that training hardly had, in [0, 1].
        outside_share: Share of numbers a whole training range beyond that range, and beyond half
            and twice its ends where it has one sign.
        stuck_share: Share of the rows that repeat one value without a break, in [0, 1].
        duplicate_rise: Rise of the share of rows that repeat another row, in [0, 1].
        stuck_chance: A single value all window long is a fault when training makes it less
            likely than this.
    """

    # Shares that matter to a model, whatever the rows; chance is excluded apart from them
    # (faults.py, p < 1e-4), so that they need not grow with small windows.
    missing_rise: float = USUAL_MISSING_RISE
    new_category_rise: float = 0.15
    outside_share: float = 0.05
    stuck_share: float = 0.1
    duplicate_rise: float = 0.1
    # A hundred features judged each hour are 876,000 judgements a year: about one false alarm.
    stuck_chance: float = 1e-6

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value <= 1:
                raise ConfigError(f"{name} must be above 0 and at most 1, got {value}.")

    @property
    def missing_may_rise(self) -> bool:
        """Whether somebody allowed more missing values than is usual."""
        return self.missing_rise > USUAL_MISSING_RISE


@dataclass(frozen=True, kw_only=True)
class ArrivalSettings:
    """What is too quiet and too late.

    Attributes:
        silent_share: Share of the window without a row that is silence, in (0, 1].
        fewest_share: Share of the usual rows below which a source is silent, in [0, 1).
        late_share: Share of rows with an event time before the window that is late, in (0, 1].
    """

    # The least that is allowed: chance, and the longest gap of the window before, raise it
    # (arrivals.py).
    silent_share: float = 0.25
    fewest_share: float = 0.1
    late_share: float = 0.2

    def __post_init__(self) -> None:
        if not (0 < self.silent_share <= 1 and 0 <= self.fewest_share < 1):
            raise ConfigError(
                "silent_share must be above 0 and at most 1 and fewest_share from 0 to below 1, "
                f"got {self.silent_share} and {self.fewest_share}."
            )
        if not 0 < self.late_share <= 1:
            raise ConfigError(f"late_share must be above 0 and at most 1, got {self.late_share}.")


@dataclass(frozen=True, kw_only=True)
class ColumnThresholds:
    """What differs for one column from the settings of all; None for what does not.

    Attributes:
        psi_floor: PSI below which a difference does not matter.
        q: Rate of false alarms of this column.
        missing_rise: Rise of the share of missing values that is a fault, in [0, 1]; above 0.2 a
            smaller one is no drift, either.
    """

    psi_floor: float | None = None
    q: float | None = None
    missing_rise: float | None = None

    def __post_init__(self) -> None:
        if self.psi_floor is not None and not 0 <= self.psi_floor < 100:
            raise ConfigError(f"psi_floor must be 0 or more, got {self.psi_floor}. 0.02 is usual.")
        if self.q is not None and not 0 < self.q < 1:
            raise ConfigError(f"q must be between 0 and 1, got {self.q}. 0.025 is usual.")
        if self.missing_rise is not None and not 0 < self.missing_rise <= 1:
            raise ConfigError(
                f"missing_rise must be above 0 and at most 1, got {self.missing_rise}."
            )


_AS_ALL = ColumnThresholds()


@dataclass(frozen=True, kw_only=True)
class DriftSettings:
    """When a feature has drifted.

    Attributes:
        q: False discovery rate over the features of a window, in (0, 1).
        psi_floor: PSI, in nats, below which a difference does not matter: 0.02 is a shift by 0.14
            standard deviations. A feature is held back when its PSI is below it for sure: when the
            largest PSI that the rows allow (`psi_bound`, "at most") is.
        min_rows: Rows below which neither side is tested.
        windows_needed: k of k-of-n: windows that must exceed, this one among them.
        windows_looked_at: n of k-of-n.
        release: A feature that had drifted in the window before stays so down to this share of
            the floor, in (0, 1]; 1 for no hysteresis.
        season_floors: Least corrected PSI in this season of a feature, or of one in a slice, such
            as `x where site=south`: how far it lies off anyway. `season_floors.season_floors`
            makes it from last year's reports.
        ignore_features: Features that move legitimately, such as the month.
        roles: What columns are, where that does not show; those that are no features are left out.
        thresholds: By column, what differs from `q`, `psi_floor` and `fault_settings.missing_rise`.
        score_output: Log column to compare with the reference's score; empty for none.
        score_threshold: Score above which a row is answered with 1, in (0, 1); estimated accuracy,
            precision, recall and F1 are of these answers.
        fault_settings: When a feature is broken.
        arrival_settings: When the source of the rows is silent or late.
    """

    q: float = 0.025
    psi_floor: float = 0.02
    min_rows: int = 100
    windows_needed: int = 1
    windows_looked_at: int = 1
    # Hysteresis: an alarm that hangs on the floor would come and go with every window.
    release: float = 0.5
    season_floors: Mapping[str, float] = field(default_factory=dict)
    ignore_features: tuple[str, ...] = ()
    roles: ColumnRoles = field(default_factory=ColumnRoles)
    thresholds: Mapping[str, ColumnThresholds] = field(default_factory=dict)
    score_output: str = ""
    # Where TFMA and Keras cut a probability, unless they are told otherwise.
    score_threshold: float = 0.5
    fault_settings: FaultSettings = field(default_factory=FaultSettings)
    arrival_settings: ArrivalSettings = field(default_factory=ArrivalSettings)

    def __post_init__(self) -> None:
        if not 0 < self.q < 1:
            raise ConfigError(f"q must be between 0 and 1, got {self.q}. 0.025 is usual.")
        if not 0 <= self.psi_floor < 100:
            raise ConfigError(f"psi_floor must be 0 or more, got {self.psi_floor}. 0.02 is usual.")
        if self.min_rows < FEWEST_ROWS:
            raise ConfigError(
                f"min_rows must be at least {FEWEST_ROWS}, got {self.min_rows}: the tests count on "
                "bins."
            )
        if not 1 <= self.windows_needed <= self.windows_looked_at:
            raise ConfigError(
                "windows_needed must be from 1 to windows_looked_at, got "
                f"{self.windows_needed} of {self.windows_looked_at}."
            )
        if not 0 < self.score_threshold < 1:
            raise ConfigError(
                f"score_threshold must be between 0 and 1, got {self.score_threshold}."
            )
        if not 0 < self.release <= 1:
            raise ConfigError(f"release must be above 0 and at most 1, got {self.release}.")
        if not all(math.isfinite(value) for value in self.season_floors.values()):
            raise ConfigError(f"season_floors must be finite, got {dict(self.season_floors)}.")

    @property
    def left_out(self) -> frozenset[str]:
        """Columns that are not compared."""
        return frozenset({*self.ignore_features, *self.roles.untested})

    def thresholds_of(self, feature: str) -> ColumnThresholds:
        """Returns the thresholds of a feature, `column` or `column#aspect`, all of them set."""
        # A column may have a "#" in its own name, so the whole name is tried first.
        column = feature if feature in self.thresholds else feature.rpartition("#")[0]
        own = self.thresholds.get(column, _AS_ALL)
        return ColumnThresholds(
            psi_floor=self.psi_floor if own.psi_floor is None else own.psi_floor,
            q=self.q if own.q is None else own.q,
            missing_rise=own.missing_rise or self.fault_settings.missing_rise,
        )

    def faults_of(self, feature: str) -> FaultSettings:
        """Returns when a feature is broken."""
        own = self.thresholds_of(feature).missing_rise
        if own is None or own == self.fault_settings.missing_rise:
            return self.fault_settings
        return replace(self.fault_settings, missing_rise=own)

    def to_json(self) -> dict[str, Any]:
        """Returns the settings as a report keeps them."""
        content: dict[str, Any] = json_codec.to_json(self)
        # The names that reports have had from the start.
        content["faults"] = content.pop("fault_settings")
        content["arrivals"] = content.pop("arrival_settings")
        return content
