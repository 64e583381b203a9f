"""Settings of PrivacyReport."""

from dataclasses import dataclass

from tfx_loop.models.guard.settings import GuardSettings
from tfx_loop.monitoring.privacy_report.membership import MembershipSettings


@dataclass(frozen=True, kw_only=True)
class PrivacyReportSettings(MembershipSettings, GuardSettings):
    """Which rows the model was trained on and which not, and how it is asked.

    Attributes:
        label_key: Column of the labels: numbers, or classes from 0.
        score_key: Output of the signature: a probability, a number, or one value a class.
        score_signature: Signature that takes serialized tf.Examples.
        member_splits: Splits that the model was trained on.
        other_splits: Splits that it was not trained on, of the same population.
        ignore_features: Columns that say nothing of how hard a row is, such as keys.
    """

    label_key: str
    score_key: str
    score_signature: str = "serving_default"
    member_splits: tuple[str, ...] = ("train",)
    other_splits: tuple[str, ...] = ("eval",)
    ignore_features: tuple[str, ...] = ()
