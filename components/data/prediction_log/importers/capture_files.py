"""Files of SageMaker's captures by variant and hour: `VARIANT/yyyy/mm/dd/HH/*.jsonl`.

The same layout, without a variant, has the ground truth that SageMaker merges with them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from tfx_loop.contracts.capture_source import CaptureSource
from tfx_loop.core.bucket.trees import FileTree
from tfx_loop.core.durations import MS_PER_DAY, MS_PER_HOUR
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.data.prediction_log.record import MAX_EVENT_TIME_MS

SUFFIX = ".jsonl"
_YEAR = re.compile(r"[0-9]{4}")
_HOUR = re.compile(r"(?:^|/)([0-9]{4})/([0-9]{2})/([0-9]{2})/([0-9]{2})/[^/]+\.jsonl$")
# Longer windows are listed whole: a request for each of their days would take longer.
_DAYS_LISTED = 400
# DEST/ENDPOINT/VARIANT: what may stand between a prefix and the years.
_DEPTH = 2


@dataclass(frozen=True, order=True, kw_only=True)
class CaptureFile:
    """One file of captures.

    Attributes:
        path: Below the prefix.
        variant: Which variant answered; empty where the path does not say.
        hour_ms: Begin of the hour of its folder, milliseconds UTC; None outside of the layout.
        tag: What changes with its content.
    """

    path: str
    variant: str = ""
    hour_ms: int | None = None
    tag: str = ""


def capture_files(
    tree: FileTree, source: CaptureSource, start_ms: int, end_ms: int
) -> list[CaptureFile]:
    """Returns the files that may hold lines of a window, those of shadow variants, too.

    Args:
        tree: The files below `source.prefix`.
        source: Which variants count, and how many hours around the window are read.
        start_ms: Begin of the window, milliseconds UTC.
        end_ms: End of the window, exclusive.

    Raises:
        DataError: There are no captures at all.
        ConfigError: There are several endpoints, or variants of which nobody says which served.
    """
    folders = _variant_folders(tree, source)
    margin = source.margin_hours * MS_PER_HOUR
    # A folder of an hour is read where any part of the hour lies within the margin.
    first = max((start_ms - margin) // MS_PER_HOUR * MS_PER_HOUR, 0)
    return [
        CaptureFile(path=path, variant=variant, hour_ms=hour_ms, tag=tag)
        for variant, folder in sorted(folders.items())
        for path, hour_ms, tag in hourly_files(tree, folder, first, end_ms + margin)
    ]


def hourly_files(
    tree: FileTree, folder: str, first_ms: int, end_ms: int
) -> Iterator[tuple[str, int, str]]:
    """Yields path, hour (milliseconds UTC) and tag of the files of some hours below a folder."""
    for place in _day_folders(folder, first_ms, end_ms):
        for path, tag in tree.below(place):
            hour_ms = hour_of(path)
            if hour_ms is not None and first_ms <= hour_ms < end_ms:
                yield path, hour_ms, tag


def hour_of(path: str) -> int | None:
    """Returns the begin of the hour that a path names, milliseconds UTC; None for other paths."""
    found = _HOUR.search(path)
    if not found:
        return None
    try:
        begin = datetime(*map(int, found.groups()), tzinfo=timezone.utc)  # type: ignore[misc, arg-type]
    except ValueError:
        return None
    return int(begin.timestamp()) * 1000


def variant_of(path: str) -> str:
    """Returns the variant that a path names; empty for one outside of the layout."""
    before = path[: found.start()] if (found := _HOUR.search(path)) else ""
    return before.rpartition("/")[2]


def _day_folders(folder: str, first_ms: int, end_ms: int) -> Iterator[str]:
    last_ms = min(max(end_ms - 1, 0), MAX_EVENT_TIME_MS)
    if last_ms - first_ms > _DAYS_LISTED * MS_PER_DAY:
        yield folder
        return
    day = datetime.fromtimestamp(first_ms // 1000, tz=timezone.utc).date()
    last = datetime.fromtimestamp(last_ms // 1000, tz=timezone.utc).date()
    while day <= last:
        yield f"{folder}/{day:%Y/%m/%d}".lstrip("/")
        day += timedelta(days=1)


def _variant_folders(tree: FileTree, source: CaptureSource) -> dict[str, str]:
    """Returns the folder of each variant below the prefix."""
    found = list(_above_years(tree, "", _DEPTH))
    if not found:
        raise DataError(
            f"Expected captures as VARIANT/yyyy/mm/dd/HH/*{SUFFIX} below {tree.address}, found "
            "none. Check the prefix (DestinationS3Uri/ENDPOINT) and that the endpoint captures, or "
            "wait for its first request."
        )
    above = tree.address.rstrip("/")
    places = {folder: f"{above}/{folder}".rstrip("/").split("/") for folder in found}
    endpoints = {parts[-2] if len(parts) > 1 else "" for parts in places.values()}
    if len(endpoints) > 1:
        raise ConfigError(
            f"Expected the captures of one endpoint below {above}, found {sorted(endpoints)}. Name "
            f"one, such as {above}/{min(endpoints)}."
        )
    folders = {parts[-1]: folder for folder, parts in places.items()}
    if len(folders) > 1 and not source.variants:
        raise ConfigError(
            f"Expected variants for captures of {len(folders)} variants, received none: "
            f"{sorted(folders)}. Name those whose answers clients got; the others count as shadows."
        )
    if not any(source.serves(variant) for variant in folders):
        raise ConfigError(
            f"Expected captures of variants {list(source.variants)} below {above}, found those of "
            f"{sorted(folders)}. Correct variants."
        )
    return folders


def _above_years(tree: FileTree, folder: str, depth: int) -> Iterator[str]:
    inside = tree.folders(folder)
    if any(_YEAR.fullmatch(name) for name in inside):
        yield folder
    elif depth:
        for name in inside:
            yield from _above_years(tree, f"{folder}/{name}".lstrip("/"), depth - 1)
