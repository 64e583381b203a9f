"""Settings of ReferenceProfiler."""

from dataclasses import dataclass

from tfx_loop.core.errors import ConfigError
from tfx_loop.models.guard.settings import GuardSettings
from tfx_loop.monitoring.profile.bins import BinSettings
from tfx_loop.monitoring.profile.build import ProfileRequest


@dataclass(frozen=True, kw_only=True)
class ReferenceProfilerSettings(BinSettings, GuardSettings):
    """What is profiled of the training rows, and by which slices and windows it is counted.

    Attributes:
        label_key: Label column, kept in the sample and not profiled as a feature.
        score_key: Column of the examples with the model's score, a probability, for prediction
            drift; with `score_signature` the name of that signature's output.
        score_signature: Signature of `model` that takes serialized tf.Examples and gives the
            score; empty runs no model.
        score_splits: Splits to score with the model; held out from training by default.
        ignore_features: Columns to keep in the sample and not to profile.
        profile_features: Columns to profile though they read as dates, times or keys, which differ
            between any two windows and are left out.
        splits: Splits that the model was trained on.
        sample_rows: Most rows of the sample, at most 20,000.
        seed: Seed of the sample.
        slice_features: Columns with few values by which windows are sliced.
        importance_rows: Rows of `score_splits` on which each column is shuffled to see what the
            model loses; 0 for none. Needs `score_signature`.
        count_windows: By what the training rows are counted apart, so that DriftMonitor can tell a
            season from a drift: `day` or `hour` of `event_time_ms`, empty for neither.
    """

    label_key: str = ""
    score_key: str = ""
    score_signature: str = ""
    score_splits: tuple[str, ...] = ("eval",)
    ignore_features: tuple[str, ...] = ()
    profile_features: tuple[str, ...] = ()
    splits: tuple[str, ...] = ("train",)
    sample_rows: int = 20_000
    seed: int = 0
    slice_features: tuple[str, ...] = ()
    importance_rows: int = 1_000
    count_windows: str = "day"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.count_windows not in ("day", "hour", ""):
            raise ConfigError(
                f"count_windows must be 'day', 'hour' or '', got {self.count_windows!r}."
            )
        if self.score_signature and not self.score_key:
            raise ConfigError(
                f"score_signature {self.score_signature!r} needs a score_key, the name of the "
                "output that is the score. Give both, or leave score_signature empty."
            )
        self.request()

    def request(self) -> ProfileRequest:
        """Returns what is profiled, and how."""
        return ProfileRequest(
            label=self.label_key,
            score=self.score_key,
            ignore_features=self.ignore_features,
            profile_features=self.profile_features,
            sample_rows=self.sample_rows,
            seed=self.seed,
            slices=self.slice_features,
            bins=self.part(BinSettings),
        )
