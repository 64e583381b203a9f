"""One message for a change of state: to webhooks, Slack, mail and the log, once each."""

import hashlib
import hmac
import json
import logging
import stat

import pytest
from receivers import mail_server, webhook
from recorder import RecordedRun, monitoring_nodes, open_store

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.key_file import read_keys
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.holds import PersonHold, hold
from tfx_loop.pipelines.control.watch_state import WatchState
from tfx_loop.pipelines.notifications.client import sender
from tfx_loop.pipelines.notifications.outbox import OUTBOX, Notifier
from tfx_loop.pipelines.notifications.settings import Receiver

QUIET = WatchState()
AWAY = WatchState(trouble="No answer from the server.", trouble_kind="ServerUnavailable")


class Told:
    """A loop's store and home, and those who are told of it."""

    def __init__(self, folder, *receivers):
        self.folder, self.now = folder, 1_700_000_000_000
        self.store = open_store(folder / "m.sqlite")
        ledger.register_types(self.store)
        self.receivers = [Receiver.of(one) for one in receivers]

    def decide(self, window, verdict="HOLD", reason="no_avoidable_loss"):
        """Records a decision."""
        run = RecordedRun(self.store, "monitoring", f"run-{window}", self.folder / window)
        run.run(monitoring_nodes({"verdict": verdict, "window": window, "reason": reason}))

    def tell(self, seen=QUIET):
        """Tells as a new process would: nothing but the home is remembered."""
        send = sender(self.folder, lambda: self.now)
        notifier = Notifier(self.folder, "flights", self.receivers, send, lambda: self.now)
        return notifier.tell(self.store, seen)


def texts(got):
    return [json.loads(body)["text"] for _, body in got]


def test_a_change_is_told_once_with_its_reason(tmp_path):
    with webhook() as (url, got):
        told = Told(tmp_path, url)
        told.decide("2024-01")
        told.tell()
        told.tell()
        told.decide("2024-02")  # The same verdict for the same reason: no change.
        told.decide("2024-03", reason="data_fault")
        told.tell()
        bodies = [json.loads(body) for _, body in got]
    assert [one["window"] for one in bodies] == ["2024-01", "2024-03"]
    assert [one["reason"] for one in bodies] == ["no_avoidable_loss", "data_fault"]
    assert all(one["link"] and one["model_name"] == "flights" for one in bodies)
    assert len({one["id"] for one in bodies}) == 2


def test_a_webhook_can_prove_who_sent_it(tmp_path):
    with webhook() as (url, got):
        told = Told(tmp_path, url)
        told.decide("2024-01")
        told.tell()
    [(headers, body)] = got
    key_file = tmp_path / "webhook.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    signed = f"{told.now // 1000}.".encode() + body
    digest = hmac.new(read_keys(key_file)[0].value, signed, hashlib.sha256).hexdigest()
    assert headers["X-Loop-Signature"] == f"v1={digest}"
    assert headers["X-Loop-Id"] == json.loads(body)["id"]


@pytest.mark.parametrize("refusal", [500, 302, 404])
def test_what_is_not_taken_is_sent_again_later_under_the_same_id(tmp_path, refusal):
    with webhook([refusal, refusal]) as (url, got):
        told = Told(tmp_path, url)
        told.decide("2024-01")
        assert told.tell() == 0
        assert told.tell() == 0  # Not yet: a minute has to pass.
        assert len(got) == 1
        told.now += 61_000
        told.tell()
        told.now += 61_000
        told.tell()  # Two minutes after the second try.
        assert len(got) == 2
        told.now += 61_000
        assert told.tell() == 1
    assert len({headers["X-Loop-Id"] for headers, _ in got}) == 1
    assert OUTBOX.read(tmp_path).pending == ()


def test_one_who_is_away_holds_no_other_up(tmp_path):
    with webhook() as (url, got):
        told = Told(tmp_path, "http://127.0.0.1:1/nobody", url)
        told.decide("2024-01")
        assert told.tell() == 1
    assert len(got) == 1


def test_trouble_is_told_when_it_begins_and_when_it_is_over(tmp_path):
    with webhook() as (url, got):
        told = Told(tmp_path, url)
        for seen in (QUIET, AWAY, AWAY, QUIET, QUIET):
            told.tell(seen)
    assert texts(got) == ["flights: No answer from the server.", "flights: the loop goes on."]


def test_slack_and_mail_get_the_sentence(tmp_path):
    with webhook() as (url, got), mail_server() as (port, mails):
        mail = {"kind": "email", "to": "team@example.org", "host": "127.0.0.1", "port": port}
        told = Told(tmp_path, {"kind": "slack", "url": url}, mail)
        word = PersonHold(held=True, by="Ann", reason="a <test> & a\nholiday", at_ms=1)
        hold(told.store, "flights", word)
        assert told.tell() == 2
    assert "held back by Ann: a &lt;test&gt; &amp; a\nholiday" in texts(got)[0]
    assert "Subject: flights: launches are held back by Ann: a <test> & a holiday" in mails[0]
    assert "To: team@example.org" in mails[0]


def test_who_wants_pushes_alone_hears_of_nothing_else(tmp_path, caplog):
    told = Told(tmp_path, {"kind": "log", "changes": ["pushed"]}, "log")
    told.decide("2024-01")
    with caplog.at_level(logging.WARNING, "tfx_loop.notifications"):
        assert told.tell() == 1
    assert "change=decision flights, window 2024-01: HOLD" in caplog.text


def test_an_address_that_is_a_secret_is_read_from_its_file_and_shown_nowhere(tmp_path, caplog):
    file = tmp_path / "url"
    file.write_text("http://127.0.0.1:1/T0/SECRET\n")
    told = Told(tmp_path, {"kind": "slack", "url_file": str(file)})
    told.decide("2024-01")
    with caplog.at_level(logging.INFO):
        told.tell()
    assert "again_in=60s" in caplog.text
    assert "SECRET" not in caplog.text + (tmp_path / "outbox.json").read_text()


@pytest.mark.parametrize(
    ("receiver", "told"),
    [
        ("http://example.org/hook", "plain http"),
        ("ftp://example.org/hook", "https"),
        ({"kind": "pigeon"}, "webhook, slack, email, log"),
        ({"kind": "webhook"}, "neither"),
        ({"kind": "email", "to": "nobody"}, "goes to"),
        ({"kind": "email", "to": "a@b", "host": "mail.example", "user": "me"}, "starttls"),
        ({"kind": "webhook", "adress": "x"}, "received 'adress'"),
    ],
)
def test_receivers_that_cannot_be_told_are_refused(receiver, told):
    with pytest.raises(ConfigError, match=told):
        Receiver.of(receiver)
