"""Keys of Ed25519 in the text form of nkeys.

A public key is the unpadded base32 of a prefix byte, the 32 bytes of the key and their checksum; a seed has
two bytes for the prefix, which hold that of a seed and that of its public key. The first letter tells the
kind: "A" an account, "M" a module, "SA" the seed of an account.

Source: https://github.com/nats-io/nkeys, "README.md" and "strkey.go"; wasmCloud added M and V.

The `nkeys` package of PyPI (0.2.1) is not used: it reads no public keys at all, does not know modules, and
takes seeds whose checksum is wrong or whose length is not 32.
"""

from __future__ import annotations

import base64
import binascii
import enum
import re
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from gateway.wasm.claims.errors import InvalidKey

__all__ = ["KeyKind", "KeyPair", "PublicKey"]

_SEED_PREFIX: Final = 0x90  # S
_CURVE_PREFIX: Final = 0xB8  # X
_RAW_SIZE: Final = 32
_CHECKSUM_SIZE: Final = 2
_PUBLIC_LENGTH: Final = 56
_SEED_LENGTH: Final = 58
_BASE32: Final = re.compile("[A-Z2-7]+")
# A seed, or the older form of a private key.
_SECRET: Final = re.compile("S[A-Z2-7]{57}|P[A-Z2-7]{55,}")


class KeyKind(enum.StrEnum):
    """What a key stands for."""

    ACCOUNT = "account"
    CLUSTER = "cluster"
    MODULE = "module"
    OPERATOR = "operator"
    SERVER = "server"
    SERVICE = "service"
    USER = "user"

    @property
    def prefix(self) -> int:
        """The byte that a public key of this kind starts with."""
        return _PREFIXES[self]


_PREFIXES: Final = {
    KeyKind.ACCOUNT: 0x00,  # A
    KeyKind.CLUSTER: 0x10,  # C
    KeyKind.MODULE: 0x60,  # M
    KeyKind.SERVER: 0x68,  # N
    KeyKind.OPERATOR: 0x70,  # O
    KeyKind.USER: 0xA0,  # U
    KeyKind.SERVICE: 0xA8,  # V
}
_KINDS: Final = {prefix: kind for kind, prefix in _PREFIXES.items()}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key; `str()` of it is its text form, of which there is exactly one.

    Attributes:
        kind: what it stands for.
        raw: the key of Ed25519, 32 bytes.
    """

    kind: KeyKind
    raw: bytes

    @classmethod
    def parse(cls, text: object) -> PublicKey:
        """Read the text form.

        Raises:
            InvalidKey: it is no public key of a known kind. The message does not repeat the text, which may
                be a secret in the wrong place.
        """
        if isinstance(text, str) and _SECRET.fullmatch(text):
            raise InvalidKey(
                "this is a secret (a seed or private key), not a public key: give the public key, and make "
                "new keys if others have seen this one"
            )
        prefix, raw = _decode(text, _PUBLIC_LENGTH, 1, "a public key")
        kind = _KINDS.get(prefix[0])
        if kind is None:
            what = "a curve key, which signs nothing" if prefix[0] == _CURVE_PREFIX else "unknown"
            raise InvalidKey(f"the kind of this public key is {what}: {_FORMS}")
        return cls(kind, raw)

    @property
    def ed25519(self) -> Ed25519PublicKey:
        """The key, to verify signatures with."""
        return Ed25519PublicKey.from_public_bytes(self.raw)

    def __str__(self) -> str:
        return _encode(bytes([self.kind.prefix]), self.raw)


class KeyPair:
    """A secret key and its public key.

    Attributes:
        public: the public key.
        ed25519: the secret key, to sign with.
    """

    __slots__ = ("ed25519", "public")

    def __init__(self, kind: KeyKind, ed25519: Ed25519PrivateKey) -> None:
        self.ed25519 = ed25519
        self.public = PublicKey(kind, ed25519.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, kind: KeyKind) -> KeyPair:
        """A new key pair."""
        return cls(kind, Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, text: object) -> KeyPair:
        """Read the text form of a seed.

        Raises:
            InvalidKey: it is no seed of a known kind. The message does not repeat the text.
        """
        prefix, raw = _decode(text, _SEED_LENGTH, 2, "a seed")
        kind = _KINDS.get((prefix[0] & 0x07) << 5 | prefix[1] >> 3)
        if prefix[0] & 0xF8 != _SEED_PREFIX or prefix[1] & 0x07 or kind is None:
            raise InvalidKey(f"this is not the seed of a key that signs: {_FORMS}")
        return cls(kind, Ed25519PrivateKey.from_private_bytes(raw))

    @property
    def seed(self) -> str:
        """The text form of the seed. A secret: whoever has it can sign as this key."""
        prefix = self.public.kind.prefix
        head = bytes([_SEED_PREFIX | prefix >> 5, (prefix & 0x1F) << 3])
        return _encode(head, self.ed25519.private_bytes_raw())

    def __repr__(self) -> str:
        return f"KeyPair({self.public})"


_FORMS: Final = (
    "public keys start with A, C, M, N, O, U or V, and seeds with S and one of these "
    "(gateway keys generate makes both)"
)


def _encode(prefix: bytes, raw: bytes) -> str:
    checked = prefix + raw
    return base64.b32encode(checked + _checksum(checked)).decode().rstrip("=")


def _decode(text: object, length: int, prefix_size: int, what: str) -> tuple[bytes, bytes]:
    """The prefix and the key in a text form of `length` characters."""
    if not isinstance(text, str):
        raise InvalidKey(f"{what} is a text, not {type(text).__name__}")
    if len(text) != length:
        raise InvalidKey(f"{what} has {length} characters, not {len(text)}: {_FORMS}")
    if _BASE32.fullmatch(text) is None:
        raise InvalidKey(f"{what} is of upper-case letters and the digits 2 to 7 only: {_FORMS}")
    checked = base64.b32decode(text + "=" * (-length % 8))[:-_CHECKSUM_SIZE]
    prefix, raw = checked[:prefix_size], checked[prefix_size:]
    # Written anew, because the last character of a seed has two bits that mean nothing beside the checksum's.
    if _encode(prefix, raw) != text:
        raise InvalidKey(f"the checksum of {what} is wrong: it was mistyped, or cut; copy it again")
    return prefix, raw


def _checksum(data: bytes) -> bytes:
    """CRC-16/XMODEM, which the standard library knows by the polynomial's older use."""
    return binascii.crc_hqx(data, 0).to_bytes(_CHECKSUM_SIZE, "little")
