"""What can be wrong with keys, tokens and claims: one class for each kind of it.

Messages say what happened and what to do. What they repeat of a token goes through `shown`: a token is
anyone's text, and terminals obey some characters.
"""

from __future__ import annotations

from typing import ClassVar, Final, Self

__all__ = [
    "BadSignature",
    "ClaimsError",
    "Expired",
    "InvalidClaims",
    "InvalidKey",
    "InvalidToken",
    "NotYetValid",
    "OtherDigest",
    "SeveralTokens",
    "Unbound",
    "UnreadableBinary",
    "Unsigned",
    "UntrustedIssuer",
    "WrongHash",
    "quoted",
    "shown",
]

# Characters of a foreign text that a message repeats. Arbitrary: longer than any key (58).
_SHOWN_LENGTH: Final = 80


class ClaimsError(Exception):
    """Claims, or what they need, are refused.

    Attributes:
        kind: the class as a word. The words are stable: they are used in logs and as metric labels.
    """

    kind: ClassVar[str] = "claims"

    def at(self, place: object) -> Self:
        """The same, said of a file or a flag."""
        return type(self)(f"{place}: {self}")


class InvalidKey(ClaimsError, ValueError):
    """A text is not the key that it should be; a `ValueError` too, as validators of models want it."""

    kind = "invalid-key"


class OtherDigest(ClaimsError, ValueError):
    """A content is not the pinned one, or what pins it is no SHA-256."""

    kind = "other-digest"


class UnreadableBinary(ClaimsError):
    """The bytes are no component or core module whose sections can be told apart."""

    kind = "unreadable-binary"


class InvalidToken(ClaimsError):
    """The token is not of the form that it should be."""

    kind = "invalid-token"


class SeveralTokens(ClaimsError):
    """There are different tokens in one file, and nothing says which of them counts."""

    kind = "several-tokens"


class InvalidClaims(ClaimsError):
    """A claim is missing, or of another type or size than it should be."""

    kind = "invalid-claims"


class BadSignature(ClaimsError):
    """The signature is not that of the issuer over these claims."""

    kind = "bad-signature"


class WrongHash(ClaimsError):
    """The claims are of another content."""

    kind = "wrong-hash"


class Expired(ClaimsError):
    """The claims were valid until a moment that has passed."""

    kind = "expired"


class NotYetValid(ClaimsError):
    """The claims are valid from a moment that is to come."""

    kind = "not-yet-valid"


class Unsigned(ClaimsError):
    """There is no token, and there must be one."""

    kind = "unsigned"


class Unbound(ClaimsError):
    """The token is valid by its own rules, but they do not bind it to this content."""

    kind = "unbound"


class UntrustedIssuer(ClaimsError):
    """The token is valid, and its issuer is not among those that are trusted."""

    kind = "untrusted-issuer"


def shown(text: str) -> str:
    """A foreign text, fit to be shown: cut, and with what cannot be printed escaped."""
    cut = text if len(text) <= _SHOWN_LENGTH else f"{text[: _SHOWN_LENGTH - 3]}..."
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in cut
    )


def quoted(text: str) -> str:
    """The same, in quotes."""
    return f'"{shown(text)}"'
