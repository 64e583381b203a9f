"""Logs of TF Serving, BulkInferrer, KServe and SageMaker as rows of the prediction log."""

import base64
import json

import numpy as np
import pytest
import tensorflow as tf
from small_examples import example_bytes
from tensorflow_serving.apis import prediction_log_pb2

from tfx_loop.core.errors import ConfigError
from tfx_loop.data.prediction_log.importers.beam_import import import_log
from tfx_loop.data.prediction_log.importers.import_order import ImportOrder
from tfx_loop.data.prediction_log.reader import read_window
from tfx_loop.pipelines.cli.main import main

pytestmark = pytest.mark.tensorflow

TIME_MS = 1_700_000_000_000


def imported(tmp_path, kind, **changes):
    values = {
        "kind": kind,
        "files": [str(tmp_path / "in*")],
        "log_dir": str(tmp_path / "log"),
        "model_name": "taxi",
    }
    return import_log(ImportOrder(**{**values, **changes}))


def rows(tmp_path):
    window = read_window(str(tmp_path / "log"), "taxi", 0, 10**14)
    assert window.losses.duplicate_rows == 0
    return window.table


def predict_log(inputs, outputs, version=3):
    log = prediction_log_pb2.PredictionLog()
    for name, values in inputs.items():
        log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    for name, values in outputs.items():
        log.predict_log.response.outputs[name].CopyFrom(tf.make_tensor_proto(values))
    log.predict_log.response.model_spec.version.value = version
    return log.SerializeToString()


def classified(scores):
    log = prediction_log_pb2.PredictionLog()
    example = log.classify_log.request.input.example_list.examples.add()
    example.MergeFromString(example_bytes(fare=[2.5]))
    classes = log.classify_log.response.result.classifications.add().classes
    for label, score in scores.items():
        classes.add(label=label, score=score)
    return log.SerializeToString()


def write_records(path, records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)


def test_prediction_logs_of_columns_examples_and_classes(tmp_path):
    columns = predict_log({"fare": [1.0, 2.0], "hour": [7, 8]}, {"p": [[0.25], [0.5]]})
    examples = [example_bytes(fare=[3.5], tags=[b"a", b"b"]), example_bytes(fare=[4.5])]
    asked = predict_log({"examples": examples}, {"p": [[0.75], [1.0]]}, version=4)
    session = prediction_log_pb2.PredictionLog()
    session.session_run_log.request.model_spec.name = "x"
    records = [columns, columns, asked, classified({"yes": 0.75, "no": 0.25})]
    write_records(tmp_path / "in", [*records, b"\x08rubbish", session.SerializeToString()])
    counts = imported(tmp_path, "tf-serving", default_time_ms=TIME_MS)
    assert counts.rows == 2 + 2 + 2 + 1, "equal messages are requests of their own"
    assert counts.rejected == {"no_message": 1, "no_rows": 1}
    table = rows(tmp_path)
    assert len(table) == 7
    found = table.filter(np.array([v == 4 for v in table.column("model_version").to_pylist()]))
    assert sorted(found.column("feature.fare").to_pylist()) == [[3.5], [4.5]]
    assert sorted(found.column("feature.tags").to_pylist(), key=str) == [None, ["a", "b"]]
    assert set(found.column("output.p").to_pylist()) == {0.75, 1.0}
    assert ["yes", "no"] in table.column("output.classes").to_pylist()
    again = imported(tmp_path, "tf-serving", default_time_ms=TIME_MS)
    assert again == counts
    assert len(rows(tmp_path)) == 7, "importing again changes nothing"


def test_prediction_logs_without_a_time_are_rejected(tmp_path):
    write_records(tmp_path / "in", [predict_log({"x": [1.0]}, {"p": [0.5]})])
    assert imported(tmp_path, "tf-serving").rejected == {"no_time": 1}


def test_copies_of_a_file_and_later_names_leave_the_log_as_it_is(tmp_path):
    record = predict_log({"x": [1.0]}, {"p": [0.5]})
    for name in ("in-1", "in-copy"):
        write_records(tmp_path / name, [record, record])
    write_records(tmp_path / "in-other", [record])
    paths = [str(tmp_path / "in-1"), str(tmp_path / "in-copy"), str(tmp_path / "in-1")]
    once = imported(tmp_path, "tf-serving", files=paths, default_time_ms=TIME_MS)
    assert (once.rows, once.copies) == (2, 1)
    (tmp_path / "in-1").unlink()
    (tmp_path / "in-copy").rename(tmp_path / "in-renamed")
    again = imported(tmp_path, "tf-serving", default_time_ms=TIME_MS)
    # Another file's equal message is a request of its own.
    assert (again.rows, again.copies) == (3, 0)
    window = read_window(str(tmp_path / "log"), "taxi", 0, 10**14)
    assert len(window.table) == 3


def test_names_divide_a_matrix_and_reject_another_width(tmp_path):
    wide, wider = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0, 3.0]])
    logged = [predict_log({"x": wide}, {"p": [0.5, 0.25]}), predict_log({"x": wider}, {"p": [1.0]})]
    write_records(tmp_path / "in", logged)
    names = ["fare", "hour"]
    counts = imported(tmp_path, "tf-serving", default_time_ms=TIME_MS, feature_names=names)
    assert (counts.rows, counts.rejected) == (2, {"other_width": 1})
    table = rows(tmp_path)
    assert sorted(table.column("feature.fare").to_pylist()) == [1.0, 3.0]
    assert sorted(table.column("feature.hour").to_pylist()) == [2.0, 4.0]
    assert "feature.x" not in table.column_names


def event(kind, request_id, data, **more):
    return {
        "specversion": "1.0",
        "type": f"org.kubeflow.serving.inference.{kind}",
        "id": request_id,
        "time": "2023-11-14T22:13:20Z",
        "data": data,
        **more,
    }


def test_cloud_events_are_paired(tmp_path):
    v1 = [{"fare": 1.5, "kind": "a"}, {"fare": 2, "kind": "b"}]
    v2 = {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
    answer = {"outputs": [{"name": "y", "shape": [2], "datatype": "FP32", "data": [0.5, 0.25]}]}
    coded = base64.b64encode(json.dumps({"predictions": [9]}).encode()).decode()
    lines = [
        event("request", "a", {"instances": v1}),
        event("response", "a", {"predictions": [0.1, 0.2]}),
        event("response", "b", json.dumps(answer)),
        event("request", "b", v2),
        event("request", "c", {"instances": [5]}),
        {**event("response", "c", None), "data_base64": coded},
        event("request", "lonely", {"instances": [5]}),
        event("response", "only", {"predictions": [5]}),
        event("feedback", "x", {}),
        event("request", "d", {"instances": v1}),
        event("response", "d", {"predictions": [0.1]}),
    ]
    text = "\n".join(json.dumps(line) for line in lines)
    (tmp_path / "in").write_text(text + "\n{not json\n\n")
    counts = imported(tmp_path, "kserve")
    assert counts.rows == 5
    assert counts.rejected == {
        "no_event": 1,
        "no_json": 1,
        "no_request": 1,
        "no_response": 1,
        "no_rows": 1,
    }
    by_id = {}
    for row in rows(tmp_path).to_pylist():
        by_id.setdefault(row["request_id"], []).append(row)
    assert [row["feature.fare"] for row in by_id["a"]] == [1.5, 2.0]
    assert [row["output.prediction"] for row in by_id["a"]] == [0.1, 0.2]
    assert [row["feature.x"] for row in by_id["b"]] == [[1.0, 2.0], [3.0, 4.0]]
    assert by_id["c"][0]["output.prediction"] == 9
    assert by_id["a"][0]["event_time_ms"] == TIME_MS


def test_cloud_events_take_names_and_times_of_go_and_pair_no_request_by_guess(tmp_path):
    tensor = {"name": "input-0", "shape": [1, 2], "datatype": "FP32", "data": [7, 8]}
    go = "2023-11-14T22:13:20.123456789Z"
    lines = [
        event("request", "a", {"instances": [[1, "x"], [2, "y"]]}, time=go),
        event("request", "a", {"instances": [[1, "x"], [2, "y"]]}),
        event("response", "a", {"predictions": [0.1, 0.2]}),
        event("request", "b", {"inputs": [tensor]}),
        event("response", "b", {"predictions": [0.3]}),
        event("request", "c", {"instances": [[1, 2, 3]]}),
        event("response", "c", {"predictions": [0.3]}),
        event("request", "handed-on", {"instances": [[5, "x"]]}),
        event("request", "handed-on", {"instances": [[6, "x"]]}),
        event("response", "handed-on", {"predictions": [0.5]}),
        event("response", "handed-on", {"predictions": [0.6]}),
    ]
    (tmp_path / "in").write_text("\n".join(map(json.dumps, lines)))
    counts = imported(tmp_path, "kserve", feature_names=["fare", "kind"])
    assert (counts.rows, counts.rejected) == (3, {"ambiguous_id": 1, "other_width": 1})
    found = {row["request_id"]: row for row in rows(tmp_path).to_pylist()}
    assert (found["a"]["feature.fare"], found["a"]["feature.kind"]) == (2, "y")
    assert (found["b"]["feature.fare"], found["b"]["feature.kind"]) == (7, "8")
    assert found["a"]["event_time_ms"] == TIME_MS + 123


def capture(request, answer, encoding="CSV", content="text/csv", **metadata):
    def side(data):
        return {"observedContentType": content, "data": data, "encoding": encoding}

    return {
        "captureData": {"endpointInput": side(request), "endpointOutput": side(answer)},
        "eventMetadata": {"eventId": "e1", "inferenceTime": "2023-11-14T22:13:20Z", **metadata},
        "eventVersion": "0",
    }


def test_data_capture_of_csv_json_and_base64(tmp_path):
    coded = [base64.b64encode(text.encode()).decode() for text in ("7,c", "0.5")]
    body, answer = json.dumps({"instances": [{"fare": 3.5}]}), json.dumps({"predictions": [0.25]})
    lines = [
        capture("1.5,a\n2,b\n", "0.1\n0.2\n"),
        capture(*coded, encoding="BASE64", eventId="e2", inferenceId="mine"),
        capture(body, answer, "JSON", "application/json", eventId="e3"),
        {"captureData": {"endpointInput": {}}, "eventMetadata": {"eventId": "e4"}},
        {"eventVersion": "0"},
    ]
    (tmp_path / "in").write_text("\n".join(map(json.dumps, lines)))
    counts = imported(tmp_path, "sagemaker", feature_names=["fare", "kind"])
    assert (counts.rows, counts.rejected) == (4, {"no_capture": 1, "no_endpointInput": 1})
    table = rows(tmp_path)
    assert sorted(table.column("feature.fare").to_pylist()) == [1.5, 2.0, 3.5, 7.0]
    assert set(table.column("request_id").to_pylist()) == {"e1", "mine", "e3"}
    assert sorted(table.column("output.prediction").to_pylist()) == [0.1, 0.2, 0.25, 0.5]


def test_data_captures_of_one_inference_id_are_all_kept(tmp_path):
    lines = [
        capture("1,a\n", "0.1\n", eventId="e1", inferenceId="mine"),
        capture("2,a\n", "0.2\n", eventId="e2", inferenceId="mine"),
        capture("1,a\n", "0.1\n", eventId="e1", inferenceId="mine"),
    ]
    (tmp_path / "in").write_text("\n".join(map(json.dumps, lines)))
    assert imported(tmp_path, "sagemaker").rows == 3
    window = read_window(str(tmp_path / "log"), "taxi", 0, 10**14)
    assert window.table.column("feature.c0").to_pylist() == [1, 2]
    assert window.losses.duplicate_rows == 1


def test_the_command_imports_and_counts(tmp_path, capsys):
    write_records(tmp_path / "in", [predict_log({"x": [1.0]}, {"p": [0.5]}), b"\x08"])
    log, files = str(tmp_path / "log"), str(tmp_path / "in")
    given = ["--kind", "tf-serving", "--model", "taxi", "--time", "2023-11-14"]
    assert main(["log", "import", log, files, *given]) == 0
    shown = capsys.readouterr().out
    assert "1 row imported" in shown
    assert "1 record rejected: no_message (no PredictionLog message)" in shown
    for words, told in (([], "received too little"), ([*given[:-1], "soon"], "time in ISO 8601")):
        with pytest.raises(SystemExit) as ended:
            main(["log", "import", log, files, *words])
        assert ended.value.code == 2
        assert told in capsys.readouterr().err
    with pytest.raises(ConfigError, match="tf-serving, kserve, sagemaker"):
        ImportOrder(kind="x", files=["a"], log_dir=log, model_name="taxi")


@pytest.mark.parametrize(
    ("kind", "content", "told"),
    [
        ("kserve", None, "found none"),
        ("kserve", b"", "the files are empty"),
        ("kserve", b"\xfa\xff\n\x00", "2 records rejected: no_json (no JSON object)"),
        ("sagemaker", b"[" * 200_000 + b"\n", "1 record rejected: no_json"),
        ("sagemaker", b'{"a": 1}', "1 record rejected: no_capture"),
        ("tf-serving", b"rubbish" * 9, "Not a valid TFRecord"),
        ("tf-serving", b"", "the files are empty"),
    ],
)
def test_nothing_imported_is_an_error_of_one_line(tmp_path, capsys, kind, content, told):
    if content is not None:
        (tmp_path / "in").write_bytes(content)
    words = ["log", "import", str(tmp_path / "log"), str(tmp_path / "in*")]
    assert main([*words, "--kind", kind, "--model", "taxi"]) == 1
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("loop:")]
    assert told in line
    assert not (tmp_path / "log").exists()
