"""One sentence for a verdict, from its reason and facts, in the words of who reads it."""

from collections.abc import Sequence
from dataclasses import dataclass

from tfx_loop.contracts import drift_report
from tfx_loop.contracts.drift_report import TOGETHER, FeatureDrift, moved_features, tested_features
from tfx_loop.monitoring.drift.verdict import DriftJudgement


@dataclass(frozen=True)
class Wording:
    """What the reader calls things.

    Attributes:
        current: The rows that were compared with the reference.
        ignored: The setting that leaves features out.
        untested: The noun of what is told beside the features; empty where nothing is.
    """

    current: str
    ignored: str
    untested: str = ""


WINDOW_WORDING = Wording(current="the window", ignored="ignore_features")
FILE_WORDING = Wording(current="the current file", ignored="--ignore", untested="column")


def explain(judgement: DriftJudgement, wording: Wording, ignored: Sequence[str] = ()) -> str:
    """Returns the verdict's reason in one sentence.

    Args:
        judgement: The verdict and its facts.
        wording: What the reader calls things.
        ignored: Columns that the reader left out, to be named where nothing else is left.
    """
    rows, measured = judgement.rows, len(tested_features(judgement.features))
    untested = _count_of_untested(judgement, wording)
    match judgement.reason:
        case drift_report.EMPTY_WINDOW if rows.failed:
            told = f"{rows.failed} were answered with an error"
            return f"No answered row in {wording.current}; {told}."
        case drift_report.EMPTY_WINDOW:
            return f"There is no row in {wording.current}."
        case drift_report.FEATURES_FAULTY:
            broken = ", ".join(f"{f.title} ({f.fault})" for f in judgement.faulty)
            return (
                f"Broken: {broken}. Fix the source of the data, or name what moves legitimately "
                f"in {wording.ignored}."
            )
        case drift_report.TOO_FEW_ROWS:
            return _too_few(wording.current, rows.current, judgement.min_rows)
        case drift_report.TOO_FEW_REFERENCE_ROWS:
            return _too_few("the reference", rows.reference, judgement.min_rows)
        case drift_report.NO_FEATURES if wording.untested:
            return _nothing_left(judgement, wording, ignored)
        case drift_report.NO_FEATURES:
            return "There is no feature to compare: the reference has none that is not ignored."
        case drift_report.FEATURES_DRIFTED:
            return f"{_moved(judgement)}{untested}."
        case _:
            return f"None of {measured} features drifted{untested}."


def _untested(judgement: DriftJudgement) -> list[FeatureDrift]:
    return [f for f in judgement.features if f.p_value is None and not (f.fault or f.slice)]


def _count_of_untested(judgement: DriftJudgement, wording: Wording) -> str:
    count = len(_untested(judgement))
    if not (count and wording.untested):
        return ""
    return f"; {count} {wording.untested}{'s were' if count > 1 else ' was'} not tested"


def _nothing_left(judgement: DriftJudgement, wording: Wording, ignored: Sequence[str]) -> str:
    told = [f"{', '.join(ignored)} ({wording.ignored})"] if ignored else []
    told += [f"{f.feature} ({f.type}: {f.note})" for f in _untested(judgement)]
    return f"There is nothing left to compare; left out: {'; '.join(told)}."


def _too_few(whose: str, rows: int, needed: int) -> str:
    counted = f"{rows} row{'s' if rows != 1 else ''}"
    return f"{whose.capitalize()} has {counted}; {needed} are needed to test for drift."


def _moved(judgement: DriftJudgement) -> str:
    tested = len(tested_features(judgement.features))
    moved = moved_features(judgement.features)
    if not moved:
        return f"None of {tested} features drifted alone, and all of them together did"
    return f"{len(moved)} of {tested} features drifted: {_drifted(judgement)}"


def _drifted(judgement: DriftJudgement) -> str:
    """Names of what drifted; what did in all rows is not told again for each of its slices."""
    whole = {feature.feature for feature in judgement.drifted if not feature.slice}
    told = [f.title for f in judgement.drifted if not f.slice or f.feature not in whole]
    return ", ".join(title for title in told if title != TOGETHER)
