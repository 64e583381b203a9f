"""`loop rollout`: what devices run, and how an operator changes it."""

import re

import pytest
import tiny_bundle

from tfx_loop.edge.edge_bundle.publish import publish
from tfx_loop.edge.edge_bundle.store import FolderStore
from tfx_loop.pipelines.cli.main import main


@pytest.fixture
def base(tmp_path):
    store = FolderStore(str(tmp_path / "devices"))
    for label in ("one", "two"):
        publish(tiny_bundle.build(tmp_path / label, label), store, now_ms=lambda: 1_700_000_000_000)
    return str(tmp_path / "devices")


def test_versions_and_history_are_shown(base, capsys):
    assert main(["rollout", base]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^ +1  superseded  1/4 +none", shown, re.MULTILINE)
    assert re.search(r"^ +2  candidate   1/4 +100 % of canary", shown, re.MULTILINE)
    assert re.search(r"^2023-11-14 22:13:20 UTC  publish +version 1", shown, re.MULTILINE)


def test_a_version_is_promoted_and_rolled_back(base, capsys):
    assert main(["rollout", base, "promote", "2", "--to-stage", "3"]) == 0
    assert "100 % of canary, 50 % of default" in capsys.readouterr().out
    assert main(["rollout", base, "promote", "2"]) == 0
    assert re.search(r"2  stable +4/4 +all", capsys.readouterr().out)
    assert main(["rollout", base, "--device", "kiosk-17", "--group", "shop"]) == 0
    assert "device kiosk-17 of group shop: version 2" in capsys.readouterr().out


def test_a_candidate_is_taken_back_with_a_reason(base, capsys):
    assert main(["rollout", base, "roll-back", "2", "--reason", "wrong answers"]) == 0
    assert "roll_back  version 2: wrong answers" in capsys.readouterr().out
    assert main(["rollout", base, "--device", "d", "--group", "canary"]) == 0
    assert "no version yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["promote"], "version to promote"),
        (["promote", "7"], "received 7"),
        (["roll-back", "1"], "superseded"),
    ],
)
def test_what_cannot_be_done_is_one_line(base, capsys, arguments, says):
    assert main(["rollout", base, *arguments]) == 1
    told = capsys.readouterr().err
    assert told.startswith("loop: ")
    assert says in told
    assert told.count("\n") == 1


def test_where_nothing_was_published(tmp_path, capsys):
    assert main(["rollout", str(tmp_path)]) == 1
    assert "Publish a bundle there first" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
