#!/usr/bin/env python3
"""The device side: chooses, fetches and verifies a bundle, and asks its golden requests.

Copy this one file to the device; it imports nothing of tfx-loop. It needs Python 3.8 or newer,
NumPy, and `ai-edge-litert` (or the older `tflite-runtime`); with Coral's `libedgetpu` installed
and an Edge TPU attached it runs the compiled model there, and otherwise the same model on the CPU.

    python3 on_device.py https://storage.example/digits --device-id kiosk-17 --group shop

follows the roll-out, fetches the version that this device is to run, checks every digest and the
golden answers, and makes it `current`. A version that fails a check is not used: the one before
stays. Names, paths and sizes that come over the network are not trusted. With `--public-key` (and
the package `cryptography`) a bundle has to be signed, too, and nothing may have been added to it.
"""

from __future__ import annotations

import argparse
import base64
import ctypes
import datetime
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

POINTER = "latest.json"
MANIFEST = "manifest.json"
# Of pointer and manifest; raised when a device with the old file would misread them.
SCHEMA_VERSION = 1
# Coral's library by platform (coral.ai/docs/edgetpu/tflite-python).
DELEGATES = {
    "linux": "libedgetpu.so.1",
    "darwin": "libedgetpu.1.dylib",
    "win32": "edgetpu.dll",
}
# No separator and no leading dot: a name from the network cannot leave its folder.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
# Pointer and manifest take some kB; anything larger is not them, and is not read to its end.
_SMALL_FILE = 4_000_000
# For a connection and for each silence in it, not for the whole of a model: devices may hang on
# slow lines.
_HTTP_SECONDS = 30
# Scratch of a fetch that was killed is removed after a day: another may be at work until then.
_LEFT_SECONDS = 86_400


class BundleError(Exception):
    """A bundle or pointer is not what it should be; it must not be used."""


# The check of signatures: a copy of models/signing/verification.py, which a test compares


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


# The version of this device


def device_fraction(name: str, version: int, device_id: str) -> float:
    """Returns where a device stands in the order of one roll-out, in [0, 1).

    The order differs from version to version, so that it is not always the same devices that go
    first.
    """
    digest = hashlib.sha256(f"{name}\0{version}\0{device_id}".encode()).digest()
    # 48 bits: exact in a double, on any platform and in any language.
    return int.from_bytes(digest[:6], "big") / float(1 << 48)


def resolve(pointer: Mapping[str, Any], device_id: str, group: str) -> dict[str, Any] | None:
    """Returns version and digest that a device runs, or None where there is none for it yet.

    Args:
        pointer: Content of `latest.json`.
        device_id: Any string that stays the same for a device.
        group: Group of the device; one that the roll-out does not name gets what is stable.

    Raises:
        BundleError: It is not a pointer that this file knows.
    """
    try:
        # A newer schema may mean other things by the same keys; the version in use stays.
        if pointer["schema_version"] != SCHEMA_VERSION:
            raise BundleError(
                f"Expected schema_version {SCHEMA_VERSION} in {POINTER}, received "
                f"{pointer['schema_version']!r}. Copy a newer on_device.py to the device."
            )
        chosen = pointer["stable"]
        candidate = pointer["candidate"]
        if candidate is not None:
            share = float(candidate["percent"].get(group, 0.0)) / 100.0
            version = int(candidate["version"])
            # Strictly below: a share of 0 takes nobody, one of 1 everybody.
            if device_fraction(str(pointer["name"]), version, device_id) < share:
                chosen = candidate
        if chosen is None:
            return None
        if not _DIGEST.fullmatch(chosen["digest"]):
            raise BundleError(f"Expected a SHA-256 digest, received {chosen['digest']!r:.100}.")
        return {"version": int(chosen["version"]), "digest": chosen["digest"]}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"Expected a roll-out pointer, received {error!r:.200}.") from error


# The check that a bundle is whole


def read_manifest(content: bytes, digest: str = "") -> dict[str, Any]:
    """Returns a manifest that can be trusted to name plain files of this folder.

    Raises:
        BundleError: It is not the one with that digest, or names a path.
    """
    found = hashlib.sha256(content).hexdigest()
    if digest and found != digest:
        raise BundleError(f"Expected a manifest with digest {digest}, received {found}.")
    try:
        manifest = json.loads(content)
        if manifest["schema_version"] != SCHEMA_VERSION:
            raise BundleError(
                f"Expected schema_version {SCHEMA_VERSION} in {MANIFEST}, received "
                f"{manifest['schema_version']!r}. Copy a newer on_device.py to the device."
            )
        for name, about in manifest["files"].items():
            if not _NAME.fullmatch(name) or name == MANIFEST:
                raise BundleError(f"Expected plain file names in {MANIFEST}, received {name!r}.")
            if not _DIGEST.fullmatch(about["sha256"]) or int(about["bytes"]) < 0:
                raise BundleError(f"Expected digest and size of {name}, received {about!r:.200}.")
        for role in ("cpu_model", "edge_tpu_model", "labels", "golden"):
            if manifest[role] is not None and manifest[role] not in manifest["files"]:
                raise BundleError(f"Expected {role} among the files, received {manifest[role]!r}.")
        if manifest["cpu_model"] is None or manifest["golden"] is None:
            raise BundleError("Expected a cpu_model and golden answers in the manifest.")
        return dict(manifest)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"Expected a bundle's manifest, received {error!r:.200}.") from error


def verify(folder: Path, digest: str = "", trusted: bytes = b"") -> dict[str, Any]:
    """Returns the manifest of a folder in which every file is as the manifest says.

    Args:
        folder: The bundle.
        digest: Digest that it must have; empty takes any.
        trusted: Public keys or authorities, PEM, by one of which it must be signed; empty asks for
            no signature.

    Raises:
        BundleError: A file is missing, cut off, changed or a link; or it is not signed.
    """
    if trusted:
        try:
            verify_signature(folder.resolve(), trusted)
        except SignatureError as error:
            raise BundleError(str(error)) from error
    path = folder / MANIFEST
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"Expected {MANIFEST} in {folder}, found none.")
    manifest = read_manifest(path.read_bytes(), digest)
    for name, about in manifest["files"].items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"Expected {name} in {folder}, found none.")
        found = _sha256(path)
        if found != about["sha256"]:
            raise BundleError(
                f"Expected {name} with digest {about['sha256']}, received {path.stat().st_size} "
                f"bytes with {found}."
            )
    return manifest


def fetch(base: str, digest: str, cache: Path, trusted: bytes = b"") -> Path:
    """Returns the folder of a whole bundle in the cache, copied from `base` when it is not there.

    Args:
        base: Folder or http(s) address that was published to.
        digest: Which bundle.
        cache: Folder on the device.
        trusted: By whom it must be signed, as in `verify`.

    Raises:
        BundleError: What is there is not that bundle, or not signed.
        OSError: The network or the disk failed.
    """
    # By digest: a version that comes back is still there, and two versions of one bundle are one
    # folder.
    target = cache / "bundles" / digest
    if target.exists():
        try:
            verify(target, digest, trusted)
            return target
        except BundleError:
            # The disk, or a person, has changed it: fetched again as if it had never been there.
            shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=".fetch-", dir=str(target.parent)))
    try:
        source = f"bundles/{digest}"
        content = _read(base, f"{source}/{MANIFEST}", _SMALL_FILE)
        manifest = read_manifest(content, digest)
        (staged / MANIFEST).write_bytes(content)
        if trusted:
            try:
                signature = _read(base, f"{source}/{SIGNATURE}", MAX_SIGNATURE_BYTES)
            except OSError as error:
                raise BundleError(f"Expected a signed bundle, received none: {error}.") from error
            (staged / SIGNATURE).write_bytes(signature)
        for name, about in manifest["files"].items():
            (staged / name).write_bytes(_read(base, f"{source}/{name}", int(about["bytes"])))
        verify(staged, digest, trusted)
        # Verified before it has its name: what stands under a digest is whole.
        os.replace(str(staged), str(target))
    finally:
        shutil.rmtree(str(staged), ignore_errors=True)
    return target


def _read(base: str, name: str, limit: int) -> bytes:
    if base.startswith(("http://", "https://")):
        address = f"{base.rstrip('/')}/{name}"
        # The scheme was looked at above.
        with urllib.request.urlopen(address, timeout=_HTTP_SECONDS) as answer:  # noqa: S310
            # One byte more than allowed tells "too large" from "just fits".
            content = bytes(answer.read(limit + 1))
    else:
        with open(Path(base) / name, "rb") as file:
            content = file.read(limit + 1)
    if len(content) > limit:
        raise BundleError(f"Expected at most {limit} bytes of {name}, received more.")
    return content


# The model, and the check of its answers


class Model:
    """A model of a verified bundle, on the Edge TPU or on the CPU.

    Attributes:
        manifest: The bundle's manifest.
        processor: `edge_tpu` or `cpu`.
        note: Why the Edge TPU is not used; empty when it is, or when nothing was compiled for it.
        labels: Names of the classes; empty where the bundle has none.
    """

    def __init__(
        self,
        folder: Path,
        digest: str = "",
        delegate: str | None = None,
        trusted: bytes = b"",
    ) -> None:
        """Verifies the bundle, loads its best model and checks the golden answers.

        Args:
            folder: The bundle.
            digest: Digest that it must have; empty takes any that is consistent in itself.
            delegate: Library of the Edge TPU; None takes the platform's.
            trusted: By whom it must be signed, as in `verify`.

        Raises:
            BundleError: The bundle is not whole, or no model of it gives the golden answers.
        """
        self.manifest = verify(folder, digest, trusted)
        self.processor, self.note = "cpu", ""
        self._folder = folder
        compiled = self.manifest["edge_tpu_model"]
        if compiled is not None:
            try:
                self._open(compiled, delegate or DELEGATES.get(sys.platform, ""))
                self.processor = "edge_tpu"
                self._check_golden()
            # No library, no chip, or other answers: the same model answers on the CPU, and the note
            # says why.
            except (BundleError, KeyError, OSError, RuntimeError, ValueError) as error:
                self.processor, self.note = "cpu", " ".join(str(error).split())[:300]
        if self.processor == "cpu":
            self._open(self.manifest["cpu_model"], None)
            self._check_golden()
        names = self.manifest["labels"]
        self.labels = (folder / names).read_text("utf-8").splitlines() if names else []

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns real-valued outputs by name.

        Args:
            inputs: Arrays by name, of the model's shape; floats are quantised with the input's
                scale, integers of the input's own type are taken as they are. The names are those
                of the manifest.
        """
        names = {
            entry["tensor"]: entry["name"]
            for entry in (*self.manifest["inputs"], *self.manifest["outputs"])
        }
        for detail in self._interpreter.get_input_details():
            values = np.asarray(inputs[names[detail["name"]]]).reshape(detail["shape"])
            if np.issubdtype(values.dtype, np.floating):
                values = _quantised(values, detail)
            self._interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))
        # A recurrent layer would go on from the state that the request before left.
        self._interpreter.reset_all_variables()
        self._interpreter.invoke()
        return {
            names[detail["name"]]: _real(self._interpreter.get_tensor(detail["index"]), detail)
            for detail in self._interpreter.get_output_details()
        }

    def _open(self, name: str, delegate: str | None) -> None:
        interpreter, load_delegate = _litert()
        path = str(self._folder / name)
        if delegate is None:
            self._interpreter = interpreter(model_path=path)
        else:
            ctypes.CDLL(delegate)  # Says plainly why it cannot be loaded; load_delegate does not.
            self._interpreter = interpreter(
                model_path=path, experimental_delegates=[load_delegate(delegate)]
            )
        self._interpreter.allocate_tensors()

    def _check_golden(self) -> None:
        with np.load(self._folder / self.manifest["golden"], allow_pickle=False) as golden:
            names = [entry["name"] for entry in self.manifest["inputs"]]
            if not len(golden["input_0"]):
                raise BundleError("Expected golden rows to check the model with, found none.")
            for row in range(len(golden["input_0"])):
                given = {name: golden[f"input_{i}"][row] for i, name in enumerate(names)}
                answers = self.predict(given)
                for i, output in enumerate(self.manifest["outputs"]):
                    self._compare(answers[output["name"]], golden[f"output_{i}"][row], output)

    def _compare(self, answer: Any, expected: Any, output: Mapping[str, Any]) -> None:
        allowed = float(output[f"{self.processor}_tolerance"])
        if answer.shape != expected.shape:
            raise BundleError(f"Expected shape {expected.shape}, received {answer.shape}.")
        off = float(np.max(np.abs(answer - expected), initial=0.0))
        # `not <=` and not `>`: an answer of NaN is off, too.
        if not off <= allowed:
            raise BundleError(
                f"Expected golden answers for {output['name']!r} within {allowed:g} on the "
                f"{self.processor}, received one that is off by {off:g}."
            )


def _quantised(values: Any, detail: Mapping[str, Any]) -> Any:
    scale, zero_point = detail["quantization"]
    if not scale:
        return values
    limits = np.iinfo(detail["dtype"])
    # q = round(x / scale) + zero_point, saturated as the QUANTIZE kernel does.
    return np.clip(np.round(values / scale) + zero_point, limits.min, limits.max)


def _real(values: Any, detail: Mapping[str, Any]) -> Any:
    scale, zero_point = detail["quantization"]
    values = values.astype(np.float64)
    return (values - zero_point) * scale if scale else values


def _litert() -> tuple[Any, Any]:
    try:
        from ai_edge_litert import interpreter
    except ImportError:
        from tflite_runtime import interpreter  # type: ignore[import-not-found,no-redef]
    return interpreter.Interpreter, interpreter.load_delegate


# What a device does at every start or poll


def update(
    base: str, device_id: str, group: str, cache: Path, trusted: bytes = b""
) -> tuple[Model, int]:
    """Returns the model of the version that this device is to run, and that version.

    It becomes `current` in the cache only after it loaded and gave the golden answers.

    Raises:
        BundleError: There is no version for this device, or it fails a check; `current` stays.
        OSError: The network or the disk failed; `current` stays.
    """
    pointer = json.loads(_read(base, POINTER, _SMALL_FILE))
    entry = resolve(pointer, device_id, group)
    if entry is None:
        raise BundleError(f"Expected a version for group {group!r}, found none published yet.")
    folder = fetch(base, entry["digest"], cache, trusted)
    model = Model(folder, entry["digest"], trusted=trusted)
    before = _current(cache)
    link = cache / f".current-{os.getpid()}"
    link.unlink(missing_ok=True)
    # Made under another name and renamed: `current` is never absent.
    os.symlink(os.path.join("bundles", entry["digest"]), str(link))
    os.replace(str(link), str(cache / "current"))
    # The bundle before is kept: main() falls back to it, and a roll-back finds it on the disk.
    if before != entry["digest"]:
        _tidy(cache, keep={entry["digest"], before})
    return model, entry["version"]


def _current(cache: Path) -> str:
    """Returns the digest of the bundle in use; empty when there is none."""
    try:
        return os.path.basename(os.readlink(str(cache / "current")))
    except OSError:
        return ""


def _tidy(cache: Path, keep: set[str]) -> None:
    """Removes bundles of earlier versions, and what downloads that were killed left a day ago."""
    for folder in (cache / "bundles").iterdir():
        left = folder.name.startswith(".fetch-")
        old = left and time.time() - folder.stat().st_mtime > _LEFT_SECONDS
        if old or (not left and folder.name not in keep):
            shutil.rmtree(str(folder), ignore_errors=True)


def main(arguments: list[str] | None = None) -> int:
    """Updates this device; writes one line of JSON; returns 0, 1 on the version before, or 2."""
    parser = argparse.ArgumentParser(description="Runs the bundle that a roll-out gives a device.")
    parser.add_argument("base", help="folder or http(s) address that bundles are published to")
    parser.add_argument("--device-id", required=True, help="any string that stays the same")
    parser.add_argument("--group", required=True, help="group of the roll-out, such as canary")
    parser.add_argument("--cache", type=Path, default=Path("edge-bundles"), help="folder here")
    parser.add_argument(
        "--public-key",
        type=Path,
        help="public keys or certificates, PEM: bundles have to be signed by one of them",
    )
    args = parser.parse_args(arguments)
    said: dict[str, Any] = {}
    code, trusted = 0, b""
    try:
        if args.public_key is not None:
            trusted = _trust(args.public_key)
        model, version = update(args.base, args.device_id, args.group, args.cache, trusted)
        said = {"version": version}
    except (BundleError, OSError, ValueError) as error:
        said, code = {"error": str(error)}, 1
        try:
            if args.public_key is not None and not trusted:
                raise error
            model = Model(args.cache / "current", _current(args.cache), trusted=trusted)
        except (BundleError, OSError, ValueError):
            json.dump(said, sys.stdout)
            sys.stdout.write("\n")
            return 2
    said.update(name=model.manifest["name"], processor=model.processor, note=model.note)
    json.dump(said, sys.stdout)
    sys.stdout.write("\n")
    return code


def _trust(path: Path) -> bytes:
    content = path.read_bytes()
    if not _PEM.search(content):
        raise BundleError(f"Expected public keys or certificates in {path}, PEM, found none.")
    return content


if __name__ == "__main__":
    sys.exit(main())
