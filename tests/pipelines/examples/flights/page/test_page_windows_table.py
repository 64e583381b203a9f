"""The table in the terminal holds the run's numbers, in columns."""

from typing import Any

from page_run import summary

from tfx_loop.pipelines.examples.flights.demo.page import read_report, windows_table


def table(run: dict[str, Any]) -> str:
    return str(windows_table(read_report(run, [], [], [], "").windows))


def test_one_line_for_each_window_with_its_numbers() -> None:
    lines = table(summary()).splitlines()
    assert len(lines) == 2 + 10
    april = lines[3].split()
    assert april[:4] == ["2013-04", "5,437", "0.7010", "0.7010"]
    assert april[-3:] == ["HOLD", "saving_below_training_cost", "1"]


def test_what_is_not_measured_yet_is_a_dash() -> None:
    december = table(summary()).splitlines()[-1].split()
    assert december[2:4] == ["-", "-"]


def test_columns_start_at_the_same_place() -> None:
    lines = table(summary()).splitlines()
    start = lines[0].index("decision")
    assert {line[start - 2 : start] for line in lines} == {"  "}
    assert {line[start:].split()[0] for line in lines[2:]} == {"HOLD", "RETRAIN"}


def test_many_drifted_features_are_counted() -> None:
    run = summary()
    run["windows"][0]["drifted"] = ["a", "b", "c", "d", "e"]
    assert "a, b, c and 2 more" in table(run)
