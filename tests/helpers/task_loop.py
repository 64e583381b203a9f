"""Small projects of each task, whose world is another one from the third day on.

Every task is the same story: on the first two days the label follows one part of the features, then
another, so that only a model trained on the new rows answers well.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from plain_loop import CHANGES_ON, DAY_SECONDS, FIRST, ROWS_A_DAY

PROJECT = Path(__file__).parent / "task_project"
DAYS = 4


@dataclass(frozen=True, kw_only=True)
class SmallTask:
    """A task: as loop.toml says it, how the model ends, and its gate."""

    task: str
    outputs: int
    activation: str
    loss: str
    gate: str


TASKS = {
    "regression": SmallTask(
        task="regression",
        outputs=1,
        activation="linear",
        loss="mean_squared_error",
        gate="[gate.error]\nat_most = 5.0",
    ),
    "classes": SmallTask(
        task="classes:3",
        outputs=3,
        activation="softmax",
        loss="sparse_categorical_crossentropy",
        gate="[gate.accuracy]\nat_least = 0.5",
    ),
    "digits": SmallTask(
        task="classes:10",
        outputs=10,
        activation="softmax",
        loss="sparse_categorical_crossentropy",
        gate="[gate.accuracy]\nat_least = 0.5",
    ),
    "text": SmallTask(
        task="binary",
        outputs=1,
        activation="sigmoid",
        loss="binary_crossentropy",
        gate="[gate.AUC]\nat_least = 0.6",
    ),
}


def write_task(folder: Path, name: str, seed: int = 0) -> pd.DataFrame:
    """Writes the project of a task into a folder; returns its rows."""
    shutil.copytree(PROJECT, folder, dirs_exist_ok=True)
    rng, count = np.random.default_rng(seed), DAYS * ROWS_A_DAY
    changed = np.arange(count) // ROWS_A_DAY >= CHANGES_ON
    rows = _ROWS[name](rng, count, changed)
    features, said = [column for column in rows if column != "y"], TASKS[name]
    rows["time"] = FIRST.timestamp() + np.arange(count) * DAY_SECONDS / ROWS_A_DAY
    rows["id"] = [f"r{number}" for number in range(count)]
    rows.to_parquet(folder / "rows.parquet")
    (folder / "labels").mkdir(exist_ok=True)
    told = {
        "features": features,
        "outputs": said.outputs,
        "activation": said.activation,
        "loss": said.loss,
    }
    (folder / "task.json").write_text(json.dumps(told))
    return rows


def send_task(client, rows: pd.DataFrame) -> None:
    """Sends rows to the server, a request each fifty."""
    from serving_models import example

    features = [column for column in rows if column not in ("y", "time", "id")]
    for start in range(0, len(rows), 50):
        part = rows.iloc[start : start + 50]
        said = part[features].to_dict("records")
        client.predict(
            instances=[
                example(**{k: v.encode() if isinstance(v, str) else v for k, v in one.items()})
                for one in said
            ],
            request_id=part["id"].iloc[0],
            event_time_ms=int(part["time"].iloc[0] * 1000),
        )


def _numbers(rng, count):
    return pd.DataFrame({"x1": rng.normal(size=count), "x2": rng.normal(size=count)})


def _regression(rng, count, changed):
    rows = _numbers(rng, count)
    telling = np.where(changed, rows["x2"], rows["x1"])
    return rows.assign(y=3.0 * telling + rng.normal(0, 0.3, count))


def _classes(rng, count, changed):
    rows = _numbers(rng, count)
    telling = np.where(changed, rows["x2"], rows["x1"]) + rng.normal(0, 0.2, count)
    return rows.assign(y=np.digitize(telling, [-0.5, 0.5]))


def _digits(rng, count, changed):
    """Real images of 8 by 8; from the third day on the camera hangs upside down."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    chosen = rng.integers(0, len(images), count)
    pixels = images[chosen] / 16.0
    pixels[changed] = pixels[changed][:, ::-1]
    columns = {f"p{n:02d}": pixels[:, n] for n in range(pixels.shape[1])}
    return pd.DataFrame({**columns, "y": labels[chosen]})


def _text(rng, count, changed):
    """Sentences of a few words, of which one in each says whether they are praise."""
    praise = rng.random(count) < 0.5
    filler = np.array(["the", "food", "was", "served", "by", "a", "waiter", "on", "monday"])
    before, after = (("good", "bad"), ("sick", "mid"))
    texts = []
    for number in range(count):
        said = (after if changed[number] else before)[0 if praise[number] else 1]
        words = [*rng.choice(filler, 5), said if rng.random() < 0.9 else "fine"]
        texts.append(" ".join(rng.permutation(words)))
    return pd.DataFrame({"text": texts, "y": praise.astype(int)})


_ROWS = {"regression": _regression, "classes": _classes, "digits": _digits, "text": _text}
