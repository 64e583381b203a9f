"""The memory benchmark in short: our process keeps its size, and a child that grows is replaced."""

import pytest

from tests.benchmarks.compress.memory import growth_mb, measure

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow]


def test_our_process_keeps_its_size_over_conversions(tmp_path):
    samples = measure(8, tmp_path, restart_mb=4096, each=1)
    assert [sample.conversions for sample in samples] == list(range(1, 9))
    assert samples[-1].parent_mb - samples[0].parent_mb < 1
    assert samples[-1].children == 1
    assert samples[-1].child_mb - samples[0].child_mb < 60
    assert (tmp_path / "model.tflite").stat().st_size > 10_000


@pytest.mark.long
def test_child_above_its_limit_is_replaced_and_the_work_goes_on(tmp_path):
    samples = measure(2, tmp_path, restart_mb=100, each=1)
    assert [sample.children for sample in samples] == [2, 3]
    assert all(sample.child_mb == 0 for sample in samples)
    assert growth_mb(samples, "parent_mb") < 1
