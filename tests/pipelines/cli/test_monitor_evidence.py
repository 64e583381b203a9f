"""A fault comes with its evidence: which value, how often, in which row, beyond which range."""

import numpy as np
import pandas as pd
import pytest
from monitored_files import entry_of, monitored, save

ROWS = 2_000


def table(seed):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": random.integers(18, 80, ROWS),
            "speed": random.normal(50, 5, ROWS).round(2),
            "fuel": random.choice(["petrol", "diesel", "gas"], ROWS),
        }
    )


def note_of(capsys, tmp_path, broken, column, kind="parquet", *options):
    old, new = (
        save(content, tmp_path, f"{n}", kind) for n, content in enumerate((table(0), broken))
    )
    _, report = monitored(capsys, old, new, *options)
    entry = entry_of(report, column)
    return entry["fault"], entry["note"]


def broken(column, value, rows):
    found = table(1).astype({column: object})
    found.loc[found.index.isin(rows), column] = value
    return found.infer_objects()


def test_a_new_category_is_named_with_its_rows(capsys, tmp_path):
    content = broken("fuel", "electric", range(16, 16 + 3 * 400, 3))
    content.loc[1_900:1_949, "fuel"] = "steam"
    fault, note = note_of(capsys, tmp_path, content, "fuel")
    assert fault == "new_category_flood"
    assert "'electric' in 400 rows (20.0%), 'steam' in 50 rows (2.5%), first in row 17" in note


@pytest.mark.parametrize(("value", "marker"), [(-999, True), (9999, True), (123, False)])
def test_a_code_is_named_and_called_a_marker_where_it_is_a_usual_one(
    capsys, tmp_path, value, marker
):
    fault, note = note_of(capsys, tmp_path, broken("age", value, range(5, 2_000, 10)), "age")
    assert fault == "out_of_range"
    assert f"200 rows (10.0%) from {value} to {value}" in note
    assert "has 18 to 79, first in row 6" in note
    assert (f"--missing-values {value}" in note) is marker


def test_a_range_is_told_where_values_are_far_beyond_it(capsys, tmp_path):
    content = table(1)
    content.loc[100:399, "speed"] += np.linspace(200, 500, 300)
    fault, note = note_of(capsys, tmp_path, content, "speed")
    assert fault == "out_of_range"
    assert "first in row 101" in note
    assert "marker" not in note


def test_infinite_values_have_a_first_row(capsys, tmp_path):
    fault, note = note_of(capsys, tmp_path, broken("speed", np.inf, [40, 41, 77]), "speed")
    assert (fault, note) == ("infinite_values", "3 infinite values (0.1%); first in row 41")


def test_a_bad_cell_is_told_with_its_row(capsys, tmp_path):
    content = broken("age", "unknowable", range(700, 760))
    fault, note = note_of(capsys, tmp_path, content, "age", "csv")
    assert fault == "type_changed"
    assert "60 cells do not fit, such as 'unknowable', first in row 701" in note


def test_the_one_value_is_told(capsys, tmp_path):
    for column, value, told in (
        ("fuel", "gas", "'gas'"),
        ("age", 33, "33"),
        ("speed", 51.5, "51.5"),
    ):
        content = table(1)
        content[column] = value
        fault, note = note_of(capsys, tmp_path, content, column)
        assert (fault, note) == ("constant_value", f"{told} in all 2,000 rows that have a value")


def test_all_missing_says_how_many_had_a_value(capsys, tmp_path):
    content = table(1)
    content["speed"] = np.nan
    fault, note = note_of(capsys, tmp_path, content, "speed")
    assert (fault, note) == ("all_missing", "none in 2,000 rows, 100% have one before")
