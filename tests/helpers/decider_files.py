"""Writes what RetrainDecider reads: a drift report, a reference profile and a labelled log."""

from pathlib import Path

import numpy as np
import pandas as pd

from tfx_loop.contracts.drift_report import (
    DRIFT_REPORT,
    ComparedRows,
    DriftResult,
    DriftVerdict,
    FeatureDrift,
)
from tfx_loop.monitoring.profile.reference import (
    REFERENCE_PROFILE,
    SAMPLE_FILE,
    FrozenProfile,
    SampleInfo,
)

DAY_MS = 86_400_000
LABEL_START_MS, LABEL_END_MS = 60 * DAY_MS, 90 * DAY_MS
# The champion learnt from days 0 to 30; days 30 to 60 are labelled too, days 60 to 90 are newest.


def training_rows(count: int, seed: int, first_day: int, *, sign: float = 1.0) -> pd.DataFrame:
    """Rows of thirty days in order of time, labelled by `sign` times a score."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "temp": rng.normal(50, 10, count),
            "hour": rng.integers(0, 24, count),
            "carrier": rng.choice(["AA", "UA", "B6"], count).astype(object),
        }
    )
    score = (rows["temp"] - 50) / 5 + (rows["carrier"] == "AA") + rng.logistic(size=count)
    rows["late"] = (sign * score > 0).astype(float)
    rows["event_time_ms"] = np.sort(
        rng.integers(first_day * DAY_MS, (first_day + 30) * DAY_MS, count)
    )
    return rows


def write_profile(folder: Path, rows: pd.DataFrame, fraction: float = 1.0) -> Path:
    """Writes a reference profile's two files."""
    folder.mkdir(parents=True)
    profile = FrozenProfile(
        rows_total=round(len(rows) / fraction),
        features=(),
        sample=SampleInfo(len(rows), fraction, 0),
        label="late",
        ignored=("late", "event_time_ms"),
    )
    REFERENCE_PROFILE.write(profile, folder)
    rows.to_parquet(folder / SAMPLE_FILE, index=False)
    return folder


def write_log(folder: Path, rows: pd.DataFrame) -> Path:
    """Writes a labelled log's rows as LabelJoiner does, one of them answered with an error.

    A column `answered_by` is the version that answered, without it version 3; `answer` is what was
    answered, without it what a model of days 0 to 30 would say.
    """
    folder.mkdir(parents=True)
    beside = ("late", "event_time_ms", "answered_by", "answer")
    features = [name for name in rows.columns if name not in beside]
    logged = rows[["event_time_ms"]].copy()
    logged["request_id"] = [f"{time}-{n}" for n, time in enumerate(rows["event_time_ms"])]
    logged["instance_index"] = np.int32(0)
    logged["status"] = "ok"
    logged["model_version"] = rows["answered_by"].to_numpy() if "answered_by" in rows else 3
    for name in features:
        logged[f"feature.{name}"] = rows[name].to_numpy()
    score = (rows["temp"] - 50) / 5 + (rows["carrier"] == "AA" if "carrier" in rows else 0.3)
    told = 1 / (1 + np.exp(-score)) if "answer" not in rows else rows["answer"]
    logged["output.probability"] = told.to_numpy()
    logged["label"] = rows["late"].to_numpy() if "late" in rows else np.nan
    failed = logged.tail(1).assign(request_id="failed", status="error")
    pd.concat([logged, failed]).to_parquet(folder / "rows.parquet", index=False)
    return folder


def write_report(folder: Path, *, fault: str | None = None, rows: int = 3000) -> Path:
    """Writes a drift report about version 3."""
    folder.mkdir(parents=True)
    drifted = fault is None
    report = DriftResult(
        verdict=DriftVerdict.DRIFT if drifted else DriftVerdict.DATA_FAULT,
        reason="features_drifted" if drifted else "features_faulty",
        explanation="1 of 2 features drifted: temp.",
        window="day-120",
        model_name="flights",
        model_version=3,
        model_versions={3: rows},
        rows=ComparedRows(3000, rows),
        features=(
            FeatureDrift(feature="temp", type="numeric", drifted=drifted, fault=fault),
            FeatureDrift(feature="temp", type="numeric", slice="origin=JFK", drifted=drifted),
            FeatureDrift(feature="hour", type="integer"),
        ),
    )
    DRIFT_REPORT.write(report, folder)
    return folder
