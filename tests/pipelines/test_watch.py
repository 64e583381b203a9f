"""The daemon over simulated days: killed anywhere, it launches nothing twice, forgets nothing."""

import http.client
import json

import pytest
from time_limits import seconds
from watched_days import check, watched

from tfx_loop.core.errors import ServerUnavailable
from tfx_loop.pipelines.control.health import health_server
from tfx_loop.pipelines.control.watch import StepReport, Watch, WatchSettings


@pytest.mark.slow
def test_days_with_kills_late_labels_no_traffic_and_a_server_that_is_away(tmp_path):
    found = watched(tmp_path, days=12, seed=3, kill_rate=0.015)
    assert found.kills >= 2
    check(found, 12)


def watch_of(tmp_path, looks, waits, **settings):
    """A daemon whose looks answer one after the other, and then find nothing to do."""
    answers = iter(looks)

    def look():
        answer = next(answers, StepReport(worked=False))
        if isinstance(answer, Exception):
            raise answer
        return answer

    told = []
    watch = Watch(
        tmp_path,
        look,
        lambda seen: told.append(seen.trouble_kind) or 0,
        WatchSettings(**settings),
        clock=lambda: 1_000_000,
        wait=lambda seconds: waits.append(seconds) or len(waits) >= 8,
    )
    return watch, told


def test_pauses_grow_while_something_is_in_the_way_and_shrink_when_it_is_over(tmp_path):
    away, waits = ServerUnavailable("No answer."), []
    looks = [away, OSError(28, "No space left on device"), away, away, StepReport(worked=False)]
    watch, told = watch_of(tmp_path, looks, waits, poll_seconds=10, longest_pause_seconds=50)
    watch.run()
    assert waits[:5] == [10, 20, 40, 50, 10]
    assert told[:5] == [
        "ServerUnavailable",
        "OSError",
        "ServerUnavailable",
        "ServerUnavailable",
        "",
    ]


def test_once_does_all_that_is_due_and_ends(tmp_path):
    waits = []
    watch, _ = watch_of(tmp_path, [StepReport(worked=True)] * 3, waits)
    watch.run(once=True)
    assert watch.health().looks == 4
    assert waits == [0.0] * 3


@pytest.mark.slow
def test_health_says_what_is_in_the_way(tmp_path):
    watch, _ = watch_of(tmp_path, [StepReport(worked=False), ServerUnavailable("No answer.")], [])
    with health_server(watch.health, 0) as address:
        port = int(address.rpartition(":")[2].partition("/")[0])

        def asked(path="/healthz"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds(30))
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()

        # Before the first look nobody knows.
        assert asked()[0] == 503
        watch.look()
        assert asked()[0] == 200
        watch.look()
        status, body = asked()
        assert (status, json.loads(body)["trouble"]) == (503, "No answer.")
        assert asked("/other")[0] == 404


def test_a_home_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "watch.json").mkdir()
    watch, told = watch_of(tmp_path, [ServerUnavailable("No answer.")], [])
    assert watch.look().trouble == "No answer."
    assert told == ["ServerUnavailable"]
