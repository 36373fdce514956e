"""Brokers: what `wasmcloud:messaging` needs of one, and those that there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from gateway.capabilities.backend import Opener, missing_extra
from gateway.capabilities.messaging.broker import (
    Broker,
    Deliver,
    DurableBroker,
    Message,
    Receipt,
)
from gateway.config.backend_url import BackendURL

__all__ = ["OPENERS", "Broker", "Deliver", "DurableBroker", "Message", "Receipt", "in_memory"]


def in_memory(
    url: BackendURL,
    workers_dir: Path | None = None,
    on_lost: Callable[[int], None] = lambda _: None,
) -> Broker:
    """The broker in memory, of one worker or of all that share a folder: `MemoryBroker.named`."""
    from gateway.capabilities.messaging.memory import MemoryBroker  # noqa: PLC0415 - for those who use it

    return MemoryBroker.named(url, workers_dir, on_lost)


def _nats(url: BackendURL) -> Broker:
    try:
        from gateway.capabilities.messaging.nats import NATSBroker  # noqa: PLC0415 - the extra is optional
    except ImportError as error:
        raise missing_extra("nats") from error
    return NATSBroker(url)


OPENERS: Final[Mapping[str, Opener[Broker]]] = {"memory": in_memory, "nats": _nats, "tls": _nats}
"""What opens a broker, by the scheme of its URL."""
