"""loop skew finds what differs on the same rows, in plain files and in a prediction log."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from tfx_loop.pipelines.cli import main

ROWS = 200


@pytest.fixture
def training(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "trip": [f"t{row}" for row in range(ROWS)],
            "miles": rng.lognormal(0, 1, ROWS),
            "payment": rng.choice(["Cash", "Card"], ROWS),
        }
    )
    frame.to_parquet(tmp_path / "training.parquet")
    return frame


def run(tmp_path, served, *words):
    served.to_parquet(tmp_path / "served.parquet", index=False)
    files = [f"--training={tmp_path}/training.parquet", f"--served={tmp_path}/served.parquet"]
    return main.main(["skew", *files, *words])


def test_the_same_rows_in_another_order_are_consistent(training, tmp_path, capsys):
    assert run(tmp_path, training.sample(frac=0.6, random_state=1), "--key=trip") == 0
    assert capsys.readouterr().out == "CONSISTENT: no_skew, 120 rows on both sides.\n"


def test_a_unit_that_only_serving_changed_is_named_with_an_example(training, tmp_path, capsys):
    assert run(tmp_path, training.assign(miles=training.miles * 1.609), "--key=trip") == 3
    out = capsys.readouterr().out
    assert "SKEWED: values_differ, 200 rows" in out
    assert re.search(
        r"^miles +100.00%  .* in training, .* in serving  trip='t0'$", out, re.MULTILINE
    )
    assert "payment" not in out


def test_a_prediction_log_is_read_by_its_features(training, tmp_path, capsys):
    log = training.rename(columns={"miles": "feature.miles", "payment": "feature.payment"})
    log = log.rename(columns={"trip": "request_id"}).assign(model_version=3)
    assert run(tmp_path, log, "--key=trip=request_id", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["verdict"], report["rows"], report["schema_version"]) == ("CONSISTENT", ROWS, 1)
    assert (report["absent_in_serving"], report["absent_in_training"]) == ([], [])


def test_a_feature_that_serving_lacks_is_skew_unless_it_is_to_be_ignored(
    training, tmp_path, capsys
):
    served = training.drop(columns="payment")
    assert run(tmp_path, served, "--key=trip") == 3
    assert "In training alone: payment." in capsys.readouterr().out
    assert run(tmp_path, served, "--key=trip", "--ignore=payment") == 0


def test_rows_served_again_and_keys_that_meet_no_row_are_told(training, tmp_path, capsys):
    again = pd.concat([training, training[:7].assign(miles=0.0)])
    assert run(tmp_path, again, "--key=trip") == 0
    assert "7 rows were served again; the first of each counts." in capsys.readouterr().out
    assert run(tmp_path, training.assign(trip="x" + training.trip), "--key=trip") == 0
    out = capsys.readouterr().out
    assert out.startswith("NOT_ENOUGH_DATA: no_common_rows, 0 rows on both sides.\nNone of the 200")
    assert "such as trip='xt0'" in out


def test_bad_input_is_one_line(training, tmp_path, capsys):
    assert run(tmp_path, training, "--key=no") == 1
    error = capsys.readouterr().err
    assert error.startswith("loop: Expected key columns ['no'] in the training rows")
    assert error.count("\n") == 1
