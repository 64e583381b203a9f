"""`loop monitor` judges several counted windows as one, without their rows."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from counted_rows import counted_window

from tfx_loop.contracts.drift_report import DRIFT_REPORT
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.window_report import monitor
from tfx_loop.monitoring.profile import profile_files, reference
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.profile.reference import REFERENCE_PROFILE
from tfx_loop.monitoring.profile.training_counts import COUNTS_FILE, training_counts
from tfx_loop.monitoring.profile.window_json import to_bytes
from tfx_loop.pipelines.cli import main

HOUR_MS = 3_600_000


def rows(seed, shift=0.0, count=400):
    random = np.random.default_rng(seed)
    columns = {"x": random.normal(shift, 1, count), "y": random.normal(size=count)}
    return {name: pa.array(values) for name, values in columns.items()}


def trained(folder, seed=0):
    table = pa.table(rows(seed, count=5_000))
    profile, sample = build(table, ProfileRequest())
    folder.mkdir()
    REFERENCE_PROFILE.write(profile, folder)
    (folder / COUNTS_FILE).write_bytes(to_bytes(training_counts(table, profile)))
    pq.write_table(sample, folder / reference.SAMPLE_FILE)
    return profile


def monitored_hours(folder, profile, shift=0.0):
    """Reports of eight hours of 400 rows each, as DriftMonitor leaves them."""
    folders = []
    for hour in range(8):
        bounds = (hour * HOUR_MS, (hour + 1) * HOUR_MS)
        columns = rows(10 + hour, shift)
        times = bounds[0] + np.arange(len(columns["x"]))
        window = counted_window(profile, columns, f"h{hour}", bounds=bounds, times=times)
        target = folder / f"h{hour}"
        profile_files.save(window.profile, str(target), profile)
        found = monitor(profile, window, DriftSettings())
        (target / DRIFT_REPORT.name).write_text(json.dumps(DRIFT_REPORT.content(found)))
        folders.append(str(target))
    return folders


def monitored(capsys, profile, windows, *options):
    status = main.main(
        ["monitor", "--reference", str(profile), "--current", *windows, "--json", *options]
    )
    return status, json.loads(capsys.readouterr().out)


@pytest.fixture
def profile(tmp_path):
    return trained(tmp_path / "profile")


@pytest.mark.slow
def test_hours_show_together_what_none_of_them_shows_alone(capsys, tmp_path, profile):
    hours = monitored_hours(tmp_path, profile, shift=0.2)
    alone = [monitored(capsys, tmp_path / "profile", [hour])[0] for hour in hours]
    status, found = monitored(capsys, tmp_path / "profile", hours)
    assert sum(alone) < 3 * len(hours)
    assert (status, found["verdict"], found["window"]) == (3, "DRIFT", "h0 to h7")
    assert [f["feature"] for f in found["features"] if f["drifted"]] == ["x"]
    assert found["rows"] == {"reference": 5_000, "current": 3_200}


def test_hours_are_judged_as_their_rows_would_be(capsys, tmp_path, profile):
    hours = monitored_hours(tmp_path, profile)
    _, found = monitored(capsys, tmp_path / "profile", hours[::-1])
    parts = [rows(10 + hour) for hour in range(8)]
    together = {name: pa.concat_arrays([part[name] for part in parts]) for name in parts[0]}
    at_once = monitor(profile, counted_window(profile, together), DriftSettings())
    assert {f["feature"]: f["p_value"] for f in found["features"]} == {
        f.feature: f.p_value for f in at_once.features
    }


def test_all_features_are_tested_together_on_the_merged_samples(capsys, tmp_path, profile):
    hours = monitored_hours(tmp_path, profile)
    _, found = monitored(capsys, tmp_path / "profile", hours, "--multivariate")
    assert any(f["type"] == "multivariate" for f in found["features"])


def test_the_page_of_merged_windows_names_them(capsys, tmp_path, profile):
    hours = monitored_hours(tmp_path, profile)
    monitored(capsys, tmp_path / "profile", hours, "--page", str(tmp_path / "page.html"))
    assert "h0 to h7" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda hours, folder: [*hours, hours[0]], "each window once"),
        (lambda hours, folder: [*hours, str(folder)], "drift_report.json"),
    ],
)
def test_windows_that_cannot_be_merged_are_refused(capsys, tmp_path, profile, change, message):
    windows = change(monitored_hours(tmp_path, profile), tmp_path)
    status = main.main(["monitor", "--reference", str(tmp_path / "profile"), "--current", *windows])
    assert status in (1, 2)
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_windows_of_two_models_are_refused(capsys, tmp_path, profile):
    other = trained(tmp_path / "other", seed=5)
    windows = monitored_hours(tmp_path / "a", profile) + monitored_hours(tmp_path / "b", other)
    status = main.main(["monitor", "--reference", str(tmp_path / "other"), "--current", *windows])
    assert status in (1, 2)
    assert "Expected profiles on one reference" in capsys.readouterr().err


def test_several_files_and_slices_of_windows_are_refused(capsys, tmp_path, profile):
    hours = monitored_hours(tmp_path, profile)
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table(rows(1)), path)
    for arguments in (
        ["--reference", str(path), "--current", str(path), str(path)],
        ["--reference", str(tmp_path / "profile"), "--current", *hours, "--by", "x"],
    ):
        assert main.main(["monitor", *arguments]) in (1, 2)
        assert capsys.readouterr().err.startswith("loop: Expected")
