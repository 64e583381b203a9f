"""`loop step`, from cron say, tells those whom the settings name what changed or is in the way."""

import json
from dataclasses import asdict

import pytest
from receivers import webhook
from recorder import RecordedLauncher, monitoring_nodes
from watch_driver import START_MS, deployment

from tfx_loop.contracts.deployment_record import DEPLOYMENT_RECORD, read_record
from tfx_loop.core.errors import ServerUnavailable
from tfx_loop.pipelines.control.watch_state import read_state
from tfx_loop.pipelines.control.windows import Days
from tfx_loop.pipelines.loop import Loop
from tfx_loop.pipelines.loop_settings import ModelLoopSettings, Serving

DAY_MS = 86_400_000


class Launcher(RecordedLauncher):
    """Finds the server away until it is told otherwise."""

    away = True

    def check(self, request):
        if self.away:
            raise ServerUnavailable("No answer from http://127.0.0.1:1. Is it running?")


@pytest.fixture
def stepped(tmp_path):
    """Yields a loop with a window that is due, its launcher, and what was posted."""
    for name in ("labels", "log/flights", "serving"):
        (tmp_path / name).mkdir(parents=True)
    base = str(tmp_path / "serving")
    record = read_record(base, "flights").with_version(deployment(1, "first", START_MS))
    DEPLOYMENT_RECORD.write(record, base)
    with webhook() as (address, got):
        settings = ModelLoopSettings.of(
            {
                "name": "flights",
                "label": "y",
                "labels": str(tmp_path / "labels"),
                "serving": Serving(
                    url="http://127.0.0.1:1",
                    base_path=base,
                    prediction_log=str(tmp_path / "log"),
                ),
                "home": str(tmp_path / "home"),
                "windows": Days("2024-01-01"),
                "notify": address,
            }
        )
        made = []

        def launchers(loop):
            def monitoring(run_id, request):
                told = {"window": request.window, "verdict": "HOLD", "reason": "no_avoidable_loss"}
                return monitoring_nodes({**told, "model_version": 1})

            made.append(Launcher(loop.store, "monitoring", tmp_path / "m", monitoring))
            return made[0], made[0]

        loop = Loop(settings, None, clock=lambda: START_MS + 2 * DAY_MS, launchers=launchers)
        assert loop.controller
        yield loop, made[0], lambda: [json.loads(body) for _, body in got]


def test_a_step_tells_what_is_in_its_way_once_and_when_it_is_over(stepped):
    loop, launcher, told = stepped
    for _ in range(2):
        with pytest.raises(ServerUnavailable):
            loop.step()
    assert len(told()) == 1
    assert "No answer" in json.dumps(told()[0])
    assert "No answer" in read_state(loop.settings.folder).trouble
    launcher.away = False
    assert loop.step().verdict == "HOLD"
    assert len(told()) == 3
    assert read_state(loop.settings.folder).trouble == ""


def test_a_daemon_tells_in_the_place_of_its_steps(stepped):
    loop, _, told = stepped
    with pytest.raises(ServerUnavailable):
        loop.step(tell=False)
    assert told() == []
    assert asdict(loop.watch().look())["trouble_kind"] == "ServerUnavailable"
    assert len(told()) == 1
