"""How much of what comes to a component by itself is handled at once, and waits."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import StrictInt

from gateway.config.values import GIB, KIB, MIB, Between, Table
from gateway.units import ByteSize, format_size

__all__ = ["DeliveryLimits"]

MAX_PENDING: Final = 1_000_000
"""Messages or changes. Arbitrary: what waits behind so many waits for minutes."""


class DeliveryLimits(Table):
    """Bounds of the messages of one subscription, or of the changes of one store.

    Attributes:
        max_concurrency: how many are handled at once in one worker.
        max_pending: how many more may wait there; what comes beyond that is dropped.
        max_pending_bytes: what they may have in all.
    """

    max_concurrency: Annotated[StrictInt, Between(1, 100_000, str)] = 16
    max_pending: Annotated[StrictInt, Between(0, MAX_PENDING, str)] = 1024
    max_pending_bytes: Annotated[ByteSize, Between(KIB, GIB, format_size)] = 16 * MIB
