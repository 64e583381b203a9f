"""Rows and facts that a decision rests on: files in, tables and evidence out.

The champion's training rows come as the sample beside its reference profile, what came after them
as the labelled log. A retraining would learn from both, so both are cut to the same columns here.
"""

from dataclasses import dataclass, replace

import pandas as pd

from tfx_loop.contracts.drift_report import DRIFT_REPORT, DriftResult
from tfx_loop.contracts.measured_loss import FaultyWindow, SavingState
from tfx_loop.contracts.quality_report import QUALITY_REPORT, PromiseTest
from tfx_loop.contracts.retrain_decision import RETRAIN_DECISION
from tfx_loop.contracts.task import ModelTask, TaskKind
from tfx_loop.core.errors import DataError
from tfx_loop.core.texts import listed
from tfx_loop.monitoring.retrain_decider.avoidable_loss import (
    AvoidableLoss,
    MeasureSettings,
    column_faults,
    measure_avoidable_loss,
    one_class_only,
)
from tfx_loop.monitoring.retrain_decider.decision import carried_state
from tfx_loop.monitoring.retrain_decider.hold_gates import Evidence
from tfx_loop.monitoring.retrain_decider.label_faults import label_faults
from tfx_loop.monitoring.retrain_decider.labelled_rows import (
    DRAWN,
    TIME,
    LabelledLog,
    read_labelled_log,
)
from tfx_loop.monitoring.retrain_decider.lost_labels import lost_label_faults
from tfx_loop.monitoring.retrain_decider.served_loss import ServedAnswers
from tfx_loop.monitoring.retrain_decider.thinning import LabelledSample
from tfx_loop.monitoring.retrain_decider.version_reference import (
    feature_names,
    promised_auc,
    promised_rates,
    read_reference,
    served_answers,
)


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
        task: What the labels are.
        answers: What the champion answered to the rows of `newest`; None without its scores.
        log: The labelled log that the rows are of.
        older: Labelled rows before `newest`, oldest first.
        label_start_ms: Begin of the label window, milliseconds UTC.
        label_span_ms: Its length.
    """

    evidence: Evidence
    previous: SavingState | None
    champion: LabelledSample
    kept: LabelledSample
    newest: pd.DataFrame
    label: str
    features: list[str]
    task: ModelTask
    answers: ServedAnswers | None = None
    log: LabelledLog
    older: pd.DataFrame
    label_start_ms: int
    label_span_ms: int

    def measure(
        self, settings: MeasureSettings, serving: LabelledSample | None = None
    ) -> AvoidableLoss:
        """Measures what a retraining would have saved in the label window.

        Args:
            settings: How to measure.
            serving: What another version was trained on, to measure against that one; nothing is
                known of its own answers then. A retraining would use the same rows.
        """
        return measure_avoidable_loss(
            serving or self.champion,
            self.kept,
            self.newest,
            label=self.label,
            features=self.features,
            settings=settings,
            answers=None if serving else self.answers,
            task=self.task,
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
    score_output: str = "",
    quarantined: tuple[FaultyWindow, ...] = (),
    champion_version: int = 0,
    parse_fn: str = "",
    evaluation_uri: str | None = None,
) -> DeciderInputs:
    """Reads what a decision rests on.

    Raises:
        DataError: A file is missing something, or the profile has no training sample with a label
            and features.
    """
    report = DRIFT_REPORT.read(drift_report_uri)
    reference = read_reference(reference_profile_uri)
    profile, champion, task = reference.profile, reference.sample, reference.task
    label, sample, fraction = profile.label, champion.rows, champion.fraction
    features = feature_names(profile, sample)
    if not features:
        raise DataError(
            "Expected features of single values in the training sample, by which to tell what a "
            f"retraining would save, received none beside {listed(sample.columns)}. Give "
            "ReferenceProfiler, DriftMonitor and this node a parse_fn that makes numbers of lists "
            "or images, or leave RetrainDecider out."
        )
    logged = read_labelled_log(labelled_log_uris, label, score_output, fraction, parse_fn, task)
    log = logged.rows
    left_out = _reaching(quarantined, log)
    for faulty in left_out:
        log = log[(log[TIME] < faulty.start_ms) | (log[TIME] >= faulty.end_ms)]
    # By the times of the rows and not by the artifacts: a log may hold several windows.
    newest = log[(log[TIME] >= label_start_ms) & (log[TIME] < label_end_ms)]
    older = log[log[TIME] < label_start_ms]
    # No labels have come yet: an empty window would make every column look missing.
    missing = column_faults(sample, newest, features) if len(newest) else {}
    # After a roll-back the latest version of the log is not the one that is to serve.
    version = champion_version or report.model_version
    # Labels that no class of the model has are a fault, and nothing that a loss can be told of.
    seen = newest[label]
    unknown = float(seen.isna().mean()) if len(seen) else 0.0
    newest, older = (rows[rows[label].notna()] for rows in (newest, older))
    answers = served_answers(newest, version, profile, task)
    broken = label_faults(
        newest[label].to_numpy(),
        sample[label].to_numpy(),
        answers.scores if answers else None,
        promised_auc(profile),
        task=task,
        unknown_share=unknown,
    )
    if not broken and answers and task.kind is TaskKind.BINARY:
        promised = promised_rates(profile, answers.scores)
        told = newest[[name for name in features if name in newest.columns]]
        broken = lost_label_faults(newest[label].to_numpy(), promised, told)
    evidence = replace(
        _evidence(report, model_name, window, label_window, seen, missing, task),
        model_version=version,
        answered_by=tuple(sorted(report.model_versions)),
        label_faults=broken,
        left_out=left_out,
        promise=_promise(evaluation_uri, label_window, version),
    )
    labels = (label_window, label_start_ms, label_end_ms)
    evidence = replace(evidence, faulty_windows=_faulty_windows(report, evidence, missing, labels))
    previous = None
    if previous_decision_uri:
        last = RETRAIN_DECISION.read(previous_decision_uri)
        previous = carried_state(last, model_name, evidence.model_version)
        # 0 is a decision in whose window nobody answered.
        newly_stable = last.model_version not in (0, evidence.model_version)
        evidence = replace(evidence, newly_stable=newly_stable)
    return DeciderInputs(
        evidence=evidence,
        previous=previous,
        champion=champion,
        kept=_kept(sample, fraction, older, [*features, label], training_start_ms, label_start_ms),
        newest=newest,
        label=label,
        features=features,
        task=task,
        answers=answers,
        log=logged,
        older=older,
        label_start_ms=label_start_ms,
        label_span_ms=label_end_ms - label_start_ms,
    )


def _promise(uri: str | None, label_window: str, version: int) -> PromiseTest | None:
    """Returns how the champion did beside its promise, where QualityMonitor says so."""
    report = QUALITY_REPORT.find(uri) if uri else None
    if report is None or report.promise is None or report.window != label_window:
        return None
    # Of an earlier version's answers the champion's promise says nothing.
    return report.promise if report.promise.model_version in (0, version) else None


def _reaching(quarantined: tuple[FaultyWindow, ...], log: pd.DataFrame) -> tuple[FaultyWindow, ...]:
    """Returns the quarantined windows that the log has rows of."""
    times = log[TIME]
    # Those without rows in the log change nothing here, and would be told as left out for nothing.
    return tuple(w for w in quarantined if ((times >= w.start_ms) & (times < w.end_ms)).any())


def _faulty_windows(
    report: DriftResult,
    evidence: Evidence,
    missing: dict[str, str],
    labels: tuple[str, int, int],
) -> tuple[FaultyWindow, ...]:
    """Returns the windows that are broken: the one that ended, the one whose labels came."""
    found = []
    seen = tuple(f"{broken.title}: {broken.fault}" for broken in report.features if broken.fault)
    if seen:
        found.append(
            FaultyWindow(
                window=evidence.window,
                start_ms=report.start_ms,
                end_ms=report.end_ms,
                faults=seen,
            )
        )
    known = [f"{name}: {fault}" for name, fault in sorted(missing.items())]
    known += [f"labels: {fault}" for fault in evidence.label_faults]
    # Labels that were left out were not looked at: what was found before still holds.
    for before in evidence.left_out:
        if before.window == evidence.label_window:
            known += [fault for fault in before.faults if fault.startswith("labels: ")]
    if known:
        window, start_ms, end_ms = labels
        found.append(
            FaultyWindow(window=window, start_ms=start_ms, end_ms=end_ms, faults=tuple(known))
        )
    return tuple(found)


def _evidence(
    report: DriftResult,
    model_name: str,
    window: str,
    label_window: str,
    labels: "pd.Series[float]",
    missing: dict[str, str],
    task: ModelTask,
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
        one_class=len(labels) > 0 and one_class_only(labels, task),
        drifted=report.drifted,
        faults=tuple(faults),
    )


def _kept(
    sample: pd.DataFrame,
    fraction: float,
    older: pd.DataFrame,
    columns: list[str],
    training_start_ms: int,
    label_start_ms: int,
) -> LabelledSample:
    """Returns the sample and the older windows, as far as a retraining would still use them.

    The log has every row, the sample a fraction: the log is thinned to that, so that both weigh
    what they would weigh in a training. Examples of a stock pipeline have no times: then all of a
    sample is older than the rows of the log that came after it. Where a training would begin before
    those, nobody knows which part of it is left, and all of it is kept: an estimate of the saving
    that is rather too low.
    """
    if TIME in sample.columns:
        # A row that the champion already learnt from is in the sample's count.
        older = older[older[TIME] > sample[TIME].max()]
    if training_start_ms:
        # A rolling training forgets what is older: the challenger's stand-in must not learn from
        # it.
        if TIME in sample.columns:
            sample = sample[sample[TIME] >= training_start_ms]
        elif training_start_ms >= min([label_start_ms, *older[TIME]]):
            sample = sample.iloc[:0]
        older = older[older[TIME] >= training_start_ms]
    # Drawn by the rows' content with the sample's own share, so that every run takes the same.
    thinned = older[older[DRAWN]]
    parts = [part.reindex(columns=columns) for part in (sample, thinned) if len(part)]
    rows = pd.concat(parts, ignore_index=True) if parts else sample[columns]
    return LabelledSample(rows=rows, fraction=fraction)
