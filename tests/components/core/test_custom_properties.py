"""Custom properties as dataclasses: what a runner drops or changes reads as its zero."""

from dataclasses import dataclass

import pytest

from tfx_loop.contracts.deployment_record import DeploymentState
from tfx_loop.core.custom_properties import from_properties, to_properties


@dataclass(frozen=True, kw_only=True)
class Said:
    state: str
    rows: int
    share: float
    passed: bool
    note: str | None = None
    drop: float | None = None


WHOLE = Said(state="stable", rows=3, share=0.5, passed=True, drop=0.25)


def test_properties_are_scalars_without_what_is_none():
    assert to_properties(WHOLE) == {
        "state": "stable",
        "rows": 3,
        "share": 0.5,
        "passed": 1,
        "drop": 0.25,
    }
    assert type(to_properties(WHOLE)["passed"]) is int
    assert from_properties(Said, to_properties(WHOLE)) == WHOLE


def test_an_enum_is_written_as_its_value():
    @dataclass(frozen=True)
    class WithEnum:
        state: DeploymentState

    assert to_properties(WithEnum(DeploymentState.STABLE)) == {"state": "stable"}


@pytest.mark.parametrize("dropped", [{}, {"rows": None, "passed": None, "state": None}])
def test_what_a_runner_dropped_reads_as_the_zero_of_its_type(dropped):
    found = from_properties(Said, dropped)
    assert found == Said(state="", rows=0, share=0.0, passed=False)


def test_numbers_keep_the_type_of_their_field_and_strangers_are_left_out():
    found = from_properties(Said, {"share": 1, "passed": 0, "rows": 2.0, "name": "tfx"})
    assert (found.share, found.passed, found.rows) == (1.0, False, 2)
    assert type(found.share) is float
