"""Flags of who may call a server: TLS, tokens, rates; the same for every server."""

import argparse
import time
from typing import TYPE_CHECKING

from tfx_loop.core.network import is_loopback
from tfx_loop.presentation import arguments

if TYPE_CHECKING:
    from tfx_loop.deployment.server_access.access import Access
    from tfx_loop.deployment.server_access.tls import TlsFiles

# Of each caller, where other machines can call and nothing else is said: far above what one client
# sends in turn, far below what keeps all others out.
_EXPOSED_REQUESTS_PER_SECOND = 1000.0


def add_access_flags(parser: argparse.ArgumentParser) -> None:
    """Adds `--tls_…`, `--…token_file`, `--requests_per_second` and `--insecure`."""
    add = parser.add_argument
    add("--tls_certificate", metavar="PEM", help="serve over TLS with this certificate chain")
    add("--tls_key", metavar="PEM", help="key of that certificate, without a password")
    add(
        "--tls_client_ca",
        metavar="PEM",
        help="mutual TLS: clients show a certificate of one of these authorities",
    )
    add(
        "--token_file",
        metavar="PATH",
        help="clients send one of these bearer tokens; a line is TOKEN or NAME TOKEN",
    )
    add(
        "--admin_token_file",
        metavar="PATH",
        help="tokens that may also make admin calls (:reload); without it nobody may, but on "
        "loopback without any tokens everybody",
    )
    add(
        "--requests_per_second",
        type=arguments.at_least_zero,
        metavar="N",
        help="limit of each token, or of each address without tokens; 0 sets none (default: 0, "
        f"where other machines can call {_EXPOSED_REQUESTS_PER_SECOND:.0f})",
    )
    add(
        "--insecure",
        action="store_true",
        help="let other machines call without TLS, tokens or limits",
    )


def wrong_access(flags: argparse.Namespace) -> str:
    """Returns what is wrong with who may call; sets the rate where none is given."""
    if bool(flags.tls_certificate) != bool(flags.tls_key):
        return "--tls_certificate and --tls_key go together: give both"
    if flags.tls_client_ca and not flags.tls_certificate:
        return (
            "--tls_client_ca asks for certificates over TLS: give --tls_certificate and --tls_key"
        )
    exposed = not is_loopback(flags.host) and not flags.insecure
    if flags.requests_per_second is None:
        flags.requests_per_second = _EXPOSED_REQUESTS_PER_SECOND if exposed else 0.0
    missing = [
        flag
        for flag, given in (
            ("--tls_certificate and --tls_key", flags.tls_certificate),
            ("--token_file or --tls_client_ca", flags.token_file or flags.tls_client_ca),
            ("--requests_per_second above 0", flags.requests_per_second),
        )
        if not given
    ]
    if exposed and missing:
        return (
            f"--host={flags.host} lets other machines call: give {'; '.join(missing)}. Or say "
            "--insecure, where something in front of the server does it"
        )
    return ""


def access_of(flags: argparse.Namespace) -> "Access":
    """Returns who may call; raises ConfigError for files of tokens that cannot be read."""
    from tfx_loop.deployment.server_access.access import Access

    return Access(
        clock=time.monotonic,
        token_file=flags.token_file,
        admin_token_file=flags.admin_token_file,
        requests_per_second=flags.requests_per_second,
        # As in TF Serving, where all that can call are processes of this machine.
        open_to_admins=is_loopback(flags.host),
    )


def tls_of(flags: argparse.Namespace) -> "TlsFiles | None":
    """Returns what the server shows to clients, checked; None without TLS. Raises ConfigError."""
    from tfx_loop.deployment.server_access.tls import TlsFiles

    if not flags.tls_certificate:
        return None
    tls = TlsFiles(
        certificate=flags.tls_certificate, key=flags.tls_key, client_ca=flags.tls_client_ca or ""
    )
    tls.check()
    return tls
