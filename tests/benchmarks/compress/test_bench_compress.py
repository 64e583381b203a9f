"""What is kept and what is passed over is counted as it is defined; the quick run runs."""

import pytest

from tests.benchmarks.compress.__main__ import main
from tests.benchmarks.compress.conditions import CONDITIONS, NETWORKS, SIZES
from tests.benchmarks.compress.counting import (
    Case,
    Loss,
    fixed_policy,
    measured_policy,
    search_policy,
)
from tests.benchmarks.compress.tables import tabulate


def loss(mode, size, drop, *, spread=0.001, choosing=0.0, reason="kept"):
    return Loss(
        mode=mode,
        raw_bytes=size,
        drop=drop,
        low=drop - spread,
        high=drop + spread,
        choosing_drop=choosing,
        reason=reason,
    )


def case(chosen, *rungs, budget=0.005):
    return Case(
        condition="CNN",
        seed=0,
        budget=budget,
        reporting_rows=20_000,
        parent_bytes=1_000,
        parent_metric=0.9,
        chosen=chosen,
        rungs=rungs,
    )


FLOAT16 = loss("float16", 500, 0.0)


def test_budget_is_kept_up_to_the_limit_and_no_further():
    assert case(loss("int8", 250, 0.005)).kept
    assert not case(loss("int8", 250, 0.0051)).kept


def test_budget_is_refuted_only_where_the_rows_are_certain():
    assert not case(loss("int8", 250, 0.0055)).refuted
    assert case(loss("int8", 250, 0.0065)).refuted


def test_search_that_finds_nothing_keeps_the_budget_and_passes_all_over():
    none = case(None, FLOAT16)
    assert none.kept
    assert none.size_share == 1.0
    assert none.certain == (FLOAT16,)


def test_smaller_rung_within_the_budget_is_passed_over():
    int8 = loss("int8", 250, 0.001)
    assert case(FLOAT16, int8, FLOAT16).certain == (int8,)


def test_larger_rung_is_never_passed_over():
    assert case(loss("int8", 250, 0.0), FLOAT16).on_paper == ()


def test_rung_that_the_reporting_rows_cannot_confirm_is_passed_over_on_paper_alone():
    int8 = loss("int8", 250, 0.0045)
    found = case(FLOAT16, int8)
    assert (found.on_paper, found.certain) == ((int8,), ())


def test_rung_that_the_choosing_rows_spoke_against_was_not_left_by_the_rule():
    unlucky = loss("int8", 250, 0.001, choosing=0.006)
    doubted = loss("dynamic_range", 240, 0.001, choosing=0.004)
    assert case(FLOAT16, unlucky, doubted).against_the_evidence == (doubted,)


def test_policies_are_counted_on_the_same_cases():
    int8 = loss("int8", 250, 0.01, choosing=0.004)
    cases = [case(FLOAT16, int8, FLOAT16), case(FLOAT16, int8, FLOAT16, budget=0.02)]
    ours, naive = search_policy(cases), measured_policy("naive", cases)
    always = fixed_policy("always", "int8", cases)
    assert (ours.kept, naive.kept, always.kept) == (2, 1, 1)
    assert (ours.passed_over, naive.passed_over, always.refuted) == (1, 0, 1)
    assert ours.size_share == pytest.approx(0.5)
    assert always.size_share == pytest.approx(0.25)


def test_case_survives_json():
    one = case(FLOAT16, loss("int8", 250, 0.01))
    assert Case.from_json(one.to_json()) == one


def test_tables_name_what_was_not_kept_and_what_was_passed_over():
    text = tabulate(
        [], [case(loss("int8", 250, 0.01)), case(FLOAT16, loss("dynamic_range", 240, 0.0))]
    )
    assert "NOT KEPT, certain" in text
    assert "passed over, certain" in text
    assert "1 (50.0%)" in text


def test_conditions_ask_for_at_least_twenty_searches_of_known_networks():
    assert 3 * sum(len(condition.seeds) for condition in CONDITIONS) >= 20
    assert {condition.network for condition in CONDITIONS} <= set(NETWORKS) == set(SIZES)
    assert sum(bool(condition.hard) for condition in CONDITIONS) >= 3


# The search that it measures is run by test_quantizer_search.py and test_loop_compress_e2e.py.
@pytest.mark.tensorflow
@pytest.mark.e2e
@pytest.mark.long
def test_quick_run_finds_what_int8_breaks(tmp_path, capsys):
    main(["--quick", "--out", str(tmp_path)])
    text = capsys.readouterr().out
    assert "always int8 | 0 of 3" in text
    assert "the search | 3 of 3" in text
    assert (tmp_path / "compress.md").exists()
