"""Receivers of messages: webhooks, Slack and what speaks like it, e-mail, and the log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tfx_loop.core.errors import ConfigError, did_you_mean
from tfx_loop.core.http_client import check_address
from tfx_loop.core.network import is_loopback
from tfx_loop.core.settings import from_table

WEBHOOK, SLACK, EMAIL, LOG = "webhook", "slack", "email", "log"
_KINDS = (WEBHOOK, SLACK, EMAIL, LOG)


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """One who is told.

    Attributes:
        kind: `webhook`, `slack` (and what takes its messages), `email` or `log`.
        url: Address of a webhook or of Slack's; it may be a secret, and is shown nowhere.
        url_file: File that holds it, in place of `url`.
        key_file: Keys that sign a webhook's messages; empty for `webhook.key` in the home, which is
            made.
        to: Addresses that e-mail goes to, comma-separated.
        sender: Address that it comes from.
        host: Mail server.
        port: Its port.
        user: Who logs in to it; empty for nobody.
        password_file: File with the password.
        starttls: Whether the connection is encrypted; always with a user, save on this machine.
        changes: Changes that are told, such as `pushed`; empty for all.
    """

    kind: str
    url: str = ""
    url_file: str = ""
    key_file: str = ""
    to: str = ""
    sender: str = "tfx-loop@localhost"
    host: str = "localhost"
    port: int = 25
    user: str = ""
    password_file: str = ""
    starttls: bool = False
    changes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ConfigError(
                f"Expected a receiver of kind {', '.join(_KINDS)}, received {self.kind!r}."
                f"{did_you_mean(self.kind, _KINDS)}"
            )
        if self.kind in (WEBHOOK, SLACK):
            if bool(self.url) == bool(self.url_file):
                raise ConfigError(
                    f"Expected a url or a url_file of a {self.kind}, received "
                    f"{'both' if self.url else 'neither'}."
                )
            if self.url:
                check_address(self.url)
        if self.kind == EMAIL and "@" not in self.to:
            raise ConfigError(f"Expected the address that e-mail goes to as `to`, got {self.to!r}.")
        if self.user and not (self.starttls or is_loopback(self.host)):
            raise ConfigError(
                f"Expected starttls to log in at {self.host}, received none: all on the way could "
                "read the password. Set starttls to true."
            )

    @classmethod
    def of(cls, given: Any) -> "Receiver":
        """Returns a receiver from an address, or from a table of its fields.

        `https://hooks.example/…` is a webhook, or Slack's by its host; `mailto:team@example.org`
        is e-mail through the mail server of this machine; `log` is a line in the log.

        Raises:
            ConfigError: It is none.
        """
        if isinstance(given, Receiver):
            return given
        if isinstance(given, Mapping):
            return from_table(cls, {"kind": "", **given}, "a receiver")
        text = given if isinstance(given, str) else ""
        if text == LOG:
            return cls(kind=LOG)
        if not text.startswith(("mailto:", "http:", "https:")):
            # What was given is not repeated: it may be a secret address, mistyped.
            mail = " An e-mail address is written 'mailto:NAME@HOST'." if "@" in text else ""
            raise ConfigError(
                f"Expected whom to notify as {LOG!r}, 'mailto:…', 'https://…' or a table, received "
                f"none of these.{mail or did_you_mean(text, (LOG,))}"
            )
        if text.startswith("mailto:"):
            return cls(kind=EMAIL, to=text.removeprefix("mailto:"))
        host = urlsplit(text).hostname or ""
        return cls(kind=SLACK if host.endswith("hooks.slack.com") else WEBHOOK, url=text)

    @property
    def told(self) -> str:
        """The receiver as logs and screens show it: of an address the host alone."""
        if self.kind == EMAIL:
            return f"{EMAIL} {self.to}"
        place = urlsplit(self.url).hostname if self.url else self.url_file
        return f"{self.kind} {place}" if place else self.kind
