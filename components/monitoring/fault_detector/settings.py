"""Settings of FaultDetector."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tfx_loop.contracts.fault_report import FIT_KINDS, LEAK_KINDS
from tfx_loop.core.errors import ConfigError, did_you_mean
from tfx_loop.models.guard.settings import GuardSettings

_KINDS = (*FIT_KINDS, *LEAK_KINDS)


@dataclass(frozen=True, kw_only=True)
class DetectionSettings:
    """What counts as a fault, and who accepts which.

    Attributes:
        tolerance: Share of what there is to learn that a model may lose beside the reference.
        acknowledged: Who accepts a finding and why, by its name: its kind, or kind:feature, such as
            `feature_tells_label:fare`.
        blocking: Kinds of finding that stop a push beside those that do anyway.
        max_rows: Most rows of each side, drawn by chance.
        seed: Of rows, folds and reference models.
    """

    # Measured on nine tables: 1.7 % of sound models alarm, 83 % that lose a quarter to a half.
    tolerance: float = 0.05
    acknowledged: Mapping[str, str] = field(default_factory=dict)
    blocking: tuple[str, ...] = ()
    # A forest and two boostings take seconds on so many, and two standard errors of a mean log loss
    # are then about a hundredth.
    max_rows: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 1:
            raise ConfigError(
                f"tolerance must be above 0 and below 1, got {self.tolerance}. 0.05 is usual."
            )
        if self.max_rows < 1:
            raise ConfigError(f"max_rows must be at least 1, got {self.max_rows}.")
        for kind in (*self.blocking, *(name.split(":")[0] for name in self.acknowledged)):
            if kind not in _KINDS:
                raise ConfigError(
                    f"Expected kinds of finding among {', '.join(_KINDS)}, received {kind!r}."
                    f"{did_you_mean(kind, _KINDS)}"
                )
        for name, reason in self.acknowledged.items():
            if not reason.strip():
                raise ConfigError(f"Expected who acknowledges {name} and why, received no text.")


@dataclass(frozen=True, kw_only=True)
class ColumnSettings:
    """Which columns are what.

    Attributes:
        label_key: Column of the labels: numbers, or classes from 0.
        group_column: What a row belongs to, such as a customer or a day; it may stand on one side
            of the split alone.
        time_column: When the prediction is due; held-out rows must be later than training rows.
        ignore_features: Columns that the model does not read, such as keys.
        feature_times: By feature, the column of when its value was known; it must not be after
            `time_column`.
        label_time_column: When the label was known; it must not be before `time_column`.
    """

    label_key: str
    group_column: str = ""
    time_column: str = ""
    ignore_features: tuple[str, ...] = ()
    feature_times: Mapping[str, str] = field(default_factory=dict)
    label_time_column: str = ""

    @property
    def named(self) -> dict[str, str]:
        """Columns of groups and times by the setting that names them."""
        times = {f"feature_times of {name}": column for name, column in self.feature_times.items()}
        named = {
            "group_column": self.group_column,
            "time_column": self.time_column,
            "label_time_column": self.label_time_column,
            **times,
        }
        return {setting: column for setting, column in named.items() if column}

    def check_times(self) -> None:
        """Checks that there is a time of the prediction where others are to be compared with it.

        Raises:
            ConfigError: There is none.
        """
        if (self.feature_times or self.label_time_column) and not self.time_column:
            raise ConfigError(
                "Expected time_column, when the prediction is due, beside feature_times and "
                "label_time_column, received none. Name the column."
            )


@dataclass(frozen=True, kw_only=True)
class FaultDetectorSettings(ColumnSettings, DetectionSettings, GuardSettings):
    """Which rows the model was trained on and which not, how it is asked, and what is a fault.

    Attributes:
        score_key: Output of the signature: a probability, a number, or one value a class.
        score_signature: Signature that takes serialized tf.Examples.
        training_splits: Splits that the model was trained on.
        held_out_splits: Splits that it was not trained on.
        analyzed_splits: Splits that Transform analysed; where none are named those of the
            `splits_config` of the node that `transform_graph` comes from.
        parse_fn: Import path of a function from the Examples' features to what they say, such as
            the pixels of encoded images; empty takes them as they are.
    """

    score_key: str
    score_signature: str = "serving_default"
    training_splits: tuple[str, ...] = ("train",)
    held_out_splits: tuple[str, ...] = ("eval",)
    analyzed_splits: tuple[str, ...] = ()
    parse_fn: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_times()
        if both := {*self.training_splits} & {*self.held_out_splits}:
            raise ConfigError(
                f"Expected other splits to hold out than to train on, received {sorted(both)} as "
                "both. Correct training_splits or held_out_splits."
            )
