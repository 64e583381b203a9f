"""TF Serving's behaviours, one test each, asked of a real server of that name."""

import pytest
from conformance_cases import CASES
from conformance_cases.case import Case, matches
from conformance_cases.server import World, opened_world

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow, pytest.mark.slow]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with opened_world(tmp_path_factory.mktemp("conformance")) as opened:
        yield opened


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.feature}: {case.name}")
def test_conformance(world: World, case: Case):
    got = case.ask(world)
    if case.differs:
        assert not matches(got, case.wanted), "it answers as TF Serving does: drop `differs`"
    else:
        assert matches(got, case.wanted), f"wanted {case.wanted!r}, got {got!r}"
