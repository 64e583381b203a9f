"""What `loop doctor` looks at, and how it ends."""

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest
from recorder import RecordedRun, open_store, training_nodes

from tfx_loop.pipelines import checkup as room
from tfx_loop.pipelines.checkup import CheckedPlace, Health, checkup
from tfx_loop.pipelines.cli import main
from tfx_loop.pipelines.control import leases


@pytest.fixture
def place(tmp_path) -> CheckedPlace:
    store = open_store(tmp_path / "metadata.sqlite")
    RecordedRun(store, "p", "first", tmp_path / "1").run(training_nodes(1))
    return CheckedPlace(
        store=str(tmp_path / "metadata.sqlite"), model_name="flights", folders=(str(tmp_path),)
    )


def lines(place, environment=None):
    return {(one.what, one.health) for one in checkup(place, environment or {})}


def test_sound_machine_has_no_broken_line(place) -> None:
    found = checkup(place, {})
    assert {one.what for one in found} >= {"store", "store file", "disk", "versions", "platform"}
    assert [one for one in found if one.health is Health.BROKEN] == []
    (versions,) = (one for one in found if one.what == "versions")
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}" in versions.found
    assert "tensorflow 2." in versions.found


def test_store_that_is_none_is_one_broken_line_and_the_rest_is_looked_at(place, tmp_path) -> None:
    found = checkup(replace(place, store=str(tmp_path / "none.sqlite")), {})
    assert [one.what for one in found if one.health is Health.BROKEN] == ["store"]
    assert "versions" in {one.what for one in found}


def test_store_that_no_step_has_made_yet_is_not_broken(place, tmp_path) -> None:
    found = checkup(replace(place, store=str(tmp_path / "none.sqlite"), begun=False), {})
    assert [one.what for one in found if one.health is Health.BROKEN] == []
    assert ("store", Health.WARN) in {(one.what, one.health) for one in found}


def test_damaged_store_is_found(place) -> None:
    with sqlite3.connect(place.store) as database:
        (page,) = database.execute("PRAGMA page_size").fetchone()
        (count,) = database.execute("PRAGMA page_count").fetchone()
    with open(place.store, "r+b") as file:
        # The pages behind the schema hold tables and indexes.
        for number in range(count // 2, count - 1):
            file.seek(number * page)
            file.write(os.urandom(page))
    found = checkup(place, {})
    assert any(one.health is Health.BROKEN and one.what in ("store", "store file") for one in found)


@pytest.mark.slow
def test_run_whose_process_is_gone_is_told(place) -> None:
    script = (
        "import sys, os; from tfx_loop.pipelines.control import leases, stores; "
        "store = stores.open_store(sys.argv[1], stores.StoreMode.WRITE); "
        "leases.take(store, 'retrain-1', 1); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, place.store], check=False)
    assert ("run", Health.WARN) in lines(place)
    store = open_store(place.store)
    with leases.hold(store, "retrain-1"):
        assert ("run", Health.OK) in lines(place)
    assert not {one for one in lines(place) if one[0] == "run"}


def test_server_that_is_away_and_a_record_that_lacks_are_told(place, tmp_path) -> None:
    found = checkup(
        replace(place, server_url="http://127.0.0.1:1", base_path=str(tmp_path / "serving")), {}
    )
    states = {one.what: one.health for one in found}
    assert (states["server"], states["record"]) == (Health.BROKEN, Health.WARN)


@pytest.mark.parametrize(
    ("free", "health"), [(10**8, Health.BROKEN), (10**9, Health.WARN), (10**10, Health.OK)]
)
def test_disk_that_fills_up_is_told(place, monkeypatch, free, health) -> None:
    usage = room.shutil.disk_usage(place.folders[0])
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: usage._replace(free=free))
    assert ("disk", health) in lines(place)


def test_variables_that_slow_or_break_are_told(place) -> None:
    told = checkup(place, {"PYTHONDONTWRITEBYTECODE": "1", "TF_USE_LEGACY_KERAS": "0"})
    warned = " ".join(one.found for one in told if one.health is Health.WARN)
    assert "PYTHONDONTWRITEBYTECODE" in warned
    assert "TF_USE_LEGACY_KERAS" in warned


def test_command_ends_with_3_where_something_is_broken(place, capsys) -> None:
    assert main.main(["doctor", "--metadata", place.store]) == 0
    assert "SQLite finds no damage" in capsys.readouterr().out
    words = ["doctor", "--metadata", place.store, "--server", "http://127.0.0.1:1", "--json"]
    assert main.main(words) == 3
    told = json.loads(capsys.readouterr().out)
    assert [one["what"] for one in told if one["health"] == "broken"] == ["server"]
