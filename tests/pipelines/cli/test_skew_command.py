"""loop skew finds what differs on the same rows, in plain files and in a prediction log."""

import json
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
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
    told = "CONSISTENT: 2 features agree on the 120 rows of both sides.\n"
    assert capsys.readouterr().out.startswith(told)


def test_a_unit_that_only_serving_changed_is_named_with_an_example(training, tmp_path, capsys):
    served = training.assign(miles=training.miles * 1.609)
    assert run(tmp_path, served, "--key=trip") == 3
    assert "t0" not in capsys.readouterr().out
    assert run(tmp_path, served, "--key=trip", "--examples") == 3
    out = capsys.readouterr().out
    assert "miles (values_differ in 100.0% of the rows)" in out.splitlines()[0]
    assert re.search(
        r"^miles +100.00%  .* in training, .* in serving  trip='t0'$", out, re.MULTILINE
    )
    assert "payment" not in out


def test_the_headline_names_the_worst_of_several_faults_first(training, tmp_path, capsys):
    served = training.assign(miles=training.miles * 1.609, extra=1)
    served.loc[:9, "payment"] = "?"
    assert run(tmp_path, served, "--key=trip", "--json") == 3
    assert json.loads(capsys.readouterr().out)["reason"] == "values_differ"
    assert run(tmp_path, served, "--key=trip") == 3
    headline = capsys.readouterr().out.splitlines()[0]
    assert "miles (values_differ in 100.0% of the rows), payment" in headline
    assert headline.index("payment") < headline.index("extra (only in serving)")


def test_a_feature_that_serving_calls_otherwise_is_named(training, tmp_path, capsys):
    assert run(tmp_path, training.rename(columns={"miles": "Miles_"}), "--key=trip") == 3
    assert "miles (only in training. Did you mean 'Miles_'?)" in capsys.readouterr().out


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
    assert run(tmp_path, pd.concat([training, training[:7]]), "--key=trip") == 0
    assert "7 rows were served again" in capsys.readouterr().out
    again = pd.concat([training, training[:7].assign(miles=0.0)])
    assert run(tmp_path, again, "--key=trip", "--json") == 3
    report = json.loads(capsys.readouterr().out)
    assert (report["rows"], report["repeated_rows"]) == (ROWS, 7)
    assert report["features"][0]["differing"] == pytest.approx(7 / (ROWS + 7))
    assert run(tmp_path, training.assign(trip="x" + training.trip), "--key=trip") == 4
    out = capsys.readouterr().out
    assert out.startswith("NOT_ENOUGH_DATA: None of the 200 training rows")
    assert "xt0" not in out


def test_bad_input_is_one_line(training, tmp_path, capsys):
    assert run(tmp_path, training, "--key=no") == 1
    error = capsys.readouterr().err
    assert error.startswith("loop: Expected key columns ['no'] in the training rows")
    assert error.count("\n") == 1


@pytest.mark.parametrize("flag", ["--ignore", "--label", "--redact"])
def test_a_column_that_is_not_there_is_refused(training, tmp_path, capsys, flag):
    assert run(tmp_path, training, "--key=trip", flag, "mile") == 1
    assert "received ['mile']" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["__index_level_0__", "Unnamed: 0"])
def test_row_numbers_of_pandas_are_left_out_and_told(training, tmp_path, capsys, name):
    assert run(tmp_path, training.assign(**{name: range(ROWS)}), "--key=trip") == 0
    assert f"Left out as row numbers that pandas wrote: {name}." in capsys.readouterr().out


def skewed(capsys, training, served, *options):
    status = main.main(
        ["skew", "--training", training, "--served", served, "--key", "id", "--json", *options]
    )
    return status, json.loads(capsys.readouterr().out)


def test_the_training_file_decides_what_the_served_cells_are(capsys, tmp_path):
    rows = 200
    codes = ["1", "02", "3", "U"] * (rows // 4)
    training = pa.table(
        {"id": range(rows), "code": codes, "flag": ["True", "False"] * 100, "x": [0.5] * rows}
    )
    pq.write_table(training, tmp_path / "a.parquet")
    lines = [f"{i},{code},{i % 2 == 0},?" for i, code in enumerate(codes)]
    lines[1:] = [line.replace("?", "0.50") for line in lines[1:]]
    (tmp_path / "b.csv").write_text("\n".join(["id,code,flag,x", *lines]))
    files = str(tmp_path / "a.parquet"), str(tmp_path / "b.csv")
    status, report = skewed(capsys, *files, "--tolerated", "0.01")
    assert (status, report["verdict"]) == (0, "CONSISTENT")
    differing = {feature["feature"]: feature["differing"] for feature in report["features"]}
    assert differing == {"x": 1 / rows, "code": 0, "flag": 0}


def test_a_fraction_where_training_has_whole_numbers_is_skew(capsys, tmp_path):
    (tmp_path / "a.csv").write_text("\n".join(["id,n", *(f"{i},{i}" for i in range(100))]))
    (tmp_path / "b.csv").write_text("\n".join(["id,n", *(f"{i},{i}.25" for i in range(100))]))
    status, report = skewed(capsys, str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))
    assert (status, report["reason"]) == (3, "values_differ")


def test_strict_alarms_where_columns_were_not_compared(capsys, tmp_path):
    for name, key in (("a", "p"), ("b", "q")):
        column = pa.array([{key: i} for i in range(100)])
        content = pa.table({"id": range(100), "x": range(100), "odd": column})
        pq.write_table(content, tmp_path / name)
    files = str(tmp_path / "a"), str(tmp_path / "b")
    assert skewed(capsys, *files)[0] == 0
    status, report = skewed(capsys, *files, "--strict")
    assert (status, report["verdict"], report["not_compared"]) == (3, "PARTLY_COMPARED", ["odd"])


def test_whole_numbers_as_text_and_lists_of_a_fixed_size_are_the_same_values(capsys, tmp_path):
    rows = 100
    numbers = [2**60 + row for row in range(rows)]
    lists = [[row / 7, row / 3] for row in range(rows)]
    ours = pa.table(
        {"id": range(rows), "n": numbers, "v": pa.array(lists, pa.list_(pa.float64(), 2))}
    )
    pq.write_table(ours, tmp_path / "a")
    theirs = pa.table({"id": range(rows), "n": [str(number) for number in numbers], "v": lists})
    pq.write_table(theirs, tmp_path / "b")
    files = str(tmp_path / "a"), str(tmp_path / "b")
    assert skewed(capsys, *files)[1]["verdict"] == "CONSISTENT"
    pq.write_table(theirs.set_column(1, "n", pa.array([str(n + 1) for n in numbers])), files[1])
    assert skewed(capsys, *files)[1]["verdict"] == "SKEWED"


def test_an_empty_text_is_a_missing_value_beside_csv_and_a_difference_beside_parquet(
    capsys, tmp_path
):
    words = ["a", "", "N/A", "b"] * 25
    table = pa.table({"id": range(100), "word": words})
    pq.write_table(table, tmp_path / "a.parquet")
    table.to_pandas().to_csv(tmp_path / "b.csv", index=False)
    missing = [word if len(word) == 1 else None for word in words]
    pq.write_table(table.set_column(1, "word", pa.array(missing)), tmp_path / "b.parquet")
    for served, verdict in (("b.csv", "CONSISTENT"), ("b.parquet", "SKEWED")):
        _, report = skewed(capsys, str(tmp_path / "a.parquet"), str(tmp_path / served))
        assert report["verdict"] == verdict


def test_a_cell_that_is_no_number_differs_from_a_missing_one(capsys, tmp_path):
    numbers = [f"{row}.5" for row in range(100)]
    for name, gap in (("a", ""), ("b", "ERR"), ("c", "N/A")):
        lines = [f"{row},{gap if row % 10 == 0 else text}" for row, text in enumerate(numbers)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["id,x", *lines]))
    for served, differing in (("b", 0.1), ("c", 0.0)):
        files = str(tmp_path / "a.csv"), str(tmp_path / f"{served}.csv")
        _, report = skewed(capsys, *files)
        assert report["features"][0]["differing"] == pytest.approx(differing)
