"""The project of a user who has a stock pipeline and a server: its rows, requests and labels.

From 3 January 2024 on the world is another one: `x2` says what `x1` said of the label.
"""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

PROJECT = Path(__file__).parent / "plain_project"
DAY_SECONDS, FIRST = 86_400, pd.Timestamp("2024-01-01", tz="UTC")
CHANGES_ON, ROWS_A_DAY = 2, 600


def write_project(folder: Path, days: int = 4, seed: int = 0) -> pd.DataFrame:
    """Writes the project into a folder; returns its rows."""
    shutil.copytree(PROJECT, folder, dirs_exist_ok=True)
    rng = np.random.default_rng(seed)
    count = days * ROWS_A_DAY
    day = np.arange(count) // ROWS_A_DAY
    rows = pd.DataFrame({"x1": rng.normal(size=count), "x2": rng.normal(size=count)})
    telling = np.where(day < CHANGES_ON, rows["x1"], rows["x2"])
    chance = 1 / (1 + np.exp(-3.0 * telling))
    rows["y"] = (rng.random(count) < chance).astype(int)
    rows["time"] = FIRST.timestamp() + np.arange(count) * DAY_SECONDS / ROWS_A_DAY
    rows["id"] = [f"r{number}" for number in range(count)]
    rows.to_parquet(folder / "rows.parquet")
    (folder / "labels").mkdir(exist_ok=True)
    return rows


def of_day(rows: pd.DataFrame, day: int) -> pd.DataFrame:
    """Returns the rows of a day from 0 on."""
    return rows.iloc[day * ROWS_A_DAY : (day + 1) * ROWS_A_DAY]


def send(client, rows: pd.DataFrame) -> None:
    """Sends rows to the server, a request each fifty."""
    from serving_models import example

    for start in range(0, len(rows), 50):
        part = rows.iloc[start : start + 50]
        client.predict(
            instances=[example(x1=row.x1, x2=row.x2) for row in part.itertuples()],
            request_id=part["id"].iloc[0],
            event_time_ms=int(part["time"].iloc[0] * 1000),
        )


def write_labels(rows: pd.DataFrame, path: Path, late_seconds: int = 3600) -> None:
    """Writes the labels of rows as they come in."""
    place = np.arange(len(rows)) % 50
    first = rows["id"].to_numpy()[np.arange(len(rows)) - place]
    labels = pd.DataFrame(
        {
            "request_id": first,
            "instance_index": place,
            "label": rows["y"].astype(float).to_numpy(),
            "label_time_ms": ((rows["time"] + late_seconds) * 1000).astype("int64").to_numpy(),
        }
    )
    labels.to_parquet(path)
