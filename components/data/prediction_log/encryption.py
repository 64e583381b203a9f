"""Encryption of segment files: AES-256-GCM, a frame a write.

    file  = magic, name of the key, salt, frame, frame, …
    frame = length of what follows (4 bytes, big-endian), ciphertext with its tag

A frame holds what would be one write to a plain segment, whole record batches, so a crash loses
what it would lose there. Each file has a key of its own, derived from the key file's and the salt
(HKDF, RFC 5869), so that the frames' numbers can be the nonces: none comes twice under one key
(NIST SP 800-38D, section 8.2.1). The number and the head are authenticated, so that a frame that
was moved or taken from another file does not decrypt.
"""

import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.key_file import NAME_BYTES, SecretKey

MAGIC = b"LOOPLOG1"
# 96 bits are the nonce that GCM takes as it is, and 128 its full tag (SP 800-38D, 5.2.1).
_SALT_BYTES, _NONCE_BYTES, _TAG_BYTES = 16, 12, 16
# Network order, so that a file is read on any machine; 4 bytes, as a block is far below 4 GiB.
_LENGTH = struct.Struct(">I")


class SegmentCipher:
    """Encrypts the writes of one segment file, in their order."""

    def __init__(self, key: SecretKey) -> None:
        """Draws the file's salt.

        Args:
            key: Of the key file.
        """
        self.head = MAGIC + key.name + secrets.token_bytes(_SALT_BYTES)
        self._cipher = _cipher(key, self.head)
        self._frames = 0

    def seal(self, content: bytes) -> bytes:
        """Returns the bytes to write for a part of the segment; the first have the head."""
        sealed: bytes = self._cipher.encrypt(_nonce(self._frames), content, self.head)
        head = b"" if self._frames else self.head
        self._frames += 1
        return head + _LENGTH.pack(len(sealed)) + sealed


@dataclass(frozen=True)
class OpenedSegment:
    """What an encrypted segment holds.

    Attributes:
        content: Of its whole frames.
        cut_bytes: Bytes of a frame that is not whole, at the end.
        damaged: Whole frames that were changed.
        damaged_bytes: Bytes of those.
    """

    content: bytes
    cut_bytes: int = 0
    damaged: int = 0
    damaged_bytes: int = 0


def is_encrypted(content: bytes) -> bool:
    """Says whether a file is an encrypted segment, or the beginning of one."""
    return content.startswith(MAGIC) or (bool(content) and MAGIC.startswith(content))


def open_segment(content: bytes, keys: Sequence[SecretKey]) -> OpenedSegment:
    """Decrypts the whole frames of a segment.

    Raises:
        ConfigError: Its key is not among those given.
    """
    from cryptography.exceptions import InvalidTag

    start = len(MAGIC) + NAME_BYTES + _SALT_BYTES
    if len(content) < start:
        return OpenedSegment(b"", cut_bytes=len(content))
    head = content[:start]
    cipher = _cipher(key_of(head, keys), head)
    parts, number, damaged, damaged_bytes = list[bytes](), 0, 0, 0
    while start + _LENGTH.size <= len(content):
        (length,) = _LENGTH.unpack_from(content, start)
        end = start + _LENGTH.size + length
        if length < _TAG_BYTES or end > len(content):
            break
        try:
            sealed = content[start + _LENGTH.size : end]
            parts.append(cipher.decrypt(_nonce(number), sealed, head))
        except InvalidTag:
            damaged, damaged_bytes = damaged + 1, damaged_bytes + end - start
        start, number = end, number + 1
    # The head is written with the first frame, so that one alone is what a cut has left.
    cut = len(content) - (start if number else 0)
    return OpenedSegment(b"".join(parts), cut, damaged, damaged_bytes)


def key_of(head: bytes, keys: Sequence[SecretKey]) -> SecretKey:
    """Returns the key that a segment is encrypted with.

    Args:
        head: The segment, or its first bytes.
        keys: Those at hand.

    Raises:
        ConfigError: It is not among them.
    """
    name = head[len(MAGIC) :][:NAME_BYTES]
    for key in keys:
        if key.name == name:
            return key
    received = ", ".join(key.name.hex() for key in keys) or "none"
    raise ConfigError(
        f"Expected the key {name.hex()} of an encrypted prediction log, received {received}. Give "
        "the file of keys that the server has as --prediction_log_key."
    )


def _cipher(key: SecretKey, head: bytes) -> Any:
    # Imported only for logs that are encrypted: a server's start is counted in seconds.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    # RFC 5869: a key of AES-256 of each file's own, so that no nonce is ever used twice under one
    # key; the head as info binds the key to it.
    derive = HKDF(algorithm=SHA256(), length=32, salt=head[-_SALT_BYTES:], info=head)
    return AESGCM(derive.derive(key.value))


def _nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE_BYTES, "big")
