"""Brokers: what `wasmcloud:messaging` needs of one, and those that there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.capabilities.backend import Opener, missing_extra
from gateway.capabilities.messaging.broker import Broker, Deliver, Message
from gateway.config.backend_url import BackendURL

__all__ = ["OPENERS", "Broker", "Deliver", "Message"]


def _memory(url: BackendURL) -> Broker:
    from gateway.capabilities.messaging.memory import MemoryBroker  # noqa: PLC0415 - for those who use it

    return MemoryBroker.named(url)


def _nats(url: BackendURL) -> Broker:
    try:
        from gateway.capabilities.messaging.nats import NATSBroker  # noqa: PLC0415 - the extra is optional
    except ImportError as error:
        raise missing_extra("nats") from error
    return NATSBroker(url)


OPENERS: Final[Mapping[str, Opener[Broker]]] = {"memory": _memory, "nats": _nats, "tls": _nats}
"""What opens a broker, by the scheme of its URL."""
