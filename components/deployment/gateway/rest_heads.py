"""Heads of HTTP/1.1: fields that are not passed on, and answers of the gateway's own."""

import json
from http import HTTPStatus

# Of one connection alone (RFC 9110, 7.6.1); the body's framing is made anew.
HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"expect",
    )
)


def answer_head(code: int, kind: str, size: int, more: str = "") -> bytes:
    """Returns the head of an answer of the gateway's own, without the blank line that ends it.

    Args:
        code: The status.
        kind: Content type of the body.
        size: Bytes of the body.
        more: Further fields, each with its line end.
    """
    head = (
        f"HTTP/1.1 {code} {HTTPStatus(code).phrase}\r\ncontent-type: {kind}\r\n"
        f"content-length: {size}\r\n{more}"
    )
    return head.encode()


def error_answer(code: int, message: str) -> bytes:
    """Returns an answer to what was no request; the connection is closed after it."""
    body = json.dumps({"error": message}).encode()
    closing = "connection: close\r\n"
    return answer_head(code, "application/json", len(body), closing) + b"\r\n" + body
