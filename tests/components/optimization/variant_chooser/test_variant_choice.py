"""The chooser takes the best of what passed the gate, and says why it left the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.optimization.variant_chooser.choice import (
    ChoiceReason,
    ChoiceTarget,
    VariantCandidate,
    choose,
)
from tfx_loop.optimization.variant_chooser.settings import VariantChooserSettings

FLOAT = VariantCandidate(name="float", size_bytes=1000, latency_ms=1.0, blessed=True)
SMALL = VariantCandidate(name="int8", size_bytes=250, latency_ms=2.0, blessed=True, kept=True)


def test_the_smallest_blessed_variant_is_chosen():
    choice = choose([FLOAT, SMALL], ChoiceTarget.SMALLEST)
    assert choice.chosen == "int8"
    assert choice.reasons == {"float": ChoiceReason.LARGER, "int8": ChoiceReason.CHOSEN}
    assert choice.explanation == "int8 is deployed: 4.0 times smaller than float."


def test_the_fastest_may_be_the_float_model():
    choice = choose([FLOAT, SMALL], ChoiceTarget.FASTEST)
    assert choice.chosen == "float"
    assert choice.reasons["int8"] is ChoiceReason.SLOWER


def test_an_unblessed_variant_is_left_however_small():
    broken = VariantCandidate(name="int8", size_bytes=1, blessed=False, kept=True)
    choice = choose([FLOAT, broken], ChoiceTarget.SMALLEST)
    assert (choice.chosen, choice.reasons["int8"]) == ("float", ChoiceReason.NOT_BLESSED)


def test_without_an_evaluation_the_optimiser_s_word_counts():
    over = VariantCandidate(name="int8", size_bytes=1, kept=False)
    assert choose([FLOAT, over], ChoiceTarget.SMALLEST).reasons["int8"] is ChoiceReason.OVER_BUDGET
    blessed = VariantCandidate(name="int8", size_bytes=1, kept=False, blessed=True)
    assert choose([FLOAT, blessed], ChoiceTarget.SMALLEST).chosen == "int8"


def test_nothing_is_deployed_when_nothing_passed():
    choice = choose(
        [VariantCandidate(name="float", size_bytes=1, blessed=False)], ChoiceTarget.SMALLEST
    )
    assert choice.chosen is None
    assert choice.explanation == "No variant may be deployed: float (not_blessed)."


def test_no_variant_of_a_model_that_failed_its_own_gate_is_deployed():
    worse = VariantCandidate(name="float", size_bytes=1000, blessed=False)
    choice = choose([worse, SMALL], ChoiceTarget.SMALLEST)
    assert choice.chosen is None
    assert choice.reasons == {
        "float": ChoiceReason.NOT_BLESSED,
        "int8": ChoiceReason.PARENT_NOT_BLESSED,
    }


def test_a_variant_nobody_timed_is_not_called_fastest():
    untimed = VariantCandidate(name="pruned", size_bytes=1, blessed=True)
    assert (
        choose([FLOAT, untimed], ChoiceTarget.FASTEST).reasons["pruned"] is ChoiceReason.NOT_TIMED
    )


def test_nothing_is_faster_than_a_parent_that_was_not_timed():
    untimed = VariantCandidate(name="float", size_bytes=1000, blessed=True)
    choice = choose([untimed, SMALL], ChoiceTarget.FASTEST)
    assert (choice.chosen, choice.reasons["int8"]) == ("float", ChoiceReason.PARENT_NOT_TIMED)
    assert choice.explanation == (
        "float is deployed: it could not be timed, so no other variant is known to be faster."
    )


@pytest.mark.parametrize("target", ChoiceTarget)
def test_a_variant_that_nobody_judged_is_left_and_the_first_stays(target):
    unjudged = VariantCandidate(name="pruned_to_death", size_bytes=1, latency_ms=0.1)
    parent = VariantCandidate(name="float", size_bytes=1000, latency_ms=1.0)
    choice = choose([parent, unjudged], target)
    assert choice.chosen == "float"
    assert choice.reasons["pruned_to_death"] is ChoiceReason.NOT_EVALUATED


candidates = st.lists(
    st.builds(
        VariantCandidate,
        name=st.uuids().map(str),
        size_bytes=st.integers(1, 10**9),
        latency_ms=st.none() | st.floats(0.01, 1e3),
        blessed=st.none() | st.booleans(),
        kept=st.none() | st.booleans(),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda candidate: candidate.name,
)


@given(candidates, st.sampled_from(ChoiceTarget))
def test_no_allowed_variant_is_better_and_every_one_has_a_reason(variants, target):
    choice = choose(variants, target)
    assert set(choice.reasons) == {variant.name for variant in variants}
    by_name = {variant.name: variant for variant in variants}
    if choice.chosen:
        best = by_name[choice.chosen]
        assert best.blessed is not False
        first = variants[0]
        assert best is first or best.blessed or best.kept
        if target is ChoiceTarget.FASTEST and best is not first and first.kept is not False:
            assert best.latency_ms <= first.latency_ms
        assert "inf" not in choice.explanation.removeprefix(best.name)
        for name, reason in choice.reasons.items():
            if reason is ChoiceReason.LARGER:
                assert by_name[name].size_bytes >= best.size_bytes
            if reason is ChoiceReason.SLOWER:
                assert by_name[name].latency_ms >= best.latency_ms


def test_bad_input_is_one_line():
    with pytest.raises(DataError, match="Expected variants with names of their own"):
        choose([], ChoiceTarget.SMALLEST)
    with pytest.raises(DataError, match=r"received .*float.*float"):
        choose([FLOAT, FLOAT], ChoiceTarget.SMALLEST)
    with pytest.raises(ConfigError, match="Expected one of smallest, fastest in target"):
        VariantChooserSettings.of({"names": ["float"], "target": "x"})
