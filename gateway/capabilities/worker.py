"""All backends of a worker, by family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from gateway.capabilities import blobstore, keyvalue, messaging, secrets
from gateway.capabilities.backend import Backends, OnChange
from gateway.capabilities.blobstore import BlobStore
from gateway.capabilities.keyvalue import KeyValueStore
from gateway.capabilities.messaging import Broker
from gateway.capabilities.secrets import SecretSource

__all__ = ["Lent", "WorkerBackends"]


Lent: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Backends of an application that the gateway is part of: by family, and there by scheme."""


class WorkerBackends:
    """The backends that the components of a worker share, whatever is loaded.

    Args:
        lent: those that stay their owner's.
        on_change: told of a family and a kind of backend how its servers are.
        workers_dir: a folder that the workers of one gateway share; None for one alone.
        on_messages_lost: told how many messages are lost to a worker that does not take them.

    Attributes:
        blobstore: stores of blobs.
        keyvalue: key-value stores.
        messaging: brokers.
        secrets: where secrets are kept.

    Raises:
        ValueError: one of those has no family, or no scheme of its own.
    """

    def __init__(
        self,
        lent: Lent = MappingProxyType({}),
        on_change: OnChange | None = None,
        *,
        workers_dir: Path | None = None,
        on_messages_lost: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.blobstore: Final[Backends[BlobStore]] = Backends(
            "blobstore", blobstore.OPENERS, on_change
        )
        self.keyvalue: Final[Backends[KeyValueStore]] = Backends(
            "keyvalue", keyvalue.OPENERS, on_change
        )
        memory = partial(messaging.in_memory, workers_dir=workers_dir, on_lost=on_messages_lost)
        self.messaging: Final[Backends[Broker]] = Backends(
            "messaging", {**messaging.OPENERS, "memory": memory}, on_change
        )
        self.secrets: Final[Backends[SecretSource]] = Backends(
            "secrets", secrets.OPENERS, on_change
        )
        families: dict[str, Backends[Any]] = {
            "blobstore": self.blobstore,
            "keyvalue": self.keyvalue,
            "messaging": self.messaging,
            "secrets": self.secrets,
        }
        self._families: Final = families
        for family, backends in lent.items():
            if family not in families:
                raise ValueError(
                    f'there is no family "{family}" of backends: {", ".join(families)}'
                )
            for scheme, backend in backends.items():
                families[family].lend(scheme, backend)

    async def close_abandoned(self) -> None:
        """Close what was left by components that were refused."""
        for backends in self._families.values():
            await backends.close_abandoned()

    def look(self) -> None:
        """Begin to look after servers, on the event loop."""
        for backends in self._families.values():
            backends.look()

    def troubles(self) -> list[str]:
        """What the operator should see to: each server that cannot be used, and why."""
        return [trouble for backends in self._families.values() for trouble in backends.troubles()]
