"""TLS of the server: its certificate, and with a client CA mutual TLS; the same for both ports."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfx_loop.core.errors import ConfigError

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, kw_only=True)
class TlsFiles:
    """Files in PEM.

    Attributes:
        certificate: The server's, with what leads from it to its authority.
        key: Its key, without a password.
        client_ca: Authorities whose certificates clients must show; empty asks for none.
    """

    certificate: str
    key: str
    client_ca: str = ""

    def check(self) -> None:
        """Raises ConfigError where a server could not start with these files."""
        self.context()

    def context(self, protocols: Sequence[str] = ()) -> ssl.SSLContext:
        """Returns what a socket server listens with; raises as `check`.

        Args:
            protocols: Names that ALPN offers (RFC 7301), such as `h2`.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # A key with a password would have OpenSSL ask at a terminal that is not there.
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"Expected a certificate in {self.certificate} and its key without a password in "
                f"{self.key}, both PEM, received: {error}."
            ) from error
        if self.client_ca:
            try:
                context.load_verify_locations(self.client_ca)
            except OSError as error:
                raise ConfigError(
                    f"Expected certificates in PEM in {self.client_ca}, received: {error}."
                ) from error
            context.verify_mode = ssl.CERT_REQUIRED
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context


def _no_password() -> str:
    raise ValueError("a key with a password")
