"""The taxi trips of TFX's example: as CSV for training, and as requests of a client.

The 15,002 trips of 2013 to 2016 lie in the TFX wheel. Many have gaps (no company, no end of the
trip): a tf.Example then has no such feature.
"""

import csv
import importlib.util
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import DataError

LABEL, BIG_TIP = "tips", "big_tip"
TIME = "trip_start_timestamp"
# Types as in the schema of TFX's example; every other column holds whole numbers.
_TEXT = ("company", "payment_type")
_FLOAT = (
    "dropoff_latitude",
    "dropoff_longitude",
    "fare",
    "pickup_latitude",
    "pickup_longitude",
    "tips",
    "trip_miles",
)
_SECONDS_PER_DAY = 86_400

Trip = dict[str, str]


def trips_of(year: int) -> list[Trip]:
    """Returns the trips that began in a year (UTC), in time order; a gap is an empty string."""
    trips = [trip for trip in _all_trips() if _year(trip) == year]
    if not trips:
        raise DataError(f"Expected a year from 2013 to 2016, received {year}: it has no trips.")
    return sorted(trips, key=lambda trip: int(trip[TIME]))


def write_csv(year: int, folder: Path) -> int:
    """Writes the trips of a year as CsvExampleGen reads them; returns how many there are."""
    trips = trips_of(year)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{year}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(trips[0]))
        writer.writeheader()
        writer.writerows(trips)
    return len(trips)


def export_trips(until: datetime, folder: Path) -> int:
    """Writes all trips that began before a time, with what is to be predicted, as one CSV file.

    Stands in for the export of a warehouse: the column `big_tip` says what the model learns. The
    label of TFX's example is computed by Transform, where only training sees it.

    Args:
        until: UTC; trips of 2013 to 2016 are there.
        folder: Where to; files of an earlier export are replaced.
    """
    trips = [
        {**trip, BIG_TIP: str(int(_tipped(trip)))}
        for trip in _all_trips()
        if int(trip[TIME]) < until.timestamp()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "trips.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(trips[0]))
        writer.writeheader()
        writer.writerows(trips)
    return len(trips)


def write_labels(year: int, folder: Path) -> int:
    """Writes whether the passengers of a year tipped well, as LabelJoiner reads it: a day late."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {
            "request_id": f"taxi-{day}",
            "instance_index": index,
            "label": float(_tipped(trip)),
            "label_time_ms": (int(trip[TIME]) + _SECONDS_PER_DAY) * 1000,
        }
        for day, trips in groupby(trips_of(year), key=_day)
        for index, trip in enumerate(trips)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / f"{year}.parquet")
    return len(rows)


def requests_of(year: int) -> Iterator[tuple[str, int, list[bytes]]]:
    """Yields request id, event time (milliseconds UTC) and serialized tf.Examples, a day at a time.

    The tip is left out: nobody knows it yet.
    """
    for day, trips in groupby(trips_of(year), key=_day):
        of_day = list(trips)
        yield f"taxi-{day}", int(of_day[0][TIME]) * 1000, [_example(trip) for trip in of_day]


def _all_trips() -> list[Trip]:
    with _csv().open(newline="") as file:
        return list(csv.DictReader(file))


def _day(trip: Trip) -> int:
    return int(trip[TIME]) // _SECONDS_PER_DAY


def _tipped(trip: Trip) -> bool:
    """Says whether the tip was more than a fifth of the fare, as TFX's example asks."""
    return float(trip[LABEL] or 0) > 0.2 * float(trip["fare"] or 0)


def _csv() -> Path:
    found = importlib.util.find_spec("tfx.examples.chicago_taxi_pipeline")
    if found is None or found.origin is None:
        raise DataError(
            "Expected TFX's chicago taxi example in the environment, found none. "
            "Install the tfx wheel."
        )
    return Path(found.origin).parent / "data" / "simple" / "data.csv"


def _year(trip: Trip) -> int:
    return datetime.fromtimestamp(int(trip[TIME]), tz=timezone.utc).year


def _example(trip: Trip) -> bytes:
    from tensorflow.core.example import example_pb2, feature_pb2

    features = {
        name: _feature(name, value, feature_pb2)
        for name, value in trip.items()
        if value and name != LABEL
    }
    example = example_pb2.Example(features=feature_pb2.Features(feature=features))
    return bytes(example.SerializeToString())


def _feature(name: str, value: str, feature_pb2: Any) -> Any:
    if name in _TEXT:
        return feature_pb2.Feature(bytes_list=feature_pb2.BytesList(value=[value.encode()]))
    if name in _FLOAT:
        return feature_pb2.Feature(float_list=feature_pb2.FloatList(value=[float(value)]))
    return feature_pb2.Feature(int64_list=feature_pb2.Int64List(value=[int(value)]))
