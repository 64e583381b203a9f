"""The signature of a model: made with a key in a file, and a certificate where there is one.

Others verify it with `model_signing verify key` or `model_signing verify certificate`; Sigstore's
identities are signed with by that package itself.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfx_loop.core import storage
from tfx_loop.core.errors import ConfigError, ModelError
from tfx_loop.models.signing import verification
from tfx_loop.models.signing.verification import SIGNATURE, SignatureError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


@dataclass(frozen=True)
class Signer:
    """A key, and the certificates that say whose it is, its own first."""

    key: "EllipticCurvePrivateKey"
    certificates: tuple[bytes, ...] = ()

    @classmethod
    def read(cls, key: str | Path, certificate: str | Path = "") -> "Signer":
        """Returns the signer of a private key and of a chain of certificates, PEM.

        Raises:
            ConfigError: They cannot be read, or do not belong together.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization

        try:
            private = serialization.load_pem_private_key(Path(key).read_bytes(), None)
            verification.hash_of(private)
        except (OSError, TypeError, ValueError) as error:
            # A message of cryptography never shows the key.
            raise ConfigError(
                "Expected a private key of P-256, P-384 or P-521, PEM, without a password in "
                f"{key}, received: {error}."
            ) from error
        if not certificate:
            return cls(private)  # type: ignore[arg-type]
        try:
            chain = x509.load_pem_x509_certificates(Path(certificate).read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"Expected certificates in {certificate}, PEM, received: {error}."
            ) from error
        if chain[0].public_key() != private.public_key():
            raise ConfigError(
                f"Expected the certificate of {key} first in {certificate}, received another's."
            )
        encoded = tuple(c.public_bytes(serialization.Encoding.DER) for c in chain)
        return cls(private, encoded)  # type: ignore[arg-type]

    def material(self) -> dict[str, Any]:
        """Returns what a verifier finds the key by."""
        if self.certificates:
            chain = [{"rawBytes": _base64(der)} for der in self.certificates]
            return {"x509CertificateChain": {"certificates": chain}, "tlogEntries": []}
        hint = verification.key_hint(self.key.public_key())
        return {"publicKey": {"hint": hint}, "tlogEntries": []}

    def sign(self, content: bytes) -> bytes:
        """Returns the signature of bytes."""
        from cryptography.hazmat.primitives.asymmetric import ec

        return self.key.sign(content, ec.ECDSA(verification.hash_of(self.key)))


def sign_model(path: Path, signer: Signer, name: str = "") -> Path:
    """Signs a file or folder, and returns where the signature stands.

    Args:
        path: The model.
        signer: Whose signature it is.
        name: What the model is called; by default as the file or folder.

    Raises:
        ModelError: There is nothing to sign, or a link.
    """
    statement = model_statement(path, name)
    payload = json.dumps(statement, indent=2).encode()
    signed = verification.authenticated(payload)
    bundle = {
        "mediaType": verification.MEDIA_TYPE,
        "verificationMaterial": signer.material(),
        "dsseEnvelope": {
            "payload": _base64(payload),
            "payloadType": verification.PAYLOAD_TYPE,
            "signatures": [{"sig": _base64(signer.sign(signed)), "keyid": ""}],
        },
    }
    target = verification.signature_path(path)
    storage.write_bytes(str(target), json.dumps(bundle).encode())
    return target


def model_statement(path: Path, name: str = "") -> dict[str, Any]:
    """Returns the in-toto statement about the files of a model.

    Raises:
        ModelError: There is nothing to sign, or a link.
    """
    try:
        files, empty = verification.digests(path)
    except SignatureError as error:
        raise ModelError(f"{error} Sign a model whose files are its own.") from error
    if not files:
        raise ModelError(f"Expected files to sign in {path}, found none.")
    # As the paths of pathlib sort: by folder.
    names = sorted(files, key=lambda name: name.split("/"))
    serialization: dict[str, Any] = {
        "method": "files",
        "hash_type": "sha256",
        "allow_symlinks": False,
    }
    if path.is_dir():
        # It is written into the folder after the digests were taken.
        serialization["ignore_paths"] = [SIGNATURE]
    predicate = {
        "serialization": serialization,
        "resources": [{"name": n, "algorithm": "sha256", "digest": files[n]} for n in names],
    }
    if empty:
        # The format knows files alone, and its own verifier passes over other keys.
        predicate["empty_folders"] = sorted(empty)
    return {
        "_type": verification.STATEMENT_TYPE,
        "subject": [
            {"name": name or path.resolve().name, "digest": {"sha256": root_digest(files)}}
        ],
        "predicateType": verification.PREDICATE_TYPE,
        "predicate": predicate,
    }


def root_digest(files: Mapping[str, str]) -> str:
    """Returns the digest by which other statements name a model: over the digests of its files."""
    digest = hashlib.sha256()
    # In the order of the statement's resources, in which model_signing hashes them, too.
    for name in sorted(files, key=lambda each: each.split("/")):
        digest.update(bytes.fromhex(files[name]))
    return digest.hexdigest()


@dataclass(frozen=True)
class Trust:
    """Whose signatures count: the content of a PEM file of public keys or authorities."""

    path: str
    content: bytes

    @classmethod
    def read(cls, path: str | Path) -> "Trust":
        """Returns the trust in a file.

        Raises:
            ConfigError: It cannot be read, or holds neither a public key nor a certificate.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization

        try:
            content = Path(path).read_bytes()
            if b"PRIVATE KEY-----" in content:
                raise ValueError("a private key, which does not belong where models are verified")
            blocks = [m[0] for m in _BLOCK.finditer(content)]
            for block in blocks:
                if b"CERTIFICATE" in block:
                    x509.load_pem_x509_certificate(block)
                else:
                    verification.hash_of(serialization.load_pem_public_key(block))
            if not blocks:
                raise ValueError("neither")
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"Expected public keys (P-256, P-384, P-521) or certificates in {path}, PEM, "
                f"received: {error}."
            ) from error
        return cls(str(path), content)

    def check(self, path: Path, signature: Path | None = None) -> str:
        """Returns who signed a model that is as it was signed.

        Raises:
            ModelError: It is not signed by them, or not as it was signed.
        """
        try:
            return verification.verify_signature(path, self.content, signature)
        except SignatureError as error:
            raise ModelError(
                f"{error} Get the model again from who made it, or sign it with `loop sign`."
            ) from error


_BLOCK = re.compile(rb"-----BEGIN (PUBLIC KEY|CERTIFICATE)-----.+?-----END \1-----", re.DOTALL)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
