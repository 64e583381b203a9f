"""The flights example on AWS SageMaker: requests to an endpoint, ground truth, and its settings.

The same pipelines as beside a model server: SageMakerPusher in place of ServingPusher, the
endpoint's captures in place of a prediction log, and SageMaker's ground truth as labels.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd

from tfx_loop.contracts.capture_source import CaptureSource
from tfx_loop.core.bucket.client import open_bucket
from tfx_loop.core.conditional_files import ABSENT
from tfx_loop.core.durations import MS_PER_HOUR
from tfx_loop.pipelines.config import ServingSettings, Settings
from tfx_loop.pipelines.examples.flights.data import FEATURES, LABEL
from tfx_loop.pipelines.examples.flights.demo.replay import requests_of
from tfx_loop.pipelines.examples.flights.model import SERVING_COLUMNS
from tfx_loop.pipelines.examples.flights.settings import flights_settings

JSON_TYPE = "application/json"


def sagemaker_settings(folder: Path, bucket: str, endpoint: Mapping[str, Any]) -> Settings:
    """Returns the settings of the example behind an endpoint.

    Args:
        folder: Where artifacts, spans and metadata go.
        bucket: `s3://BUCKET/PREFIX` of archives, captures and ground truth.
        endpoint: Parameters of SageMakerPusher: `endpoint`, `region`, `role_arn`, `image`,
            `instance_type`, and how the traffic moves.
    """
    usual = flights_settings(folder, "http://unused")
    base = bucket.rstrip("/")
    serving = ServingSettings(
        base_path=base,
        endpoint={**endpoint, "capture_uri": f"{base}/capture"},
        capture=CaptureSource(
            prefix=f"{base}/capture/{endpoint['endpoint']}",
            variants=(endpoint.get("variant_name", "AllTraffic"),),
            sampling_percentage=endpoint.get("capture_percent", 100),
        ),
    )
    return replace(
        usual, serving=serving, pipeline=replace(usual.pipeline, labels=f"{base}/ground_truth")
    )


def ask_endpoint(
    runtime: Any, endpoint: str, flights: pd.DataFrame, on_request: Callable[[int], None]
) -> int:
    """Asks an endpoint about every flight, in order of scheduled departure.

    Args:
        runtime: boto3's client of `sagemaker-runtime`.
        endpoint: Its name.
        flights: Rows as `load_flights` returns them.
        on_request: Is told the event time of each request before it, milliseconds UTC.

    Returns:
        How many requests were answered with as many rows as they asked about.
    """
    answered = 0
    for request_id, event_time_ms, rows in requests_of(flights):
        on_request(event_time_ms)
        body = {"signature_name": SERVING_COLUMNS, "instances": list(_instances(rows))}
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint,
            Body=json.dumps(body).encode(),
            # Exactly this: with a charset the container refuses it, and it is captured as base64.
            ContentType=JSON_TYPE,
            InferenceId=request_id,
        )
        # Read to its end: a connection with an unread answer is closed, and the next one opened.
        answered += len(json.loads(answer["Body"].read())["predictions"]) == len(rows)
    return answered


def _instances(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row in rows[list(FEATURES)].to_dict("records"):
        yield {name: getattr(value, "item", lambda v=value: v)() for name, value in row.items()}


def write_ground_truth(bucket: str, flights: pd.DataFrame, arrived_ms: int) -> int:
    """Writes the labels of a month as SageMaker takes them; returns how many there are.

    Args:
        bucket: `s3://BUCKET/PREFIX` of the ground truth.
        flights: The rows that were sent to the endpoint; a cancelled flight has no label.
        arrived_ms: When the labels arrive, milliseconds UTC; they count from that hour's end on.
    """
    lines, labels = [], 0
    for request_id, _, rows in requests_of(flights):
        known = [None if pd.isna(value) else float(value) for value in rows[LABEL]]
        labels += sum(value is not None for value in known)
        record = {
            "groundTruthData": {"data": json.dumps(known), "encoding": "JSON"},
            "eventMetadata": {"eventId": request_id},
            "eventVersion": "0",
        }
        lines.append(json.dumps(record))
    # The hour that ends when they arrive.
    hour = datetime.fromtimestamp((arrived_ms - MS_PER_HOUR) // 1000, tz=timezone.utc)
    name = f"{hour:%Y/%m/%d/%H}/{hour:%Y%m%d%H}.jsonl"
    open_bucket(bucket).put(name, ("\n".join(lines) + "\n").encode(), ABSENT)
    return labels
