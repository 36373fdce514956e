"""The claims of a component: what a token says of it.

The fields have the names that they have in the token (RFC 7519, section 4.1; wasmCloud's wascap crate,
`jwt.rs`). Fields that are not listed here are passed over when a token is read, as wascap does; they stay
under the signature, which is over the text of the token. A number is a JSON integer, never `true` and never
`1.0`.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gateway.wasm.claims.errors import InvalidClaims

__all__ = ["BINDING_REVISION", "Claims", "Wascap"]

BINDING_REVISION: Final = 3
"""The revision of wascap that this package writes, and the first whose tokens must have the hash of their content:
earlier ones computed another hash, which nobody checks."""

# Characters of one text, and entries of one list. Threat: a name that fills every line of the log and every event.
# Arbitrary; what tools write has some tens of each.
MAX_TEXT: Final = 1024
MAX_ITEMS: Final = 256

Text = Annotated[str, Field(max_length=MAX_TEXT)]
NonEmptyText = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
Seconds = Annotated[int, Field(ge=0, le=2**64 - 1)]


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Texts = Annotated[tuple[Text, ...], BeforeValidator(_tuple), Field(max_length=MAX_ITEMS)]


class _Fields(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


class Wascap(_Fields):
    """What is said of the component itself; all that is optional may be absent.

    Attributes:
        name: what people call it.
        hash: the digest of the signed content, `gateway.wasm.claims.content.Content.digest`.
        tags: words of the signer's own choice.
        caps: capabilities, a thing of older hosts; means nothing here.
        rev: a number that grows with each release.
        ver: the version in words, such as "0.3.1".
        call_alias: a name for the use of other components.
        prov: whether it is a capability provider, which components are not.
    """

    name: Text | None = None
    hash: Text
    tags: Texts | None = None
    caps: Texts | None = None
    rev: Annotated[int, Field(ge=-(2**31), le=2**31 - 1)] | None = None
    ver: Text | None = None
    call_alias: Text | None = None
    prov: bool = False


class Claims(_Fields):
    """The claims of a token. Times are in seconds since 1970 (UTC).

    Attributes:
        exp: until when the claims are valid, None for ever.
        jti: an identifier of this token.
        iat: when the token was made.
        iss: the public key of who signed it, as a text.
        sub: what is signed: by convention the public key of a module. Any text.
        nbf: from when on the claims are valid, None for always.
        wascap: what is said of the component.
        wascap_revision: the revision of wascap that made the token, None before there were any.
    """

    exp: Seconds | None = None
    jti: Text
    iat: Seconds
    iss: NonEmptyText
    sub: NonEmptyText
    nbf: Seconds | None = None
    wascap: Wascap
    wascap_revision: Annotated[int, Field(ge=0, le=2**32 - 1)] | None = None

    @classmethod
    def read(cls, fields: object) -> Claims:
        """Read the claims of a token that was parsed from JSON.

        Raises:
            InvalidClaims: some are missing, or of another type or size; the message names all of them.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            told = "; ".join(
                f"{_path(detail['loc'])}: {detail['msg']}" for detail in error.errors()[:_MAX_TOLD]
            )
            raise InvalidClaims(f"the claims are not those of a component: {told}") from error

    @property
    def binding(self) -> bool:
        """Whether, by the rules of its revision, the token is worth nothing with another content."""
        return (self.wascap_revision or 0) >= BINDING_REVISION


# Of the errors in one token. Threat: a message of a line for each of a thousand tags.
_MAX_TOLD: Final = 5


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "all of them"
