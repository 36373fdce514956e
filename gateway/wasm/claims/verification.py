"""What can be said of the token in a component or core module at a given time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.wasm.claims.content import Content
from gateway.wasm.claims.embedding import embedded
from gateway.wasm.claims.errors import (
    BadSignature,
    ClaimsError,
    Expired,
    NotYetValid,
    WrongHash,
    quoted,
)
from gateway.wasm.claims.model import Claims
from gateway.wasm.claims.token import Token, read_token

__all__ = ["Verification", "format_time", "verify"]


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found of a token.

    Attributes:
        token: the token.
        digest: the digest of the content that it is in.
        now: when this was found, in seconds since 1970.
    """

    token: Token
    digest: str
    now: float

    @property
    def claims(self) -> Claims:
        """What the token says."""
        return self.token.claims

    @property
    def signature_valid(self) -> bool:
        """Whether the issuer that the claims name signed them."""
        return self.token.signature_valid

    @property
    def hash_matches(self) -> bool:
        """Whether the claims have the digest of this content. Mandatory where `Claims.binding`."""
        return self.claims.wascap.hash == self.digest

    @property
    def proven(self) -> bool:
        """Whether the issuer did sign this content; no matter when, and whether anyone trusts them."""
        return self.signature_valid and self.hash_matches

    @property
    def expired(self) -> bool:
        """Whether the claims were valid until a moment that has passed; in their last second they are valid."""
        return self.claims.exp is not None and self.claims.exp < self.now

    @property
    def early(self) -> bool:
        """Whether the claims are valid from a moment that is to come."""
        return self.claims.nbf is not None and self.now < self.claims.nbf

    @property
    def faults(self) -> tuple[ClaimsError, ...]:
        """All that is wrong with the token by its own rules, the gravest first."""
        return tuple(self._faults())

    def _faults(self) -> Iterator[ClaimsError]:
        claims = self.claims
        now = format_time(int(self.now))
        if not self.signature_valid:
            yield BadSignature(
                f"the signature is not that of the issuer {claims.iss}: the claims were altered, or signed with "
                "another key. Get the component from its issuer again, or sign it again (gateway sign)."
            )
        if claims.binding and not self.hash_matches:
            yield WrongHash(
                f"the content is not the one that was signed: its digest is {self.digest}, and the token is for "
                f"{quoted(claims.wascap.hash)}. Get the component from its issuer again, or, if it was changed on "
                "purpose, sign it again (gateway sign)."
            )
        if self.expired:
            yield Expired(
                f"the claims expired at {format_time(claims.exp)}, and it is {now}. Sign it again with a later "
                "time (gateway sign --expires), and check this machine's clock."
            )
        if self.early:
            yield NotYetValid(
                f"the claims are valid from {format_time(claims.nbf)}, and it is {now}. Wait, or sign it again "
                "(gateway sign --not-before), and check this machine's clock."
            )


def verify(binary: bytes, now: float) -> Verification | None:
    """Read and verify the token in a component or core module.

    Args:
        binary: a component or core module in binary form.
        now: seconds since 1970.

    Returns:
        What was found, faults included; None if there is no token.

    Raises:
        UnreadableBinary: the sections cannot be told apart.
        SeveralTokens: there are different tokens.
        InvalidToken: what is in the token's place is none.
        InvalidClaims: the token does not say what it must.
    """
    token = embedded(binary)
    if token is None:
        return None
    return Verification(read_token(token), Content(binary).digest, now)


def format_time(seconds: int | None) -> str:
    """A moment as people read it (RFC 3339), or, after the year 9999, as a number of seconds."""
    if seconds is None:
        return "never"
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return f"{seconds} seconds after 1970"
