"""Messages sent: one request, one mail or one line each, within a time limit."""

import hashlib
import hmac
import http.client
import json
import logging
import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

from tfx_loop.core.errors import ServerUnavailable
from tfx_loop.core.http_client import check_address, post
from tfx_loop.core.key_file import read_keys
from tfx_loop.core.network import is_loopback
from tfx_loop.core.secret_text import secret_text
from tfx_loop.pipelines.notifications.messages import Message
from tfx_loop.pipelines.notifications.settings import EMAIL, LOG, SLACK, Receiver

_LOG = logging.getLogger("tfx_loop.notifications")
# A receiver that takes longer is tried again later (outbox.py): a look at the loop must not wait.
TIMEOUT_SECONDS = 10.0
SIGNATURE_HEADER, TIME_HEADER, ID_HEADER = "X-Loop-Signature", "X-Loop-Time", "X-Loop-Id"
_KEY_FILE = "webhook.key"

Send = Callable[[Receiver, Message], None]


def sender(home: Path, clock: Callable[[], int]) -> Send:
    """Returns what sends a message; it raises ServerUnavailable where that did not go.

    Args:
        home: Folder in which a webhook's key is made where no other is named.
        clock: Returns now, milliseconds UTC; it is signed, so that old messages cannot be replayed.
    """

    def send(receiver: Receiver, message: Message) -> None:
        try:
            if receiver.kind == LOG:
                _LOG.warning("change=%s %s", message.change, message.text)
            elif receiver.kind == EMAIL:
                _send_mail(receiver, message)
            elif receiver.kind == SLACK:
                _post(receiver, {"text": _slack_text(message)}, {})
            else:
                _post_signed(receiver, message, home, clock() // 1000)
        except (OSError, http.client.HTTPException, smtplib.SMTPException) as error:
            raise ServerUnavailable(
                f"{receiver.told} took no message: {type(error).__name__}."
            ) from error

    return send


def signature(key: bytes, seconds: int, body: bytes) -> str:
    """Returns what a receiver compares: HMAC-SHA-256 over the time, a dot and the body."""
    signed = hmac.new(key, f"{seconds}.".encode() + body, hashlib.sha256)
    return f"v1={signed.hexdigest()}"


def content(message: Message) -> dict[str, object]:
    """Returns a message as webhooks get it."""
    return {"id": message.message_id, **vars(message)}


def _post_signed(receiver: Receiver, message: Message, home: Path, seconds: int) -> None:
    keys = read_keys(receiver.key_file or home / _KEY_FILE, make=not receiver.key_file)
    body = json.dumps(content(message)).encode()
    headers = {
        SIGNATURE_HEADER: signature(keys[0].value, seconds, body),
        TIME_HEADER: str(seconds),
        ID_HEADER: message.message_id,
    }
    _post(receiver, body, headers)


def _post(receiver: Receiver, body: bytes | dict[str, str], headers: dict[str, str]) -> None:
    url = receiver.url or secret_text(receiver.url_file, "a secret").strip()
    check_address(url)
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    status = post(url, sent, {"Content-Type": "application/json", **headers}, TIMEOUT_SECONDS)
    # A redirection is no success either: it could lead anywhere.
    if not 200 <= status < 300:
        raise ServerUnavailable(f"{receiver.told} took no message: it answered {status}.")


def _slack_text(message: Message) -> str:
    # What Slack reads as its own marks, as its documentation says.
    text = f"{message.text}\n{message.link}".strip()
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _send_mail(receiver: Receiver, message: Message) -> None:
    mail = EmailMessage()
    # A header must not be broken by what a reason says.
    mail["Subject"] = " ".join(message.text.split())[:150]
    mail["From"], mail["To"] = receiver.sender, receiver.to
    mail["Message-ID"] = f"<{message.message_id}@tfx-loop>"
    mail.set_content(f"{message.text}\n\nReason: {message.reason or '-'}\nMore: {message.link}\n")
    with smtplib.SMTP(receiver.host, receiver.port, timeout=TIMEOUT_SECONDS) as server:
        if receiver.starttls or (receiver.user and not is_loopback(receiver.host)):
            server.starttls(context=ssl.create_default_context())
        if receiver.user:
            server.login(receiver.user, secret_text(receiver.password_file, "a secret").strip())
        server.send_message(mail)
