"""A model whose concept goes and comes back: two versions, their profiles, months of predictions.

In concept A the label hangs on `x`, in B on `z`; neither turns the other upside down, which would
look like flipped labels. Version 1 knows A, version 2 knows B.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from push_desk import Desk

from tfx_loop.data.prediction_log.record import Envelope, make_batch
from tfx_loop.data.prediction_log.writer import PredictionLogWriter
from tfx_loop.data.tables.parquet_files import save_rows
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.profile.profile_files import StoredReference, save_reference
from tfx_loop.monitoring.profile.training_counts import training_counts
from tfx_loop.pipelines.config import ModelSettings, PipelineSettings, ServingSettings, Settings
from tfx_loop.pipelines.examples.flights.calendar import FlightMonths

NAME, LABEL = "flights", "late"
WEIGHTS = {1: (2.0, 0.0), 2: (0.0, 2.0)}
ROWS = 1_500
_IGNORED = ("span", "event_time_ms")


def month_rows(span: int, version: int) -> pd.DataFrame:
    """Rows of a month in the concept that a version knows, oldest first."""
    window = FlightMonths().window_of_span(span)
    rng = np.random.default_rng(span)
    rows = pd.DataFrame(
        {
            "x": rng.normal(size=ROWS).astype(np.float32),
            "z": rng.normal(size=ROWS).astype(np.float32),
            "origin": rng.choice(["JFK", "LGA"], ROWS),
        }
    )
    rows[LABEL] = (rng.uniform(size=ROWS) < answer(rows, version)).astype(np.int64)
    rows["event_time_ms"] = np.sort(rng.integers(window.start_ms, window.end_ms, ROWS))
    rows["span"] = span
    return rows


def answer(rows: pd.DataFrame, version: int) -> npt.NDArray[np.float32]:
    """What a version says."""
    on_x, on_z = WEIGHTS[version]
    score = on_x * rows["x"].to_numpy() + on_z * rows["z"].to_numpy()
    return np.asarray(1 / (1 + np.exp(-score)), dtype=np.float32)


class ReturningConcept:
    """Files of one run below a folder: serving, log, labels, profiles."""

    def __init__(self, folder: Path) -> None:
        """Pushes both versions: 1 learnt from January, 2 from February."""
        self.folder, self.desk = folder, Desk(folder)
        (folder / "labels").mkdir()
        for version in (1, 2):
            model = folder / f"saved-{version}"
            save_model(model, *WEIGHTS[version])
            self.desk.push(
                run_id=f"run-{version}",
                model_dir=model,
                model_uri=str(model),
                reference_profile_uri=self._profile(version),
            )

    @staticmethod
    def model_settings() -> ModelSettings:
        """What is trained: nothing here, the versions are made by hand."""
        return ModelSettings(
            name=NAME,
            label=LABEL,
            key_column="key",
            preprocessing_fn="tests.nothing",
            run_fn="tests.nothing",
            schema_uri="",
            slice_feature="origin",
        )

    def settings(self) -> Settings:
        """What the pipelines need to know."""
        return Settings(
            model=self.model_settings(),
            serving=ServingSettings(
                base_path=str(self.desk.base),
                server_url="http://127.0.0.1:1",
                prediction_log=str(self.folder / "log"),
            ),
            pipeline=PipelineSettings(
                root=str(self.folder / "artifacts"),
                metadata_path=str(self.folder / "metadata.sqlite"),
                data=str(self.folder / "spans"),
                labels=str(self.folder / "labels"),
            ),
        )

    def serve(self, span: int, concept: int, version: int) -> None:
        """Lets a version answer a month; its labels arrive with the end of the next one."""
        rows = month_rows(span, concept)
        writer = PredictionLogWriter(self.folder / "log")
        for number, row in enumerate(np.array_split(np.arange(ROWS), 100)):
            part = rows.iloc[row]
            at_ms = int(part["event_time_ms"].iloc[0])
            envelope = Envelope(
                request_id=f"{span}-{number}",
                event_time_ms=at_ms,
                model_name=NAME,
                model_version=version,
                variant="float",
                latency_ms=1.0,
                answered_time_ms=at_ms,
            )
            features = {name: part[name].to_numpy() for name in ("x", "z", "origin")}
            outputs = {"probability": answer(part, version)}
            writer.append(NAME, at_ms, make_batch(envelope, len(part), features, outputs))
        writer.close()
        self._label(span, rows)

    def _label(self, span: int, rows: pd.DataFrame) -> None:
        places = np.concatenate([np.arange(len(p)) for p in np.array_split(np.arange(ROWS), 100)])
        numbers = np.repeat(np.arange(100), ROWS // 100)
        arrived = FlightMonths().window_of_span(span + 1).end_ms - 1
        table = pa.table(
            {
                "request_id": pa.array([f"{span}-{n}" for n in numbers], pa.string()),
                "instance_index": pa.array(places, pa.int32()),
                "label": pa.array(rows[LABEL].astype(float), pa.float64()),
                "label_time_ms": pa.array(np.full(ROWS, arrived), pa.int64()),
            }
        )
        save_rows(table, str(self.folder / "labels" / f"{span}.parquet"))

    def _profile(self, version: int) -> str:
        """Profiles the month that a version learnt from, and its scores on another of its kind."""
        table = pa.Table.from_pandas(month_rows(version, version), preserve_index=False)
        held_out = month_rows(12, version)
        profile, sample = build(
            table,
            ProfileRequest(
                label=LABEL, score="probability", slices=("origin",), ignore_features=_IGNORED
            ),
            scores=pa.array(answer(held_out, version).astype(np.float64)),
            score_labels=pa.array(held_out[LABEL].to_numpy()),
        )
        uri = str(self.folder / f"profile-{version}")
        counts = training_counts(table, profile)
        save_reference(StoredReference(profile, counts, sample), uri)
        return uri


def save_model(folder: Path, on_x: float, on_z: float) -> None:
    """Saves a model that takes tf.Examples, as TFX's Trainers do."""
    import tensorflow as tf

    spec = {name: tf.io.FixedLenFeature([], tf.float32) for name in ("x", "z")}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def answered(examples: Any) -> dict[str, Any]:
        columns = tf.io.parse_example(examples, spec)
        return {"probability": tf.sigmoid(on_x * columns["x"] + on_z * columns["z"])}

    module = tf.Module()
    module.answered = answered
    tf.saved_model.save(module, str(folder), signatures={"serving_default": answered})
