"""What is known of a model on the Edge TPU, who says so, and whether it is enough.

Written as `edgetpu_report.json`. Either the analyser spoke alone, before any compiler, or the
compiler did, with its own counts; the report never mixes the two up.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import DataError
from tfx_loop.core.storage import read_json, write_json

SCHEMA_VERSION = 1
FILE_NAME = "edgetpu_report.json"


class EdgeTpuVerdict(str, Enum):
    """What becomes of the model on an Edge TPU."""

    MAPPED = "MAPPED"
    PARTLY_MAPPED = "PARTLY_MAPPED"
    NOT_MAPPED = "NOT_MAPPED"
    UNKNOWN = "UNKNOWN"


class EdgeTpuReason(str, Enum):
    """Why the verdict is what it is."""

    ALL_OPERATORS = "all_operators_map"
    SHARE_REACHED = "mapped_share_reached"
    SHARE_TOO_LOW = "mapped_share_too_low"
    SHARE_UNCERTAIN = "mapped_share_uncertain"
    NOTHING_MAPS = "nothing_maps"


class EdgeTpuSpeaker(str, Enum):
    """Who says so."""

    ANALYSER = "analyser"
    COMPILER = "compiler"


@dataclass(frozen=True, kw_only=True)
class EdgeTpuResult:
    """One model on the Edge TPU.

    Attributes:
        verdict: What becomes of it.
        reason: Why.
        speaker: Who says so: the static analyser, or the compiler that ran.
        mapped_share: Share of operators on the Edge TPU, 0 to 1, by that speaker.
        minimum_share: Share that was asked for.
        analysis: The analyser's view, as `analysis_content` writes it.
        compiler: What the compiler said of itself and of the model; empty when it did not run.
        rewrites: What the preparation changed in the model, one line each.
        settings: With which settings the report was made.
    """

    verdict: EdgeTpuVerdict
    reason: EdgeTpuReason
    speaker: EdgeTpuSpeaker
    mapped_share: float
    minimum_share: float
    analysis: Mapping[str, Any]
    compiler: Mapping[str, Any] = field(default_factory=dict)
    rewrites: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: str) -> None:
        """Writes the report into a folder, whole."""
        write_json(f"{folder}/{FILE_NAME}", self.content())

    def content(self) -> dict[str, Any]:
        """Returns the report as JSON content."""
        return {
            "schema_version": SCHEMA_VERSION,
            **{each.name: _plain(getattr(self, each.name)) for each in dataclasses.fields(self)},
        }


def read_report(folder: str | Path) -> EdgeTpuResult:
    """Reads a report from a folder.

    Raises:
        DataError: The file is absent, or not a report of this version.
    """
    content = read_json(f"{folder}/{FILE_NAME}")
    if content.get("schema_version") != SCHEMA_VERSION:
        raise DataError(
            f"Expected {FILE_NAME} of schema_version {SCHEMA_VERSION}, received "
            f"{content.get('schema_version')!r}. Make the report again with this release."
        )
    try:
        return EdgeTpuResult(
            verdict=EdgeTpuVerdict(content["verdict"]),
            reason=EdgeTpuReason(content["reason"]),
            speaker=EdgeTpuSpeaker(content["speaker"]),
            mapped_share=float(content["mapped_share"]),
            minimum_share=float(content["minimum_share"]),
            analysis=content["analysis"],
            compiler=content["compiler"],
            rewrites=tuple(content["rewrites"]),
            settings=content["settings"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"Expected a report in {folder}/{FILE_NAME}, received one that lacks or garbles "
            f"{error}. Make the report again."
        ) from error


def _plain(value: Any) -> Any:
    """Returns a value as JSON has it."""
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
