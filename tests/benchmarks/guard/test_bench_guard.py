"""A short run of the benchmark of the guard."""

import pytest

from tests.benchmarks.guard.mutants import make_sources, run

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return make_sources(tmp_path_factory.mktemp("sources"))


@pytest.mark.parametrize(
    ("form", "count"), [("zip", 100), ("hdf5", 60), ("protobuf", 400), ("flatbuffer", 400)]
)
def test_mutants_end_in_an_answer(sources, tmp_path, form, count):
    tally = run(form, sources[form], count, 7, tmp_path)
    assert not tally.crashes
    assert tally.most_cpu < 5
    assert sum(tally.outcomes.values()) == count
    # Most changes of a few bytes are noticed or harmless; some of each there must be.
    assert tally.outcomes["damaged"]
