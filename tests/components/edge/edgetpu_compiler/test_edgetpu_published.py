"""Published compiler logs: what they left of a detector's head is what the analyser leaves."""

import pytest

from tests.benchmarks.edgetpu.published import LOGS, PublishedLog, compare


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.model)
def test_the_head_is_cut_where_the_compiler_cut_it(log: PublishedLog) -> None:
    left, mapped, unknown = compare(log)
    assert left == log.left
    assert {op: mapped[op] for op in log.mapped} == log.mapped
    assert unknown == 0
