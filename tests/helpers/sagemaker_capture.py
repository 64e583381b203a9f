"""Data Capture as SageMaker writes it: DEST/ENDPOINT/VARIANT/yyyy/mm/dd/HH/*.jsonl.

The format is that of "Capture data from real-time endpoint" in SageMaker's developer guide.
"""

import base64
import json
import random
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any


class CaptureWriter:
    """Writes the requests of one fleet to S3, as its DataCaptureConfig says."""

    def __init__(self, s3: Any, endpoint: str, config: Mapping[str, Any] | None) -> None:
        """Writes nothing yet."""
        self._s3, self._endpoint = s3, endpoint
        self._config = config if config and config.get("EnableCapture") else None
        self._random = random.Random(0)

    def samples(self) -> bool:
        """Says whether the next request is captured."""
        if self._config is None:
            return False
        return self._random.uniform(0, 100) < self._config["InitialSamplingPercentage"]

    def write(
        self,
        variant: str,
        request: tuple[bytes, str],
        answer: tuple[bytes, str],
        inference_id: str,
        at: datetime | None = None,
    ) -> None:
        """Writes one request and its answer: bytes and content type of each."""
        assert self._config is not None
        at = at or datetime.now(timezone.utc)
        line = capture_line(self._config, request, answer, inference_id, at)
        bucket, _, prefix = self._config["DestinationS3Uri"].removeprefix("s3://").partition("/")
        folder = f"{prefix.rstrip('/')}/{self._endpoint}/{variant}/{at:%Y/%m/%d/%H}".lstrip("/")
        key = f"{folder}/{at:%M-%S}-{at.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
        self._s3.put_object(Bucket=bucket, Key=key, Body=(json.dumps(line) + "\n").encode())


def capture_line(
    config: Mapping[str, Any],
    request: tuple[bytes, str],
    answer: tuple[bytes, str],
    inference_id: str,
    at: datetime,
) -> dict[str, Any]:
    """Returns one line of a captured file."""
    types = config.get("CaptureContentTypeHeader") or {}
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    data = {}
    if modes & {"Input", "InputAndOutput"}:
        data["endpointInput"] = _part("INPUT", *request, types)
    if modes & {"Output", "InputAndOutput"}:
        data["endpointOutput"] = _part("OUTPUT", *answer, types)
    event = {"eventId": str(uuid.uuid4()), "inferenceTime": f"{at:%Y-%m-%dT%H:%M:%SZ}"}
    if inference_id:
        event["inferenceId"] = inference_id
    return {"captureData": data, "eventMetadata": event, "eventVersion": "0"}


def _part(mode: str, content: bytes, kind: str, types: Mapping[str, Any]) -> dict[str, str]:
    encoding = "BASE64"
    # A type with parameters, such as a charset, is not the type that was listed.
    for name, listed in (("JSON", "JsonContentTypes"), ("CSV", "CsvContentTypes")):
        if kind in types.get(listed, ()):
            encoding = name
    data = base64.b64encode(content).decode() if encoding == "BASE64" else content.decode()
    return {"observedContentType": kind, "mode": mode, "data": data, "encoding": encoding}
