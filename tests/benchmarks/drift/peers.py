"""Ours and others on two frames: one function a tool, all with the same answer.

Each returns by feature (score, alarm): the score rises with the evidence for drift, the alarm is
the tool's own at its defaults. Where a tool has no default the documentation's example is taken.
"""

import logging
import warnings

import numpy as np
from scipy import stats

from tests.benchmarks.drift.worlds import as_table_file
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.file_comparison.compare_files import compare_files

SETTINGS = DriftSettings()


def ours(reference, current, settings=SETTINGS):
    report = compare_files(as_table_file(reference), as_table_file(current), settings).report
    found = {}
    for feature in report.features:
        if feature.p_value is None:
            found[feature.feature] = (np.inf, bool(feature.fault))
            continue
        score = -np.log(max(feature.p_value, 1e-300))
        # Held back by the effect floor: no evidence of a drift that matters.
        score = 0.0 if feature.held_by else score
        found[feature.feature] = (score, feature.drifted or bool(feature.fault))
    return found


def _exact_p_value(left, right):
    if left.dtype == object:
        names = np.unique(np.concatenate([left, right]))
        codes = [np.searchsorted(names, side) for side in (left, right)]
        table = np.array([np.bincount(code, minlength=len(names)) for code in codes])
        return stats.chi2_contingency(table, correction=False).pvalue if len(names) > 1 else 1.0
    return stats.ks_2samp(left, right, method="auto").pvalue


_LAST = {}


def _p_values(reference, current):
    """Of the pair seen last once, as two tools ask for them."""
    key = id(reference), id(current)
    if key not in _LAST:
        _LAST.clear()
        _LAST[key] = (
            {
                name: _exact_p_value(reference[name].to_numpy(), current[name].to_numpy())
                for name in reference
            },
            (reference, current),
        )
    return _LAST[key][0]


def scipy_bh(reference, current):
    """Exact KS, chi-square for text, Benjamini-Hochberg at 0.05 over the features."""
    p_values = _p_values(reference, current)
    q_values = stats.false_discovery_control(list(p_values.values()))
    return {
        name: (-np.log(max(p, 1e-300)), q < 0.05)
        for (name, p), q in zip(p_values.items(), q_values, strict=True)
    }


def scipy_plain(reference, current):
    """Exact KS, chi-square for text, 0.05 for each feature."""
    p_values = _p_values(reference, current)
    return {name: (-np.log(max(p, 1e-300)), p < 0.05) for name, p in p_values.items()}


def evidently(reference, current):
    """DataDriftPreset at its defaults; a feature that it calls drifted is an alarm."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metrics = Report([DataDriftPreset()]).run(current, reference).dict()["metrics"]
    found = {}
    for metric in metrics:
        config = metric["config"]
        if not config["type"].endswith("ValueDrift"):
            continue
        value, limit = float(metric["value"]), float(config["threshold"])
        is_p_value = "p_value" in config["method"]
        alarm = value < limit if is_p_value else value >= limit
        found[config["column"]] = (-value if is_p_value else value, alarm)
    return found


def whylogs(reference, current):
    """Profiles (sketches) and the drift module's own thresholds; DRIFT is an alarm."""
    import whylogs as why
    from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

    logging.getLogger("whylogs").setLevel(logging.ERROR)
    scores = calculate_drift_scores(
        target_view=why.log(current).view(),
        reference_view=why.log(reference).view(),
        with_thresholds=True,
    )
    return {
        name: (-score["pvalue"], score["drift_category"] == "DRIFT")
        for name, score in scores.items()
        if score
    }


def tfdv(reference, current):
    """Drift comparators at 0.01, as TFX's and Vertex's examples have them."""
    import tensorflow_data_validation as validation

    statistics = [validation.generate_statistics_from_dataframe(f) for f in (reference, current)]
    schema = validation.infer_schema(statistics[0])
    for feature in schema.feature:
        feature.ClearField("domain")
        comparator = feature.drift_comparator
        if feature.type == 1:
            comparator.infinity_norm.threshold = 0.01
        else:
            comparator.jensen_shannon_divergence.threshold = 0.01
    found = validation.validate_statistics(statistics[1], schema, previous_statistics=statistics[0])
    return {
        info.path.step[0]: (measure.value, measure.value > measure.threshold)
        for info in found.drift_skew_info
        for measure in info.drift_measurements
    }


TOOLS = {
    "ours": ours,
    "SciPy KS + BH": scipy_bh,
    "SciPy KS, each 0.05": scipy_plain,
    "Evidently": evidently,
    "whylogs": whylogs,
    "TFDV": tfdv,
}
FAST = ("ours", "SciPy KS + BH", "SciPy KS, each 0.05")
