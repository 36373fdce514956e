"""Secrets in the gateway's own environment: `env:VARIABLE`."""

from __future__ import annotations

import os
from typing import Final

from gateway.capabilities.backend import BackendError, BackendUnusable
from gateway.capabilities.secrets.source import GONE, check_size
from gateway.config.backend_url import BackendURL

__all__ = ["Environment"]


class Environment:
    """One variable of the environment, whatever the secret is called.

    Args:
        url: it names the variable.

    Raises:
        BackendUnusable: it names none.
    """

    kind: Final = "env"
    waits: Final = False
    availability: Final = None

    def __init__(self, url: BackendURL) -> None:
        if not url.rest or "=" in url.rest:
            raise BackendUnusable('must name a variable, such as "env:API_KEY"')
        self._variable = url.rest

    def check(self, name: str) -> None:  # noqa: ARG002 - of `SecretSource`
        """See that the variable is set: `SecretSource.check`."""
        try:
            self._read()
        except BackendError as error:
            raise BackendUnusable(str(error.reason)) from None

    async def read(self, name: str) -> bytes:  # noqa: ARG002 - of `SecretSource`
        """Its value: `SecretSource.read`."""
        return self._read()

    async def aclose(self) -> None:
        """Nothing is open."""

    def _read(self) -> bytes:
        value = os.environ.get(self._variable)
        if value is None:
            raise BackendError(GONE, f"{self._variable} is not set in the gateway's environment")
        return check_size(os.fsencode(value), self._variable)
