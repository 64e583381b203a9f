"""FaultDetector and `loop faults` on a SavedModel that knows its rows by heart."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from model_by_heart import ROWS, rows, write_all

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    write_all(folder)
    return folder


def reported(trained, folder, *, blessing=None, **settings):
    from tfx.types import standard_artifacts

    from tfx_loop.core.artifacts import FaultReport
    from tfx_loop.monitoring.fault_detector.executor import Executor
    from tfx_loop.monitoring.fault_detector.settings import FaultDetectorSettings

    model, examples = standard_artifacts.Model(), standard_artifacts.Examples()
    model.uri, examples.uri = str(trained / "model"), str(trained / "examples")
    model.id = 7
    examples.split_names = '["train", "eval", "fresh"]'
    report, blessed = FaultReport(), standard_artifacts.ModelBlessing()
    report.uri, blessed.uri = str(folder / "report"), str(folder / "blessing")
    chosen = FaultDetectorSettings(label_key="late", score_key="late", **settings)
    inputs = {"model": [model], "examples": [examples]}
    if blessing is not None:
        given = standard_artifacts.ModelBlessing()
        for name, value in blessing.items():
            given.set_int_custom_property(name, value)
        inputs["blessing"] = [given]
    outputs = {"fault_report": [report], "model_blessing": [blessed]}
    Executor().Do(inputs, outputs, chosen.to_properties())
    content = json.loads((folder / "report" / "fault_report.json").read_text())
    return SimpleNamespace(report=content, artifact=report, blessing=blessed, folder=folder)


def test_a_model_by_heart_is_over_fitted_and_not_blessed(trained, tmp_path):
    found = reported(trained, tmp_path)
    assert (found.report["verdict"], found.report["reason"]) == ("BLOCK", "over_fitted")
    assert (found.report["training_rows"], found.report["held_out_rows"]) == (ROWS, ROWS)
    assert found.artifact.get_string_custom_property("reason") == "over_fitted"
    assert found.blessing.get_int_custom_property("blessed") == 0
    assert (tmp_path / "blessing" / "NOT_BLESSED").exists()
    page = (tmp_path / "report" / "fault_report.html").read_text()
    assert "over_fitted" in page
    # The city is no feature that the model reads, and no row stands in the report.
    assert "Bern" not in page + json.dumps(found.report)


@pytest.mark.parametrize(
    ("given", "properties"),
    [
        (None, {"blessed": 1, "variant_blessed": 0}),
        ({"blessed": 1}, {"blessed": 1, "variant_blessed": 0}),
        ({"blessed": 0}, {"blessed": 0, "variant_blessed": 0}),
        ({"blessed": 0, "variant_blessed": 1}, {"blessed": 0, "variant_blessed": 1}),
    ],
)
def test_the_blessing_is_evaluators_where_nothing_is_wrong(trained, tmp_path, given, properties):
    accepted = {"over_fitted": "a trial, Ann"}
    found = reported(trained, tmp_path, blessing=given, acknowledged=accepted)
    assert found.report["verdict"] == "WARN"
    for name, value in properties.items():
        assert found.blessing.get_int_custom_property(name) == value
    name = "current_model_id" if properties["blessed"] else "variant_model_id"
    if 1 in properties.values():
        assert found.blessing.get_int_custom_property(name) == 7


def test_the_same_rows_as_both_splits_are_copies(trained, tmp_path):
    """A split by another name: what was held out is what was trained on."""
    import shutil

    folder = tmp_path / "same"
    shutil.copytree(trained / "model", folder / "model")
    shutil.copytree(trained / "examples", folder / "examples")
    shutil.rmtree(folder / "examples" / "Split-eval")
    shutil.copytree(trained / "examples" / "Split-train", folder / "examples" / "Split-eval")
    found = reported(folder, tmp_path)
    assert (found.report["verdict"], found.report["reason"]) == ("BLOCK", "copied_rows")
    assert found.report["findings"][0]["evidence"]["share"] == 1.0


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"held_out_splits": ("train",)}, "other splits"),
        ({"training_splits": ("test",)}, "Expected a split 'test'"),
        ({"group_column": "cty"}, "did you mean"),
        ({"score_signature": "serving"}, "signature"),
    ],
)
def test_inputs_that_are_not_there_are_one_line(trained, tmp_path, settings, told):
    from tfx_loop.core.errors import LoopError

    with pytest.raises(LoopError, match=f"(?i){told}"):
        reported(trained, tmp_path, **settings)


def files(trained, **changed):
    named = {"--train": trained / "train.parquet", "--eval": trained / "eval.parquet"} | changed
    flags = [f"{flag}={path}" for flag, path in named.items() if path]
    return ["faults", str(trained / "model" / "Format-Serving"), *flags, "--label=late"]


def run(words, capsys):
    from tfx_loop.pipelines.cli import main

    status = main.main(words)
    said = capsys.readouterr()
    return status, said.out, said.err


def test_the_command_says_the_same_of_files(trained, tmp_path, capsys):
    page = tmp_path / "page.html"
    status, out, _ = run([*files(trained), "--json", f"--page={page}"], capsys)
    assert status == 3
    assert json.loads(out)["reason"] == "over_fitted"
    assert page.read_text().count("<h1>") == 1
    status, out, _ = run([*files(trained), "--acknowledge=over_fitted=a trial, Ann"], capsys)
    assert status == 0
    assert "WARN" in out


def test_interchanged_files_are_told(trained, capsys):
    named = {"--train": trained / "eval.parquet", "--eval": trained / "train.parquet"}
    status, out, _ = run([*files(trained, **named), "--json"], capsys)
    assert status == 3
    assert json.loads(out)["reason"] == "splits_swapped"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--label=lat"], "did you mean 'late'"),
        (["--label=late", "--time=day"], "'day'"),
        (["--label=late", "--label-time=a"], "Expected time_column"),
        (["--label=late", "--feature-time=a"], "Expected FEATURE=COLUMN"),
    ],
)
def test_columns_that_lack_are_told_before_the_model_is_opened(trained, capsys, words, told):
    given = [word for word in files(trained) if not word.startswith("--label")]
    given[1] = str(trained / "no model here")
    status, _, error = run([*given, *words], capsys)
    assert status in (1, 2)
    assert told.lower() in error.lower()
    assert len(error.strip().splitlines()) == 1


def test_a_function_says_what_features_hold(trained, tmp_path):
    found = reported(trained, tmp_path, parse_fn="model_by_heart.parse", ignore_features=("city",))
    assert found.report["reason"] == "over_fitted"
    assert {f["feature"].split("[")[0] for f in found.report["findings"]} <= {"", "image"}


def test_rows_held_out_alone_tell_the_shortfall_and_not_its_kind(trained, capsys):
    words = files(trained, **{"--train": None, "--eval": None, "--data": trained / "eval.parquet"})
    status, out, _ = run([*words, "--json"], capsys)
    assert status == 3
    assert json.loads(out)["reason"] == "worse_than_reference"


def test_fifty_rows_are_too_few(trained, tmp_path, capsys):
    few = tmp_path / "few.csv"
    pd.read_parquet(trained / "eval.parquet").head(50).to_csv(few, index=False)
    status, out, _ = run(files(trained, **{"--eval": few}), capsys)
    assert status == 4
    assert "50 held-out rows, 100 are needed" in out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda table: table.drop(columns="late"), "late"),
        (lambda table: table.assign(late="yes"), "label"),
        (lambda table: table.assign(late=np.nan), "missing"),
        (lambda table: table.assign(a=np.nan), "missing"),
        (lambda table: table.head(0), "rows"),
    ],
)
def test_bad_tables_are_one_line(trained, tmp_path, capsys, change, told):
    bad = tmp_path / "bad.csv"
    change(pd.read_parquet(trained / "eval.parquet")).to_csv(bad, index=False)
    status, _, error = run(files(trained, **{"--eval": bad}), capsys)
    assert status in (1, 2)
    assert told in error
    assert len(error.strip().splitlines()) == 1


def test_what_was_acknowledged_and_not_found_and_columns_not_read_are_told(
    trained, tmp_path, capsys
):
    wider = tmp_path / "wider.parquet"
    pd.read_parquet(trained / "eval.parquet").assign(paid=1).to_parquet(wider)
    words = files(trained, **{"--eval": wider})
    status, out, _ = run([*words, "--acknowledge=feature_tells_label:c=known, Ann"], capsys)
    assert status == 3
    assert "BLOCK (over_fitted)" in out
    assert "feature_tells_label:c: acknowledged, and not found" in out
    assert "what the model does not read: paid" in out


def test_group_numbers_that_floats_round_are_refused(trained, tmp_path, capsys):
    named = {}
    for place, split in enumerate(("train", "eval")):
        table = pd.read_parquet(trained / f"{split}.parquet")
        named[f"--{split}"] = tmp_path / f"{split}.csv"
        ids = [f"{10**25 + 2 * row + place}" for row in range(ROWS)]
        table.assign(id=ids).to_csv(named[f"--{split}"], index=False)
    status, _, error = run([*files(trained, **named), "--group=id"], capsys)
    assert status in (1, 2)
    assert "2^53" in error


def test_a_file_is_missing_or_named_twice(trained, capsys):
    status, _, error = run(files(trained, **{"--eval": None}), capsys)
    assert status in (1, 2)
    assert "--data FILE alone" in error
    assert len(rows(0)[1]) == ROWS


@pytest.fixture(scope="module")
def matrix_model(tmp_path_factory):
    """A model that takes its columns as one matrix, as most networks do."""
    import tensorflow as tf

    class Logistic(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
        def __call__(self, x):
            return {"late": tf.sigmoid(x[:, :1])}

    model, folder = Logistic(), tmp_path_factory.mktemp("matrix") / "model"
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.__call__})
    return folder


def test_ignored_columns_are_no_part_of_a_matrix(trained, matrix_model, tmp_path, capsys):
    named = {}
    for split in ("train", "eval"):
        named[f"--{split}"] = tmp_path / f"{split}.csv"
        table = pd.read_parquet(trained / f"{split}.parquet")
        table.insert(1, "price", table["late"] * 100.0)
        table.to_csv(named[f"--{split}"], index=False)
    words = files(trained, **named)
    words[1] = str(matrix_model)
    status, _, error = run(words, capsys)
    assert status == 1
    assert "--ignore" in error
    # The label hangs on one column alone here, which is told and stops nothing.
    fine = ("sound", "feature_dominates")
    status, out, error = run([*words, "--ignore=price", "--json"], capsys)
    assert status == 0, error
    assert json.loads(out)["reason"] in fine
    # One that the matrix has is fed to the model all the same, and not judged.
    without = files(trained)
    without[1] = str(matrix_model)
    status, out, error = run([*without, "--ignore=b", "--json"], capsys)
    assert status == 0, error
    assert json.loads(out)["reason"] in fine
    turned = tmp_path / "turned.csv"
    pd.read_csv(named["--eval"])[["b", "a", "late"]].to_csv(turned, index=False)
    other = [word.replace(str(named["--eval"]), str(turned)) for word in words]
    status, _, error = run([*other, "--ignore=price"], capsys)
    assert status == 1
    assert "same order" in error
    status, _, error = run([*words, "--ignore=pricee"], capsys)
    assert status in (1, 2)
    assert "did you mean 'price'" in error.lower()


def test_rows_without_a_label_are_left_out_and_counted(trained, tmp_path, capsys):
    later = tmp_path / "later.csv"
    table = pd.read_parquet(trained / "eval.parquet")
    table.assign(late=table["late"].where(table.index >= 90)).to_csv(later, index=False)
    status, out, _ = run([*files(trained, **{"--eval": later}), "--json"], capsys)
    assert status == 3
    found = json.loads(out)
    assert (found["reason"], found["held_out_rows"]) == ("over_fitted", ROWS - 90)
    assert "90 rows: their label is missing" in " ".join(found["untested"])
