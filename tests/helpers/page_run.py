"""A run as the demo writes it, for the tests of the page: ten windows, three retrainings."""

import copy
from typing import Any

from tfx_loop.contracts.drift_report import ComparedRows, DriftResult, DriftVerdict, FeatureDrift
from tfx_loop.contracts.measured_loss import SavingState
from tfx_loop.contracts.retrain_decision import (
    DecisionEvidence,
    DecisionRecord,
    RetrainVerdict,
)

MONTHS = [f"2013-{month:02d}" for month in range(3, 13)]
LOOP = [0.712, 0.701, 0.722, 0.719, 0.728, 0.731, 0.704, 0.726, 0.717, None]
LEFT = [0.712, 0.701, 0.694, 0.699, 0.702, 0.697, 0.676, 0.690, 0.683, None]
ALWAYS = [0.712, 0.706, 0.720, 0.724, 0.731, 0.729, 0.711, 0.724, 0.721, None]
PRICES = [None, 0.004, 0.024, 0.006, 0.013, 0.021, 0.002, 0.009, 0.022, 0.0]
VERSIONS = [1, 1, 1, 2, 2, 2, 3, 3, 3, 4]
FEATURES = ["dewp", "temp", "humid", "pressure", "wind_speed", "visib", "sched_dep_hour",
            "distance", "carrier", "origin", "dest", "precip"]  # fmt: skip


def summary() -> dict[str, Any]:
    """Returns what `summary.json` holds; the newest window has no labels yet."""
    windows = []
    for index, name in enumerate(MONTHS):
        auc = {"loop": LOOP[index], "left_alone": LEFT[index], "every_window": ALWAYS[index]}
        retrain = PRICES[index] is not None and PRICES[index] > 0.02
        windows.append(
            {
                "window": name,
                "rows": 5400 + 37 * index,
                "auc": auc,
                "log_loss": {k: None if v is None else round(0.95 - 0.7 * v, 4)
                             for k, v in auc.items()},
                "avoidable_loss": PRICES[index],
                "drifted": [f for f in FEATURES[:5] if _psi(f, index) >= 0.1],
                "verdict": "RETRAIN" if retrain else "HOLD",
                "reason": "retraining_pays" if retrain else
                ("too_few_labels" if PRICES[index] is None else "saving_below_training_cost"),
                "version": VERSIONS[index],
            }
        )  # fmt: skip
    return {
        "rows": 56165,
        "seconds": 433.2,
        "windows": windows,
        "trainings": {"loop": 4, "every_window": 10},
        "gain_recovered": {"log_loss": 0.93, "auc": 0.91},
    }


def drift_reports() -> list[DriftResult]:
    """Returns one drift report a window."""
    return [
        DriftResult(
            verdict=DriftVerdict.DRIFT,
            reason="features_drifted",
            explanation="Some features drifted.",
            window=name,
            model_name="flights",
            model_version=VERSIONS[index],
            model_versions={VERSIONS[index]: 5400},
            rows=ComparedRows(48_000, 5400),
            features=tuple(
                FeatureDrift(
                    feature=feature,
                    type="numeric",
                    psi_corrected=_psi(feature, index),
                    drifted=_psi(feature, index) >= 0.1,
                    fault="stuck_value" if (feature, index) == ("precip", 6) else None,
                )
                for feature in FEATURES
            ),
        )
        for index, name in enumerate(MONTHS)
    ]


def decisions() -> list[DecisionRecord]:
    """Returns one decision a window."""
    written = []
    for window, price, version in zip(summary()["windows"], PRICES, VERSIONS, strict=True):
        saving = SavingState(accumulated=price or 0.0)
        written.append(
            DecisionRecord(
                verdict=RetrainVerdict(window["verdict"]),
                reason=window["reason"],
                explanation=f"Retraining would save {price} of a window's loss; "
                "a training costs 0.02.",
                policy_version="avoidable-loss/2",
                model_name="flights",
                model_version=version,
                window=window["window"],
                label_window="",
                evidence=DecisionEvidence(
                    avoidable_loss=None,
                    accumulated=saving.accumulated,
                    saving=saving,
                    rows=5400,
                    labelled_rows=5400,
                    one_class=False,
                ),
                settings={"training_cost": 0.02},
            )
        )
    return written


def timings() -> list[tuple[str, float]]:
    """Returns where the seconds of the run went."""
    return [("imports", 17.4), ("first training", 81.2), ("retraining (3)", 192.6),
            ("replay of requests", 61.9), ("monitoring (10 windows)", 38.7),
            ("policies beside the loop", 27.1), ("page and summary", 0.6)]  # fmt: skip


EXPLANATION = """flights version 4
trained on   spans 1 to 10, 48,211 rows
because      RETRAIN retraining_pays, window 2013-11
it beat      version 3: log loss 0.4391 against 0.4468
served       from 2013-12-01"""


def page_inputs() -> dict[str, Any]:
    """Returns the arguments of `read_report`, to be changed freely by a test."""
    return copy.deepcopy(
        {
            "summary": summary(),
            "drift": drift_reports(),
            "decisions": decisions(),
            "timings": timings(),
            "explanation": EXPLANATION,
        }
    )


def _psi(feature: str, index: int) -> float:
    seasonal = {"dewp": 0.17, "temp": 0.15, "humid": 0.045, "pressure": 0.03, "wind_speed": 0.02}
    return round(seasonal.get(feature, 0.002) * (5 - abs(index - 4.5)) ** 1.2 / 2, 4)
