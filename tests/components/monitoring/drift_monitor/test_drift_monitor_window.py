"""Rows of a log that are compared, and logs that are refused."""

import json

import numpy as np
import pyarrow as pa
import pytest
from counted_rows import counted_window, log_rows

from tfx_loop.core.errors import DataError
from tfx_loop.data.prediction_log.window_files import ROWS_FILE, LogWindow, write_window
from tfx_loop.monitoring.drift.window import log_layout
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.profile.profile_files import load, save
from tfx_loop.monitoring.profile.profiler import Profiler
from tfx_loop.monitoring.profile.window_json import digest


@pytest.fixture(scope="module")
def reference():
    temp = np.random.default_rng(0).normal(size=2_000)
    return build(pa.table({"temp": temp}), ProfileRequest())[0]


def test_only_answered_rows_count_by_version(reference):
    window = counted_window(reference, {"temp": [1.0, 2.0, 3.0]}, versions={3: 2, 4: 1}, failed=1)
    assert (window.rows, window.failed_rows) == (3, 1)
    assert window.model_versions == {3: 2, 4: 1}
    assert window.profile.total("temp").counts.present == 3
    assert window.profile.sample.answered().column("temp").to_pylist() == [1.0, 2.0, 3.0]
    assert sorted(window.profile.sample.times().tolist()) == [0, 1, 2, 3]


def test_an_empty_log_has_no_rows(reference):
    window = counted_window(reference, {})
    assert (window.rows, window.failed_rows, dict(window.model_versions)) == (0, 0, {})


def test_files_of_a_profile_hold_all_of_it(reference, tmp_path):
    for columns in ({"temp": np.linspace(-1, 1, 40)}, {}):
        profile = counted_window(reference, columns, failed=2).profile
        save(profile, str(tmp_path), reference)
        assert digest(load(str(tmp_path))) == digest(profile)


def written(rows, folder, vouched=None):
    about = LogWindow(
        window="2013-04", start_ms=0, end_ms=10_000, model_name="m", rows=vouched or rows.num_rows
    )
    write_window(str(folder), about, rows)
    return about


def on_beam(reference, about, folder):
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from tfx_loop.monitoring.drift_monitor.beam_counting import count_log

    return count_log(
        lambda: beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])),
        str(folder),
        about,
        reference,
        log_layout("", 100),
        str(folder),
    )


@pytest.mark.tensorflow
def test_beam_counts_a_log_to_the_bits_of_one_process(reference, tmp_path, monkeypatch):
    monkeypatch.setattr("tfx_loop.data.prediction_log.window_files._ROWS_PER_GROUP", 700)
    temp = np.random.default_rng(1).normal(size=3_000)
    rows = log_rows({"temp": temp}, versions={1: 1_000, 2: 2_000}, failed=20)
    window = on_beam(reference, written(rows, tmp_path), tmp_path)
    alone = Profiler(reference, log_layout("", 100)).profile_all(rows.to_batches())
    assert digest(window.profile) == digest(alone)
    assert (window.window, window.rows, window.end_ms) == ("2013-04", 3_000, 10_000)
    assert json.loads((tmp_path / "window_profile.json").read_text())["failed_rows"] == 20


@pytest.mark.tensorflow
def test_beam_counts_a_log_in_a_bucket(reference, tmp_path):
    import ram_files

    rows = log_rows({"temp": np.linspace(-1, 1, 300)})
    about = written(rows, tmp_path)
    window = on_beam(reference, about, ram_files.uploaded(tmp_path, "ram://drift/log"))
    alone = Profiler(reference, log_layout("", 100)).profile_all(rows.to_batches())
    assert digest(window.profile) == digest(alone)


@pytest.mark.tensorflow
def test_beam_counts_an_empty_log(reference, tmp_path):
    assert on_beam(reference, written(log_rows({}), tmp_path), tmp_path).rows == 0


@pytest.mark.tensorflow
def test_rows_that_window_json_does_not_vouch_for_are_refused(reference, tmp_path):
    about = written(log_rows({"temp": [1.0, 2.0]}), tmp_path, vouched=4)
    with pytest.raises(DataError, match="Expected 4 rows"):
        on_beam(reference, about, tmp_path)


@pytest.mark.tensorflow
def test_a_table_that_is_no_prediction_log_is_refused(reference, tmp_path):
    about = written(pa.table({"temp": [1.0]}), tmp_path)
    with pytest.raises(DataError, match="model_version"):
        on_beam(reference, about, tmp_path)


@pytest.mark.tensorflow
def test_a_log_that_is_cut_off_is_refused(reference, tmp_path):
    about = written(log_rows({"temp": np.linspace(-1, 1, 500)}), tmp_path)
    whole = (tmp_path / ROWS_FILE).read_bytes()
    (tmp_path / ROWS_FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="whole Parquet"):
        on_beam(reference, about, tmp_path)
