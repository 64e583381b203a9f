"""Tables, files of them, and what `loop monitor --json` says of two."""

import json

import numpy as np
import pandas as pd

from tfx_loop.pipelines.cli import main

ROWS = 1_500


def frame(seed, rows=ROWS, first=0):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "row": np.arange(first, first + rows),
            "request_id": [f"r{random.integers(1 << 60)}" for _ in range(rows)],
            "at": pd.date_range("2024-01-01", periods=rows, freq="min") + pd.Timedelta(days=first),
            "temperature": random.normal(15, 8, rows),
            "price": random.lognormal(3, 1, rows),
            "age": random.integers(18, 90, rows),
            "member": random.random(rows) < 0.3,
            "plan": random.choice(["free", "basic", "pro"], rows, p=[0.6, 0.3, 0.1]),
            "city": [f"c{i}" for i in random.zipf(1.6, rows) % 300],
            "gaps": np.where(random.random(rows) < 0.1, np.nan, random.normal(size=rows)),
        }
    )


def save(content, folder, name, kind="parquet"):
    path = folder / f"{name}.{kind}"
    content.to_parquet(path, index=False) if kind == "parquet" else content.to_csv(
        path, index=False
    )
    return str(path)


def monitored(capsys, reference, current, *options):
    status = main.main(
        ["monitor", "--reference", reference, "--current", current, "--json", *options]
    )
    return status, json.loads(capsys.readouterr().out)


def entry_of(report, feature):
    return next(entry for entry in report["features"] if entry["feature"] == feature)
