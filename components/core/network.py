"""Addresses of this machine."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Says whether only this machine can reach, or be reached at, a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
