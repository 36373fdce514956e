"""Secrets of a test."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.capabilities.availability import Availability
from gateway.capabilities.backend import BackendError, BackendUnusable
from gateway.capabilities.secrets.source import GONE

__all__ = ["Secrets"]


class Secrets:
    """Where secrets are kept, in a dictionary: a `gateway.capabilities.secrets.SecretSource`.

    Args:
        values: the secrets, by name.

    Attributes:
        values: ditto; may be changed.
        revealed: the names of those that were read, in order.
    """

    kind = "testing"
    waits = False
    availability: Availability | None = None

    def __init__(self, values: Mapping[str, str | bytes]) -> None:
        self.values = dict(values)
        self.revealed: list[str] = []

    def check(self, name: str) -> None:
        """`SecretSource.check`."""
        if name not in self.values:
            raise BackendUnusable(f"the test has no secret {name}")

    async def read(self, name: str) -> bytes:
        """`SecretSource.read`."""
        value = self.values.get(name)
        if value is None:
            raise BackendError(GONE, f"the test has no secret {name}")
        self.revealed.append(name)
        return value.encode() if isinstance(value, str) else value

    async def aclose(self) -> None:
        """`Backend.aclose`: nothing is to be closed."""
