"""All backends of a worker, by family."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from gateway.capabilities import keyvalue, secrets
from gateway.capabilities.backend import Backends
from gateway.capabilities.keyvalue import KeyValueStore
from gateway.capabilities.secrets import SecretSource

__all__ = ["Lent", "WorkerBackends"]


Lent: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Backends of an application that the gateway is part of: by family, and there by scheme."""


class WorkerBackends:
    """The backends that the components of a worker share, whatever is loaded.

    Args:
        lent: those that stay their owner's.

    Attributes:
        keyvalue: key-value stores.
        secrets: where secrets are kept.

    Raises:
        ValueError: one of those has no family, or no scheme of its own.
    """

    def __init__(self, lent: Lent = MappingProxyType({})) -> None:
        self.keyvalue: Final[Backends[KeyValueStore]] = Backends("keyvalue", keyvalue.OPENERS)
        self.secrets: Final[Backends[SecretSource]] = Backends("secrets", secrets.OPENERS)
        families: dict[str, Backends[Any]] = {"keyvalue": self.keyvalue, "secrets": self.secrets}
        for family, backends in lent.items():
            if family not in families:
                raise ValueError(
                    f'there is no family "{family}" of backends: {", ".join(families)}'
                )
            for scheme, backend in backends.items():
                families[family].lend(scheme, backend)
