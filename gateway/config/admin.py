"""The admin API: whose tokens open it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)

from gateway.config.values import SOME_TEXT, AnyPath, Between, Table, Text
from gateway.units import Delay, format_duration

if TYPE_CHECKING:
    from gateway.config.token_keys import Keys

__all__ = ["AdminConfig"]

MAX_LEEWAY: Final = 300.0
"""Seconds. Threat: a token that has expired, or was revoked by letting it expire, works so much longer.
"Usually no more than a few minutes, to account for clock skew" (RFC 7519, section 4.1.4)."""


def _read(key: str, path: Path) -> Keys:
    """What a file has; `key` is that of the configuration."""
    from gateway.config import token_keys as keys  # noqa: PLC0415 - slow to import, and few have an admin API

    readers = {
        "secret_file": keys.read_secret,
        "public_key_file": keys.read_public_key,
        "jwks_file": keys.read_jwks,
    }
    return readers[key](path)


def _readable(path: Path, info: ValidationInfo) -> Path:
    """Refuse a file without usable keys while a configuration is read; one built in code may come before it."""
    if info.context is not None and info.field_name is not None:
        _read(info.field_name, path)
    return path


def _some(value: str) -> str:
    if not value:
        raise ValueError("must not be empty")
    return value


_KEY_FILES: Final = ("secret_file", "public_key_file", "jwks_file")
_Name = Annotated[Text, AfterValidator(_some), SOME_TEXT]
_KeyFile = Annotated[AnyPath, AfterValidator(_readable)]
_Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
    "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
]  # fmt: skip


def _folder(path: Path, info: ValidationInfo) -> Path:
    if info.context is not None and not path.is_dir():
        raise ValueError(f"must be a folder that is there: {path}")
    return path


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
        components_dir: the folder where components are kept that are sent to the API; None for none that is sent.
    """

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [key]} for key in _KEY_FILES]}
    )

    secret_file: _KeyFile | None = None
    public_key_file: _KeyFile | None = None
    jwks_file: _KeyFile | None = None
    algorithms: tuple[_Algorithm, ...] | None = Field(
        default=None, json_schema_extra={"minItems": 1}
    )
    issuer: _Name
    audience: _Name
    leeway: Annotated[Delay, Between(0.0, MAX_LEEWAY, format_duration)] = 30.0
    components_dir: Annotated[AnyPath, AfterValidator(_folder)] | None = None

    @model_validator(mode="after")
    def _check_keys(self, info: ValidationInfo) -> Self:
        if sum(getattr(self, key) is not None for key in _KEY_FILES) != 1:
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
        return self._given[1]

    def read_keys(self) -> Keys:
        """Read the keys as they are now, for the algorithms that are allowed.

        Raises:
            gateway.config.token_keys.InvalidKeys: there are none.
        """
        found = _read(*self._given)
        return found if self.algorithms is None else found.restricted(self.algorithms)

    @property
    def _given(self) -> tuple[str, Path]:
        """The one of the three that is given, and the file."""
        for key in _KEY_FILES:
            if (path := getattr(self, key)) is not None:
                return key, path
        raise AssertionError("validated")
