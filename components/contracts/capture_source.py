"""SageMaker's captures as a source: their place, the rows that count, and what they lack."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.settings import check_field_types

# Before a prefix, where a command takes captures in place of a file.
CAPTURES_SCHEME = "sagemaker:"


@dataclass(frozen=True, kw_only=True)
class ServedVersion:
    """Which version a variant served from a time on; captures do not say it.

    Attributes:
        version: Its number.
        since_ms: From when on, milliseconds UTC.
        variant: The variant's name or a pattern of it; empty for all.
    """

    version: int
    since_ms: int = 0
    variant: str = ""

    def __post_init__(self) -> None:
        check_field_types(self)


@dataclass(frozen=True, kw_only=True)
class CaptureSource:
    """Captures of one endpoint.

    Attributes:
        prefix: `s3://BUCKET/PREFIX/ENDPOINT` or a folder, with VARIANT/yyyy/mm/dd/HH/*.jsonl below;
            the destination above it where it has one endpoint, or one variant below it.
        variants: Names or patterns (`blue-*`) of the variants whose answers clients got; lines of
            the others count as `shadow_variant`. Empty where there is one variant.
        sampling_percentage: InitialSamplingPercentage of the endpoint's DataCaptureConfig: each row
            stands for 100 / percentage.
        feature_names: Names of the columns of CSV, of plain lists and of one matrix, in order.
        output_names: Names of an answer's columns without one; none to call it `prediction`.
        versions: Which versions served when; of those that fit the latest counts.
        margin_hours: Hours around a window whose files are read, too: a line lies in the folder of
            the hour in which it was written.
    """

    prefix: str
    variants: tuple[str, ...] = ()
    sampling_percentage: float = 100.0
    feature_names: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()
    versions: tuple[ServedVersion, ...] = ()
    margin_hours: int = 1

    def __post_init__(self) -> None:
        check_field_types(self)
        if not self.prefix:
            raise ConfigError(
                "Expected the prefix of captures, such as s3://BUCKET/PREFIX/ENDPOINT, received "
                "none."
            )
        if not 0 < self.sampling_percentage <= 100:
            raise ConfigError(
                "sampling_percentage must be above 0 and at most 100, as in DataCaptureConfig, got "
                f"{self.sampling_percentage}."
            )
        if self.margin_hours < 0:
            raise ConfigError(f"margin_hours must not be below 0, got {self.margin_hours}.")

    @classmethod
    def of_text(cls, text: str) -> "CaptureSource":
        """Returns the source with this prefix."""
        return cls(prefix=text)

    def serves(self, variant: str) -> bool:
        """Says whether clients got a variant's answers."""
        return not self.variants or any(fnmatchcase(variant, one) for one in self.variants)

    def version(self, variant: str, time_ms: int) -> int:
        """Returns which version answered; 0 where nobody says."""
        if not self.versions:
            return 0
        known = [
            (one.since_ms, one.version)
            for one in self.versions
            if one.since_ms <= time_ms and fnmatchcase(variant, one.variant or "*")
        ]
        return max(known, default=(0, 0))[1]
