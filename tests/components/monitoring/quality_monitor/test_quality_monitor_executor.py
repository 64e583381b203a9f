"""QualityMonitor on a real labelled log: its numbers are scikit-learn's."""

import json

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from tfx_loop.core.errors import ConfigError
from tfx_loop.data.prediction_log.window_files import LogWindow, write_window
from tfx_loop.monitoring.profile.reference import REFERENCE_PROFILE

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow]

START_MS, END_MS = 1_362_096_000_000, 1_364_774_400_000
ROWS = 2000


def labelled(rows=ROWS, seed=1):
    """A window of logged scores that know something, and as many rows of the month before."""
    random = np.random.default_rng(seed)
    score = random.beta(2, 5, 2 * rows).astype(np.float32)
    label = (random.random(2 * rows) < score).astype(float)
    time = np.concatenate([np.full(rows, START_MS), np.full(rows, START_MS - 1)])
    label[rows:] = 1 - label[rows:]
    return pa.table(
        {
            "request_id": [f"r{n}" for n in range(2 * rows)],
            "instance_index": pa.array([0] * 2 * rows, pa.int32()),
            "event_time_ms": pa.array(time, pa.int64()),
            "feature.origin": random.choice(["EWR", "JFK", "LGA"], 2 * rows),
            "output.probability": score,
            "label": label,
            "label_time_ms": pa.array([END_MS] * 2 * rows, pa.int64()),
        }
    )


def evaluate(table, folder, inputs=None, eval_config=None):
    from google.protobuf import json_format
    from tfx.dsl.components.base import base_beam_executor
    from tfx.types import standard_artifacts

    from tfx_loop.core.artifacts import PredictionLog
    from tfx_loop.monitoring.quality_monitor.executor import Executor
    from tfx_loop.pipelines.config import LOCAL_BEAM_ARGS
    from tfx_loop.pipelines.evaluation.configs import served_config
    from tfx_loop.pipelines.examples.flights.settings import MODEL

    log, evaluation = PredictionLog(), standard_artifacts.ModelEvaluation()
    log.uri, evaluation.uri = str(folder / "log"), str(folder / "evaluation")
    window = LogWindow(
        window="2013-03",
        start_ms=START_MS,
        end_ms=END_MS,
        model_name="flights",
        rows=table.num_rows,
    )
    write_window(log.uri, window, table)
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=list(LOCAL_BEAM_ARGS), tmp_dir=str(folder / "tmp"), unique_id="1"
    )
    Executor(context).Do(
        {"labelled_log": [log], **(inputs or {})},
        {"evaluation": [evaluation]},
        {
            "eval_config": eval_config or json_format.MessageToJson(served_config(MODEL)),
            "window": "2013-03",
            "start_ms": START_MS,
            "end_ms": END_MS,
        },
    )
    return evaluation, json.loads((folder / "evaluation" / "quality.json").read_text())


def test_auc_accuracy_and_calibration_are_those_of_scikit_learn_overall_and_by_slice(tmp_path):
    table = labelled()
    evaluation, quality = evaluate(table, tmp_path)
    inside = table.slice(0, ROWS).to_pandas()
    by_slice = {"overall": inside}
    by_slice |= {f"origin={name}": rows for name, rows in inside.groupby("feature.origin")}
    assert set(quality["slices"]) == set(by_slice)
    for name, rows in by_slice.items():
        label, score = rows["label"], rows["output.probability"].astype(float)
        found = quality["slices"][name]
        assert found["auc"] == pytest.approx(roc_auc_score(label, score), abs=1e-3)
        assert found["example_count"] == len(rows)
        assert found["calibration"] == pytest.approx(score.mean() / label.mean(), abs=1e-3)
        assert found["binary_accuracy"] == pytest.approx(((score > 0.5) == label).mean(), abs=1e-4)
    assert quality["rows"] == ROWS
    assert evaluation.get_float_custom_property("auc") == quality["slices"]["overall"]["auc"]
    assert evaluation.get_int_custom_property("labelled_rows") == ROWS
    assert evaluation.get_string_custom_property("window") == "2013-03"


def test_a_window_without_labels_has_no_metrics_and_does_not_fail(tmp_path):
    evaluation, quality = evaluate(labelled(5).slice(5), tmp_path)
    assert (quality["rows"], quality["slices"]) == (0, {})
    assert quality["labels"]["labelled_rows"] == 0
    assert not evaluation.has_custom_property("auc")


def test_one_answer_that_is_no_number_does_not_cost_the_window_its_metrics(tmp_path):
    table = labelled(500)
    scores = table["output.probability"].to_numpy().copy()
    scores[0] = np.nan
    place = table.column_names.index("output.probability")
    table = table.set_column(place, "output.probability", pa.array(scores))
    _, quality = evaluate(table, tmp_path)
    rows = table.slice(1, 499).to_pandas()
    expected = roc_auc_score(rows["label"], rows["output.probability"])
    assert quality["slices"]["overall"]["auc"] == pytest.approx(expected, abs=1e-3)


def test_a_slice_feature_that_is_missing_in_a_row_does_not_fail_the_window(tmp_path):
    table = labelled(200)
    origins = table["feature.origin"].to_pylist()
    origins[0] = None
    place = table.column_names.index("feature.origin")
    table = table.set_column(place, "feature.origin", pa.array(origins))
    _, quality = evaluate(table, tmp_path)
    assert quality["slices"]["overall"]["example_count"] == 200


def test_scores_of_several_classes_are_judged_by_tfma_and_no_error_test(tmp_path):
    table = labelled(60)
    random = np.random.default_rng(3)
    scores, labels = random.random((120, 3)), random.integers(0, 3, 120)
    table = table.drop(["label", "output.probability"])
    table = table.append_column("label", pa.array(labels.astype(float)))
    table = table.append_column("output.scores", pa.array(scores.tolist()))
    profile = {"reference_profile": [profile_artifact(tmp_path)]}
    config = {
        "model_specs": [{"label_key": "kind", "prediction_key": "scores"}],
        "metrics_specs": [{"metrics": [{"class_name": "SparseCategoricalAccuracy"}]}],
        "slicing_specs": [{}, {"feature_keys": ["origin"]}],
    }
    evaluation, quality = evaluate(table, tmp_path, profile, json.dumps(config))
    share = (scores.argmax(axis=1) == labels)[:60].mean()
    found = quality["slices"]["overall"]["sparse_categorical_accuracy"]
    assert found == pytest.approx(share, abs=1e-6)
    assert {"overall", "origin=JFK"} <= set(quality["slices"])
    assert (quality["rows"], quality["sequential"]) == (60, None)
    assert evaluation.get_int_custom_property("labelled_rows") == 60


def profile_artifact(folder, seed=2):
    """A profile whose held-out scores mean what they say."""
    from tfx_loop.core.artifacts import ReferenceProfile
    from tfx_loop.monitoring.profile.build import ProfileRequest, build

    random = np.random.default_rng(seed)
    scores = random.beta(2, 5, 20_000)
    labels = (random.random(20_000) < scores).astype(float)
    profile, _ = build(
        pa.table({"x": random.normal(size=500)}),
        ProfileRequest(score="probability"),
        scores=pa.array(scores),
        score_labels=pa.array(labels),
    )
    artifact = ReferenceProfile()
    artifact.uri = str(folder / "profile")
    REFERENCE_PROFILE.write(profile, folder / "profile")
    return artifact


def test_coverage_delay_and_the_error_stream_go_on_from_the_window_before(tmp_path):
    from tfx_loop.core.artifacts import PredictionLog

    table = labelled(1_000)
    full = PredictionLog()
    full.uri = str(tmp_path / "full")
    unlabelled = table.slice(0, 250).drop(["label", "label_time_ms"])
    rows = pa.concat_tables([table.drop(["label", "label_time_ms"]), unlabelled])
    about = LogWindow(
        window="2013-03",
        start_ms=START_MS,
        end_ms=END_MS,
        model_name="flights",
        rows=rows.num_rows,
    )
    write_window(full.uri, about, rows)
    inputs = {"prediction_log": [full], "reference_profile": [profile_artifact(tmp_path)]}
    first, quality = evaluate(table, tmp_path / "first", inputs)
    assert quality["labels"]["coverage"] == 0.8
    assert quality["labels"]["delay_hours"]["p50"] == pytest.approx((END_MS - START_MS) / 3.6e6)
    assert quality["sequential"]["rows"] == 1_000
    assert quality["sequential"]["alarm_at_row"] is None
    assert first.get_float_custom_property("label_coverage") == 0.8
    assert first.get_int_custom_property("error_rise_alarm") == 0
    # The same window again: its rows have been followed.
    again, quality = evaluate(table, tmp_path / "again", {**inputs, "previous_evaluation": [first]})
    assert quality["sequential"]["rows"] == 1_000
    assert again.get_float_custom_property("error_rise_evidence") == pytest.approx(
        first.get_float_custom_property("error_rise_evidence")
    )


@pytest.mark.parametrize(
    ("eval_config", "said"),
    [
        ("yaml: no", "a tfma.EvalConfig or its JSON as eval_config, received another text"),
        ("{}", "one model spec with label_key and prediction_key in eval_config, received none"),
        (
            '{"model_specs": [{"label_key": "late"}]}',
            "received label_key='late', prediction_key=''",
        ),
        (
            '{"model_specs": [{"label_key": "label", "prediction_key": "probability"}]}',
            "a metric in eval_config's metrics_specs, received none",
        ),
    ],
)
def test_an_eval_config_that_names_too_little_is_refused_in_a_line(tmp_path, eval_config, said):
    with pytest.raises(ConfigError, match="Expected") as raised:
        evaluate(labelled(5), tmp_path, eval_config=eval_config)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
