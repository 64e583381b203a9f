"""What a shadow variant answered beside production, read from what SageMaker captured of both.

The service gives the shadow's answers to nobody; the capture is where they are. A request is known
on both sides by its inference id, else by what was asked, in the order in which it was.
"""

import base64
import json
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from tfx_loop.core.errors import ModelRejected, ServingError
from tfx_loop.core.json_file import JsonFile
from tfx_loop.data.prediction_log.record import GOLDEN_PREFIX
from tfx_loop.deployment.sagemaker_pusher.client import S3, Aws
from tfx_loop.deployment.sagemaker_pusher.endpoint_client import outputs_of
from tfx_loop.deployment.sagemaker_pusher.names import bucket_and_key
from tfx_loop.deployment.serving_pusher.shadow import compared

# An agreement on them is known to 1 % at worst, and a report is read in memory.
MAX_REQUESTS = 10_000


@dataclass(frozen=True, kw_only=True)
class CapturedAnswer:
    """One captured request with its answer.

    Attributes:
        key: Inference id, or what was asked.
        answer: The body of the answer.
    """

    key: str
    answer: bytes


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
        unreadable: Captured lines, or answers, that could not be read.
        agreement: By output the share of rows on which both decide alike.
        mean_difference: By numeric output the mean absolute difference.
    """

    champion: int
    candidate: int
    requests: int
    rows: int
    champion_alone: int
    candidate_alone: int
    unreadable: int
    agreement: Mapping[str, float] = field(default_factory=dict)
    mean_difference: Mapping[str, float] = field(default_factory=dict)


SHADOW_REPORT = JsonFile(
    name="shadow.json",
    kind=CapturedShadowReport,
    title="a comparison of a shadow variant with production",
    remedy="Push with the release that wrote it.",
)


def captured_lines(
    aws: Aws, capture_uri: str, endpoint: str, variant: str, since: datetime, until: datetime
) -> Iterator[bytes]:
    """Yields the captured lines of a variant in the hours of a period, oldest first."""
    bucket, prefix = bucket_and_key(capture_uri)
    hour = since.replace(minute=0, second=0, microsecond=0)
    while hour <= until:
        folder = f"{prefix}/{endpoint}/{variant}/{hour:%Y/%m/%d/%H}/".lstrip("/")
        listed = aws.pages(S3, "list_objects_v2", "Contents", Bucket=bucket, Prefix=folder)
        for key in sorted(held["Key"] for held in listed):
            body = aws.call(S3, "get_object", Bucket=bucket, Key=key)["Body"]
            yield from (line for line in body.read().splitlines() if line.strip())
        hour += timedelta(hours=1)


def answers_in(lines: Iterable[bytes], since: datetime) -> tuple[list[CapturedAnswer], int]:
    """Returns what was captured from a moment on, and how many lines could not be read.

    Golden requests are left out: no client asked them.
    """
    found: list[CapturedAnswer] = []
    unreadable = 0
    for line in lines:
        try:
            content = json.loads(line)
            event = content["eventMetadata"]
            asked_at = datetime.strptime(event["inferenceTime"], "%Y-%m-%dT%H:%M:%S%z")
            data = content["captureData"]
            asked, answer = (_bytes(data[side]) for side in ("endpointInput", "endpointOutput"))
            key = str(event.get("inferenceId", "")) or f"body:{asked.hex()}"
        except (ValueError, KeyError, TypeError):
            unreadable += 1
            continue
        # Times have whole seconds.
        if asked_at >= since.replace(microsecond=0) and not key.startswith(GOLDEN_PREFIX):
            found.append(CapturedAnswer(key=key, answer=answer))
        if len(found) == MAX_REQUESTS:
            break
    return found, unreadable


def shadow_report(
    versions: tuple[int, int],
    champion: Sequence[CapturedAnswer],
    candidate: Sequence[CapturedAnswer],
    outputs: Sequence[str],
    unreadable: int = 0,
) -> CapturedShadowReport:
    """Returns how a shadow's answers compare with production's.

    Args:
        versions: Numbers of champion and candidate.
        champion: What was captured of production.
        candidate: What was captured of the shadow.
        outputs: The outputs of the signature.
        unreadable: Lines that could not be read.
    """
    waiting: dict[str, deque[CapturedAnswer]] = defaultdict(deque)
    for answer in champion:
        waiting[answer.key].append(answer)
    sides: tuple[list[Mapping[str, Sequence[Any]]], ...] = ([], [])
    alone = 0
    for answer in candidate:
        if not waiting[answer.key]:
            alone += 1
            continue
        pair = (waiting[answer.key].popleft(), answer)
        try:
            parsed = [outputs_of(one.answer, outputs) for one in pair]
        except ServingError:
            unreadable += 1
            continue
        for side, values in zip(sides, parsed, strict=True):
            side.append(values)
    made: dict[str, Any] = {"rows": 0}
    if sides[0]:
        first, second = (_joined(side) for side in sides)
        rows = len(next(iter(first.values())))
        held = compared(first, second, np.full(rows, np.nan))
        made = {"rows": rows, **held}
    return CapturedShadowReport(
        champion=versions[0],
        candidate=versions[1],
        requests=len(sides[0]),
        champion_alone=sum(len(left) for left in waiting.values()),
        candidate_alone=alone,
        unreadable=unreadable,
        **made,
    )


def judge(report: CapturedShadowReport, min_agreement: float) -> None:
    """Raises ModelRejected where a shadow decides otherwise too often, or answered nothing."""
    if not min_agreement:
        return
    if not report.requests:
        raise ModelRejected(
            "Expected captured answers of the shadow variant beside production's, found none: "
            f"{report.champion_alone} of production alone. Raise shadow_seconds, or set "
            "min_agreement to 0."
        )
    name, least = min(report.agreement.items(), key=lambda item: item[1])
    if least < min_agreement:
        raise ModelRejected(
            f"Expected version {report.candidate} to decide as version {report.champion} on "
            f"{min_agreement:.1%} of {report.rows} shadowed rows, received {least:.1%} for output "
            f"{name!r}. Lower min_agreement if it is meant to differ."
        )


def _bytes(part: Mapping[str, Any]) -> bytes:
    data = str(part["data"])
    return base64.b64decode(data) if part["encoding"] == "BASE64" else data.encode()


def _joined(answers: Sequence[Mapping[str, Sequence[Any]]]) -> dict[str, Any]:
    names = set.intersection(*(set(answer) for answer in answers))
    return {name: np.array([row for a in answers for row in a[name]]) for name in sorted(names)}
