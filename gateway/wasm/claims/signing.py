"""Signing a component or core module."""

from __future__ import annotations

import secrets
import string
from typing import Final

from gateway.wasm.claims.content import Content
from gateway.wasm.claims.embedding import embed
from gateway.wasm.claims.keys import KeyPair
from gateway.wasm.claims.model import BINDING_REVISION, Claims
from gateway.wasm.claims.token import write_token

__all__ = ["new_token_id", "sign"]

# The form of a NUID (https://github.com/nats-io/nuid), which wascap uses.
_ID_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_LENGTH: Final = 22


def new_token_id() -> str:
    """An identifier for the claim `jti`, different each time."""
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))


def sign(binary: bytes, claims: Claims, issuer: KeyPair) -> bytes:
    """Put a token into a component or core module, in the place of any that it has.

    Args:
        binary: a component or core module in binary form.
        claims: what the token is to say. Their `iss`, their `wascap_revision` and the `hash` in their `wascap`
            follow from the issuer and the content, and are replaced.
        issuer: who signs.

    Returns:
        The content written anew (`gateway.wasm.claims.content`), and the token in a last section.

    Raises:
        UnreadableBinary: the sections cannot be told apart.
        InvalidToken: the claims make a token that is too large.
    """
    content = Content(binary)
    wascap = claims.wascap.model_copy(update={"hash": content.digest})
    signed = claims.model_copy(update={"wascap": wascap, "wascap_revision": BINDING_REVISION})
    return embed(content, write_token(signed, issuer))
