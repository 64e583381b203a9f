"""Comparison of a shadow variant with production, from SageMaker's captures of both.

The service gives the shadow's answers to nobody; the capture is where they are. Captures are read
as the importer of prediction logs reads them. A request is known on both sides by its inference id,
else by what was asked, in the order in which it was.
"""

import contextlib
import json
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfx_loop.core.bucket.trees import FileTree, read_each
from tfx_loop.core.durations import MS_PER_HOUR, MS_PER_SECOND
from tfx_loop.core.errors import ModelRejected
from tfx_loop.core.json_file import JsonFile
from tfx_loop.data.prediction_log.importers.calls import RejectedRecordError
from tfx_loop.data.prediction_log.importers.capture_files import hourly_files
from tfx_loop.data.prediction_log.importers.data_capture import (
    CapturedCall,
    CapturedNames,
    parse_capture,
    parse_event,
)
from tfx_loop.data.prediction_log.importers.json_payloads import parse_object
from tfx_loop.deployment.serving_pusher.shadow import compared

# An agreement on them is known to 1 % at worst, and a report is read in memory.
MAX_REQUESTS = 10_000


@dataclass(frozen=True, kw_only=True)
class CapturedAnswers:
    """What was captured of one variant.

    Attributes:
        calls: Answered calls of clients.
        rejected: Lines that are none, by the importer's reasons.
    """

    calls: tuple[CapturedCall, ...] = ()
    rejected: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CapturedShadowReport:
    """A shadow variant beside the production variant, on the same requests.

    Attributes:
        champion: The version that serves.
        candidate: The version in the shadow.
        requests: How many both answered.
        rows: How many rows these held.
        champion_alone: Captured requests of production without the shadow's answer.
        candidate_alone: Captured requests of the shadow without production's.
        rejected: Captured lines of either that are no answered call, by the importer's reasons, and
            `other_rows` for requests that they answered with different numbers of rows.
        agreement: By output the share of rows on which both decide alike.
        mean_difference: By numeric output the mean absolute difference.
    """

    champion: int
    candidate: int
    requests: int
    rows: int
    champion_alone: int
    candidate_alone: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    agreement: Mapping[str, float] = field(default_factory=dict)
    mean_difference: Mapping[str, float] = field(default_factory=dict)


SHADOW_REPORT = JsonFile(
    name="shadow.json",
    kind=CapturedShadowReport,
    title="a comparison of a shadow variant with production",
    remedy="Push with the release that wrote it.",
)


def captured_answers(
    tree: FileTree, variant: str, outputs: Sequence[str], since_ms: int, until_ms: int
) -> CapturedAnswers:
    """Returns what was captured of a variant in a period, the first MAX_REQUESTS calls of it.

    Golden requests are left out: no client asked them.

    Args:
        tree: The captures of the endpoint, `VARIANT/yyyy/mm/dd/HH/*.jsonl`.
        variant: Which variant answered.
        outputs: The outputs of the signature, for answers without names.
        since_ms: Begin of the period, milliseconds UTC.
        until_ms: Its end: the hour that it is in is the last that is read.

    Raises:
        DataError: A file cannot be read.
    """
    names = CapturedNames(outputs=tuple(outputs))
    # Times of captures are whole seconds, and their folders whole hours.
    since_ms -= since_ms % MS_PER_SECOND
    first_ms = since_ms - since_ms % MS_PER_HOUR
    paths = [path for path, *_ in hourly_files(tree, variant, first_ms, until_ms + 1)]
    calls: list[CapturedCall] = []
    rejected: Counter[str] = Counter()
    for line in _lines(read_each(tree, paths)):
        try:
            record = parse_object(line)
            event = parse_event(record)
            if event.time_ms is None:
                raise RejectedRecordError("no_time", "Expected an inferenceTime.")
            if event.time_ms >= since_ms and not event.golden:
                calls.append(parse_capture(record, event, names))
        except RejectedRecordError as error:
            rejected[error.reason] += 1
        if len(calls) == MAX_REQUESTS:
            break
    return CapturedAnswers(calls=tuple(calls), rejected=dict(rejected))


def shadow_report(
    versions: tuple[int, int], champion: CapturedAnswers, candidate: CapturedAnswers
) -> CapturedShadowReport:
    """Returns how a shadow's answers compare with production's.

    Args:
        versions: Numbers of champion and candidate.
        champion: What was captured of production.
        candidate: What was captured of the shadow.
    """
    waiting: dict[str, deque[CapturedCall]] = defaultdict(deque)
    for call in champion.calls:
        waiting[_key(call)].append(call)
    sides: tuple[list[Any], list[Any]] = ([], [])
    rejected = Counter(champion.rejected) + Counter(candidate.rejected)
    alone = requests = 0
    for call in candidate.calls:
        if not waiting[_key(call)]:
            alone += 1
            continue
        pair = (waiting[_key(call)].popleft().outputs, call.outputs)
        if len(pair[0]) != len(pair[1]):
            rejected["other_rows"] += 1
            continue
        requests += 1
        for side, rows in zip(sides, pair, strict=True):
            side.extend(rows)
    made: dict[str, Any] = {}
    if sides[0]:
        first, second = (_columns(side) for side in sides)
        made = compared(first, second, np.full(len(sides[0]), np.nan))
    return CapturedShadowReport(
        champion=versions[0],
        candidate=versions[1],
        requests=requests,
        rows=len(sides[0]),
        champion_alone=sum(len(left) for left in waiting.values()),
        candidate_alone=alone,
        rejected=dict(rejected),
        **made,
    )


def judge(report: CapturedShadowReport, min_agreement: float) -> None:
    """Raises ModelRejected where a shadow decides otherwise too often, or answered nothing."""
    if not min_agreement:
        return
    if not report.requests or not report.agreement:
        rejected = ", ".join(f"{reason} {n}" for reason, n in sorted(report.rejected.items()))
        raise ModelRejected(
            "Expected captured answers of the shadow variant beside production's, found none: "
            f"{report.champion_alone} of production alone; rejected lines: {rejected or 'none'}. "
            "Raise shadow_seconds, or set min_agreement to 0."
        )
    name, least = min(report.agreement.items(), key=lambda item: item[1])
    if least < min_agreement:
        raise ModelRejected(
            f"Expected version {report.candidate} to decide as version {report.champion} on "
            f"{min_agreement:.1%} of {report.rows} shadowed rows, received {least:.1%} for output "
            f"{name!r}. Lower min_agreement if it is meant to differ."
        )


def _lines(contents: Iterable[bytes]) -> Iterable[bytes]:
    return (line for content in contents for line in content.splitlines() if line.strip())


def _key(call: CapturedCall) -> str:
    """Returns the client's inference id, else what was asked: eventIds differ between variants."""
    event = call.event
    if event.request_id != event.request_key:
        return event.request_id
    return f"asked:{json.dumps(call.features, sort_keys=True, default=str)}"


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    columns = {}
    for name in sorted(set.intersection(*(set(row) for row in rows))):
        # Rows of several lengths are no column, and decide nothing alike.
        with contextlib.suppress(ValueError):
            columns[name] = np.array([row[name] for row in rows])
    return columns
