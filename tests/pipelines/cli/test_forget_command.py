"""`loop forget` removes rows, records it without values, and names the models."""

import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from log_rows import START_MS, batch_of
from object_stores import S3, object_store

from tfx_loop.core.bucket.client import open_bucket
from tfx_loop.data.prediction_log.writer import PredictionLogWriter
from tfx_loop.pipelines.cli import main

SPAN = pa.table({"name": ["Ada", "Bob"] * 5, "x": np.arange(10.0), "request_id": ["r1"] * 10})


@pytest.fixture
def data(tmp_path):
    log = PredictionLogWriter(tmp_path / "log")
    for request in ("r1", "r2"):
        log.append("flights", START_MS, batch_of(request))
    log.close()
    (tmp_path / "spans").mkdir()
    for span in (1, 2):
        rows = SPAN if span == 1 else SPAN.filter(pa.array([False, True] * 5))
        pq.write_table(rows, tmp_path / "spans" / f"span-{span:02d}.parquet")
    labels = {"request_id": ["r1"], "instance_index": [0], "label": [1.0], "label_time_ms": [1]}
    pq.write_table(pa.table(labels), tmp_path / "labels.parquet")
    (tmp_path / "window_profile.packed").write_bytes(b"")
    return tmp_path


def forget(data, capsys, *words, status=3):  # The window profile is not searched.
    assert main.main(["forget", str(data), "--json", *words]) == status
    return json.loads(capsys.readouterr().out)


def test_a_request_is_gone_from_log_labels_and_spans_and_that_is_recorded(data, capsys):
    found = forget(data, capsys, "--request-id", "r1")
    assert found["files_searched"] == 4
    assert sorted(file["rows"] for file in found["files"]) == [1, 1, 5, 10]
    assert found["not_searched"] == [str(data / "window_profile.packed")]
    left = [p for p in data.rglob("*") if p.is_file() and b"r1" in p.read_bytes()]
    assert left == []
    before, after = map(json.loads, (data / "erasures.jsonl").read_text().splitlines())
    assert "erasing_at_ms" in before
    assert "erased_at_ms" in after
    assert before["files"] == after["files"] == found["files"]
    assert after["column"] == "request_id"
    assert (data / "erasures.jsonl").stat().st_mode & 0o077 == 0
    assert forget(data, capsys, "--request-id", "r1")["files"] == []
    assert len((data / "erasures.jsonl").read_text().splitlines()) == 2


@pytest.mark.slow
def test_no_scanner_of_arrow_is_left_that_aborts_the_process_at_its_end(data):
    words = ["forget", str(data), "--request-id", "r1"]
    (data / "window_profile.packed").unlink()
    code = (
        "import sys; from tfx_loop.pipelines.cli.main import main; "
        f"status = main({words!r}); sys.exit(9 if 'pyarrow.dataset' in sys.modules else status)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_value_is_in_no_record_and_a_dry_run_changes_nothing(data, capsys):
    dry = forget(data, capsys, "--column", "name", "--value", "Ada", "--dry-run")
    assert [file["rows"] for file in dry["files"]] == [5]
    assert not (data / "erasures.jsonl").exists()
    assert forget(data, capsys, "--column", "name", "--value", "Ada")["files"] == dry["files"]
    assert "Ada" not in (data / "erasures.jsonl").read_text()
    assert (
        pq.read_table(data / "spans" / "span-01.parquet").column("name").to_pylist() == ["Bob"] * 5
    )


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--column", "name"],
        ["--value", "x"],
        ["--request-id", "r", "--column", "c", "--value", "v"],
    ],
)
def test_whose_rows_are_meant_has_to_be_plain(data, capsys, words):
    found = forget(data, capsys, *words, status=1)
    assert "Expected --request-id, or --column with --value" in found["error"]["message"]


def test_models_that_were_trained_on_the_rows_are_named(data, capsys, tmp_path):
    import ml_metadata
    from ml_metadata.proto import metadata_store_pb2 as pb

    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(tmp_path / "metadata.sqlite")
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    store = ml_metadata.MetadataStore(config)

    def artifact(kind, uri):
        type_id = store.put_artifact_type(pb.ArtifactType(name=kind))
        made = pb.Artifact(type_id=type_id, uri=uri, state=pb.Artifact.LIVE)
        return store.put_artifacts([made])[0]

    def execution(kind, inputs, outputs, **properties):
        type_id = store.put_execution_type(pb.ExecutionType(name=kind))
        ran = pb.Execution(type_id=type_id, last_known_state=pb.Execution.COMPLETE)
        for name, value in properties.items():
            ran.custom_properties[name].string_value = value
        (run,) = store.put_executions([ran])
        events = [(i, pb.Event.INPUT) for i in inputs] + [(o, pb.Event.OUTPUT) for o in outputs]
        for place, kind in events:
            event = pb.Event(artifact_id=place, execution_id=run, type=kind)
            event.path.steps.add().key = "examples"
            event.path.steps.add().index = 0
            store.put_events([event])

    spans = {"input_base": str(data / "spans"), "pattern": "span-{SPAN:02d}.parquet"}
    for span in ("1", "2"):
        examples = artifact("Examples", f"/gone/examples/{span}")
        model = artifact("Model", f"/gone/model/{span}")
        execution("SpanExampleGen", [], [examples], spans=span, **spans)
        execution("Trainer", [examples], [model])
    words = ["--column", "name", "--value", "Ada", "--metadata", str(tmp_path / "metadata.sqlite")]
    found = forget(data, capsys, *words)
    assert [(model["uri"], model["node"]) for model in found["models"]] == [
        ("/gone/model/1", "Trainer")
    ]


def state(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "words", [("--metadata", "{}/nope.sqlite"), ("--record", "{}/nope/x"), ("--record", "{}/log")]
)
def test_nothing_is_removed_where_it_cannot_be_recorded(data, words):
    before = state(data)
    told = [word.format(data) for word in words]
    try:
        status = main.main(["forget", str(data), "--request-id", "r1", *told])
    except SystemExit as error:
        status = error.code
    assert status in (1, 2)
    assert state(data) == before


@pytest.mark.parametrize("command", ["forget", "compact"])
def test_a_folder_that_cannot_be_listed_is_refused(data, capsys, monkeypatch, command):
    before = state(data)
    closed = str(next((data / "log" / "flights").iterdir()))

    def refuse(listing):
        def listed(path="."):
            if str(path) == closed:
                raise PermissionError(13, "Permission denied", closed)
            return listing(path)

        return listed

    monkeypatch.setattr(os, "scandir", refuse(os.scandir))
    monkeypatch.setattr(Path, "iterdir", refuse(Path.iterdir))
    words = {"forget": [str(data), "--request-id", "r1"], "compact": ["compact", str(data / "log")]}
    assert main.main(["forget" if command == "forget" else "log", *words[command]]) == 1
    assert f"can be read at {closed}, received: Permission denied" in capsys.readouterr().err
    monkeypatch.undo()
    assert state(data) == before


def test_files_that_are_not_searched_are_named(data, capsys):
    (data / "spans" / "rows.csv").write_text("name\nAda\n")
    found = forget(data, capsys, "--column", "name", "--value", "Ada")
    assert str(data / "spans" / "rows.csv") in found["not_searched"]
    assert main.main(["forget", str(data / "spans" / "rows.csv"), "--request-id", "r"]) == 1
    assert "rows.csv, which is not searched" in capsys.readouterr().err


def test_a_column_that_no_file_has_is_named(data, capsys):
    found = forget(data, capsys, "--column", "nope", "--value", "Ada", status=1)
    assert "'nope' in one of 4 files" in found["error"]["message"]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("2026-01-02T03:04:05", 1),
        ("2026-01-02 03:04:05Z", 1),
        ("2026-01-02T05:04:05+02:00", 1),
        ("2026-01-02T03:04:05.5", 0),
        ("2026-01-02", 0),
        ("Ada", 0),
    ],
)
@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.timestamp("ns", tz="Europe/Berlin")])
def test_times_are_matched_as_iso_text(tmp_path, capsys, kind, text, rows):
    times = [datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc), None]
    values = pa.array(times, pa.timestamp("us", tz="UTC")).cast(pa.int64())
    per_second = {"s": 1, "ns": 10**9}[kind.unit]
    ticks = [None if v is None else v * per_second // 10**6 for v in values.to_pylist()]
    pq.write_table(pa.table({"at": pa.array(ticks, pa.int64()).cast(kind)}), tmp_path / "t.pq")
    found = forget(tmp_path, capsys, "--column", "at", "--value", text, "--dry-run", status=0)
    assert sum(file["rows"] for file in found["files"]) == rows


def test_what_is_not_searched_is_told_by_form_with_a_remedy(data, capsys):
    for number in range(30):
        (data / f"report-{number}.json").write_text("{}")
    (data / "Split-train").mkdir()
    (data / "Split-train" / "data_tfrecord-00000-of-00001.gz").write_bytes(b"")
    assert main.main(["forget", str(data), "--request-id", "r1"]) == 3
    shown = capsys.readouterr().out
    assert "Not searched: 32 files" in shown
    assert "Examples of TFX" in shown
    assert "report-29" not in shown


@pytest.mark.slow
def test_a_bucket_is_searched_and_recorded_here(data, capsys):
    with object_store(S3, "forgotten") as address:
        bucket = open_bucket(address)
        for file in (data / "log").rglob("*.arrows"):
            bucket.upload(f"log/{file.name}", file)
        words = ["forget", f"{address}/log", "--request-id", "r1", "--json"]
        assert main.main(words) == 1
        assert "Expected --record FILE" in capsys.readouterr().out
        assert main.main([*words, f"--record={data}/record.jsonl"]) == 0
        (file,) = json.loads(capsys.readouterr().out)["files"]
        assert file["path"].startswith(f"{address}/log/")
        (name,) = bucket.names("")
        assert b"r1" not in bucket.get(name)[0]
        assert len((data / "record.jsonl").read_text().splitlines()) == 2
