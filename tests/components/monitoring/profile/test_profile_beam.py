"""Beam profiles a window to the same bits as one process, with repeated rows counted once."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfx_loop.core.errors import DataError
from tfx_loop.data.tables.table_file import open_table
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.profile.layout import Layout
from tfx_loop.monitoring.profile.profiler import Profiler
from tfx_loop.monitoring.profile.window_json import digest, from_bytes, to_bytes
from tfx_loop.monitoring.profile.window_profile import empty

pytestmark = pytest.mark.tensorflow

LAYOUT = Layout(window="hour", sample_rows=50)
NOT_FEATURES = ("request_id", "event_time_ms", "model_version", "sampling_rate", "status")


def rows(count, seed=0):
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "request_id": [f"{seed}-{number}" for number in range(count)],
            "event_time_ms": rng.integers(0, 3 * 3_600_000, count),
            "model_version": rng.integers(1, 3, count),
            "sampling_rate": rng.choice([1.0, 0.1], count),
            "status": rng.choice(["ok", "ok", "ok", "error"], count),
            "x": pa.array(rng.normal(size=count), mask=rng.random(count) < 0.1),
            "word": rng.choice([f"w{number}" for number in range(90)], count),
            "code": rng.integers(0, 30, count),
        }
    )


@pytest.fixture(scope="module")
def reference():
    return build(rows(2_000, 9), ProfileRequest(ignore_features=NOT_FEATURES))[0]


def on_beam(paths, reference, folder, **settings):
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from tfx_loop.monitoring.profile.beam_profile import ProfileWindow, ReadBatches, whole

    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        _ = (
            pipeline
            | beam.Create(paths)
            | beam.ParDo(ReadBatches()).with_output_types(pa.RecordBatch)
            | ProfileWindow(reference, LAYOUT, **settings)
            | beam.Map(lambda pair: to_bytes(pair[1]).decode())
            | beam.io.WriteToText(str(folder / "profile"))
        )
    lines = [line for file in folder.glob("profile*") for line in file.read_text().splitlines()]
    return len(lines), whole([((0, ""), from_bytes(line.encode())) for line in lines], reference)


def test_files_on_beam_give_the_bits_of_one_process(reference, tmp_path):
    paths = []
    for number in range(3):
        paths.append(str(tmp_path / f"{number}.parquet"))
        pq.write_table(rows(3_000, number), paths[-1], row_group_size=700)
    keys, found = on_beam(paths, reference, tmp_path)
    batches = [batch for path in paths for batch in open_table(path).batches()]
    alone = Profiler(reference, LAYOUT).profile_all(batches)
    assert digest(found) == digest(alone)
    assert keys == 2 * 3 + 1
    assert found.rows + found.failed_rows == 9_000


def test_rows_delivered_twice_count_once_on_beam(reference, tmp_path):
    once = rows(4_000)
    again = once.take(pa.array(np.random.default_rng(1).permutation(4_000)[:1_500]))
    paths = []
    for number, table in enumerate((once.slice(0, 2_500), once.slice(2_500), again)):
        paths.append(str(tmp_path / f"{number}.parquet"))
        pq.write_table(table, paths[-1])
    _, found = on_beam(paths, reference, tmp_path, repeated=True, shards=5)
    alone = Profiler(reference, LAYOUT).profile_all(once.to_batches())
    assert digest(found) == digest(alone)


def test_rows_that_a_runner_lost_are_an_error(reference):
    from tfx_loop.monitoring.profile.beam_profile import check_rows

    with pytest.raises(DataError, match="Expected 3 rows"):
        check_rows(empty(reference), 3)
