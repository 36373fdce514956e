"""The admin API: whose tokens open it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, model_validator

from gateway.admin import keys
from gateway.admin.keys import Keys
from gateway.config.values import AnyPath, Table, Text, between
from gateway.units import format_duration, parse_duration

__all__ = ["AdminConfig"]

MAX_LEEWAY: Final = 300.0
"""Seconds. Threat: a token that has expired, or was revoked by letting it expire, works so much longer.
"Usually no more than a few minutes, to account for clock skew" (RFC 7519, section 4.1.4)."""


def _leeway(value: object) -> float:
    return 0.0 if value in (0, "0s") and value is not False else parse_duration(value)


def _readable(read: Callable[[Path], Keys]) -> AfterValidator:
    """Refuse a file without usable keys while a configuration is read; one built in code may come before it."""

    def check(path: Path, info: ValidationInfo) -> Path:
        if info.context is not None:
            read(path)
        return path

    return AfterValidator(check)


def _some(value: str) -> str:
    if not value:
        raise ValueError("must not be empty")
    return value


_Name = Annotated[Text, AfterValidator(_some)]
_Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
    "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
]  # fmt: skip


class AdminConfig(Table):
    """Whose tokens open the admin API. Exactly one of the three files is given.

    Attributes:
        secret_file: a secret shared with whoever makes tokens, at least 32 bytes; for HS256 and its kin.
        public_key_file: the public key of whoever makes tokens, in PEM form.
        jwks_file: a JWK Set of such keys, told apart by `kid`.
        algorithms: what tokens may be signed with; None for all that the keys are for.
        issuer: the `iss` that tokens must have.
        audience: what must be in the `aud` of tokens.
        leeway: seconds by which the clocks of the issuer and of the gateway may differ.
    """

    secret_file: Annotated[AnyPath, _readable(keys.read_secret)] | None = None
    public_key_file: Annotated[AnyPath, _readable(keys.read_public_key)] | None = None
    jwks_file: Annotated[AnyPath, _readable(keys.read_jwks)] | None = None
    algorithms: tuple[_Algorithm, ...] | None = None
    issuer: _Name
    audience: _Name
    leeway: Annotated[
        float, BeforeValidator(_leeway), between(0.0, MAX_LEEWAY, format_duration)
    ] = 30.0

    @model_validator(mode="after")
    def _check_keys(self, info: ValidationInfo) -> Self:
        files = (self.secret_file, self.public_key_file, self.jwks_file)
        if sum(file is not None for file in files) != 1:
            raise ValueError(
                "must have exactly one of secret_file, public_key_file and jwks_file, to verify tokens with"
            )
        if self.algorithms is not None and not self.algorithms:
            raise ValueError("must have algorithms, or leave them to the keys: algorithms is empty")
        if info.context is not None:
            self.read_keys()
        return self

    @property
    def key_file(self) -> Path:
        """The one file that has the keys."""
        given = self.secret_file or self.public_key_file or self.jwks_file
        assert given is not None, "validated"  # noqa: S101
        return given

    def read_keys(self) -> Keys:
        """Read the keys as they are now, for the algorithms that are allowed.

        Raises:
            gateway.admin.keys.InvalidKeys: there are none.
        """
        if self.secret_file is not None:
            found = keys.read_secret(self.secret_file)
        elif self.public_key_file is not None:
            found = keys.read_public_key(self.public_key_file)
        else:
            found = keys.read_jwks(self.key_file)
        return found if self.algorithms is None else found.restricted(self.algorithms)
