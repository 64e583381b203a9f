"""One sentence for a verdict, from its reason and facts, in the words of who reads it."""

from dataclasses import dataclass

from tfx_loop.contracts import drift_report
from tfx_loop.monitoring.drift.judgement import DriftJudgement


@dataclass(frozen=True)
class Wording:
    """What the reader calls things.

    Attributes:
        current: The rows that were compared with the reference.
        ignored: The setting that leaves features out.
    """

    current: str
    ignored: str


WINDOW_WORDING = Wording(current="the window", ignored="ignore_features")
FILE_WORDING = Wording(current="the current file", ignored="--ignore")


def explain(judgement: DriftJudgement, wording: Wording) -> str:
    """Returns the verdict's reason in one sentence."""
    rows, measured = judgement.rows, len(judgement.measured)
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
        case drift_report.NO_FEATURES:
            return "There is no feature to compare: the reference has none that is not ignored."
        case drift_report.FEATURES_DRIFTED:
            moved = len({feature.feature for feature in judgement.drifted})
            return f"{moved} of {measured} features drifted: {_drifted(judgement)}."
        case _:
            return f"None of {measured} features drifted."


def _too_few(whose: str, rows: int, needed: int) -> str:
    counted = f"{rows} row{'s' if rows != 1 else ''}"
    return f"{whose.capitalize()} has {counted}; {needed} are needed to test for drift."


def _drifted(judgement: DriftJudgement) -> str:
    """Names of what drifted; what did in all rows is not told again for each of its slices."""
    whole = {feature.feature for feature in judgement.drifted if not feature.slice}
    told = [f.title for f in judgement.drifted if not f.slice or f.feature not in whole]
    return ", ".join(told)
