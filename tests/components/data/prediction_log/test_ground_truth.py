"""SageMaker's ground truth as labels."""

import pytest
from captured_lines import HOUR_MS, TIME_MS, capture, text_of, truth, write_hour
from object_stores import S3, object_store

from tfx_loop.contracts.capture_source import CaptureSource
from tfx_loop.contracts.task import ModelTask
from tfx_loop.core.bucket.client import open_bucket
from tfx_loop.core.conditional_files import ABSENT
from tfx_loop.core.errors import DataError
from tfx_loop.data.prediction_log.importers.capture_window import read_captures
from tfx_loop.data.prediction_log.labels import join_labels, label_files, read_labels


def rows_of(folder, task=None):
    labels = read_labels(str(folder), task)
    columns = ("request_id", "instance_index", "label", "label_time_ms")
    return list(zip(*(labels.table.column(name).to_pylist() for name in columns), strict=True))


@pytest.mark.parametrize(
    ("record", "labels"),
    [
        (truth("1"), [1.0]),
        (truth("0.5\n2"), [0.5, 2.0]),
        (truth("1,0,1"), [1.0, 0.0, 1.0]),
        (truth("1", encoding="JSON"), [1.0]),
        (truth("[0, 1]", encoding="JSON"), [0.0, 1.0]),
        (truth("[[0], [1]]", encoding="JSON"), [0.0, 1.0]),
        (truth("MQ==", encoding="BASE64"), [1.0]),
    ],
)
def test_labels_are_read_by_instance_from_the_end_of_their_hour_on(tmp_path, record, labels):
    write_hour(tmp_path, TIME_MS, [record], variant="")
    end = TIME_MS + HOUR_MS
    assert rows_of(tmp_path) == [("e1", i, label, end) for i, label in enumerate(labels)]


def test_classes_may_be_names(tmp_path):
    write_hour(tmp_path, TIME_MS, [truth("red"), truth("green\nred", "e2")], variant="")
    found = rows_of(tmp_path, ModelTask.of_text("classes:red,green"))
    assert [row[:3] for row in found] == [("e1", 0, "red"), ("e2", 0, "green"), ("e2", 1, "red")]


def test_lines_without_a_label_are_counted(tmp_path):
    lines = [
        truth("1"),
        truth("unknown", "e2"),
        truth("1", "e3", "PROTOBUF"),
        truth('{"a": 1}', "e4", "JSON"),
        {"groundTruthData": {"data": "1", "encoding": "CSV"}, "eventMetadata": {}},
        "{cut",
    ]
    write_hour(tmp_path, TIME_MS, lines, variant="")
    labels = read_labels(str(tmp_path))
    assert (len(labels.table), labels.wrong_type, labels.unusable) == (1, 5, {})


def test_an_instance_without_a_label_moves_no_other(tmp_path):
    lines = [truth("1\n\n0\n"), truth("[null, 1]", "e2", "JSON")]
    write_hour(tmp_path, TIME_MS, lines, variant="")
    assert [row[:3] for row in rows_of(tmp_path)] == [
        ("e1", 0, 1.0),
        ("e1", 2, 0.0),
        ("e2", 1, 1.0),
    ]
    assert read_labels(str(tmp_path)).wrong_type == 2


def test_a_file_whose_folders_say_no_hour_is_unusable(tmp_path):
    (tmp_path / "labels.jsonl").write_text(text_of([truth("1")]))
    with pytest.raises(DataError, match="yyyy/mm/dd/HH"):
        read_labels(str(tmp_path))
    write_hour(tmp_path, TIME_MS, [truth("1")], variant="")
    assert list(read_labels(str(tmp_path)).unusable) == [str(tmp_path / "labels.jsonl")]


@pytest.mark.slow
def test_captures_and_ground_truth_of_a_bucket_are_joined_by_inference_id():
    with object_store(S3, "truth") as address:
        captured = [
            capture({"instances": [{"x": 1}, {"x": 2}]}, {"predictions": [0.1, 0.9]}, TIME_MS, "e1",
                    inferenceId="trip-1"),
            capture({"instances": [{"x": 3}]}, {"predictions": [0.5]}, TIME_MS, "e2"),
        ]  # fmt: skip
        told = [truth("0\n1", "trip-1"), truth("1", "e2"), truth("1", "nobody")]
        store = open_bucket(address)
        store.put("c/e/v/2023/11/14/22/a.jsonl", text_of(captured).encode(), ABSENT)
        store.put("gt/2023/11/15/07/a.jsonl", text_of(told).encode(), ABSENT)
        rows = read_captures(CaptureSource(prefix=f"{address}/c/e"), "m", TIME_MS, TIME_MS + 1)
        labels = read_labels(f"{address}/gt")
        assert label_files(f"{address}/gt") == ["2023/11/15/07/a.jsonl"]
    labelled, counts = join_labels(rows.table, labels)
    assert labelled.column("label").to_pylist() == [1.0, 0.0, 1.0]
    assert labelled.column("request_id").to_pylist() == ["e2", "trip-1", "trip-1"]
    assert (counts.matched, counts.unknown_ids) == (3, 1)
    early, counts = join_labels(rows.table, labels, TIME_MS + HOUR_MS)
    assert (len(early), counts.after_as_of) == (0, 4), "they came the next morning"
