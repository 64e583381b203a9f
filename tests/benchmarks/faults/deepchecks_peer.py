"""deepchecks itself, in an environment of its own: `PYTHON deepchecks_peer.py FILE.npz`.

The file holds both sides' features and labels and what each model answered; printed is, as JSON, by
model whether a condition of TrainTestPerformance or SimpleModelComparison is not met at its
defaults. Nothing else of this project is imported: deepchecks wants older packages.
"""

import json
import sys
import warnings

import numpy as np
import pandas as pd

_KINDS = {0: "regression", 2: "binary"}


def main(path: str) -> None:
    """Prints the alarms by model."""
    warnings.filterwarnings("ignore")
    from deepchecks.tabular import Dataset
    from deepchecks.tabular.checks import SimpleModelComparison, TrainTestPerformance

    given = np.load(path)
    classes = int(given["classes"])
    data = [
        Dataset(
            pd.DataFrame(given[f"x{side}"]).add_prefix("x"),
            label=pd.Series(given[f"y{side}"].astype(int if classes else float), name="label"),
            label_type=_KINDS.get(classes, "multiclass"),
            cat_features=[],
        )
        for side in (0, 1)
    ]
    checks = (
        TrainTestPerformance().add_condition_train_test_relative_degradation_less_than(),
        SimpleModelComparison().add_condition_gain_greater_than(),
    )
    alarms = {}
    for place in range(int(given["models"])):
        answers = [given[f"a{place}_{side}"] for side in (0, 1)]
        said = {"y_pred_train": answers[0], "y_pred_test": answers[1]}
        if classes:
            chosen = [own.argmax(axis=1) for own in answers]
            said = {"y_pred_train": chosen[0], "y_pred_test": chosen[1]}
            said |= {"y_proba_train": answers[0], "y_proba_test": answers[1]}
            said["model_classes"] = list(range(classes))
        results = [check.run(*data, **said) for check in checks]
        alarms[place] = any(
            not condition.is_pass for one in results for condition in one.conditions_results
        )
    sys.stdout.write("\n" + json.dumps(alarms) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
