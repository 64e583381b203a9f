"""Numbers of arguments: those within the bounds are read, what is wrong with others is told."""

import argparse

import pytest

from tfx_loop.presentation import arguments


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (arguments.at_least_zero, "0", 0.0),
        (arguments.above_zero, "1e-3", 0.001),
        (arguments.number, "-2.5", -2.5),
        (arguments.whole_at_least_zero, "0", 0),
        (arguments.whole_above_zero, "1", 1),
        (arguments.whole_number, "-7", -7),
        (arguments.whole_at_least(30), "30", 30),
        (arguments.between_zero_and_one, "0.999", 0.999),
        (arguments.share_below_one, "0", 0.0),
    ],
)
def test_numbers_within_the_bounds_are_read(read, text, value):
    assert read(text) == value
    assert type(read(text)) is type(value)


@pytest.mark.parametrize(
    ("read", "text", "told"),
    [
        (arguments.number, "nan", "expected a number, received 'nan'"),
        (arguments.number, "inf", "expected a number, received 'inf'"),
        (arguments.at_least_zero, "-0.1", "expected a number of at least 0, received -0.1"),
        (arguments.at_least_zero, "much", "expected a number, received 'much'"),
        (arguments.above_zero, "0", "expected a number above 0, received 0"),
        (arguments.whole_number, "1.5", "expected a whole number, received '1.5'"),
        (arguments.whole_at_least_zero, "-1", "expected a whole number of at least 0, received -1"),
        (arguments.whole_above_zero, "0", "expected a whole number above 0, received 0"),
        (arguments.whole_at_least(30), "29", "expected a whole number of at least 30, received 29"),
        (arguments.between_zero_and_one, "0", "expected a number between 0 and 1, received 0"),
        (arguments.between_zero_and_one, "1", "expected a number between 0 and 1, received 1"),
        (
            arguments.share_below_one,
            "-1",
            "expected a share of at least 0 and below 1, received -1",
        ),
        (arguments.share_below_one, "1", "expected a share of at least 0 and below 1, received 1"),
    ],
)
def test_what_is_wrong_is_told(read, text, told):
    with pytest.raises(argparse.ArgumentTypeError, match=f"^{told}$"):
        read(text)
