"""Addresses of this machine, and of servers."""

import ipaddress
from urllib.parse import urlsplit

from tfx_loop.core.errors import ConfigError


def is_loopback(host: str) -> bool:
    """Says whether only this machine can reach, or be reached at, a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_server_address(url: str) -> None:
    """Raises ConfigError for what is no REST address of a model server.

    A path in front of the interface, as a proxy may ask for, is one; that of a model is not.
    """
    expected = "server_url must be a REST address such as 'http://127.0.0.1:8501'"
    try:
        parts = urlsplit(url)
        named = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:
        raise ConfigError(f"{expected}, got {url!r}: {error}.") from error
    if not named:
        raise ConfigError(f"{expected}, got {url!r}.")
    if f"{parts.path}/".startswith("/v1/") or parts.query or parts.fragment:
        raise ConfigError(
            f"{expected}, got {url!r}. Leave out what comes after the port: the model's path is "
            "added to it."
        )
