"""The headline says what happened, also when the loop did not pay."""

import pytest
from page_run import summary

from tfx_loop.pipelines.examples.flights.demo.page.formatting import duration, headline
from tfx_loop.pipelines.examples.flights.demo.page.report import read_report
from tfx_loop.pipelines.pages.content import short_name


def said(gain: float | None, loop: int | None, always: int | None = 8) -> str:
    run = summary()
    run["gain_recovered"] = {"log_loss": gain, "auc": None}
    run["trainings"] = {"loop": loop, "every_window": always}
    return headline(read_report(run, [], [], [], ""))


def test_gain_recovered() -> None:
    assert said(0.934, 4) == (
        "The loop recovered 93\u202f% of the gain of retraining every window, "
        "with 4 trainings instead of 8."
    )


def test_one_training_is_singular() -> None:
    assert "with 1 training instead" in said(0.5, 1)


def test_loss_is_called_a_loss() -> None:
    assert said(-0.2, 3).startswith("The loop lost")


def test_nothing_to_gain_is_not_a_success() -> None:
    assert "gained nothing" in said(None, 2)
    assert "recovered" not in said(None, 2)


def test_never_retrained() -> None:
    assert said(0.0, 0).startswith("The loop never retrained")


def test_uncounted_trainings() -> None:
    assert "did not count" in said(0.9, None)


def test_not_a_number_is_not_a_gain() -> None:
    assert "gained nothing" in said(float("nan"), 2)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.44, "0.4 s"), (42.4, "42 s"), (59.7, "1 min 00 s"), (485, "8 min 05 s")],
)
def test_duration(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("window", "expected"), [("2013-03", "Mar"), ("2013-13", "2013-13"), ("week 7", "week 7")]
)
def test_short_name(window: str, expected: str) -> None:
    assert short_name(window) == expected
