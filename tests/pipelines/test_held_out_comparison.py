"""Evaluator asks champion and challenger the same held-out rows, and refuses what is worse."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from returning_concept import LABEL, ReturningConcept, answer, month_rows, save_model

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    for name, weights in {"sound": (2.0, 0.0), "weaker": (1.0, 0.0), "foreign": (0.0, 2.0)}.items():
        save_model(folder / name / "Format-Serving", *weights)
    return {name: str(folder / name) for name in ("sound", "weaker", "foreign")}


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """Held-out rows of two months of the concept that `sound` knows, as a split of Examples."""
    import tensorflow as tf

    # Evaluator takes milliseconds a row; every third tells the models apart as well.
    rows = pd.concat([month_rows(span, 1)[::3] for span in (1, 2)], ignore_index=True)
    folder = tmp_path_factory.mktemp("examples")
    (folder / "Split-eval").mkdir()
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    path = str(folder / "Split-eval" / "data-00000-of-00001.gz")
    with tf.io.TFRecordWriter(path, options) as writer:
        for row in rows.to_dict("records"):
            example = tf.train.Example()
            for name in ("x", "z"):
                example.features.feature[name].float_list.value.append(row[name])
            for name in (LABEL, "event_time_ms", "span"):
                example.features.feature[name].int64_list.value.append(row[name])
            example.features.feature["origin"].bytes_list.value.append(row["origin"].encode())
            writer.write(example.SerializeToString())
    with gzip.open(path) as file:
        assert file.read(1)
    return folder, rows


def evaluated(
    base: Path, folder: Path, champion: str, challenger: str, margin: float = 0.01
) -> tuple[Any, Any]:
    """Runs the executor with thresholds that let everything pass; evaluation and blessing."""
    from google.protobuf import json_format
    from tfx.types import standard_artifacts

    from tfx_loop.pipelines.config import QualityGate
    from tfx_loop.pipelines.evaluation.configs import challenger_config
    from tfx_loop.pipelines.evaluation.recording_evaluator import MARGIN, Executor

    def at(kind: Any, uri: Path | str) -> Any:
        artifact = kind()
        artifact.uri = str(uri)
        return artifact

    read = at(standard_artifacts.Examples, folder)
    read.split_names = '["eval"]'
    evaluation = at(standard_artifacts.ModelEvaluation, base / "evaluation")
    blessing = at(standard_artifacts.ModelBlessing, base / "blessing")
    gate = QualityGate(min_auc=0.0, max_auc_drop=1.0, max_calibration_error=10.0)
    model = ReturningConcept.model_settings()
    Executor().Do(
        {
            "examples": [read],
            "model": [at(standard_artifacts.Model, challenger)],
            "baseline_model": [at(standard_artifacts.Model, champion)],
        },
        {"evaluation": [evaluation], "blessing": [blessing]},
        {
            "eval_config": json_format.MessageToJson(challenger_config(model, gate)),
            "example_splits": '["eval"]',
            "fairness_indicator_thresholds": "null",
            MARGIN: margin,
        },
    )
    return evaluation, blessing


def test_clearly_worse_challenger_is_refused_though_the_thresholds_let_it_pass(
    tmp_path: Path, models, examples
) -> None:
    folder, rows = examples
    evaluation, blessing = evaluated(tmp_path, folder, models["sound"], models["weaker"])
    assert evaluation.get_string_custom_property("compared") == "worse"
    assert blessing.get_int_custom_property("blessed") == 0
    assert (tmp_path / "blessing/NOT_BLESSED").exists()
    assert not (tmp_path / "blessing/BLESSED").exists()
    told = json.loads((tmp_path / "evaluation/comparison.json").read_text())["overall"]
    labels = rows[LABEL].to_numpy() > 0.5
    for key, scores in (
        ("champion_loss", answer(rows, 1)),
        ("challenger_loss", 1 / (1 + np.exp(-rows["x"].to_numpy()))),
    ):
        expected = -np.where(labels, np.log(scores), np.log1p(-scores)).mean()
        assert told[key] == pytest.approx(expected, rel=1e-4)
    why = evaluation.get_string_custom_property("refused_because")
    assert f"{told['challenger_loss']:.4f}" in why


def test_better_challenger_passes_and_newest_rows_and_slices_stand_apart(
    tmp_path: Path, models, examples
) -> None:
    folder, rows = examples
    evaluation, blessing = evaluated(tmp_path, folder, models["foreign"], models["sound"])
    assert blessing.get_int_custom_property("blessed") == 1
    assert evaluation.get_string_custom_property("refused_because") == ""
    told = json.loads((tmp_path / "evaluation/comparison.json").read_text())
    assert told["overall"]["word"] == "better"
    assert told["newest"]["rows"] == int((rows["span"] == 2).sum())
    assert set(told["slices"]) == {"origin=JFK", "origin=LGA"}
    days = (rows["event_time_ms"] // 86_400_000).nunique()
    assert told["overall"]["blocks"] == days


def test_margin_is_the_user_s(tmp_path: Path, models, examples) -> None:
    folder, _ = examples
    evaluation, blessing = evaluated(
        tmp_path, folder, models["sound"], models["weaker"], margin=9.0
    )
    assert evaluation.get_string_custom_property("compared") == "not worse"
    assert blessing.get_int_custom_property("blessed") == 1
