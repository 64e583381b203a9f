"""The loop's own functions over a stream: profile, log, drift report and decision as files.

What a pipeline's nodes do, without TFX around them: the reference profile, the labelled log and the
drift report are written and read as the nodes write and read them, and every rule is the product's.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.decide.faults.planted import Answer
from tests.benchmarks.decide.streams import LABEL, WINDOW, Stream
from tfx_loop.contracts.drift_report import DRIFT_REPORT, DriftResult
from tfx_loop.contracts.measured_loss import FaultyWindow
from tfx_loop.contracts.retrain_decision import RETRAIN_DECISION, DecisionRecord
from tfx_loop.contracts.task import BINARY
from tfx_loop.data.prediction_log.record import FEATURE_PREFIX, OUTPUT_PREFIX
from tfx_loop.data.prediction_log.window_files import ROWS_FILE
from tfx_loop.monitoring.drift.window import CountedWindow
from tfx_loop.monitoring.drift.window_report import report_window
from tfx_loop.monitoring.drift_monitor.settings import DriftMonitorSettings
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.profile.profile_files import (
    StoredReference,
    load_reference,
    save_reference,
)
from tfx_loop.monitoring.profile.profiler import Profiler
from tfx_loop.monitoring.profile.training_counts import training_counts
from tfx_loop.monitoring.reference_profiler.promise import ScoredRows, with_promise
from tfx_loop.monitoring.retrain_decider.decision import decide
from tfx_loop.monitoring.retrain_decider.inputs import read_inputs
from tfx_loop.monitoring.retrain_decider.labelled_rows import TIME
from tfx_loop.monitoring.retrain_decider.settings import DecisionSettings

MODEL = "model"
WEEK_MS = 7 * 86_400_000
_DAYS = 7
_VERSION = 1
SCORE = f"{OUTPUT_PREFIX}probability"


def with_times(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns rows with a time each: a window is a week, its rows at even distances."""
    place = rows.groupby(WINDOW).cumcount().to_numpy()
    size = rows.groupby(WINDOW)[WINDOW].transform("size").to_numpy()
    return rows.assign(**{TIME: rows[WINDOW].to_numpy() * WEEK_MS + place * WEEK_MS // size})


def held_out(rows: pd.DataFrame) -> Any:
    """Says of each row whether it is of a day that is kept from training: one in seven."""
    return rows[TIME].to_numpy() * _DAYS // WEEK_MS % _DAYS == _DAYS - 1


def write_reference(stream: Stream, rows: pd.DataFrame, promised: Answer, folder: Path) -> Path:
    """Profiles a champion's training rows as ReferenceProfiler does; returns the folder.

    Args:
        stream: Where the rows come from.
        rows: With those that were held out of its training.
        promised: How it answered the held-out ones.
        folder: Gets the profile's files.
    """
    held = held_out(rows)
    trained, labels = _table(stream, rows[~held]), pa.array(rows[held][LABEL])
    scored = ScoredRows(answers=promised(rows[held]), labels=labels)
    request = ProfileRequest(label=LABEL, score=SCORE.removeprefix(OUTPUT_PREFIX))
    profile, sample = build(trained, request, (), scored.scores, labels)
    profile = with_promise(profile, scored, trained.column(LABEL), BINARY)
    counts = training_counts(trained, profile)
    save_reference(StoredReference(profile, counts, sample), str(folder))
    return folder


@dataclass
class LoopOnFiles:
    """A version that serves, what was logged of it, and what was decided.

    Attributes:
        stream: Where rows come from.
        folder: Gets the files.
        reference: Folder of the version's reference profile.
        answer: How the version answers.
        quarantined: Windows that are left out of measurements and trainings, by name.
    """

    stream: Stream
    folder: Path
    reference: Path
    answer: Answer
    quarantined: dict[str, FaultyWindow] = field(default_factory=dict)
    _report: DriftResult | None = None
    _logged: list[str] = field(default_factory=list)

    def log(self, window: int, rows: pd.DataFrame, labels: Any) -> None:
        """Logs what the version answers to a window's rows, with the labels that come for them."""
        features = _table(self.stream, rows).select(self.stream.features)
        table = {
            "request_id": [f"{window}-{number}" for number in range(len(rows))],
            "instance_index": np.zeros(len(rows), np.int32),
            TIME: rows[TIME].to_numpy(),
            "model_version": np.full(len(rows), _VERSION, np.int64),
            "status": ["ok"] * len(rows),
            SCORE: self.answer(rows),
            "label": np.asarray(labels, dtype=np.float64),
        }
        named = {f"{FEATURE_PREFIX}{name}": features.column(name) for name in features.column_names}
        folder = self.folder / f"log-{window}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({**table, **named}), folder / ROWS_FILE)
        self._logged.append(str(folder))

    def decide(self, window: int) -> DecisionRecord:
        """Monitors a window that ended and decides with the labels of the one before."""
        self._monitor(window)
        before = self.folder / f"decision-{window - 1}"
        inputs = read_inputs(
            drift_report_uri=str(self.folder / f"drift-{window}"),
            labelled_log_uris=self._logged[:-1],
            reference_profile_uri=str(self.reference),
            previous_decision_uri=str(before) if before.exists() else None,
            model_name=MODEL,
            window=str(window),
            label_window=str(window - 1),
            label_start_ms=(window - 1) * WEEK_MS,
            label_end_ms=window * WEEK_MS,
            score_output=SCORE,
            quarantined=tuple(self.quarantined.values()),
            champion_version=_VERSION,
        )
        policy = DecisionSettings()
        record = decide(
            inputs.evidence,
            lambda serving: inputs.measure(policy.measure, serving),
            inputs.previous,
            policy,
        )
        RETRAIN_DECISION.write(record, self.folder / f"decision-{window}")
        self.quarantined |= {each.window: each for each in record.evidence.faulty_windows or ()}
        return record

    def _monitor(self, window: int) -> None:
        reference = load_reference(str(self.reference))
        settings = DriftMonitorSettings()
        profiler = Profiler(reference.profile, settings.layout())
        rows = pq.read_table(Path(self._logged[-1]) / ROWS_FILE)
        bounds = (window * WEEK_MS, (window + 1) * WEEK_MS)
        counted = CountedWindow(
            str(window), MODEL, profiler.profile_all(rows.to_batches()), *bounds
        )
        comparison = settings.comparison(reference, WEEK_MS)
        self._report = report_window(reference, counted, comparison, self._report)
        DRIFT_REPORT.write(self._report, self.folder / f"drift-{window}")


def _table(stream: Stream, rows: pd.DataFrame) -> Any:
    columns = [*stream.features, LABEL, TIME]
    return pa.Table.from_pandas(rows[columns], preserve_index=False)
