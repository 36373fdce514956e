"""The token: a JSON Web Token that an Ed25519 key signed.

PyJWT writes and verifies it. Its registry is emptied first, and knows one algorithm then, under the name that
the format has for it: so no header of a token can choose another, `none` and HMAC with the public key for a
secret included. What PyJWT lets pass is refused before: padding, second ways to write the same bits, other
header fields (RFC 7797's `b64` changes what is signed), and JSON objects with one key twice, which parsers
read differently. It is imported with the first token, for it takes long, and most components have none.

Sources: RFC 7515 and RFC 7519; wasmCloud's wascap crate, `jwt.rs`.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from gateway.base64url import is_canonical
from gateway.wasm.claims.errors import InvalidClaims, InvalidKey, InvalidToken, quoted
from gateway.wasm.claims.keys import KeyPair, PublicKey
from gateway.wasm.claims.model import Claims

if TYPE_CHECKING:
    import jwt

__all__ = ["MAX_TOKEN_SIZE", "Token", "read_token", "write_token"]

MAX_TOKEN_SIZE: Final = 64 << 10
"""Bytes of the largest token. Threat: megabytes of base64 and JSON, which would be read before anything is known
of who wrote them. Precedent: what servers take of the header of a request. Real ones have less than one KiB."""

_ALGORITHM: Final = "Ed25519"
_HEADER: Final = {"typ": "jwt", "alg": _ALGORITHM}
_REMEDY: Final = "Sign the component again: gateway sign."

_SIGNATURE_SIZE: Final = 64


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was read.

    Attributes:
        text: the token itself.
        claims: what it says.
        issuer: who says so, if the signature is valid.
        signature_valid: whether the issuer's key signed it.
    """

    text: str
    claims: Claims
    issuer: PublicKey
    signature_valid: bool


def read_token(data: bytes) -> Token:
    """Read a token, and verify its signature with the key that it names.

    Raises:
        InvalidToken: it is not of the form of a token.
        InvalidClaims: claims are missing, or of another type or size, or the issuer is no public key.
    """
    header, payload, signature = _parts(data)
    if _json(header, "header") != _HEADER:
        raise InvalidToken(
            f"the token has the header {quoted(header.decode())}, and must have {_written(_HEADER)}: no other "
            f"algorithm is taken, nor any other field. {_REMEDY}"
        )
    if len(signature) != _SIGNATURE_SIZE:
        raise InvalidToken(
            f"the signature of the token has {len(signature)} bytes, and one of Ed25519 has {_SIGNATURE_SIZE}. "
            f"{_REMEDY}"
        )
    fields = _json(payload, "claims")
    try:
        claims = Claims.read(fields)
        issuer = PublicKey.parse(claims.iss)
    except InvalidClaims as error:
        raise InvalidClaims(f"{error}. {_REMEDY}") from error
    except InvalidKey as error:
        raise InvalidClaims(
            f"the claim iss is not the key of an issuer: {error}. {_REMEDY}"
        ) from error
    text = data.decode("ascii")
    return Token(text, claims, issuer, _signed_by(issuer, text))


def write_token(claims: Claims, issuer: KeyPair) -> str:
    """Sign claims.

    Args:
        claims: what the token says; their `iss` is replaced by the issuer's public key.
        issuer: who says so.

    Raises:
        InvalidToken: the claims make a token that is too large.
    """
    signed = claims.model_copy(update={"iss": str(issuer.public)})
    token = _jws().encode(
        _written(signed.model_dump(exclude_none=True)).encode(),
        issuer.ed25519,
        algorithm=_ALGORITHM,
        headers=dict(_HEADER),
        sort_headers=False,
    )
    if len(token) > MAX_TOKEN_SIZE:
        raise InvalidToken(
            f"these claims make a token of {len(token)} bytes, and the most is {MAX_TOKEN_SIZE}: use fewer or "
            "shorter tags"
        )
    return token


def _parts(data: bytes) -> Iterator[bytes]:
    """The header, the payload and the signature, decoded, of a token of the right form."""
    if len(data) > MAX_TOKEN_SIZE:
        raise InvalidToken(
            f"the token has {len(data)} bytes, and the most is {MAX_TOKEN_SIZE}. {_REMEDY}"
        )
    segments = data.split(b".")
    if len(segments) != 3:
        raise InvalidToken(
            f"the token is not of three parts with points between them, but of {len(segments)}. {_REMEDY}"
        )
    for name, segment in zip(("header", "payload", "signature"), segments, strict=True):
        if not is_canonical(segment):
            raise InvalidToken(
                f"the {name} of the token is not base64url without padding (RFC 7515, section 2). {_REMEDY}"
            )
    return map(_decoded, segments)


def _decoded(segment: bytes) -> bytes:
    return base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))


@functools.cache
def _jws() -> jwt.PyJWS:
    import jwt  # noqa: PLC0415
    from jwt.algorithms import OKPAlgorithm  # noqa: PLC0415

    jws = jwt.PyJWS(algorithms=[])
    jws.register_algorithm(_ALGORITHM, OKPAlgorithm())
    return jws


def _signed_by(issuer: PublicKey, text: str) -> bool:
    import jwt  # noqa: PLC0415

    try:
        _jws().decode_complete(text, issuer.ed25519, algorithms=[_ALGORITHM])
    except jwt.InvalidSignatureError:
        return False
    except jwt.PyJWTError as error:
        raise InvalidToken(f"the token cannot be read: {error}. {_REMEDY}") from error
    return True


def _json(data: bytes, what: str) -> Any:
    try:
        return json.loads(data.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidToken(
            f"the {what} of the token cannot be read as JSON: {_reason(error)}. {_REMEDY}"
        ) from error


def _reason(error: ValueError | RecursionError) -> str:
    match error:
        case RecursionError():
            return "it is nested too deeply"
        case UnicodeDecodeError():
            return "it is not UTF-8"
        case _:
            return str(error)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        if key in fields:
            raise ValueError(f"{quoted(key)} is given twice")
        fields[key] = value
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _written(fields: object) -> str:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
