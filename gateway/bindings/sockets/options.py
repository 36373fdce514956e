"""The options of sockets.

A value of 0 is refused, any other one is brought into the range that the system takes, as WIT has it: "it might be
silently clamped and/or rounded".

Source: `wasi:sockets@0.2.12`, `tcp.wit`, `udp.wit`.
"""

from __future__ import annotations

import errno
import socket
import sys
from typing import Any, Final, Protocol

from gateway.bindings.context import WasiCtx
from gateway.bindings.sockets.addresses import Family
from gateway.bindings.sockets.error_code import ErrorCode, SocketError, fallible
from gateway.host.binding import HostInterface

__all__ = ["HasOptions", "SocketOptions", "declare_option"]

_SECOND: Final = 1_000_000_000
"""Nanoseconds, the unit of WIT's `duration`."""

# The largest that Linux takes (`MAX_TCP_KEEPIDLE`, `MAX_TCP_KEEPINTVL` and `MAX_TCP_KEEPCNT` of its tcp.h).
_MAX_KEEP_ALIVE: Final = 32767
_MAX_KEEP_ALIVE_COUNT: Final = 127
_MAX_BUFFER_SIZE: Final = 2**31 - 1

# Linux doubles what it is told, for its own bookkeeping, and tells the double.
_BUFFER_FACTOR: Final = 2 if sys.platform == "linux" else 1

_KEEP_ALIVE_IDLE: Final[int] = getattr(
    socket, "TCP_KEEPALIVE" if sys.platform == "darwin" else "TCP_KEEPIDLE"
)
_HOP_LIMIT: Final[dict[Family, tuple[int, int]]] = {
    "ipv4": (socket.IPPROTO_IP, socket.IP_TTL),
    "ipv6": (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS),
}


class SocketOptions:
    """The options of one socket, under the names and in the units of WIT.

    Setting one raises `SocketError` with `invalid-argument` where the value is 0.
    """

    __slots__ = ("_family", "_socket")

    def __init__(self, of: socket.socket, family: Family) -> None:
        self._socket = of
        self._family = family

    @property
    def keep_alive_enabled(self) -> bool:
        """Whether keep-alive packets are sent."""
        return bool(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    @keep_alive_enabled.setter
    def keep_alive_enabled(self, value: bool) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, value)

    @property
    def keep_alive_idle_time(self) -> int:
        """Nanoseconds without traffic before keep-alive packets are sent."""
        return self._tcp(_KEEP_ALIVE_IDLE) * _SECOND

    @keep_alive_idle_time.setter
    def keep_alive_idle_time(self, value: int) -> None:
        self._set_tcp(_KEEP_ALIVE_IDLE, _seconds(value))

    @property
    def keep_alive_interval(self) -> int:
        """Nanoseconds between keep-alive packets."""
        return self._tcp(socket.TCP_KEEPINTVL) * _SECOND

    @keep_alive_interval.setter
    def keep_alive_interval(self, value: int) -> None:
        self._set_tcp(socket.TCP_KEEPINTVL, _seconds(value))

    @property
    def keep_alive_count(self) -> int:
        """How many keep-alive packets are sent before the connection is given up."""
        return self._tcp(socket.TCP_KEEPCNT)

    @keep_alive_count.setter
    def keep_alive_count(self, value: int) -> None:
        self._set_tcp(socket.TCP_KEEPCNT, min(_positive(value), _MAX_KEEP_ALIVE_COUNT))

    @property
    def hop_limit(self) -> int:
        """How many routers a packet may pass."""
        return self._socket.getsockopt(*_HOP_LIMIT[self._family])

    @hop_limit.setter
    def hop_limit(self, value: int) -> None:
        self._socket.setsockopt(*_HOP_LIMIT[self._family], _positive(value))

    @property
    def receive_buffer_size(self) -> int:
        """Bytes that the system keeps for the guest to receive."""
        return self._buffer_size(socket.SO_RCVBUF)

    @receive_buffer_size.setter
    def receive_buffer_size(self, value: int) -> None:
        self._set_buffer_size(socket.SO_RCVBUF, value)

    @property
    def send_buffer_size(self) -> int:
        """Bytes that the system takes to send."""
        return self._buffer_size(socket.SO_SNDBUF)

    @send_buffer_size.setter
    def send_buffer_size(self, value: int) -> None:
        self._set_buffer_size(socket.SO_SNDBUF, value)

    def _tcp(self, option: int) -> int:
        return self._socket.getsockopt(socket.IPPROTO_TCP, option)

    def _set_tcp(self, option: int, value: int) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, option, value)

    def _buffer_size(self, option: int) -> int:
        return self._socket.getsockopt(socket.SOL_SOCKET, option) // _BUFFER_FACTOR

    def _set_buffer_size(self, option: int, value: int) -> None:
        size = min(_positive(value), _MAX_BUFFER_SIZE)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, option, size)
        except OSError as error:
            # The BSDs refuse what is too large, where others take as much as they can.
            if error.errno != errno.ENOBUFS:
                raise


def _positive(value: int) -> int:
    if value == 0:
        raise SocketError(ErrorCode.INVALID_ARGUMENT)
    return value


def _seconds(duration: int) -> int:
    """Whole seconds, rounded up: the system counts in them, and none of them would mean something else."""
    return min(-(-_positive(duration) // _SECOND), _MAX_KEEP_ALIVE)


# --- host functions ----------------------------------------------------------------------------------------


class HasOptions(Protocol):
    """A socket of a guest."""

    @property
    def options(self) -> SocketOptions:
        """Its options."""


def declare_option(interface: HostInterface, resource: str, name: str, attribute: str) -> None:
    """Declare the two methods of an option, `name` and `set-name`.

    Args:
        interface: the interface that has them.
        resource: the resource that has them.
        name: the name of the first, as WIT has it.
        attribute: the option, as `SocketOptions` has it.
    """

    @interface.method(resource, name)
    @fallible
    def get(_ctx: WasiCtx, this: HasOptions) -> Any:
        return getattr(this.options, attribute)

    @interface.method(resource, f"set-{name}")
    @fallible
    def set_(_ctx: WasiCtx, this: HasOptions, value: Any) -> None:
        setattr(this.options, attribute, value)
