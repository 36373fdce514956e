"""The keys that tokens are verified with: a secret, a public key, or a set of keys.

What a key is used with is decided here, from the key, and never by a token: a secret is used with HMAC alone,
an RSA key with RSA alone, a key of an elliptic curve with the one algorithm of its curve. So no header of a
token can have a public key taken for a secret (RFC 8725, section 3.1).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.json.text import InvalidJson, parse

__all__ = [
    "ALGORITHMS",
    "InvalidKeys",
    "Key",
    "Keys",
    "NoKey",
    "read_jwks",
    "read_public_key",
    "read_secret",
]

MIN_SECRET: Final = 32
"""Bytes: "a key of the same size as the hash output (for instance, 256 bits for "HS256") or larger MUST be used"
(RFC 7518, section 3.2). Threat: a shorter one is guessed offline from any one token."""

MIN_RSA: Final = 2048
"""Bits (RFC 7518, section 3.3)."""

MAX_FILE: Final = 1 << 20
"""Bytes of a file of keys. Threat: a wrong path, such as a device's. The sets of large identity providers have
some ten KiB."""

_HMAC: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
"""The least bytes of a secret, by algorithm."""

_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}

ALGORITHMS: Final = frozenset({*_HMAC, *_RSA, *_CURVES.values(), "EdDSA"})
"""All that can be configured (RFC 7518, section 3.1; RFC 8037, section 3.1): `none` is not one of them."""

_PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

# `kty` and what reads it (RFC 7518, section 6.1; RFC 8037, section 2).
_READERS: Final[Mapping[str, Any]] = {
    "RSA": RSAAlgorithm,
    "EC": ECAlgorithm,
    "OKP": OKPAlgorithm,
}
_USABLE_CURVES: Final = frozenset({"P-256", "P-384", "P-521", "Ed25519"})


class InvalidKeys(ValueError):
    """A file has no keys that can be used. The message says which file, why, and what to do."""


class NoKey(LookupError):
    """No key is for a token. The message is for the log."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key.

    Attributes:
        id: its `kid`; None if it has none, and then it is for tokens with any.
        material: the secret, or the public key.
        algorithms: what it may be used with, as `alg` of a token names it.
    """

    id: str | None
    material: bytes | _PublicKey = field(repr=False)
    algorithms: frozenset[str]


@dataclass(frozen=True, slots=True)
class Keys:
    """What a file of keys has.

    Attributes:
        keys: the keys.
        ignored: the other entries of a set, with the reason.
    """

    keys: tuple[Key, ...]
    ignored: tuple[str, ...] = ()

    def restricted(self, algorithms: Collection[str]) -> Keys:
        """These keys, for these algorithms only.

        Raises:
            InvalidKeys: that leaves nothing.
        """
        keys = tuple(replace(key, algorithms=key.algorithms & set(algorithms)) for key in self.keys)
        kept = tuple(key for key in keys if key.algorithms)
        if not kept:
            fitting = sorted(frozenset().union(*(key.algorithms for key in self.keys)))
            raise InvalidKeys(
                f"none of {', '.join(algorithms)} is for a key in the file; {', '.join(fitting)} would be"
            )
        return replace(self, keys=kept)

    def find(self, kid: str | None, algorithm: str) -> Key:
        """The one key for a token.

        Args:
            kid: the token's `kid`, if it has one.
            algorithm: the token's `alg`.

        Raises:
            NoKey: there is none, or more than one.
        """
        named = [key for key in self.keys if kid is None or key.id is None or key.id == kid]
        if not named:
            raise NoKey(f"no key has the kid {kid!r}")
        fitting = [key for key in named if algorithm in key.algorithms]
        if not fitting:
            raise NoKey(f"no key of it is for the alg {algorithm!r}")
        if len(fitting) > 1:
            raise NoKey(f"{len(fitting)} keys are for the alg {algorithm!r}, and no kid says which")
        return fitting[0]


def read_secret(path: Path) -> Keys:
    """Read a secret: all of a file but the end of its last line.

    Raises:
        InvalidKeys: it is too short, or no secret but a key of another kind.
    """
    secret = _content(path)
    secret = secret.removesuffix(b"\n").removesuffix(b"\r")
    if len(secret) < MIN_SECRET:
        raise InvalidKeys(
            f"Has a secret of {len(secret)} bytes, and HS256 needs at least {MIN_SECRET} (RFC 7518, section 3.2); "
            f'make one with "openssl rand -hex 32": {path}'
        )
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except jwt.InvalidKeyError:
        raise InvalidKeys(
            "Is a key or certificate, which others may know, not a secret; set public_key_file or "
            f"jwks_file: {path}"
        ) from None
    algorithms = frozenset(name for name, least in _HMAC.items() if len(secret) >= least)
    return Keys((Key(None, secret, algorithms),))


def read_public_key(path: Path) -> Keys:
    """Read a public key in PEM form.

    Raises:
        InvalidKeys: it is none, or of a kind or strength that is not used.
    """
    content = _content(path)
    if b"PRIVATE KEY" in content:
        raise InvalidKeys(
            "Has a private key, which the gateway must not know; give the public one, as "
            f'"openssl pkey -in FILE -pubout" writes it: {path}'
        )
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidKeys(f"Has no public key in PEM form: {path}") from None
    try:
        return Keys((Key(None, *_usable(key)),))
    except InvalidKeys as error:
        raise InvalidKeys(f"{error}: {path}") from None


def read_jwks(path: Path) -> Keys:
    """Read a JWK Set (RFC 7517, section 5).

    Entries that are not for verifying signatures, or of a kind that is not known here, are ignored as that
    section asks for. What contradicts itself, is weak or is secret is refused.

    Raises:
        InvalidKeys: the file is no set of public keys, or none of them can be used.
    """
    try:
        document = parse(_content(path))
    except InvalidJson as error:
        raise InvalidKeys(f"Is not JSON: {error}: {path}") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidKeys(f'Is no JWK Set, an object with an array "keys": {path}')
    keys: list[Key] = []
    ignored: list[str] = []
    for index, jwk in enumerate(entries):
        reason = _unusable(jwk)
        if reason is not None:
            ignored.append(f"keys[{index}]: {reason}")
            continue
        try:
            keys.append(_from_jwk(jwk))
        except InvalidKeys as error:
            raise InvalidKeys(f"keys[{index}]: {error}: {path}") from None
    if not keys:
        told = f" ({'; '.join(ignored)})" if ignored else ""
        raise InvalidKeys(f"Has no key that can verify a signature{told}: {path}")
    for place, key in enumerate(keys):
        if any(key.id == other.id and key.algorithms & other.algorithms for other in keys[:place]):
            raise InvalidKeys(f"Has two keys with the kid {key.id!r} for the same alg: {path}")
    return Keys(tuple(keys), tuple(ignored))


def _unusable(jwk: Mapping[str, Any]) -> str | None:
    """Why an entry of a set is none for us, if it is not."""
    kty, crv = jwk.get("kty"), jwk.get("crv")
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig":
        return 'its "use" is not "sig"'
    if not isinstance(operations, list) or "verify" not in operations:
        return 'its "key_ops" do not have "verify"'
    if kty == "oct":
        return "it is a secret, which belongs in secret_file"
    if kty not in _READERS:
        return f"its kty is {kty!r}"
    if kty != "RSA" and crv not in _USABLE_CURVES:
        return f"its crv is {crv!r}"
    return None


def _from_jwk(jwk: Mapping[str, Any]) -> Key:
    kid, alg = jwk.get("kid"), jwk.get("alg")
    if kid is not None and not isinstance(kid, str):
        raise InvalidKeys("Its kid is no string")
    if "d" in jwk:
        raise InvalidKeys("Is a private key, which the gateway must not know")
    try:
        material, algorithms = _usable(_READERS[jwk["kty"]].from_jwk(dict(jwk)))
    except InvalidKeys:
        raise
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        raise InvalidKeys("Is no key that could be read") from None
    if alg is not None:
        if alg not in algorithms:
            raise InvalidKeys(
                f"Its alg is {alg!r}, and it is a key for {', '.join(sorted(algorithms))}"
            )
        algorithms = frozenset({alg})
    return Key(kid, material, algorithms)


def _usable(key: object) -> tuple[_PublicKey, frozenset[str]]:
    """A key, and what it can be used with."""
    match key:
        case RSAPublicKey():
            if key.key_size < MIN_RSA:
                raise InvalidKeys(
                    f"Has an RSA key of {key.key_size} bits, and {MIN_RSA} are the least (RFC 7518, section 3.3)"
                )
            return key, _RSA
        case EllipticCurvePublicKey() if key.curve.name in _CURVES:
            return key, frozenset({_CURVES[key.curve.name]})
        case Ed25519PublicKey():
            return key, frozenset({"EdDSA"})
    raise InvalidKeys(
        "Has a key that is neither RSA nor of the curves P-256, P-384, P-521, Ed25519"
    )


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as error:
        raise InvalidKeys(f"{error.strerror}: {path}") from None
    if len(content) > MAX_FILE:
        raise InvalidKeys(f"Has more than {MAX_FILE} bytes: {path}")
    return content
