"""JSON posted to a server: bounded in time, tried again where it may help."""

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from tfx_loop.core.errors import ConfigError, ServerUnavailable
from tfx_loop.core.network import is_loopback

# Four attempts with pauses of 0.5, 1 and 2 s between them bridge a restart of a service; a caller
# waits some 44 s at most. Chosen, not measured.
_TIMEOUT_SECONDS = 10.0
_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 0.5
# Too early, too many, and what a server says of itself: the same request may pass later.
_AGAIN = (408, 425, 429, 500, 502, 503, 504)


def check_address(url: str) -> None:
    """Raises ConfigError for an address that nothing must be posted to.

    Plain HTTP is for this machine: what is posted would be read on the way.
    """
    parts = urlsplit(url)
    plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or not (parts.scheme == "https" or plain):
        # The address itself may be a secret.
        raise ConfigError(
            f"Expected an https:// address to post to, received {parts.scheme or 'none'}: "
            "plain http goes to this machine alone."
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "Expected an https:// address without a user, received one with it, which logs would "
            "show. Give a file with the secret."
        )


def post_all(
    url: str,
    contents: Iterable[Mapping[str, Any]],
    token: str = "",
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Posts one after the other; returns how many.

    Args:
        url: Where to.
        contents: What, each as JSON.
        token: Sent as a bearer's; empty for none.
        sleep: Waits between two attempts, seconds.

    Raises:
        ConfigError: The URL is none.
        ServerUnavailable: One did not go, in four attempts; those after it were not sent.
    """
    check_address(url)
    headers = {"Content-Type": "application/json"}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    sent = 0
    for content in contents:
        _post_one(url, json.dumps(content).encode(), headers, sent, sleep)
        sent += 1
    return sent


def _post_one(
    url: str, body: bytes, headers: dict[str, str], sent: int, sleep: Callable[[float], None]
) -> None:
    told = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            sleep(_FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
        try:
            status = post(url, body, headers)
        except (OSError, http.client.HTTPException) as error:
            told = type(error).__name__
            continue
        # A redirection is no success either: it could lead anywhere.
        if 200 <= status < 300:
            return
        told = f"status {status}"
        if status not in _AGAIN:
            break
    raise ServerUnavailable(
        f"Expected {urlsplit(url).hostname} to take event {sent + 1}, received {told} "
        f"({sent} were taken). Send the rest again once it answers: events are the same each time."
    )


def post(
    url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float = _TIMEOUT_SECONDS
) -> int:
    """Posts once; returns the status of the answer.

    Raises:
        OSError, HTTPException: No answer came in time.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(
            host, port, timeout=timeout_seconds, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout_seconds)
    target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    try:
        connection.request("POST", target, body=body, headers=dict(headers))
        # The answer's body is not read: nothing in it matters, and it may be without end.
        return connection.getresponse().status
    finally:
        connection.close()
