"""`loop status`, `loop promote`, `loop rollback`, and what `loop explain` tells of them."""

import json
import re

import pytest
from push_desk import Desk
from recorder import RecordedRun, open_store, training_nodes

from tfx_loop.pipelines.cli.main import main
from tfx_loop.pipelines.lineage.explain import explain
from tfx_loop.pipelines.lineage.show import render_explanation, timeline_table
from tfx_loop.pipelines.lineage.timeline import timeline

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    made.server.knows_candidates = True
    made.push()
    made.push("better", "run-2", canary_share=0.25)
    return made


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "metadata.db"
    opened = open_store(path)
    for version in (1, 2):
        RecordedRun(opened, "training", f"run-{version}", tmp_path / str(version)).run(
            training_nodes(version, pushed_at_ms=1_000_000 + version)
        )
    return path


def test_versions_and_their_traffic_are_shown(desk, capsys):
    assert main(["status", str(desk.base)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^ +1  stable +75 % +stable", shown, re.MULTILINE)
    assert re.search(r"^ +2  canary +25 % +canary", shown, re.MULTILINE)
    assert main(["status", str(desk.base), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["stable"], told["canary_share"]) == (1, 0.25)


def test_promotion_and_roll_back_are_recorded_and_explained(desk, store, capsys):
    base, metadata = str(desk.base), ["--metadata", str(store)]
    assert main(["promote", base, *metadata]) == 0
    assert desk.server.serving == 2
    assert "3 recorded" in capsys.readouterr().out, "with those of the pushes"
    assert main(["rollback", base, "--to", "1", "--reason", "wrong prices", *metadata]) == 0
    assert desk.server.serving == 1
    assert "2 recorded" in capsys.readouterr().out
    found = explain(open_store(store), "flights", 2)
    assert [(move.action, move.detail) for move in found.rollouts] == [
        ("canary", "25% of requests"),
        ("promote", "in place of version 1"),
        ("roll_back", "wrong prices"),
    ]
    assert (found.replaced_by, found.served_until_ms is None) == (1, False)
    assert "roll back: wrong prices" in render_explanation(found)
    assert explain(open_store(store), "flights", 1).served_until_ms is None
    kinds = [event.kind for event in timeline(open_store(store), "flights")]
    assert [kind for kind in kinds if kind not in ("PUSHED",)] == [
        "PROMOTED",
        "CANARY",
        "PROMOTED",
        "ROLLED_BACK",
        "PROMOTED",
    ]
    timeline_table(timeline(open_store(store), "flights"))


def test_what_could_not_be_recorded_is_recorded_by_the_next_command(desk, store, capsys):
    base = str(desk.base)
    assert main(["promote", base]) == 0
    assert "not recorded in ML Metadata" in capsys.readouterr().out
    change = ["promote", base, "--label", "blue", "--version", "1", "--metadata", str(store)]
    assert main(change) == 0
    assert "4 recorded" in capsys.readouterr().out
    assert desk.record.labels == {"blue": 1}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rollback", "BASE", "--to", "7", "--reason", "x"], "Pushed: 1, 2"),
        (["promote", "BASE", "--version", "1", "--label", "stable"], "other than stable"),
        (["promote", "BASE", "--label", "blue"], "--version N"),
        (["status", "NOWHERE"], "found none"),
    ],
)
def test_what_cannot_be_done_is_one_line(desk, capsys, arguments, says):
    given = [str(desk.base) if word == "BASE" else word for word in arguments]
    assert main(given) != 0
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1
