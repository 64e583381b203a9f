"""Credentials of a client, and the authorities it trusts: names of files, never secrets.

Paths can stand in settings, lineage and arguments; what is in the files is read when it is sent.
"""

import ssl
from dataclasses import dataclass

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.network import is_loopback
from tfx_loop.deployment.server_access.access import read_tokens


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Files of a client.

    Attributes:
        token_file: The first token of this file is sent with each request; empty sends none.
        ca_file: Authorities, PEM, one of which the server's certificate must come from; empty for
            those of the system.
        certificate: The client's, PEM, for a server with mutual TLS; empty for none.
        key: Its key, PEM.
    """

    token_file: str = ""
    ca_file: str = ""
    certificate: str = ""
    key: str = ""

    def check(self, scheme: str, host: str) -> None:
        """Raises ConfigError where they do not fit an address, or would be sent in the clear."""
        if bool(self.certificate) != bool(self.key):
            raise ConfigError("Expected a client certificate and its key, received one of them.")
        if scheme == "https":
            return
        if self.ca_file or self.certificate:
            raise ConfigError(
                "Expected an https:// address for certificates, received http://. Start the server "
                "with --tls_certificate and --tls_key."
            )
        if self.token_file and not is_loopback(host):
            raise ConfigError(
                f"Expected an https:// address to send a token to {host}, received http://, where "
                "all on the way can read it. Start the server with --tls_certificate and --tls_key."
            )

    def headers(self) -> dict[str, str]:
        """Returns the headers of a request; the file is read each time, so it may be replaced."""
        if not self.token_file:
            return {}
        return {"Authorization": f"Bearer {next(iter(read_tokens(self.token_file).values()))}"}

    def context(self) -> ssl.SSLContext:
        """Returns what TLS connections are made with; hosts and certificates are checked."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key)
        except OSError as error:
            named = ", ".join(path for path in (self.ca_file, self.certificate, self.key) if path)
            raise ConfigError(f"Expected files in PEM in {named}, received: {error}.") from error
        return context


ANONYMOUS = Credentials()
