"""How a part of a gateway asks for a reload of the whole, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable

from gateway.config import GatewayConfig

__all__ = ["read_again", "request_reload", "set_requester"]

_requester: Callable[[], None] | None = None
_reader: Callable[[], GatewayConfig] | None = None


def set_requester(
    request: Callable[[], None] | None, read: Callable[[], GatewayConfig] | None = None
) -> None:
    """Say how this process asks for a reload of the gateway; None if it cannot any more.

    Args:
        request: asks for it.
        read: reads the configuration again; None where another process does that.
    """
    global _requester, _reader
    _requester, _reader = request, read


def request_reload() -> bool:
    """Have the gateway that this process belongs to, all of its workers, reload; what comes of it is logged.

    To be called by the event loop's thread.

    Returns:
        Whether there is such a gateway: not where the application is part of another.
    """
    if _requester is None:
        return False
    _requester()
    return True


def read_again() -> GatewayConfig | None:
    """Read the configuration again, if that is this process's business; None if it is not.

    Raises:
        ConfigError: it cannot be read.
    """
    return None if _reader is None else _reader()
