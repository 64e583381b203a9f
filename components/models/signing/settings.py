"""The settings by which a node signs what it writes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.settings import NodeSettings
from tfx_loop.models.signing.signer import Signer, sign_model


@dataclass(frozen=True, kw_only=True)
class SigningSettings(NodeSettings):
    """Settings of a node that signs models; paths, so that no key stands in the lineage.

    Attributes:
        signing_key: Path of a private key, PEM, with which what is written is signed; empty signs
            nothing.
        signing_certificate: Path of the key's certificate, PEM, followed by those that lead to its
            authority; empty where verifiers know the public key itself.
    """

    signing_key: str = ""
    signing_certificate: str = ""

    def sign(self) -> Callable[[Path, str], Path] | None:
        """Returns what signs a folder under a name; raises as `signer`."""
        signer = self.signer()
        return None if signer is None else lambda path, name: sign_model(path, signer, name)

    def signer(self) -> Signer | None:
        """Returns what to sign with; None where nothing is signed.

        Raises:
            ConfigError: The files are not what they should be.
        """
        if self.signing_certificate and not self.signing_key:
            raise ConfigError("Expected signing_key with signing_certificate, received none.")
        if not self.signing_key:
            return None
        return Signer.read(self.signing_key, self.signing_certificate)
