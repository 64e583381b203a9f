"""The flights of a month as real requests, in time order, and as labels that come later.

One request asks about the flights that are scheduled in one hour. Its id and the place of the
flight in it identify the row until the label comes.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa

from tfx_loop.core.durations import MS_PER_HOUR
from tfx_loop.core.storage import private_folder
from tfx_loop.data.tables.parquet_files import save_rows
from tfx_loop.deployment.model_server.client import ModelClient
from tfx_loop.pipelines.examples.flights.data import FEATURES, LABEL
from tfx_loop.pipelines.examples.flights.model import SERVING_COLUMNS


def requests_of(flights: pd.DataFrame) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """Yields request id, event time (milliseconds UTC) and rows, hour by hour."""
    for hour, rows in flights.groupby(flights["event_time_ms"] // MS_PER_HOUR):
        yield f"flights-{hour}", int(rows["event_time_ms"].iloc[0]), rows


def replay(client: ModelClient, flights: pd.DataFrame, on_request: Callable[[int], None]) -> int:
    """Asks the server about every flight, in order of scheduled departure.

    Args:
        client: A client of the server.
        flights: Rows as `load_flights` returns them.
        on_request: Is told of the rows answered so far.

    Returns:
        How many requests were answered.
    """
    requests = answered = 0
    for request_id, event_time_ms, rows in requests_of(flights):
        client.predict(
            {name: rows[name].to_numpy() for name in FEATURES},
            signature_name=SERVING_COLUMNS,
            request_id=request_id,
            event_time_ms=event_time_ms,
        )
        requests += 1
        answered += len(rows)
        on_request(answered)
    return requests


def write_labels(flights: pd.DataFrame, arrived_ms: int, path: Path) -> int:
    """Writes the labels of a month as they arrive; a cancelled flight never gets one.

    Args:
        flights: The rows that were sent to the server.
        arrived_ms: When the labels arrive, milliseconds UTC.
        path: The Parquet file to write.

    Returns:
        How many labels there are.
    """
    parts = []
    for request_id, _, rows in requests_of(flights):
        known = rows[LABEL].notna().to_numpy()
        part = pd.DataFrame({"instance_index": range(len(rows)), "label": rows[LABEL].to_numpy()})[
            known
        ]
        parts.append(part.assign(request_id=request_id))
    labels = pd.concat(parts, ignore_index=True).assign(label_time_ms=arrived_ms)
    table = pa.table(
        {
            "request_id": pa.array(labels["request_id"], pa.string()),
            "instance_index": pa.array(labels["instance_index"], pa.int32()),
            "label": pa.array(labels["label"], pa.float64()),
            "label_time_ms": pa.array(labels["label_time_ms"], pa.int64()),
        }
    )
    private_folder(path.parent)
    save_rows(table, str(path))
    return int(table.num_rows)


def write_span(flights: pd.DataFrame, span: int, folder: Path) -> None:
    """Writes the rows of a month, labels included, as training data.

    As a table made of the log and its labels would, it names the request of a flight and the
    flight's place in it. The log has no requests of the months before the server.
    """
    private_folder(folder)
    requests = requests_of(flights[flights["span"] == span])
    rows = pd.concat(
        part.assign(request_id=request_id, instance_index=range(len(part)))
        for request_id, _, part in requests
    )
    save_rows(
        pa.Table.from_pandas(rows, preserve_index=False), str(folder / f"span-{span:02d}.parquet")
    )
