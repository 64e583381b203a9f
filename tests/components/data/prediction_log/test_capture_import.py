"""Captures of buckets and folders in Beam, and in place of a log in PredictionLogGen."""

import json

import pytest
from captured_lines import HOUR_MS, TIME_MS, capture, hour_folder, text_of, write_hour
from object_stores import S3, object_store

from tfx_loop.contracts.capture_source import CaptureSource
from tfx_loop.core.bucket.client import open_bucket
from tfx_loop.core.conditional_files import ABSENT
from tfx_loop.core.errors import ConfigError
from tfx_loop.data.prediction_log.component import LogDriver, PredictionLogGen
from tfx_loop.data.prediction_log.executor import Executor
from tfx_loop.data.prediction_log.importers.beam_import import import_log
from tfx_loop.data.prediction_log.importers.import_order import ImportOrder
from tfx_loop.data.prediction_log.reader import read_window
from tfx_loop.data.prediction_log.settings import PredictionLogGenSettings
from tfx_loop.pipelines.cli.main import main

pytestmark = pytest.mark.tensorflow

ROW, ANSWER = {"instances": [{"fare": 3.5}]}, {"predictions": [0.25]}


@pytest.fixture(scope="module")
def bucket():
    """Yields the prefix of an endpoint's captures in a bucket, over midnight."""
    with object_store(S3, "captures") as address:
        store = open_bucket(f"{address}/dest/endpoint")
        for hour in range(4):
            time = TIME_MS + hour * HOUR_MS
            records = [capture(ROW, ANSWER, time + 1000 * i, f"e{hour}-{i}") for i in range(3)]
            key = f"AllTraffic/{hour_folder(time)}/00-00-000-a.jsonl"
            store.put(key, text_of([*records, capture(ROW, None, time)]).encode(), ABSENT)
        yield f"{address}/dest/endpoint"


def test_an_import_of_a_bucket_counts_what_it_rejects_and_changes_nothing_when_repeated(
    bucket, tmp_path
):
    order = ImportOrder(
        kind="sagemaker", files=[bucket], log_dir=str(tmp_path / "log"), model_name="taxi"
    )
    counts = import_log(order)
    assert (counts.rows, counts.rejected) == (12, {"no_endpointOutput": 4})
    files = sorted((tmp_path / "log").rglob("*.parquet"))
    assert len({file.parent for file in files}) == 2, "a folder for each day"
    assert import_log(order) == counts
    assert sorted((tmp_path / "log").rglob("*.parquet")) == files
    read = read_window(str(tmp_path / "log"), "taxi", TIME_MS, TIME_MS + 2 * HOUR_MS)
    assert len(read.table) == 6
    assert read.losses.duplicate_rows == 0


def test_the_command_takes_a_prefix_variants_and_shares(tmp_path, capsys):
    write_hour(tmp_path / "e", TIME_MS, [capture("1,a", "0.5")])
    write_hour(tmp_path / "e", TIME_MS, [capture("1,a", "0.5")], variant="shadow")
    words = ["log", "import", str(tmp_path / "log"), str(tmp_path / "e"), "--kind", "sagemaker"]
    words += ["--model", "taxi", "--features", "fare,kind", "--outputs", "p", "--sampling", "50"]
    assert main(words) == 1
    assert "Name those whose answers clients got" in capsys.readouterr().err
    assert main([*words, "--variant", "All*", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["rejected"]) == (1, {"shadow_variant": 1})
    read = read_window(str(tmp_path / "log"), "taxi", TIME_MS, TIME_MS + HOUR_MS)
    assert read.sampling_rate == 0.5
    assert read.table.column("output.p").to_pylist() == [0.5]
    assert main([*words, "--sampling", "200"]) == 1
    assert "sampling_percentage must be above 0" in capsys.readouterr().err


def generated(prefix, tmp_path):
    """Returns the artifact that PredictionLogGen writes of captures, and its fingerprint."""
    from tfx_loop.core.artifacts import PredictionLog
    from tfx_loop.data.prediction_log.window_files import LOG_WINDOW

    settings = PredictionLogGenSettings.of(
        {"capture": prefix, "model_name": "taxi", "window": "w", "start_ms": TIME_MS,
         "end_ms": TIME_MS + HOUR_MS}
    )  # fmt: skip
    properties = settings.to_properties()
    artifact = PredictionLog()
    artifact.uri = str(tmp_path / "artifact")
    Executor().Do({}, {"prediction_log": [artifact]}, properties)
    return LOG_WINDOW.read(artifact.uri), LogDriver(None).fingerprint(properties)


def test_prediction_log_gen_reads_captures_of_a_bucket_in_place_of_a_log(bucket, tmp_path):
    window, print_ = generated(bucket, tmp_path)
    assert (window.rows, window.losses.rejected_captures) == (3, {"no_endpointOutput": 1})
    assert generated(bucket, tmp_path)[1] == print_
    store = open_bucket(bucket)
    late = f"AllTraffic/{hour_folder(TIME_MS)}/59-00-000-b.jsonl"
    store.put(late, text_of([capture(ROW, ANSWER, TIME_MS, "late")]).encode(), ABSENT)
    try:
        window, changed = generated(bucket, tmp_path)
        assert window.rows == 4
        assert changed != print_, "a cached node runs again"
    finally:
        store.remove(late)


def test_one_source_of_rows_is_given_and_no_more():
    given = {"model_name": "taxi", "window": "w", "start_ms": 0, "end_ms": 1}
    for more, told in (({}, "none of them"), ({"log_dir": "l", "capture": "c"}, "log_dir and cap")):
        with pytest.raises(ConfigError, match=told):
            PredictionLogGen(**given, **more)
    node = PredictionLogGen(**given, capture=CaptureSource(prefix="c", feature_names=("a", "b")))
    kept = PredictionLogGenSettings.from_properties(node.exec_properties).capture
    assert kept == CaptureSource(prefix="c", feature_names=("a", "b"))
