"""Rows and facts that a decision rests on: files in, tables and evidence out.

The champion's training rows come as the sample beside its reference profile, what came after them
as the labelled log. A retraining would learn from both, so both are cut to the same columns here.
"""

import os
from dataclasses import dataclass

import pandas as pd

from tfx_loop.contracts.drift_report import DRIFT_REPORT, DriftResult
from tfx_loop.contracts.retrain_decision import RETRAIN_DECISION, SavingState
from tfx_loop.core.errors import DataError
from tfx_loop.data.prediction_log.record import FEATURE_PREFIX, STATUS_OK
from tfx_loop.data.prediction_log.window_files import ROWS_FILE
from tfx_loop.data.tables.table_file import open_table
from tfx_loop.monitoring.profile.profile_files import load_profile, load_sample
from tfx_loop.monitoring.retrain_decider.avoidable_loss import (
    AvoidableLoss,
    LabelledSample,
    MeasureSettings,
    column_faults,
    measure_avoidable_loss,
    one_class_only,
)
from tfx_loop.monitoring.retrain_decider.decision import Evidence, carried_state

_TIME = "event_time_ms"
_CALENDAR = ("span", _TIME)


@dataclass(frozen=True, kw_only=True)
class DeciderInputs:
    """Everything that one decision needs.

    Attributes:
        evidence: What was seen.
        previous: What was believed after the last decision on this champion.
        champion: Sample of the champion's training rows.
        kept: Rows that a retraining would use besides the label window.
        newest: Labelled rows of the label window, oldest first.
        label: Column of the label.
        features: Columns of the features.
    """

    evidence: Evidence
    previous: SavingState | None
    champion: LabelledSample
    kept: LabelledSample
    newest: pd.DataFrame
    label: str
    features: list[str]

    def measure(self, settings: MeasureSettings) -> AvoidableLoss:
        """Measures what a retraining would have saved in the label window."""
        return measure_avoidable_loss(
            self.champion,
            self.kept,
            self.newest,
            label=self.label,
            features=self.features,
            settings=settings,
        )


def read_inputs(
    *,
    drift_report_uri: str,
    labelled_log_uris: list[str],
    reference_profile_uri: str,
    previous_decision_uri: str | None,
    model_name: str,
    window: str,
    label_window: str,
    label_start_ms: int,
    label_end_ms: int,
    training_start_ms: int = 0,
) -> DeciderInputs:
    """Reads what a decision rests on.

    Raises:
        DataError: A file is missing something, or the profile has no labelled training sample.
    """
    report = DRIFT_REPORT.read(drift_report_uri)
    profile = load_profile(reference_profile_uri)
    label, fraction = profile.label, profile.sample.fraction
    sample = load_sample(reference_profile_uri).to_pandas()
    if label not in sample.columns or sample.empty:
        raise DataError(
            f"Expected a training sample with the label {label!r} beside the reference profile, "
            f"received {len(sample)} rows with {sorted(sample.columns)}. Run ReferenceProfiler on "
            "labelled examples."
        )
    ignored = {label, *_CALENDAR, *profile.unwatched}
    features = [name for name in sample.columns if name not in ignored]
    sample = sample[sample[label].notna()].astype({label: float})
    log = _labelled_rows(labelled_log_uris, label)
    newest = log[(log[_TIME] >= label_start_ms) & (log[_TIME] < label_end_ms)]
    older = log[log[_TIME] < label_start_ms]
    missing = column_faults(sample, newest, features) if len(newest) else {}
    evidence = _evidence(report, model_name, window, label_window, newest[label], missing)
    previous = None
    if previous_decision_uri:
        last = RETRAIN_DECISION.read(previous_decision_uri)
        previous = carried_state(last, model_name, evidence.model_version)
    return DeciderInputs(
        evidence=evidence,
        previous=previous,
        champion=LabelledSample(rows=sample, fraction=fraction),
        kept=_kept(sample, fraction, older, [*features, label], training_start_ms),
        newest=newest,
        label=label,
        features=features,
    )


def _evidence(
    report: DriftResult,
    model_name: str,
    window: str,
    label_window: str,
    labels: "pd.Series[float]",
    missing: dict[str, str],
) -> Evidence:
    faults = [f"{broken.feature}: {broken.fault}" for broken in report.features if broken.fault]
    faults += [f"{name}: {fault}" for name, fault in sorted(missing.items())]
    return Evidence(
        model_name=model_name,
        model_version=report.model_version,
        window=window,
        label_window=label_window,
        rows=report.rows.current,
        labelled_rows=len(labels),
        one_class=len(labels) > 0 and one_class_only(labels),
        drifted=report.drifted,
        faults=tuple(faults),
    )


def _kept(
    sample: pd.DataFrame,
    fraction: float,
    older: pd.DataFrame,
    columns: list[str],
    training_start_ms: int,
) -> LabelledSample:
    """Returns the sample and the older windows, as far as a retraining would still use them.

    The log has every row, the sample a fraction: the log is thinned to that, so that both weigh
    what they would weigh in a training.
    """
    if _TIME in sample.columns:
        # A row that the champion already learnt from is in the sample's count.
        older = older[older[_TIME] > sample[_TIME].max()]
    if training_start_ms:
        if _TIME not in sample.columns:
            raise DataError(
                f"Expected a training sample with {_TIME} to leave out rows before "
                f"{training_start_ms}. Profile examples that have it, or train on all windows."
            )
        sample = sample[sample[_TIME] >= training_start_ms]
        older = older[older[_TIME] >= training_start_ms]
    thinned = older.sample(frac=fraction, random_state=0) if fraction < 1.0 else older
    parts = [part.reindex(columns=columns) for part in (sample, thinned) if len(part)]
    rows = pd.concat(parts, ignore_index=True) if parts else sample[columns]
    return LabelledSample(rows=rows, fraction=fraction)


def _labelled_rows(uris: list[str], label: str) -> pd.DataFrame:
    """Returns the answered, labelled rows with plain feature names, oldest first."""
    parts = [open_table(os.path.join(uri, ROWS_FILE)).read().to_pandas() for uri in uris]
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    for column in (_TIME, "label"):
        if column not in rows.columns:
            raise DataError(
                f"Expected the column {column!r} in the labelled log, received "
                f"{sorted(rows.columns)}. Join labels with LabelJoiner first."
            )
    if "status" in rows.columns:
        rows = rows[rows["status"] == STATUS_OK]
    rows = rows[rows["label"].notna()]
    keys = [name for name in ("request_id", "instance_index") if name in rows.columns]
    if keys:
        rows = rows.drop_duplicates(subset=keys)
    # The order of rows decides the halves, so it must not hang on how the log was written.
    rows = rows.sort_values([_TIME, *keys], kind="stable").reset_index(drop=True)
    plain = {
        name: name.removeprefix(FEATURE_PREFIX)
        for name in rows.columns
        if name.startswith(FEATURE_PREFIX)
    }
    named = rows[[_TIME, *plain]].rename(columns=plain)
    named[label] = rows["label"].astype(float)
    return named
