"""Callers of the server: bearer tokens from files, what each may call, and how often.

A file of tokens has a line for each: the token, or a name and the token; `#` begins a comment. It
is read again when it changes, so that a token can be replaced while the server runs. Tokens stand
in no log, message or argument of a process; names do.
"""

import hashlib
import hmac
import logging
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tfx_loop.core.errors import ConfigError, LoopError

_LOG = logging.getLogger(__name__)
# b64token of RFC 6750, 2.1: what can stand in a header as it is.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
# Compared in lower case: schemes are case-insensitive (RFC 7235, 2.1).
_SCHEME = "bearer "
# Callers whose rate is remembered; beyond, those who were away longest are forgotten.
_MAX_CALLERS = 10_000
# How long a replaced token is still taken, and how often its file is looked at.
_LOOK_SECONDS = 1.0
# Refusals that are logged a second: a flood of them must not fill the disk.
_LOGGED_PER_SECOND = 1.0


class Refusal(Enum):
    """Why a call is not answered."""

    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    TOO_MANY = "too_many"


class AccessRefused(LoopError):
    """A call that is not answered: by whom it is, what it asks, or how often."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal


def _unreadable(path: str | Path, error: Exception) -> str:
    why = getattr(error, "strerror", None) or "it is no text"
    return (
        f"Expected a file of tokens in {path}, received: {why}. Give the flag or setting a "
        "file that this user can read, with TOKEN or NAME TOKEN a line."
    )


def read_tokens(path: str | Path) -> dict[str, str]:
    """Returns the tokens of a file by name; those without one are called by their line.

    Raises:
        ConfigError: It cannot be read, has no token, or one that no header can carry.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(_unreadable(path, error)) from error
    tokens: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        fields = line.split("#", 1)[0].split()
        if not fields:
            continue
        name = fields[0] if len(fields) == 2 else f"line-{number}"
        if len(fields) > 2 or name in tokens or not _TOKEN.fullmatch(fields[-1]):
            # What stands there may be a secret: it is not shown.
            raise ConfigError(
                f"Expected a token, or a name of its own and a token, in line {number} of {path}; "
                "tokens have letters, digits and ._~+/-= only."
            )
        tokens[name] = fields[-1]
    if not tokens:
        raise ConfigError(f"Expected at least one token in {path}, received none.")
    return tokens


class TokenFile:
    """The tokens of a file, as it is now."""

    def __init__(self, path: str | Path, clock: Callable[[], float]) -> None:
        """Reads the file; raises as `read_tokens`."""
        self._path = path
        self._clock = clock
        self._looked = clock()
        self._state = self._stat()
        self._digests = _digests(read_tokens(path))

    def name_of(self, token: str) -> str | None:
        """Returns whose token it is; None where it is nobody's."""
        self._look()
        found = None
        given = hashlib.sha256(token.encode()).digest()
        # All are compared, and digests of one length: time tells neither how far a token was right
        # nor whose it is.
        for name, digest in self._digests.items():
            if hmac.compare_digest(digest, given):
                found = name
        return found

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        try:
            state = self._stat()
            if state != self._state:
                self._digests = _digests(read_tokens(self._path))
                self._state = state
                _LOG.info("tokens path=%s count=%d", self._path, len(self._digests))
        except (ConfigError, OSError) as error:
            # Half-written, perhaps: those that were known stay until it can be read.
            _LOG.error("tokens path=%s kept=%d error=%s", self._path, len(self._digests), error)

    def _stat(self) -> tuple[int, ...]:
        try:
            found = os.stat(self._path)
        except OSError as error:
            raise ConfigError(_unreadable(self._path, error)) from error
        # The inode, too: a file that was renamed into place may have the old one's time and size.
        return found.st_mtime_ns, found.st_size, found.st_ino


@dataclass
class _Bucket:
    tokens: float
    at: float


class RateLimit:
    """A token bucket for each caller: a second's worth of calls at once, then the rate.

    See Tanenbaum, Computer Networks, "The token bucket algorithm".
    """

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        """Sets the rate of each caller; 0 sets none."""
        self._rate = per_second
        # At least one call, or rates below one a second would let nobody through.
        self._burst = max(per_second, 1.0)
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, _Bucket] = {}

    def take(self, caller: str) -> float:
        """Counts a call; returns 0, or the seconds until the next one is let through."""
        if self._rate <= 0:
            return 0.0
        with self._lock:
            now = self._clock()
            # Taken out and put back: the dictionary's order is that of the last calls.
            bucket = self._buckets.pop(caller, None) or _Bucket(self._burst, now)
            bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._rate)
            bucket.at = now
            self._buckets[caller] = bucket
            if len(self._buckets) > _MAX_CALLERS:
                del self._buckets[next(iter(self._buckets))]
            if bucket.tokens < 1.0:
                return (1.0 - bucket.tokens) / self._rate
            bucket.tokens -= 1.0
            return 0.0


class Access:
    """Decides about each call, before its body is read."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        token_file: str | None = None,
        admin_token_file: str | None = None,
        requests_per_second: float = 0.0,
        open_to_admins: bool = False,
    ) -> None:
        """Reads the files of tokens; raises as `read_tokens`.

        Args:
            clock: Seconds that only grow.
            token_file: Tokens of callers; without it everybody may call.
            admin_token_file: Tokens that may also make admin calls; without it nobody may.
            requests_per_second: Of each caller; 0 sets no limit.
            open_to_admins: Whether everybody may make admin calls where there are no tokens at all.
        """
        self._open_to_admins = open_to_admins and not token_file and not admin_token_file
        self._tokens = TokenFile(token_file, clock) if token_file else None
        self._admins = TokenFile(admin_token_file, clock) if admin_token_file else None
        self._rate = RateLimit(requests_per_second, clock)
        self._logged = RateLimit(_LOGGED_PER_SECOND, clock)

    def authenticate(self, authorization: str, address: str, *, admin: bool = False) -> str:
        """Returns the name of a caller; without tokens, its address.

        Args:
            authorization: The header of that name; empty without.
            address: Where the call comes from.
            admin: Whether it asks for what only admins may.

        Raises:
            AccessRefused: It has no token that is known, or none for this call.
        """
        given = authorization[len(_SCHEME) :].strip()
        given = given if authorization[: len(_SCHEME)].lower() == _SCHEME else ""
        admin_name = self._admins.name_of(given) if self._admins and given else None
        name = self._tokens.name_of(given) if self._tokens and given else None
        if admin_name is not None:
            return f"admin {admin_name}"
        if name is None and self._tokens is not None:
            raise self._refused(
                Refusal.UNAUTHENTICATED,
                "Expected the header 'Authorization: Bearer TOKEN' with a token of this server, "
                f"received {'another token' if given else 'none'}.",
                address,
            )
        if admin and not self._open_to_admins:
            raise self._refused(
                Refusal.FORBIDDEN,
                "Expected a token of the server's --admin_token_file for this call, received "
                f"{'another token' if given else 'none'}.",
                name or address,
            )
        return name or address

    def count(self, caller: str) -> None:
        """Counts a call of a caller.

        Raises:
            AccessRefused: It called too often.
        """
        wait = self._rate.take(caller)
        if wait > 0:
            raise self._refused(
                Refusal.TOO_MANY, f"Too many requests: try again in {wait:.1f} s.", caller
            )

    def _refused(self, refusal: Refusal, message: str, caller: str) -> AccessRefused:
        if self._logged.take(refusal.value) == 0:
            _LOG.warning("refused reason=%s caller=%s", refusal.value, caller)
        return AccessRefused(refusal, message)


def _digests(tokens: dict[str, str]) -> dict[str, bytes]:
    # Digests alone stay in memory.
    return {name: hashlib.sha256(token.encode()).digest() for name, token in tokens.items()}
