"""Bearer tokens: JSON Web Tokens that say who asks, and for what.

Sources: RFC 6750 (bearer tokens), RFC 7519 and RFC 8725 (JWT and its best current practices), RFC 9068 (the
claims of access tokens), RFC 8693 section 4.2 (`scope`).
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final

import jwt

from gateway.base64url import is_canonical
from gateway.config.admin import AdminConfig
from gateway.config.key_file import KeyFile
from gateway.config.token_keys import NoKey

__all__ = [
    "MAX_TOKEN_SIZE",
    "InvalidToken",
    "NoToken",
    "Principal",
    "TokenScope",
    "Verifier",
    "bearer",
]

MAX_TOKEN_SIZE: Final = 8 << 10
"""Bytes. Threat: work for anyone who asks, before anything is known of them. Precedent: what nginx and others
take of one header line. Access tokens have one or two KiB."""

# credentials = "Bearer" 1*SP b64token (RFC 6750, section 2.1); the scheme in any case (RFC 9110, section 11.1).
_CREDENTIALS: Final = re.compile(rb"bearer +([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE)


class TokenScope(enum.StrEnum):
    """What a token may be for."""

    COMPONENTS_READ = "components:read"
    """See the components, and how the gateway is."""
    COMPONENTS_WRITE = "components:write"
    """Load, replace and unload components."""
    SERVER_DRAIN = "server:drain"
    """Take the gateway out of service."""


class InvalidToken(Exception):
    """A token does not open anything. The message is for the log, never for a client."""


class NoToken(Exception):
    """A request has no token."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    Attributes:
        subject: the token's `sub`.
        token_id: the token's `jti`.
        scopes: what the token is for.
    """

    subject: str | None
    token_id: str | None
    scopes: frozenset[str]


def bearer(headers: list[tuple[bytes, bytes]]) -> str:
    """The token of a request.

    Args:
        headers: the `headers` of an ASGI scope.

    Raises:
        NoToken: there are no credentials.
        InvalidToken: they are not those of RFC 6750, or there is more than one of them.
    """
    given = [value for name, value in headers if name == b"authorization"]
    if not given:
        raise NoToken
    if len(given) > 1:
        raise InvalidToken("there is more than one header field Authorization")
    if len(given[0]) > MAX_TOKEN_SIZE:
        raise InvalidToken(
            f"the credentials have {len(given[0])} bytes, and {MAX_TOKEN_SIZE} are the most"
        )
    match = _CREDENTIALS.fullmatch(given[0])
    if match is None:
        raise InvalidToken("the credentials are no bearer token")
    return match[1].decode("ascii")


class Verifier:
    """Tells what a token opens.

    Args:
        config: whose tokens are taken.

    Raises:
        gateway.config.token_keys.InvalidKeys: there are no keys to verify tokens with.
    """

    def __init__(self, config: AdminConfig) -> None:
        self._config = config
        self._key_file = KeyFile(config)

    def verify(self, token: str) -> Principal:
        """Verify the signature and the claims of a token.

        Raises:
            InvalidToken: with the reason.
        """
        if not all(map(is_canonical, token.encode().split(b"."))):
            raise InvalidToken(
                "a part of it is not base64url without padding (RFC 7515, section 2)"
            )
        try:
            header = jwt.get_unverified_header(token)
            kid, algorithm = header.get("kid"), header.get("alg")
            if not isinstance(algorithm, str):
                raise InvalidToken("its alg is no string")
            key = self._key_file.keys.find(kid, algorithm)
            claims = jwt.decode(
                token,
                key.material,
                algorithms=[algorithm],
                issuer=self._config.issuer,
                audience=self._config.audience,
                leeway=self._config.leeway,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, NoKey) as error:
            raise InvalidToken(str(error)) from error
        # JSON that is nested too deep, and whatever else PyJWT lets out of a reader: the sender's doing too.
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            raise InvalidToken(f"it cannot be read: {type(error).__name__}") from error
        scope = claims.get("scope", "")
        if not isinstance(scope, str):
            raise InvalidToken("its scope is no string")
        return Principal(claims.get("sub"), claims.get("jti"), frozenset(scope.split(" ")) - {""})
