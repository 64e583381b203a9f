"""Timing of late labels: when a window is judged, by how far its labels have come. Pure."""

import enum
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tfx_loop.core.durations import MS_PER_SECOND, duration_text, seconds_of
from tfx_loop.core.errors import ConfigError

DEFAULT_LATE = "until 50 % are here, at most 3 windows"
_SHARE = re.compile(r"(?:until\s+)?(\d{1,3}(?:\.\d+)?)\s*%(?:\s+are\s+here)?")
_WINDOWS = re.compile(r"at\s+most\s+(\d+)\s+windows?")


class LabelWait(enum.Enum):
    """Whether a window is judged, and why; or what is waited for."""

    ENOUGH = "labels_enough"
    OVER = "waited_long_enough"
    NO_TRAFFIC = "no_traffic"
    TO_COME = "labels_to_come"

    @property
    def is_over(self) -> bool:
        """Whether the window is judged."""
        return self is not LabelWait.TO_COME


@dataclass(frozen=True, kw_only=True)
class LabelPatience:
    """When a window that has ended is judged.

    Attributes:
        min_share: Share of its rows that must have a label, from 0 to 1.
        max_windows: Windows that may end after it before it is judged with what is there.
        max_seconds: The same as a length of time after its end; None where windows count.
    """

    min_share: float = 0.5
    max_windows: int = 3
    max_seconds: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.min_share <= 1:
            raise ConfigError(f"min_share must be from 0 to 1, got {self.min_share}.")
        if self.max_windows < 0:
            raise ConfigError(f"max_windows must not be below 0, got {self.max_windows}.")

    @classmethod
    def of_text(cls, text: str) -> "LabelPatience":
        """Returns the patience that a text stands for, such as that of `DEFAULT_LATE`.

        `until 80 % are here, at most 5 windows`, `until 90 % are here, at most 30d`, `after 7d`.

        Raises:
            ConfigError: It stands for none.
        """
        share, _, most = (part.strip() for part in text.partition(","))
        if share.startswith("after ") and not most:
            # All labels are asked for, so that the time alone ends it.
            return cls(min_share=1.0, max_seconds=seconds_of(share.removeprefix("after ")))
        if (match := _SHARE.fullmatch(share)) is None or float(match[1]) > 100:
            raise ConfigError(
                f"Expected labels to be waited for as in {DEFAULT_LATE!r} or 'after 7d', received "
                f"{text!r}."
            )
        min_share = float(match[1]) / 100
        if not most:
            return cls(min_share=min_share)
        if windows := _WINDOWS.fullmatch(most):
            return cls(min_share=min_share, max_windows=int(windows[1]))
        seconds = seconds_of(most.removeprefix("at most").strip())
        return cls(min_share=min_share, max_seconds=seconds)

    def waits(self, share: float | None, windows_since: int, since_ms: int) -> LabelWait:
        """Says whether a window is judged.

        Args:
            share: Share of its rows that have a label; None where it has no rows.
            windows_since: Windows that ended after it.
            since_ms: Milliseconds since its end.
        """
        if share is None:
            return LabelWait.NO_TRAFFIC
        if share >= self.min_share:
            return LabelWait.ENOUGH
        if self.max_seconds is not None:
            over = since_ms >= self.max_seconds * MS_PER_SECOND
        else:
            over = windows_since >= self.max_windows
        return LabelWait.OVER if over else LabelWait.TO_COME

    @property
    def told(self) -> str:
        """The patience in words."""
        most = f"{self.max_windows} windows"
        if self.max_seconds is not None:
            most = duration_text(self.max_seconds)
        return f"until {100 * self.min_share:g} % are here, at most {most}"


@dataclass(frozen=True)
class Labels:
    """Where late labels come to, and how long they are waited for.

    Attributes:
        path: Folder or URI with Parquet files of `request_id`, `instance_index`, `label` and
            `label_time_ms`.
        late: How long a window waits for them, such as "until 50 % are here, at most 3 windows".
    """

    path: str | Path
    late: str = DEFAULT_LATE

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", str(self.path))
        if not self.path:
            raise ConfigError("path of labels must name their folder, got an empty text.")
        LabelPatience.of_text(self.late)

    @cached_property
    def patience(self) -> LabelPatience:
        """What `late` says."""
        return LabelPatience.of_text(self.late)
