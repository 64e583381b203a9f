"""Each admission gate holds exactly what it should, in the documented order."""

import dataclasses

import pytest

from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.control.admission import (
    ADMISSION_GATES,
    Admission,
    AdmissionReason,
    AdmissionVerdict,
    History,
    Launch,
    RetrainRequest,
    admit,
)
from tfx_loop.pipelines.control.claims import claim_name
from tfx_loop.pipelines.control.settings import LoopMode, LoopSettings

NOW = 1_000_000_000_000
DAY = 86_400_000
REQUEST = RetrainRequest(claim_name="this", model_version=3, window="2013-04")


def settings(**changes):
    values = {"model_name": "flights", "mode": LoopMode.ACT, "cooldown_seconds": 86_400}
    return LoopSettings(**{**values, "max_launches": 2, "budget_seconds": 7 * 86_400, **changes})


def launch(name, days_ago, ended=True, pushed_version=0):
    return Launch(
        claim_name=name,
        claimed_at_ms=NOW - int(days_ago * DAY),
        ended=ended,
        pushed_version=pushed_version,
    )


def answer(*launches, approvals=(), **changes):
    history = History(launches=launches, approvals=frozenset(approvals))
    return admit(REQUEST, history, settings(**changes), NOW)


def held(reason):
    return Admission(verdict=AdmissionVerdict.HOLD, reason=reason)


ADMITTED = Admission(verdict=AdmissionVerdict.RETRAIN, reason=AdmissionReason.ADMITTED)


def test_admits_when_nothing_happened_before():
    assert answer() == ADMITTED


def test_holds_a_claimed_request_even_after_it_ended():
    assert answer(launch("this", 100)) == held(AdmissionReason.ALREADY_CLAIMED)


def test_holds_a_request_about_a_replaced_model():
    assert answer(launch("other", 100, pushed_version=4)) == held(AdmissionReason.SUPERSEDED)
    assert answer(launch("other", 100, pushed_version=3)) == ADMITTED


def test_holds_while_another_launch_is_in_flight():
    assert answer(launch("other", 100, ended=False)) == held(AdmissionReason.IN_FLIGHT)


def test_holds_until_the_cooldown_is_over():
    assert answer(launch("other", 0.999, pushed_version=3)) == held(AdmissionReason.COOLDOWN)
    assert answer(launch("other", 1, pushed_version=3)) == ADMITTED


def test_launch_that_brought_no_version_is_waited_for_only_so_long():
    assert answer(launch("other", 0.49), retry_seconds=43_200) == held(AdmissionReason.COOLDOWN)
    assert answer(launch("other", 0.5), retry_seconds=43_200) == ADMITTED
    # Never longer than after one that brought a version.
    assert answer(launch("other", 1), retry_seconds=10 * 86_400) == ADMITTED


def test_person_who_asks_again_need_not_wait_for_a_failure_but_for_a_new_version():
    again = dataclasses.replace(REQUEST, retried=True)
    for pushed, expected in ((0, ADMITTED), (3, held(AdmissionReason.COOLDOWN))):
        history = History(launches=(launch("other", 0.01, pushed_version=pushed),))
        assert admit(again, history, settings(), NOW) == expected


def test_cooldown_counts_from_the_newest_launch():
    new = launch("new", 0.5, pushed_version=3)
    assert answer(new, launch("old", 5)) == held(AdmissionReason.COOLDOWN)


def test_holds_when_the_budget_of_the_period_is_spent():
    assert answer(launch("a", 6.999), launch("b", 2)) == held(AdmissionReason.BUDGET_SPENT)
    assert answer(launch("a", 7), launch("b", 2)) == ADMITTED


def test_observe_mode_never_launches():
    assert answer(mode=LoopMode.OBSERVE, approvals=["this"]) == held(AdmissionReason.OBSERVE_MODE)


def test_suggest_mode_waits_for_the_approval_of_this_request():
    assert answer(mode=LoopMode.SUGGEST) == held(AdmissionReason.APPROVAL_NEEDED)
    assert answer(mode=LoopMode.SUGGEST, approvals=["other"]) == held(
        AdmissionReason.APPROVAL_NEEDED
    )
    assert answer(mode=LoopMode.SUGGEST, approvals=["this"]) == ADMITTED


def test_first_gate_in_order_gives_the_reason():
    # Each entry makes its own gate hold and none before it; all later ones hold as well.
    everything = {
        "launches": [launch("other", 0, ended=False, pushed_version=4), launch("more", 0)],
        "changes": {"mode": LoopMode.OBSERVE},
    }
    launches = everything["launches"]
    assert answer(launch("this", 0), *launches, mode=LoopMode.OBSERVE) == held(
        AdmissionReason.ALREADY_CLAIMED
    )
    assert answer(*launches, mode=LoopMode.OBSERVE) == held(AdmissionReason.SUPERSEDED)
    in_flight = [launch("other", 0, ended=False), launch("more", 0)]
    assert answer(*in_flight, mode=LoopMode.OBSERVE) == held(AdmissionReason.IN_FLIGHT)
    ended = [launch("other", 0), launch("more", 0)]
    assert answer(*ended, mode=LoopMode.OBSERVE) == held(AdmissionReason.COOLDOWN)
    assert answer(*ended, mode=LoopMode.OBSERVE, cooldown_seconds=0) == held(
        AdmissionReason.BUDGET_SPENT
    )
    assert [gate.__name__ for gate in ADMISSION_GATES] == [
        "claim_gate",
        "superseded_gate",
        "in_flight_gate",
        "person_gate",
        "cooldown_gate",
        "budget_gate",
        "approval_gate",
    ]


def test_claim_name_tells_every_part_apart():
    base = ("flights", 3, "2013-04", "admission/1", "retrain")
    names = {claim_name(*base)}
    for place, other in enumerate(["taxi", 4, "2013-05", "admission/2", "rollback"]):
        changed = list(base)
        changed[place] = other
        names.add(claim_name(*changed))
    assert len(names) == 6
    assert claim_name(*base) == claim_name(*base)
    assert claim_name("a", 1, "b", "c") != claim_name("a", 1, "b,c", "")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"max_launches": 0}, "max_launches must be at least 1, got 0"),
        ({"max_attempts": 0}, "max_attempts must be at least 1, got 0"),
        ({"cooldown_seconds": -1}, "cooldown_seconds must be 0 or more, got -1"),
        ({"budget_seconds": -5}, "budget_seconds must be 0 or more, got -5"),
        ({"mode": "act"}, "mode must be one of LoopMode('observe')"),
        ({"model_name": ""}, "model_name must name the served model"),
        ({"policy_version": ""}, "policy_version must name"),
    ],
)
def test_settings_that_cannot_work_are_refused(change, told):
    with pytest.raises(ConfigError) as error:
        settings(**change)
    assert told in str(error.value)


def test_suggest_is_the_default():
    assert LoopSettings(model_name="flights").mode is LoopMode.SUGGEST
