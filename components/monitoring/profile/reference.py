"""Frozen profile of a model's training rows, and its JSON."""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from tfx_loop.contracts.task import ModelTask
from tfx_loop.core.errors import DataError
from tfx_loop.core.json_codec import LEFT_OUT, default_left_out, none_as
from tfx_loop.core.json_file import JsonFile
from tfx_loop.monitoring.profile.bins import Bins, BinSettings
from tfx_loop.monitoring.profile.columns import FeatureType
from tfx_loop.monitoring.profile.counts import ColumnCounts
from tfx_loop.monitoring.profile.value_sample import ValueSample

# Why a column has no profile: none of its values is there, or it differs between any two tables.
NO_VALUES = "no_values"
BINARY = "binary"
TIME = "time"
KEY = "key"
SAMPLE_FILE = "training_sample.parquet"


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of a feature's finite numbers, in the feature's own unit."""

    mean: float
    std: float


@dataclass(frozen=True)
class FeatureProfile:
    """One feature at training time: its type, frozen bins and exact counts on them.

    Attributes:
        name: The column's name; with `#` and the aspect where a column has several.
        type: How it is counted: NUMERIC, INTEGER, CATEGORICAL or BOOLEAN.
        bins: Frozen bins.
        counts: Exact counts of the training rows on them.
        moments: Of the finite numbers; None for categories.
        aspect: What of the column is counted: "" for its values, else as in derived_columns.py.
        kind: What the column holds: `type`, or TEXT or MULTIVALENT.
        values: Some of the values, where text has more of them than bins.
    """

    JSON_KEYS: ClassVar = {
        "feature": "name",
        **{
            name: name for name in ("type", "kind", "aspect", "bins", "counts", "moments", "values")
        },
    }

    name: str
    type: FeatureType
    bins: Bins
    counts: ColumnCounts
    moments: Moments | None = None
    aspect: str = ""
    kind: FeatureType | None = None
    values: ValueSample | None = None

    def __post_init__(self) -> None:
        if len(self.bins) != len(self.counts.bins):
            raise DataError(
                f"Expected {len(self.bins)} counts for feature {self.name!r}, "
                f"received {len(self.counts.bins)}. Make the profile again."
            )
        if self.kind is None:
            object.__setattr__(self, "kind", self.type)

    @property
    def column(self) -> str:
        """Name of the column that the feature is read from."""
        return self.name.removesuffix(f"#{self.aspect}") if self.aspect else self.name


@dataclass(frozen=True)
class SkippedColumn:
    """A column that has no profile, and why: NO_VALUES, BINARY, TIME or KEY."""

    JSON_KEYS: ClassVar = {"feature": "name", "reason": "reason"}

    name: str
    reason: str


@dataclass(frozen=True)
class SampleInfo:
    """The training sample beside the profile.

    Attributes:
        rows: Rows in the sample.
        fraction: Share of all training rows that these are, in [0, 1].
        seed: Seed of the draw.
        redacted: Texts of redacted columns are hashes, and their numbers left out; None for rows
            as they were.
    """

    rows: int
    fraction: float
    seed: int
    redacted: bool | None = field(default=None, metadata=none_as(LEFT_OUT))


@dataclass(frozen=True, kw_only=True)
class PromisedLoss:
    """What a model lost on labelled rows held out of its training.

    Attributes:
        rows: How many rows.
        mean: Mean of the task's loss.
        standard_error: Of that mean.
        constant: Mean loss of the one answer that loses least on the training rows.
        cap: Loss that counts as 1 in `bounded`; 1 for probabilities.
        bounded: Mean of the errors in [0, 1] that the sequential test follows.
        by_bin: Sum of the losses in each bin of the score; empty where the task needs none.
        squares_by_bin: Sum of their squares.
    """

    rows: int
    mean: float
    standard_error: float
    constant: float
    cap: float
    bounded: float
    by_bin: tuple[float, ...] = field(default=(), metadata=default_left_out())
    squares_by_bin: tuple[float, ...] = field(default=(), metadata=default_left_out())


@dataclass(frozen=True, kw_only=True)
class FrozenProfile:
    """The training rows of one model, frozen for monitoring.

    Attributes:
        rows_total: Training rows.
        spans: Spans of the data that the rows came from, rising.
        label: Name of the label column; empty when there is none.
        positive_rate: Share of ones among the labels; None when they are not 0 and 1.
        sample: What the training sample beside this profile holds.
        settings: How features were binned.
        ignored: Columns that are no features: the label, the calendar, what the user named.
        skipped: Columns that could not be profiled.
        features: Profiles in order of name.
        score: The model's score on its training rows over 200 bins, when it was given.
        score_positives: Rows with label 1 in each bin of `score`, for the isotonic map that
            estimates quality without labels; of several classes rows whose answer is right. Empty
            where the scored rows had no such labels.
        importances: What the model loses when a column is shuffled, by column; permutation
            importance on held-out rows, in units of `importance_metric`.
        importance_metric: The task's loss where there are labels, else `score_change`.
        slices: Training rows by value for each column that windows are sliced by.
        redacted: Columns whose values no report shows; None for none.
        task: What the model answers; None where nobody named it and no labels were scored.
        promised: What it lost on held-out rows; None where none were scored with labels.
    """

    rows_total: int
    spans: tuple[int, ...] = ()
    label: str = ""
    positive_rate: float | None = None
    sample: SampleInfo
    settings: BinSettings = field(default_factory=BinSettings)
    ignored: tuple[str, ...] = ()
    skipped: tuple[SkippedColumn, ...] = ()
    features: tuple[FeatureProfile, ...]
    score: FeatureProfile | None = None
    score_positives: tuple[int, ...] = ()
    importances: Mapping[str, float] = field(default_factory=dict)
    importance_metric: str = ""
    slices: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    redacted: tuple[str, ...] | None = field(default=None, metadata=none_as(LEFT_OUT))
    task: ModelTask | None = field(default=None, metadata=none_as(LEFT_OUT))
    promised: PromisedLoss | None = field(default=None, metadata=none_as(LEFT_OUT))

    def __post_init__(self) -> None:
        # In order of name, so that equal profiles are written as equal files.
        slices = {name: dict(sorted(rows.items())) for name, rows in sorted(self.slices.items())}
        object.__setattr__(self, "importances", dict(sorted(self.importances.items())))
        object.__setattr__(self, "slices", slices)
        names = [profile.name for profile in self.features]
        if len(set(names)) != len(names):
            raise DataError(f"Expected each feature once, received {sorted(names)}. Rename one.")
        self._check_positives()
        for profile in self.features:
            # Conservation: each feature is counted over all rows.
            if profile.counts.rows != self.rows_total:
                raise DataError(
                    f"Expected {self.rows_total} rows counted for feature {profile.name!r}, "
                    f"received {profile.counts.rows}. Make the profile again."
                )

    def _check_positives(self) -> None:
        if not self.score_positives:
            return
        counts = self.score.counts.bins if self.score else ()
        if len(counts) != len(self.score_positives) or any(
            not 0 <= positive <= rows
            for positive, rows in zip(self.score_positives, counts, strict=False)
        ):
            raise DataError(
                "Expected at most as many positives as rows in each bin of the score, received "
                "others. Make the profile again."
            )

    @property
    def hidden_in_sample(self) -> frozenset[str]:
        """Columns of which the sample does not have the values."""
        return frozenset(self.redacted or ()) if self.sample.redacted else frozenset()

    @property
    def unwatched(self) -> frozenset[str]:
        """Columns that windows may have and that are not compared: ignored, times and keys."""
        moving = {
            skipped.name for skipped in self.skipped if skipped.reason not in (NO_VALUES, BINARY)
        }
        return frozenset({*self.ignored, *moving})

    def digest(self) -> str:
        """Returns `sha256:…` of the profile's content, which names this reference."""
        return self._digest

    @functools.cached_property
    def _digest(self) -> str:
        # Asked for at each step of a comparison, and 40 ms of a wide profile's JSON each time.
        text = json.dumps(REFERENCE_PROFILE.content(self), sort_keys=True)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


# For everybody's eyes: of redacted features and rare categories it says what a page may.
REFERENCE_PROFILE = JsonFile(
    name="reference_profile.json",
    kind=FrozenProfile,
    title="a reference profile",
    remedy="Run ReferenceProfiler of this release on the model's training data.",
    version=2,
    whole=True,
)
# What windows are counted on, where the other file does not say it all.
WHOLE_PROFILE = replace(REFERENCE_PROFILE, name="reference_profile.whole.json", private=True)
