"""One file is cut by time or rows, and each chunk is judged."""

import json

import numpy as np
import pandas as pd
import pytest
from monitored_files import entry_of, monitored, save

from tfx_loop.pipelines.cli import main

A_DAY = 300


def days(seed, count, start, *, moved_from=None, step=0.0, form="time"):
    """Rows of some days; from a day on x lies two deviations higher, each day `step` higher."""
    rows = A_DAY * count
    random = np.random.default_rng(seed)
    at = pd.date_range(start, periods=rows, freq=pd.Timedelta(days=1) / A_DAY)
    number = np.arange(rows) // A_DAY
    x = random.normal(size=rows) + step * number
    if moved_from is not None:
        x += 2.0 * (number >= moved_from)
    forms = {
        "time": at,
        "text": at.strftime("%Y-%m-%dT%H:%M:%S"),
        "UTC": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "zone": (at + pd.Timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S.%f+01:00"),
        "zoned": at.tz_localize("UTC"),
        "BigQuery": at.strftime("%Y-%m-%d %H:%M:%S UTC"),
        "epoch": at.astype("int64"),
    }
    return pd.DataFrame({"at": forms[form], "x": x, "y": random.normal(size=rows)})


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("form", ["time", "text", "UTC", "zone", "zoned", "BigQuery", "epoch"])
def test_drift_is_told_from_the_day_on_which_it_began(capsys, tmp_path, kind, form):
    reference = save(days(0, 10, "2024-01-01", form=form), tmp_path, "a", kind)
    moved = days(1, 7, "2024-02-01", moved_from=4, form=form)
    shuffled = moved.sample(frac=1, random_state=0)
    current = save(shuffled, tmp_path, "b", kind)
    status, report = monitored(capsys, reference, current, "--every", "day", "--time", "at")
    assert (status, report["verdict"], report["reason"]) == (3, "DRIFT", "features_drifted")
    trend = report["trend"]
    assert trend["windows"] == [f"2024-02-0{day}" for day in range(1, 8)]
    assert trend["verdicts"] == ["STABLE"] * 4 + ["DRIFT"] * 3
    assert trend["rows"] == [A_DAY] * 7
    assert max(trend["psi"]["x"][:4]) < 0.1 < 0.5 < min(trend["psi"]["x"][4:])
    assert report["explanation"] == (
        "3 of 7 chunks drifted (2024-02-05, 2024-02-06 and 2024-02-07): x."
    )
    drifted = [entry_of(chunk, "x")["drifted"] for chunk in report["chunks"]]
    assert drifted == [False] * 4 + [True] * 3


@pytest.mark.slow
def test_the_world_of_the_reference_drifts_in_no_day(capsys, tmp_path):
    reference = save(days(0, 10, "2024-01-01"), tmp_path, "a")
    current = save(days(2, 7, "2024-02-01"), tmp_path, "b")
    status, report = monitored(capsys, reference, current, "--every", "day")
    assert (status, report["explanation"]) == (0, "None of 7 chunks drifted.")


@pytest.mark.slow
def test_weeks_begin_on_mondays_and_days_without_a_row_are_named(capsys, tmp_path):
    reference = save(days(0, 10, "2024-01-01"), tmp_path, "a")
    current = days(1, 10, "2024-02-03")  # a Saturday
    path = save(current, tmp_path, "b")
    _, report = monitored(capsys, reference, path, "--every", "week")
    trend = report["trend"]
    assert (trend["windows"], trend["rows"]) == (
        ["2024-W05", "2024-W06", "2024-W07"],
        [2 * A_DAY, 7 * A_DAY, A_DAY],
    )
    silent = current[(current["at"] < "2024-02-05") | (current["at"] >= "2024-02-06")]
    path = save(silent, tmp_path, "c")
    status, report = monitored(capsys, reference, path, "--every", "day")
    assert report["trend"]["verdicts"][2] == "NOT_ENOUGH_DATA"
    assert status == 0
    assert report["explanation"] == "None of 9 chunks drifted; 1 had too few rows."


@pytest.mark.slow
@pytest.mark.parametrize("flags", [("--time", "at"), ("--ignore", "at")])
def test_rows_are_cut_in_order_of_time_where_there_is_one(capsys, tmp_path, flags):
    reference = save(days(0, 10, "2024-01-01"), tmp_path, "a")
    moved = days(1, 6, "2024-02-01", moved_from=4)
    in_order, shuffled = save(moved, tmp_path, "b"), save(moved.sample(frac=1), tmp_path, "c")
    _, report = monitored(capsys, reference, in_order, "--every", str(2 * A_DAY), *flags)
    assert report["trend"]["verdicts"] == ["STABLE", "STABLE", "DRIFT"]
    assert report["trend"]["windows"][1] == "rows 601 to 1,200"
    _, report = monitored(capsys, reference, shuffled, "--every", str(2 * A_DAY), *flags)
    verdicts = report["trend"]["verdicts"]
    expected = ["STABLE", "STABLE", "DRIFT"] if "--time" in flags else ["DRIFT"] * 3
    assert verdicts == expected


@pytest.mark.slow
def test_a_chunk_alarms_once_k_of_the_last_n_differ(capsys, tmp_path):
    reference = save(days(0, 10, "2024-01-01"), tmp_path, "a")
    current = save(days(1, 6, "2024-02-01", moved_from=3), tmp_path, "b")
    flags = ("--every", "day", "--k-of-n", "2/3")
    _, report = monitored(capsys, reference, current, *flags)
    assert report["trend"]["verdicts"] == ["STABLE"] * 4 + ["DRIFT"] * 2
    assert entry_of(report["chunks"][3], "x")["held_by"] == "k_of_n"


@pytest.mark.slow
def test_days_that_differ_as_those_of_the_reference_do_are_a_season(capsys, tmp_path):
    """Each day of the reference lies a fifth of a deviation above the one before."""
    reference = save(days(0, 10, "2024-01-01", step=0.2), tmp_path, "a")
    current = save(days(1, 10, "2024-02-01", step=0.2), tmp_path, "b")
    status, report = monitored(capsys, reference, current, "--every", "day")
    assert (status, report["verdict"]) == (0, "STABLE")
    assert {entry_of(chunk, "x")["held_by"] for chunk in report["chunks"]} >= {"season"}
    alike = save(days(0, 10, "2024-01-01"), tmp_path, "c")
    assert monitored(capsys, alike, current, "--every", "day")[0] == 3


@pytest.mark.slow
def test_a_broken_day_makes_the_file_broken(capsys, tmp_path):
    reference = save(days(0, 10, "2024-01-01"), tmp_path, "a")
    broken = days(1, 5, "2024-02-01")
    broken.loc[(broken["at"] >= "2024-02-03") & (broken["at"] < "2024-02-04"), "y"] = np.nan
    status, report = monitored(capsys, reference, save(broken, tmp_path, "b"), "--every", "day")
    assert (status, report["verdict"]) == (3, "DATA_FAULT")
    assert report["explanation"].endswith("(2024-02-03): y (all_missing).")
    assert entry_of(report["chunks"][2], "y")["fault"] == "all_missing"


@pytest.mark.slow
def test_the_trend_stands_in_terminal_and_page(capsys, tmp_path):
    reference = save(days(0, 10, "2024-01-01"), tmp_path, "a")
    current = save(days(1, 6, "2024-02-01", moved_from=4), tmp_path, "b")
    page = tmp_path / "page.html"
    files = ["monitor", "--reference", reference, "--current", current, "--every", "day"]
    assert main.main([*files, "--page", str(page)]) == 3
    out = capsys.readouterr().out
    assert "2024-02-04   300  STABLE\n" in out
    assert "2024-02-05   300  DRIFT    x\n" in out
    text = page.read_text()
    assert "Window by window" in text
    assert "Each against the reference.<" in text
    assert all(f"2024-02-0{day}" in text for day in range(1, 7))


@pytest.mark.slow
def test_a_file_says_how_to_cut(capsys, tmp_path):
    reference = save(days(0, 10, "2024-01-01"), tmp_path, "a")
    current = save(days(1, 4, "2024-02-01"), tmp_path, "b")
    path = tmp_path / "monitor.toml"
    files = ["monitor", "--reference", reference, "--every", "day", "--k-of-n", "2/3"]
    assert main.main([*files, "--write-config", str(path)]) == 0
    capsys.readouterr()
    _, report = monitored(capsys, reference, current, "--config", str(path))
    assert len(report["chunks"]) == 4
    assert report["settings"]["windows_needed"] == 2


@pytest.mark.parametrize(
    ("flags", "status", "told"),
    [
        (("--every", "month"), 2, "expected day, week or a number of rows"),
        (("--every", "0"), 2, "argument --every"),
        (("--every", "2"), 1, "at most 1,000 chunks, received 1,500 of every 2 rows"),
        (("--every", "day", "--time", "y"), 1, "dates or times in the column 'y' of --time"),
        (("--time", "y"), 1, "dates or times in the column 'y' of --time"),
        (("--every", "day", "--ignore", "at"), 1, "a column of times to cut by day, received none"),
        (("--every", "day", "--time", "when"), 1, "as time, received 'when'"),
        (("--every", "day", "--k-of-n", "3/2"), 2, "argument --k-of-n: expected K from 1"),
        (("--every", "day", "--k-of-n", "2"), 2, "two whole numbers such as 2/3"),
    ],
)
def test_what_cannot_be_cut_is_told(capsys, tmp_path, flags, status, told):
    path = save(days(0, 10, "2024-01-01"), tmp_path, "a")
    command = ["monitor", "--reference", path, "--current", path, *flags]
    if status == 2:
        with pytest.raises(SystemExit):
            main.main(command)
    else:
        assert main.main(command) == status
    assert told in capsys.readouterr().err


def test_json_of_chunks_has_no_settings_of_its_own(capsys, tmp_path):
    path = save(days(0, 4, "2024-01-01"), tmp_path, "a")
    _, report = monitored(capsys, path, path, "--every", "day")
    assert "settings" not in report["chunks"][0]
    assert json.dumps(report["chunks"][0]["rows"]) == '{"reference": 1200, "current": 300}'


def with_parts_of_dates(content):
    return content.assign(
        weekday=content["at"].dt.day_name(),
        dow=content["at"].dt.dayofweek,
        is_weekend=content["at"].dt.dayofweek > 4,
    )


@pytest.mark.slow
def test_what_stands_still_in_each_day_of_the_reference_is_no_fault_of_a_day(capsys, tmp_path):
    reference = save(with_parts_of_dates(days(0, 9, "2024-01-01")), tmp_path, "a")
    later = with_parts_of_dates(days(1, 9, "2024-03-04"))
    _, report = monitored(
        capsys, reference, save(later, tmp_path, "b"), "--every", "day", "--time", "at"
    )
    assert {chunk["verdict"] for chunk in report["chunks"]} == {"STABLE"}
    # A file of one day, whose time is found by its type.
    one_day = later[:A_DAY]
    _, report = monitored(capsys, reference, save(one_day, tmp_path, "day"))
    assert report["verdict"] == "STABLE"
    stuck = save(one_day.assign(y=0.5), tmp_path, "stuck")
    _, report = monitored(capsys, reference, stuck)
    assert {f["feature"] for f in report["features"] if f["fault"]} == {"y"}
    # Over weeks the days of the week come round.
    stuck = save(later.assign(weekday="Monday"), tmp_path, "weeks")
    _, report = monitored(capsys, reference, stuck)
    assert {f["feature"] for f in report["features"] if f["fault"]} == {"weekday"}
