"""Check of a signed model: who signed it, and that each file is as it was signed.

The signature is a bundle of OpenSSF Model Signing 1.0: a Sigstore bundle whose DSSE envelope holds
an in-toto statement with the SHA-256 digest of each file (github.com/sigstore/model-transparency).
Stricter than its own verifier: every file and empty folder has to be signed, `.git` and all, and
nothing may be a link. This module imports nothing of tfx-loop and runs on Python 3.8:
`edge_bundle/on_device.py` holds a copy, so that a device needs one file.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

SIGNATURE = "model.sig"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
# The name of a file that is signed by itself.
SINGLE = "."
# A line of 100 bytes for each of the 100,000 files that the guard looks at, and base64.
MAX_SIGNATURE_BYTES = 32_000_000
_PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)
# A MiB at a time: a model may be larger than the memory, of small boards above all.
_HASH_BYTES = 1 << 20
# Certificates between a signer's and its authority's are one or two.
_MAX_CHAIN = 10
# What reading JSON that holds something else raises.
_MALFORMED = (AttributeError, LookupError, RecursionError, TypeError, ValueError)


class SignatureError(Exception):
    """A model is not signed by whom it should be, or not as it was signed."""


def verify_signature(path: Path, trusted: bytes, signature: Path | None = None) -> str:
    """Returns who signed a model that is as it was signed, such as `key 3f9a…`.

    Args:
        path: A file or folder.
        trusted: Public keys, of which one must have signed, or certificates of authorities; PEM.
        signature: Where the signature is; by default `signature_path(path)`.

    Raises:
        SignatureError: It is unsigned, signed by another, or something was changed, added, taken
            away or is a link.
    """
    where = signature or signature_path(path)
    if where.is_symlink() or not where.is_file():
        raise SignatureError(f"Expected a signature of {path} in {where}, found none.")
    if where.stat().st_size > MAX_SIGNATURE_BYTES:
        raise SignatureError(f"Expected at most {MAX_SIGNATURE_BYTES} bytes in {where}.")
    signer, statement = open_bundle(where.read_bytes(), trusted)
    signed, empty = signed_content(statement)
    _compare(path, signed, empty)
    return signer


def signature_path(path: Path) -> Path:
    """Returns where the signature of a model stands: in its folder, or beside its file."""
    return path / SIGNATURE if path.is_dir() else path.with_name(f"{path.name}.sig")


def open_bundle(content: bytes, trusted: bytes) -> tuple[str, dict[str, Any]]:
    """Returns who signed a bundle, and the statement in it.

    Raises:
        SignatureError: Nobody who is trusted did, or it is no such bundle.
    """
    try:
        bundle = json.loads(content)
        envelope, material = bundle["dsseEnvelope"], bundle["verificationMaterial"]
        kind = envelope["payloadType"]
        if bundle["mediaType"] != MEDIA_TYPE or kind != PAYLOAD_TYPE:
            raise ValueError(f"{bundle['mediaType']} of {kind}")
        (entry,) = envelope["signatures"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        made = base64.b64decode(entry["sig"], validate=True)
    except _MALFORMED as error:
        raise SignatureError(
            f"Expected a bundle of Model Signing, received {error!r:.200}."
        ) from error
    signer = _signer(material, made, authenticated(payload), trusted)
    try:
        statement = dict(json.loads(payload))
    except _MALFORMED as error:
        raise SignatureError(f"Expected an in-toto statement, received {error!r:.200}.") from error
    return signer, statement


def authenticated(payload: bytes) -> bytes:
    """Returns what is signed of a payload: its pre-authentication encoding (DSSE 1.0)."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def signed_content(statement: dict[str, Any]) -> tuple[dict[str, str], frozenset[str]]:
    """Returns the digests of the files by name, and the names of folders that are empty.

    Raises:
        SignatureError: The statement is of something else.
    """
    try:
        if (statement["_type"], statement["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
            raise ValueError(statement["predicateType"])
        predicate = statement["predicate"]
        if predicate["serialization"]["method"] != "files":
            raise ValueError("digests of parts of files; sign it with --method files")
        found = {}
        for resource in predicate["resources"]:
            if resource["algorithm"] != "sha256" or resource["name"] in found:
                raise ValueError(f"{resource['algorithm']} of {resource['name']}")
            found[resource["name"]] = resource["digest"]
        return found, frozenset(predicate.get("empty_folders", ()))
    except _MALFORMED as error:
        raise SignatureError(
            f"Expected SHA-256 digests of files in the signature, received {error!r:.200}."
        ) from error


def digests(path: Path) -> tuple[dict[str, str], frozenset[str]]:
    """Returns what can be signed of a model: the digests of its files, and its empty folders.

    Raises:
        SignatureError: There is a link, a device or a pipe, or nothing.
    """
    if path.is_symlink() or not path.exists():
        raise SignatureError(f"Expected a file or folder in {path}, found none or a link.")
    if not path.is_dir():
        return {SINGLE: _sha256(path)}, frozenset()
    files, empty = {}, set()
    for folder, folders, names in os.walk(path, onerror=_unreadable):
        inside = Path(folder).relative_to(path).as_posix()
        for name in (*folders, *names):
            about = os.lstat(os.path.join(folder, name))
            if not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
                raise SignatureError(
                    f"Expected files in {path}, received a link or device: {name}."
                )
        if not folders and not names:
            empty.add(inside)
        for name in names:
            relative = name if inside == "." else f"{inside}/{name}"
            if relative != SIGNATURE:
                files[relative] = _sha256(Path(folder) / name)
    return files, frozenset(empty)


def _compare(path: Path, signed: dict[str, str], signed_empty: frozenset[str]) -> None:
    found, empty = digests(path)
    # A folder that is empty has no digest: an empty text stands for it.
    is_there = {**found, **dict.fromkeys(empty, "")}
    should = {**signed, **dict.fromkeys(signed_empty, "")}
    wrong = [f"{name} was added" for name in sorted(is_there.keys() - should.keys())]
    wrong += [f"{name} is missing" for name in sorted(should.keys() - is_there.keys())]
    both = sorted(should.keys() & is_there.keys())
    wrong += [f"{name} was changed" for name in both if is_there[name] != should[name]]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        shown = ", ".join(wrong[:3]).encode("utf-8", "backslashreplace").decode()
        raise SignatureError(f"Expected {path} as it was signed, received: {shown}{more}.")


def _signer(material: Any, made: bytes, signed: bytes, trusted: bytes) -> str:
    """Returns whose signature it is; a Sigstore identity needs Sigstore's own verifier."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    # What cryptography raises for certificates that it reads in part.
    unread = (x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType)
    try:
        if "x509CertificateChain" in material:
            raw = [entry["rawBytes"] for entry in material["x509CertificateChain"]["certificates"]]
            return _by_certificate([base64.b64decode(der) for der in raw], made, signed, trusted)
        if "publicKey" in material:
            return _by_key(made, signed, trusted)
    except (*_MALFORMED, *unread, UnsupportedAlgorithm) as error:
        raise SignatureError(f"Expected keys and certificates, received {error!r:.200}.") from error
    raise SignatureError(
        "Expected a signature by a key or a certificate, received one of Sigstore. Verify it with "
        "`model_signing verify sigstore`, or sign with a key."
    )


def _by_key(made: bytes, signed: bytes, trusted: bytes) -> str:
    from cryptography.hazmat.primitives import serialization

    for found in _PEM.finditer(trusted):
        if found[1] == b"PUBLIC KEY":
            key = serialization.load_pem_public_key(found[0])
            if _made_by(key, made, signed):
                return f"key {key_hint(key)[:16]}"
    raise SignatureError("Expected a signature by a key that is trusted, received another's.")


def key_hint(key: Any) -> str:
    """Returns how Model Signing names a public key: the SHA-256 digest of its PEM."""
    from cryptography.hazmat.primitives import serialization

    pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(pem).hexdigest()


def hash_of(key: Any) -> Any:
    """Returns the hash that goes with a key: that of its curve's size.

    Raises:
        ValueError: It is of another kind.
    """
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    if isinstance(key, (ec.EllipticCurvePublicKey, ec.EllipticCurvePrivateKey)):
        known = {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384()}
        known["secp521r1"] = hashes.SHA512()
        if key.curve.name in known:
            return known[key.curve.name]
    raise ValueError("a key that is not of the curves P-256, P-384 and P-521")


def _made_by(key: Any, made: bytes, signed: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key.verify(made, signed, ec.ECDSA(hash_of(key)))
    except InvalidSignature:
        return False
    return True


def _by_certificate(chain: list[bytes], made: bytes, signed: bytes, trusted: bytes) -> str:
    from cryptography import x509

    given = [x509.load_der_x509_certificate(der) for der in chain[:_MAX_CHAIN]]
    anchors = [
        x509.load_pem_x509_certificate(found[0])
        for found in _PEM.finditer(trusted)
        if found[1] == b"CERTIFICATE"
    ]
    leaf = given[0]
    name = leaf.subject.rfc4514_string()
    if not _is_trusted(given, anchors):
        raise SignatureError(f"Expected a certificate of a trusted authority, received {name!r}.")
    if not _made_by(leaf.public_key(), made, signed):
        raise SignatureError(f"Expected a signature by {name!r}, received another's.")
    return f"certificate {name}"


def _is_trusted(chain: list[Any], anchors: list[Any]) -> bool:
    """Says whether a chain leads to an anchor: the part of RFC 5280, 6.1 that has no policies.

    A signature carries no trusted time, so certificates have to be valid now.
    """
    now = datetime.datetime.now(datetime.timezone.utc)
    for depth, certificate in enumerate(chain):
        if not _is_valid(certificate, depth, now):
            return False
        # Trusted by itself, whoever issued it.
        if certificate in anchors:
            return True
        if any(_issued(a, certificate) and _is_valid(a, depth + 1, now) for a in anchors):
            return True
        if depth + 1 == len(chain) or not _issued(chain[depth + 1], certificate):
            return False
    return False


def _is_valid(certificate: Any, depth: int, now: datetime.datetime) -> bool:
    """Says whether a certificate may stand at its place: 0 signs the model, others certificates."""
    from cryptography import x509

    held = {type(e.value): e.value for e in certificate.extensions}
    known = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage)
    # RFC 5280, 4.2: an extension that is critical and not understood refuses the certificate.
    if any(e.critical and not isinstance(e.value, known) for e in certificate.extensions):
        return False
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return False
    usage, purposes = held.get(x509.KeyUsage), held.get(x509.ExtendedKeyUsage)
    if depth == 0:
        signs = usage is None or usage.digital_signature
        # A certificate of a web server signs no models.
        return signs and (purposes is None or x509.OID_CODE_SIGNING in purposes)
    limits = held.get(x509.BasicConstraints)
    if limits is None or not limits.ca or (usage is not None and not usage.key_cert_sign):
        return False
    # It counts the authorities between this one and the signer's certificate, which is none.
    return limits.path_length is None or depth - 1 <= limits.path_length


def _issued(issuer: Any, certificate: Any) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            chunk = file.read(_HASH_BYTES)
            if not chunk:
                return digest.hexdigest()
            digest.update(chunk)


def _unreadable(error: OSError) -> None:
    raise SignatureError(f"Expected folders that can be read, received: {error}.") from error
