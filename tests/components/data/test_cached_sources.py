"""Nodes that read files are taken from TFX's cache while these stay as they were, and no longer."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from compiled_pipeline import compile_pipeline
from log_rows import DAY_MS, START_MS, batch_of

from tfx_loop.data.prediction_log.writer import PredictionLogWriter

pytestmark = pytest.mark.tensorflow

NODES = ("SpanExampleGen", "PredictionLogGen", "LabelJoiner")


@pytest.fixture
def world(tmp_path):
    """A span, a log of one request, and its label."""
    write_span(tmp_path, 1.0)
    log_request(tmp_path, "a")
    label(tmp_path, "first", "a")
    return tmp_path


def write_span(world, factor):
    """Writes 100 rows: the same size whatever the factor, and the same time of modification."""
    rows = {"id": [str(i) for i in range(100)], "x": [factor] * 100, "y": [1] * 100}
    file = world / "span-01.parquet"
    pq.write_table(pa.table(rows), file, compression="none", use_dictionary=False)
    os.utime(file, (1_000_000_000, 1_000_000_000))
    return file.stat().st_size


def log_request(world, name):
    log = PredictionLogWriter(world / "log")
    log.append("flights", START_MS, batch_of(name))
    log.close()


def label(world, file, request_id):
    (world / "labels").mkdir(exist_ok=True)
    rows = {"request_id": [request_id], "instance_index": [0], "label": [1.0]}
    table = pa.table({**rows, "label_time_ms": [START_MS]})
    pq.write_table(table, world / "labels" / f"{file}.parquet")


def nodes(world):
    from tfx_loop import LabelJoiner, PredictionLogGen, SpanExampleGen

    spans = SpanExampleGen(input_base=str(world), spans="1", key_column="id")
    log = PredictionLogGen(
        log_dir=str(world / "log"),
        model_name="flights",
        window="w",
        start_ms=START_MS,
        end_ms=START_MS + DAY_MS,
    )
    labelled = LabelJoiner(
        prediction_log=log.outputs["prediction_log"], labels_dir=str(world / "labels")
    )
    return [spans, log, labelled]


def run(world):
    """Runs the three nodes under TFX's own runner; returns which came from the cache."""
    from stock_penguin import executions
    from tfx import v1 as tfx

    pipeline = tfx.dsl.Pipeline(
        pipeline_name="sources",
        pipeline_root=str(world / "root"),
        components=nodes(world),
        enable_cache=True,
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(world / "metadata.sqlite")
        ),
    )
    tfx.orchestration.LocalDagRunner().run(pipeline)
    states = executions(world)
    assert set(states) == set(NODES)
    assert set(states.values()) <= {"COMPLETE", "CACHED"}
    return {node for node, state in states.items() if state == "CACHED"}


def test_what_changed_is_read_again_and_nothing_else(world):
    assert run(world) == set()
    assert run(world) == set(NODES)
    before = (world / "span-01.parquet").stat().st_size
    assert write_span(world, 7.0) == before
    label(world, "second", "b")
    assert run(world) == {"PredictionLogGen"}
    # The labels are joined to what the log has by now.
    log_request(world, "b")
    assert run(world) == {"SpanExampleGen"}


def test_each_job_of_kubeflow_has_another_key_for_its_cache(world, tmp_path):
    spec = compile_pipeline(tmp_path, nodes(world))
    for node in NODES:
        given = spec["root"]["dag"]["tasks"][node]["inputs"]["parameters"]["pipeline_job"]
        assert given["runtimeValue"]["constantValue"]["stringValue"] == "{{$.pipeline_job_uuid}}"
