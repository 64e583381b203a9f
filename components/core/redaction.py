"""Redaction of people's values that leave a node: the one place that decides.

Pages, JSON reports, logs, error replies and golden rows call a category by what `Redaction` says:
its value, a keyed hash where its feature is redacted, `other` where fewer rows have it than make a
crowd. What nodes need among themselves stays in files of their owner's alone (core/storage.py).

A hash without a key would be undone by hashing all cities, names or numbers; so the key (HMAC,
RFC 2104) comes from a file and stands nowhere else. The feature's name is hashed along, so that
equal values of two features cannot be joined.
"""

import functools
import hashlib
import hmac
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.key_file import SecretKey, read_keys

OTHER = "other"
WITHHELD = "details withheld, as the feature is redacted"
# As small cells are held back in official statistics, where thresholds from 3 to 10 are common.
# Chosen, not measured.
DEFAULT_MIN_COUNT = 5
# 40 bits: of a thousand categories two are alike in one of two million features.
_TOKEN_DIGITS = 10
# Quarters of a number to slice by, such as `1.5<fare<=7.25`.
_QUARTER = re.compile(r"(?P<low>[^<]*)<(?P<feature>.+)<=(?P<high>[^<]*)")


@dataclass(frozen=True, kw_only=True)
class RedactionSettings:
    """Which values reports may show.

    Attributes:
        redact: Features whose values no report, page, log or error shows: categories stand as keyed
            hashes, numbers without their scale.
        min_count: Rows that a category must have to be named; rarer ones are `other`. 1 names all.
        redact_key: File of the hashes' key, 0600, made where it lacks; nodes that share it use the
            same hashes.
    """

    redact: tuple[str, ...] = ()
    min_count: int = DEFAULT_MIN_COUNT
    redact_key: str = "~/.config/tfx-loop/redaction.key"

    def __post_init__(self) -> None:
        if self.redact and not self.redact_key:
            raise ConfigError("Expected redact_key, the file of the hashes' key, received none.")
        self.redaction()

    def redaction(self) -> "Redaction":
        """Returns what decides."""
        return Redaction(
            features=frozenset(self.redact), min_count=self.min_count, key_file=self.redact_key
        )


@dataclass(frozen=True, kw_only=True)
class Redaction:
    """Names of values outside of a node.

    Attributes:
        features: Columns whose values are hidden.
        min_count: Rows that a category must have to be named, at least 1.
        key_file: Where the hashes' key is; read, or made, when the first value is hidden.
    """

    features: frozenset[str] = frozenset()
    min_count: int = 1
    key_file: str = ""

    def __post_init__(self) -> None:
        if self.min_count < 1:
            raise ConfigError(
                f"min_count must be at least 1 row, got {self.min_count}. {DEFAULT_MIN_COUNT} is "
                "usual."
            )

    def hides(self, feature: str) -> bool:
        """Says whether a feature's values are hidden; of a log's column or an aspect, too."""
        column = feature.removeprefix("feature.").partition("#")[0]
        return feature in self.features or column in self.features

    def names(self, rows: int) -> bool:
        """Says whether so many rows are enough to name their category."""
        return rows >= self.min_count

    def token(self, feature: str, value: object) -> str:
        """Returns the keyed hash of a feature's value, such as `#3fa9c1d27b`."""
        key = _key(self.key_file)
        message = f"{feature}\0{value}".encode("utf-8", "surrogatepass")
        return f"#{hmac.new(key.value, message, hashlib.sha256).hexdigest()[:_TOKEN_DIGITS]}"

    def name(self, feature: str, value: object, rows: int | None = None) -> str:
        """Returns what a report calls a category.

        Args:
            feature: Whose it is.
            value: The category.
            rows: How many rows have it; None where it was named because many have it.
        """
        # Rarity first: that a rare value exists would show in its hash, too.
        if rows is not None and not self.names(rows):
            return OTHER
        return self.token(feature, value) if self.hides(feature) else str(value)

    def slice_name(self, title: str, rows: int | None = None) -> str:
        """Returns what a report calls a slice such as `site=south` or `1.5<fare<=7.25`."""
        if quarter := _QUARTER.fullmatch(title):
            feature, value = quarter["feature"], f"{quarter['low']}..{quarter['high']}"
            return f"{feature}={self.token(feature, value)}" if self.hides(feature) else title
        feature, sign, value = title.partition("=")
        return f"{feature}={self.name(feature, value, rows)}" if sign else title

    def note(self, feature: str, text: str) -> str:
        """Returns a remark about a feature, which may quote its values."""
        return WITHHELD if text and self.hides(feature) else text

    def examples(self, feature: str, counted: Mapping[str, int], most: int) -> list[str]:
        """Returns the values that a remark may quote, the most frequent first.

        Args:
            feature: Whose they are.
            counted: Rows by value.
            most: How many to quote.
        """
        if self.hides(feature):
            return []
        frequent = sorted(counted, key=lambda value: (-counted[value], value))
        return [value for value in frequent if self.names(counted[value])][:most]


# Names everything: for numbers that stay within a node.
OPEN = Redaction()


# A report hashes thousands of values with one key; nodes of a pipeline have a few.
@functools.lru_cache(maxsize=16)
def _key(path: str) -> SecretKey:
    keys = read_keys(path, make=True)
    if not keys:
        raise ConfigError("Expected a file with the key of hashes, received none. Give redact_key.")
    return keys[0]


def check_known(redact: Collection[str], columns: Collection[str]) -> None:
    """Checks that features to redact are there: a mistyped name would hide nothing.

    Raises:
        ConfigError: One is not.
    """
    if unknown := sorted(set(redact) - set(columns)):
        raise ConfigError(
            f"Expected features to redact out of {sorted(columns)}, received {unknown}. Correct "
            "the names: under a wrong one nothing is hidden."
        )
