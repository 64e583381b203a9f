"""`loop compress` on models and files as users have them: what it writes is what it says."""

import json
import re

import numpy as np
import pytest
from small_models import write_cancer, write_diabetes, write_digits

from tfx_loop.pipelines.cli.main import main

pytestmark = [pytest.mark.tensorflow, pytest.mark.e2e]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    write_digits(path)
    write_cancer(path)
    write_diabetes(path)
    return path


def compress(folder, model, data, *options, out="out"):
    """Runs the command; returns exit code, report (None without) and the result's folder."""
    target = folder / out
    code = main(
        [
            *("compress", str(folder / model), "--data", str(folder / data)),
            *("--out", str(target), *(str(option) for option in options)),
        ]
    )
    report = target / "report.json"
    return code, json.loads(report.read_text()) if report.is_file() else None, target


def check_choice(report, target):
    """The chosen variant is the smallest that keeps, and the file is the one reported."""
    kept = [r for r in report["rungs"] if r["status"] in ("chosen", "kept")]
    (chosen,) = [r for r in kept if r["status"] == "chosen"]
    assert chosen["size"]["raw_bytes"] == min(r["size"]["raw_bytes"] for r in kept)
    written = (target / "model.tflite").stat().st_size
    assert written == chosen["size"]["raw_bytes"] == report["child"]["size"]["raw_bytes"]
    assert report["child"]["path"] == "model.tflite"
    assert report["overall"]["drop"]["value"] <= report["overall"]["limit"]
    assert {x["batch_size"] for x in report["child"]["latency"]} == {1, 32}
    # Gains are told against the parent as a float .tflite and its weights, without Adam's memory.
    assert (report["baseline"]["format"], report["baseline"]["mode"]) == ("tflite", "float")
    assert report["parent"]["weight_bytes"] == 4 * report["parent"]["parameters"]
    factor = report["baseline"]["size"]["raw_bytes"] / written
    told = f"{factor:.1f} times smaller than the parent as a float .tflite"
    assert factor < 1.05 or told in report["explanation"]
    assert {x["runtime"] for x in report["baseline"]["latency"]} == {report["child"]["runtime"]}
    assert report["rows"]["reporting"] == report["overall"]["rows"] > 0
    assert sorted(p.name for p in target.iterdir()) == [
        "model.tflite",
        "report.html",
        "report.json",
    ]


def check_shown(target, capsys, tmp_path):
    """`loop report` shows what was written, in the terminal, as JSON and as a page."""
    assert main(["report", str(target), "--page", str(tmp_path / "page.html")]) == 0
    text = capsys.readouterr().out
    assert text.startswith("KEPT - Int8 keeps to the budget")
    # Keras numbers layers through a process: conv2d, conv2d_1, ...
    assert re.search(r"conv2d(_\d+)? \(conv_2d\)", text)
    assert main(["report", str(target), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "KEPT"
    assert (tmp_path / "page.html").read_text() == (target / "report.html").read_text()


def litert_answers(path, rows):
    """Returns the answers of the plain runtime, asked with the user's floats."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    (told,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert told["dtype"] == out["dtype"] == np.float32
    interpreter.resize_tensor_input(told["index"], rows.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(told["index"], rows.astype(np.float32))
    interpreter.invoke()
    return interpreter.get_tensor(out["index"])


def answers_of_keras(path, rows):
    import tf_keras as keras

    return keras.models.load_model(path).predict(rows, verbose=0)


@pytest.mark.parametrize(
    ("model", "data", "options"),
    [
        ("digits_saved_model", "digits.npz", ()),
        ("tfx_model", "digits.npz", ("--rungs", "int8")),
        (
            "digits.keras",
            "digits.parquet",
            ("--label", "digit", "--slice", "half", "--rungs", "int8,float16"),
        ),
    ],
)
def test_images_lose_no_more_than_allowed_on_rows_of_the_user_s_own(folder, model, data, options):
    code, report, target = compress(folder, model, data, "--budget", 0.02, *options, out=model[:8])
    assert code == 0
    check_choice(report, target)
    assert report["verdict"] == "KEPT"
    assert report["metric"]["name"] == "SparseCategoricalAccuracy"
    assert len(report["slices"]) == (2 if "--slice" in options else 0)
    with np.load(folder / "digits_test.npz") as test:
        before = answers_of_keras(folder / "digits.keras", test["x"]).argmax(axis=1)
        after = litert_answers(target / "model.tflite", test["x"]).argmax(axis=1)
        lost = (before == test["y"]).mean() - (after == test["y"]).mean()
    assert lost <= 0.02


def test_class_names_in_a_csv_meet_one_probability(folder, capsys):
    code, report, target = compress(
        folder,
        "cancer.h5",
        "cancer.csv",
        *("--label", "diagnosis", "--budget", 0.01, "--rungs", "dynamic_range,float16"),
        out="cancer",
    )
    assert code == 0
    check_choice(report, target)
    # Sorted order would be wrong: scikit-learn numbers benign as 1.
    assert any("malignant is 0, benign is 1" in note for note in report["notes"])
    assert report["overall"]["parent"]["value"] > 0.9
    shown = capsys.readouterr()
    assert "keeps to the budget" in shown.out
    assert "rows: " in shown.err


def test_numbers_and_named_inputs_from_tf_examples(folder):
    code, report, target = compress(
        folder,
        "diabetes.keras",
        "diabetes.tfrecord.gz",
        *("--label", "progression", "--budget", "0.01", "--target", "fastest"),
        out="diabetes",
    )
    assert code == 0
    assert report["metric"]["name"] == "R2Score"
    assert {"blood", "person"} == {text.split()[0] for text in report["child"]["inputs"]}
    kept = [r for r in report["rungs"] if r["status"] in ("chosen", "kept")]
    fastest = min(r["latency_ms"] for r in kept)
    (chosen,) = [r for r in kept if r["status"] == "chosen"]
    assert chosen["latency_ms"] <= 1.05 * fastest
    assert (target / "model.tflite").is_file()


def test_without_a_variant_that_keeps_there_is_a_report_and_no_model(folder):
    options = ("--label", "diagnosis", "--budget", 0, "--rungs", "int8")
    code, report, target = compress(folder, "cancer.h5", "cancer.csv", *options, out="none")
    assert code == 3
    assert (report["verdict"], report["child"]) == ("NOT_KEPT", None)
    assert report["reason"] == "no_variant_keeps_budget"
    assert sorted(p.name for p in target.iterdir()) == ["report.html", "report.json"]


def test_whole_numbers_are_taken_and_given_where_asked(folder, capsys, tmp_path):
    options = ("--budget", 0.05, "--rungs", "int8", "--io", "uint8")
    code, report, target = compress(folder, "digits.keras", "digits.npz", *options, out="uint8")
    assert code == 0
    assert report["child"]["inputs"][0].endswith("uint8")
    capsys.readouterr()
    check_shown(target, capsys, tmp_path)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--data", "none.npz"), "found none"),
        (("--data", "digits.parquet"), "Expected --label"),
        (("--data", "digits.parquet", "--label", "nothing"), "Expected the column 'nothing'"),
        (("--timeout", "0.01"), "Raise --timeout"),
        (("--slice", "half"), "Expected the array 'half'"),
    ],
)
def test_what_does_not_fit_is_one_line_and_nothing_is_written(folder, capsys, options, expected):
    data = folder / (options[1] if options[0] == "--data" else "digits.npz")
    others = options[2:] if options[0] == "--data" else options
    out = folder / "refused"
    code = main(
        [
            *("compress", str(folder / "digits_saved_model"), "--data", str(data)),
            *("--budget", "0.01", "--out", str(out), *others),
        ]
    )
    said = capsys.readouterr().err.splitlines()
    assert code == 1
    assert said[-1].startswith("loop: ")
    assert expected in said[-1]
    assert sum(line.startswith("loop:") for line in said) == 1
    assert not out.exists()


@pytest.mark.parametrize("model", ["digits_saved_model", "digits_s/model.tflite"])
def test_a_model_alone_is_described(folder, capsys, model):
    assert main(["report", str(folder / model), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["parameters"] == sum(layer["parameters"] for layer in facts["layers"])
    assert facts["parameters"] >= 80 + 1168 + 1450
    assert facts["size"]["raw_bytes"] > 1000
    assert facts["inputs"][0].startswith("image")


def test_what_is_no_report_and_no_model_is_one_line(tmp_path, capsys):
    (tmp_path / "text.json").write_text("{}")
    for path in (tmp_path / "text.json", tmp_path / "none.json", tmp_path / "none", tmp_path):
        assert main(["report", str(path)]) == 1
        said = capsys.readouterr().err
        assert said.startswith("loop: Expected ")
        assert said.count("\n") == 1
