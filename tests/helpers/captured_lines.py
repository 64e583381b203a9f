"""Lines of SageMaker's DataCapture and of its ground truth, as the service writes them."""

import base64
import json
from datetime import datetime, timezone
from pathlib import Path

HOUR_MS = 3_600_000
# 2023-11-14T22:00:00Z, a whole hour.
TIME_MS = 1_699_999_200_000
JSON_TYPE, CSV_TYPE = "application/json", "text/csv"


def side(data, encoding="JSON", content=JSON_TYPE):
    """Returns what was captured of a request or an answer."""
    if encoding == "BASE64":
        data = base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()
    return {"observedContentType": content, "mode": "X", "data": data, "encoding": encoding}


def capture(asked, answered, time_ms=TIME_MS, event="e1", version="0", **metadata):
    """Returns a record; a side is a text, what `side` returns, a JSON value, or None."""
    sides = {"endpointInput": asked, "endpointOutput": answered}
    held = {name: _side(value) for name, value in sides.items() if value is not None}
    time = datetime.fromtimestamp(time_ms // 1000, tz=timezone.utc)
    stamped = {"eventId": event, "inferenceTime": f"{time:%Y-%m-%dT%H:%M:%SZ}"}
    return {
        "captureData": held,
        "eventMetadata": {**stamped, **metadata},
        "eventVersion": version,
    }


def _side(value):
    if isinstance(value, dict) and "encoding" in value:
        return value
    if isinstance(value, str):
        return side(value, "CSV", CSV_TYPE)
    return side(json.dumps(value))


def truth(data, event="e1", encoding="CSV"):
    """Returns a record of ground truth."""
    return {
        "groundTruthData": {"data": data, "encoding": encoding},
        "eventMetadata": {"eventId": event},
        "eventVersion": "0",
    }


def text_of(records):
    """Returns records as the content of a file; texts stand as they are."""
    return "".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in records)


def hour_folder(time_ms):
    """Returns yyyy/mm/dd/HH of a time."""
    return f"{datetime.fromtimestamp(time_ms // 1000, tz=timezone.utc):%Y/%m/%d/%H}"


def write_hour(folder, time_ms, records, name="00-00-000-a.jsonl", variant="AllTraffic"):
    """Writes records where SageMaker puts those of an hour; without a variant, ground truth."""
    path = Path(folder, variant, hour_folder(time_ms), name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text_of(records))
    return path
