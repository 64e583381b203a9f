"""`loop schema` infers what `loop monitor --schema` and TFDV read."""

import json

import numpy as np
import pandas as pd
import pytest
from monitored_files import ROWS, entry_of, frame, monitored, save

from tfx_loop.data.schema_file import read_schema
from tfx_loop.pipelines.cli import main

# TFDV validates what was inferred, and brings TensorFlow.
pytestmark = pytest.mark.tensorflow


def inferred(capsys, path, out, *flags):
    assert main.main(["schema", path, "--out", str(out), *flags]) == 0
    assert capsys.readouterr().out.startswith(f"{out}: ")
    return {feature.name: feature for feature in read_schema(str(out)).feature}


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_file_keeps_to_its_own_schema_and_so_do_more_of_its_rows(capsys, tmp_path, kind):
    path = save(frame(0), tmp_path, "a", kind)
    out = tmp_path / "schema.pbtxt"
    features = inferred(capsys, path, out)
    types = {name: feature.type for name, feature in features.items()}
    bytes_, int_, float_ = 1, 2, 3
    assert types == {
        "row": int_, "request_id": bytes_, "at": bytes_, "temperature": float_, "price": float_,
        "age": int_, "member": int_, "plan": bytes_, "city": bytes_, "gaps": float_,
    }  # fmt: skip
    assert features["price"].presence.min_fraction == 1.0
    assert features["gaps"].presence.min_fraction == 0.0
    assert features["plan"].domain == "plan"
    assert not features["request_id"].domain
    for current in (path, save(frame(1), tmp_path, "b", kind)):
        _, report = monitored(capsys, path, current, "--schema", str(out), "--ignore", "city")
        assert report["verdict"] == "STABLE", report["explanation"]


def test_what_a_file_does_not_keep_to_is_told(capsys, tmp_path):
    path = save(frame(0), tmp_path, "a")
    out = tmp_path / "schema.pbtxt"
    inferred(capsys, path, out)
    broken = frame(1).drop(columns="age").assign(extra=1)
    broken.loc[3, "plan"] = "gold"
    broken.loc[7, "price"] = None
    _, report = monitored(
        capsys, path, save(broken, tmp_path, "b"), "--schema", str(out), "--min-count", "1"
    )
    notes = {e["feature"]: e["note"] for e in report["features"] if e["type"] == "schema"}
    assert "required by the schema, and not there" in notes["age"]
    assert "outside the domain, such as 'gold'" in notes["plan"]
    assert "in 99.9% of the rows" in notes["price"]
    assert "the schema has no such feature" in notes["extra"]


def test_the_label_is_asked_for_in_training_alone(capsys, tmp_path):
    path = save(frame(0), tmp_path, "a")
    out = tmp_path / "schema.pbtxt"
    features = inferred(capsys, path, out, "--label", "member", "--ignore", "at")
    assert list(features["member"].not_in_environment) == ["SERVING"]
    assert list(read_schema(str(out)).default_environment) == ["TRAINING", "SERVING"]
    assert "at" not in features
    assert main.main(["schema", path, "--label", "membr"]) == 1
    assert "received 'membr'. Did you mean 'member'?" in capsys.readouterr().err


def test_lists_have_as_many_values_as_they_had(capsys, tmp_path):
    random = np.random.default_rng(0)
    content = pd.DataFrame(
        {
            "tags": [["a", "b"][: 1 + n % 2] for n in range(ROWS)],
            "vector": list(random.normal(size=(ROWS, 3))),
        }
    )
    path = save(content, tmp_path, "a")
    features = inferred(capsys, path, tmp_path / "schema.pbtxt")
    counts = {name: (f.value_count.min, f.value_count.max) for name, f in features.items()}
    assert counts == {"tags": (1, 2), "vector": (3, 3)}
    assert features["tags"].domain == "tags"


def test_without_a_file_it_is_printed_and_json_is_json(capsys, tmp_path):
    path = save(frame(0)[["plan"]], tmp_path, "a")
    assert main.main(["schema", path]) == 0
    text = capsys.readouterr().out
    assert text.startswith('feature {\n  name: "plan"\n')
    assert main.main(["schema", path, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["stringDomain"] == [{"name": "plan", "value": ["basic", "free", "pro"]}]
    nothing = save(frame(0)[:0], tmp_path, "b")
    assert main.main(["schema", nothing]) == 1
    assert "nothing to infer from" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.tensorflow
def test_tfdv_finds_no_anomaly_in_the_rows_that_it_was_inferred_from(capsys, tmp_path):
    # TFX brings it.
    tfdv = pytest.importorskip("tensorflow_data_validation")
    content = frame(0).drop(columns=["at", "member"])
    path = save(content, tmp_path, "a")
    out = tmp_path / "schema.pbtxt"
    inferred(capsys, path, out)
    statistics = tfdv.generate_statistics_from_dataframe(content)
    found = tfdv.validate_statistics(statistics, tfdv.load_schema_text(str(out)))
    assert not found.anomaly_info


def test_the_report_names_what_the_schema_said(capsys, tmp_path):
    path = save(frame(0), tmp_path, "a")
    out = tmp_path / "schema.pbtxt"
    inferred(capsys, path, out)
    content = frame(1).assign(price=lambda d: d["price"].astype(str))
    _, report = monitored(capsys, path, save(content, tmp_path, "b"), "--schema", str(out))
    assert entry_of(report, "price")["fault"] is not None


def test_a_column_to_ignore_that_is_not_there_is_refused(capsys, tmp_path):
    assert main.main(["schema", save(frame(0, 50), tmp_path, "a"), "--ignore", "cty"]) == 1
    assert "received ['cty']. Did you mean 'city'?" in capsys.readouterr().err
