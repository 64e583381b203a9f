"""Settings of ReferenceProfiler."""

from dataclasses import dataclass, field

from tfx_loop.contracts.task import ModelTask
from tfx_loop.core.errors import ConfigError
from tfx_loop.core.redaction import RedactionSettings
from tfx_loop.models.guard.settings import GuardSettings
from tfx_loop.monitoring.profile.bins import BinSettings
from tfx_loop.monitoring.profile.build import ProfileRequest
from tfx_loop.monitoring.profile.column_roles import ColumnRoles

# What the training sample holds.
ROWS, REDACTED, NONE = "rows", "redacted", "none"


@dataclass(frozen=True, kw_only=True)
class ReferenceProfilerSettings(BinSettings, RedactionSettings, GuardSettings):
    """What is profiled of the training rows, and by which slices and windows it is counted.

    Attributes:
        label_key: Label column, kept in the sample and not profiled as a feature.
        task: What the model answers, which monitors and decisions take from the profile: `binary`,
            `classes:3` or `classes:red,green` (in the order of the model's outputs),
            `labels:sports,politics` (several may hold), `regression`, `regression:absolute`,
            `regression:quantile=0.9`, `regression:poisson`, or a `ModelTask`. None takes what
            labels and answers show, and refuses whole numbers that may be classes or amounts.
        score_key: Column of the examples with the model's score, for prediction drift: a
            probability, any number, or one number a class, of which the largest counts. With
            `score_signature` the name of that signature's output, empty for the only one.
        score_signature: Signature of `model` that takes serialized tf.Examples and gives the
            score; empty runs no model.
        score_splits: Splits to score with the model; held out from training by default.
        ignore_features: Columns to keep in the sample and not to profile.
        roles: What columns are, where that does not show; the label may stand here as well.
        profile_features: Columns to profile though they read as dates, times or keys, which differ
            between any two windows and are left out.
        parse_fn: Import path of a function from the features, arrays by name, to those that are
            profiled, such as the size and brightness of an image; the label stays. Bytes that are
            no text are not profiled without it. Give DriftMonitor the same.
        splits: Splits that the model was trained on.
        sample_rows: Most rows of the sample, at most 20,000.
        seed: Seed of the sample.
        slice_features: Columns with few values by which windows are sliced.
        importance_rows: Rows of `score_splits` on which each column is shuffled to see what the
            model loses; 0 for none. Needs `score_signature`.
        count_windows: By what the training rows are counted apart, so that DriftMonitor can tell a
            season from a drift: `day` or `hour` of `event_time_ms`, empty for neither.
        training_sample: What the sample holds: `rows`; `redacted`, the same with hashes as texts
            of what `redact` names and without its numbers; `none`.
    """

    label_key: str = ""
    task: ModelTask | None = None
    score_key: str = ""
    score_signature: str = ""
    score_splits: tuple[str, ...] = ("eval",)
    ignore_features: tuple[str, ...] = ()
    roles: ColumnRoles = field(default_factory=ColumnRoles)
    profile_features: tuple[str, ...] = ()
    parse_fn: str = ""
    splits: tuple[str, ...] = ("train",)
    sample_rows: int = 20_000
    seed: int = 0
    slice_features: tuple[str, ...] = ()
    # All rows are scored again for each feature that is shuffled: time grows with features times
    # rows.
    importance_rows: int = 1_000
    count_windows: str = "day"
    training_sample: str = ROWS

    def __post_init__(self) -> None:
        BinSettings.__post_init__(self)
        RedactionSettings.__post_init__(self)
        if self.training_sample not in (ROWS, REDACTED, NONE):
            raise ConfigError(
                f"training_sample must be '{ROWS}', '{REDACTED}' or '{NONE}', got "
                f"{self.training_sample!r}."
            )
        if self.count_windows not in ("day", "hour", ""):
            raise ConfigError(
                f"count_windows must be 'day', 'hour' or '', got {self.count_windows!r}."
            )
        self.request()

    def request(self) -> ProfileRequest:
        """Returns what is profiled, and how."""
        return ProfileRequest(
            label=self.label_key,
            score=self.score_key,
            ignore_features=self.ignore_features,
            roles=self.roles,
            profile_features=self.profile_features,
            sample_rows=self.sample_rows,
            seed=self.seed,
            slices=self.slice_features,
            bins=self.part(BinSettings),
        )
