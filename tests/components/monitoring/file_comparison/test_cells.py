"""Cells that are read as the reference's type has them, and the tally of those that do not fit."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.monitoring.file_comparison.cells import CellReader
from tfx_loop.monitoring.file_comparison.expected_cells import (
    ExpectedCells,
    expected_cells,
    numbers_in,
)
from tfx_loop.monitoring.file_comparison.number_spelling import NumberAffixes
from tfx_loop.monitoring.profile.columns import FeatureType

NUMERIC, INTEGER = FeatureType.NUMERIC, FeatureType.INTEGER
FEW = [str(number) for number in range(40)]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([*FEW, "?"], ExpectedCells(INTEGER)),
        ([*FEW, "None", "N/A", "-"], ExpectedCells(INTEGER)),
        ([*FEW, "12.5"], ExpectedCells(NUMERIC)),
        ([*FEW, "1,234"], ExpectedCells(INTEGER)),
        ([*FEW, "1,5"], ExpectedCells(NUMERIC, ",")),
        ([".125", "-.5", "+1.", "1e-3", "?"], ExpectedCells(NUMERIC)),
        # Three decimals are no thousands.
        (["0.125", "12.500", "117.250", "?"], ExpectedCells(NUMERIC)),
        (["12,34,567", "1,23,456.5", "7"], ExpectedCells(NUMERIC)),
        (["1.234,5", "12,25", "7"], ExpectedCells(NUMERIC, ",")),
        ([*FEW, "a few bad cells"], ExpectedCells(INTEGER)),
        ([*FEW, *"abc"], None),
        (FEW, None),
        (["red", "blue", "?"], None),
        (["2023-01-01", "2023-01-02"], None),
        ([], None),
        (["?", "-"], None),
    ],
)
def test_text_is_a_column_of_numbers_where_nearly_all_of_it_parses(texts, expected):
    assert numbers_in(pa.array(texts, pa.string()), codes=False) == expected


@pytest.mark.parametrize(
    ("texts", "affixes", "values"),
    [
        (["$1,234.50", "-$7.25", "($3)", "12"], ("$", ""), [1234.5, -7.25, -3.0, 12.0]),
        (["1.234,50 €", "7,25 €", "-3,0 €"], ("", "€"), [1234.5, 7.25, -3.0]),
        (["CHF 1'234.50", "CHF 7.00"], ("CHF", ""), [1234.5, 7.0]),
        (["49 877", "1 234 567", "12"], ("", ""), [49877, 1234567, 12]),
        (["49\u202f877,5 kg", "12,25\u00a0kg"], ("", "kg"), [49877.5, 12.25]),
        (["12.5%", "\u22123.25 %"], ("", "%"), [12.5, -3.25]),
        (["36 months", "60 months"], ("", "months"), [36, 60]),
        (["12.50-", "3.25"], ("", ""), [-12.5, 3.25]),
    ],
)
def test_numbers_are_read_without_what_stands_around_them(texts, affixes, values):
    expected = numbers_in(pa.array(texts), codes=False)
    assert expected is not None
    assert expected.affixes == NumberAffixes(*affixes)
    assert read(pa.array(texts), expected)[0] == values


@pytest.mark.parametrize(
    "texts",
    [
        ["R12", "R7", "R3"],
        ["12 kg", "7 lb", "3 kg", "1 lb"],
        ["030 123 456", "089 765 432"],
        ["12 Main Street", "7 Elm Street"],
        ["192.168.0.1", "10.0.0.12"],
        ["1st", "2nd", "3rd"],
        ["10115 Berlin", "80331 Munich"],
        ["#12", "#13"],
        ["1" * 50_000 + "x"] * 3,
    ],
)
def test_codes_and_words_with_digits_are_no_numbers(texts):
    assert numbers_in(pa.array(texts), codes=False) is None


def test_a_number_in_another_unit_does_not_fit():
    expected = numbers_in(pa.array(["1.5 kg", "2.25 kg"]), codes=False)
    values, tally = read(pa.array(["1.5 kg", "1500 g", "2.5"]), expected)
    assert (values, tally.unfit) == ([1.5, None, 2.5], 1)
    assert tally.examples == {"1500 g": 1}


def test_what_a_column_holds_is_told_from_its_type():
    assert expected_cells(pa.array([1, 2])).kind is INTEGER
    assert expected_cells(pa.array([1.5])).kind is NUMERIC
    assert expected_cells(pa.array([True])).kind is FeatureType.BOOLEAN
    assert expected_cells(pa.array(["a"])).kind is FeatureType.CATEGORICAL
    assert expected_cells(pa.array([[1, 2], [3, 4]])).length == 2
    assert expected_cells(pa.array([[1, 2], [3]])).length == 0


def read(column, expected, missing=()):
    reader = CellReader({"x": expected}, missing)
    return reader.read("x", column).to_pylist(), reader.tallies.get("x")


def test_markers_are_missing_and_what_is_no_number_is_unfit_and_shown():
    texts = pa.array([" 1", "+2.5", "?", "", None, "4 kg", "none", "1e3"])
    values, tally = read(texts, ExpectedCells(NUMERIC))
    assert values == [1.0, 2.5, None, None, None, None, None, 1000.0]
    assert (tally.missing, tally.markers) == (2, ["?", "none"])
    assert (tally.unfit, tally.examples) == (1, {"4 kg": 1})


def test_decimal_commas_and_thousands():
    values, tally = read(pa.array(["1.234,5", "-0,25", "7"]), ExpectedCells(NUMERIC, ","))
    assert values == [1234.5, -0.25, 7.0]
    assert (tally.missing, tally.unfit) == (0, 0)
    assert read(pa.array(["1,234", "2,345,678"]), ExpectedCells(INTEGER))[0] == [1234, 2345678]
    wrong, tally = read(pa.array(["12,5", "3"]), ExpectedCells(NUMERIC))
    assert (wrong, tally.examples) == ([None, 3], {"12,5": 1})


def test_more_markers_can_be_named_and_numbers_among_them_count_in_numbers():
    texts, tally = read(pa.array(["1", "nix"]), ExpectedCells(INTEGER), ["nix"])
    assert (texts, tally.missing) == ([1, None], 1)
    numbers, tally = read(pa.array([1, -999, 3]), ExpectedCells(INTEGER), ["-999"])
    assert (numbers, tally.markers) == ([1, None, 3], ["-999"])


def test_codes_that_the_reference_has_as_text_are_text():
    assert read(pa.array([7, None]), ExpectedCells(FeatureType.CATEGORICAL))[0] == ["7", None]


def test_words_of_a_boolean_column():
    values, tally = read(pa.array(["true", "False", "yes"]), ExpectedCells(FeatureType.BOOLEAN))
    assert values == [True, False, None]
    assert set(tally.examples) == {"yes"}


def test_lists_of_another_length_do_not_fit():
    lists = pa.array([[1, 2], [3], None, [4, 5]])
    values, tally = read(lists, ExpectedCells(FeatureType.MULTIVALENT, length=2))
    assert values == [[1, 2], None, None, [4, 5]]
    assert (tally.unfit, tally.examples) == (1, {"a list of 1": 1})


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_every_float_that_python_writes_comes_back(values):
    found, tally = read(pa.array([repr(value) for value in values]), ExpectedCells(NUMERIC))
    assert found == values
    assert tally.unfit == 0


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["true", "false"] * 50 + ["unknown"], FeatureType.BOOLEAN),
        (["True", "False", "?", None] * 50, FeatureType.BOOLEAN),
        (["true", "false", "maybe"] * 50, FeatureType.CATEGORICAL),
        (["unknown"] * 50, FeatureType.CATEGORICAL),
    ],
)
def test_text_is_true_or_false_where_nearly_all_of_it_is(texts, kind):
    assert expected_cells(pa.array(texts)).kind is kind


def test_digits_alone_are_numbers_where_somebody_says_that_they_are_no_codes():
    texts = pa.array(["1", "22", "307"])
    assert numbers_in(texts) == ExpectedCells(FeatureType.INTEGER)
    assert numbers_in(texts, codes=False) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("14:30", 52_200.0),
        ("2:30 PM", 52_200.0),
        ("12:30 a.m.", 1_800.0),
        ("12:15PM", 44_100.0),
        ("1 days 02:00:00", 93_600.0),
        ("P1DT2H", 93_600.0),
        ("PT5M0.5S", 300.5),
        ("-1 days +23:00:00", -3_600.0),
    ],
)
def test_times_of_day_and_durations_are_seconds_in_every_spelling(text, seconds):
    column = pa.array([text] * 5)
    expected = expected_cells(column)
    assert expected.clock
    read = CellReader({"t": expected}).read("t", column)
    assert read.to_pylist() == [seconds] * 5


@pytest.mark.parametrize("text", ["P", "PT", "PM", "A"])
def test_letters_are_no_durations(text):
    assert expected_cells(pa.array([text] * 5)).kind is FeatureType.CATEGORICAL
