"""Settings of SkewMonitor: what may differ, and by which columns rows are found."""

from collections.abc import Sequence
from dataclasses import dataclass

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.redaction import RedactionSettings
from tfx_loop.core.settings import NodeSettings


@dataclass(frozen=True, kw_only=True)
class SkewSettings(RedactionSettings):
    """What may differ, and how much must be seen.

    Attributes:
        ignore_features: Columns that are not compared, besides those that the reference ignores.
        tolerated: Share of the rows that may differ in a feature, in [0, 1).
        min_rows: Common rows needed, at least 1.
        examples: Quote one differing pair of a feature with the keys of its row: values of one
            person, perhaps. Of redacted features and keys hashes are quoted.
    """

    ignore_features: tuple[str, ...] = ()
    # One row in a thousand: rounding at an edge, or a correction between training and serving, is
    # no other computation. Chosen, not measured.
    tolerated: float = 0.001
    # With fewer a feature that differs in one row of a thousand is not seen.
    min_rows: int = 50
    examples: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.tolerated < 1:
            raise ConfigError(
                f"tolerated must be a share of rows, from 0 to below 1, got {self.tolerated}."
            )
        if self.min_rows < 1:
            raise ConfigError(f"min_rows must be at least 1, got {self.min_rows}.")


def parse_keys(texts: Sequence[str]) -> dict[str, str]:
    """Returns training's name of each key and serving's, from texts such as `trip=request_id`.

    Raises:
        ConfigError: No key is given, one has no name, or one is given twice.
    """
    pairs = [text.partition("=") for text in texts]
    keys = {ours: theirs if sign else ours for ours, sign, theirs in pairs}
    if not keys or len(set(keys.values())) < len(pairs) or "" in (*keys, *keys.values()):
        raise ConfigError(
            "Expected keys such as 'trip' or 'trip=request_id' (TRAINING=SERVED), each once, "
            f"received {list(texts)}."
        )
    return keys


@dataclass(frozen=True, kw_only=True)
class SkewMonitorSettings(SkewSettings, NodeSettings):
    """By which columns rows are found, and what may differ.

    Attributes:
        keys: Columns that name a row, as `TRAINING=SERVED` where the log calls it otherwise: one of
            its columns (`request_id`) or a feature.
        parse_fn: Import path of the function that makes the profiled features of the log's, as
            ReferenceProfiler was given it.
    """

    keys: tuple[str, ...]
    parse_fn: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_keys(self.keys)
