"""The options of sockets.

A value of 0 is refused, any other one is brought into the range that the system takes, as WIT has it: "it might be
silently clamped and/or rounded".

Source: `wasi:sockets@0.2.12`, `tcp.wit`, `udp.wit`.
"""

from __future__ import annotations

import errno
import socket
import sys
from typing import Final, NamedTuple, Protocol

from gateway.bindings.context import WasiCtx
from gateway.bindings.sockets.addresses import Family
from gateway.bindings.sockets.error_code import ErrorCode, SocketError, fallible
from gateway.host.binding import HostInterface

__all__ = ["HasOptions", "SocketOptions", "declare_option"]

_SECOND: Final = 1_000_000_000
"""Nanoseconds, the unit of WIT's `duration`."""

_KEEP_ALIVE_IDLE: Final[int] = getattr(
    socket, "TCP_KEEPALIVE" if sys.platform == "darwin" else "TCP_KEEPIDLE"
)
_HOP_LIMIT: Final[dict[Family, tuple[int, int]]] = {
    "ipv4": (socket.IPPROTO_IP, socket.IP_TTL),
    "ipv6": (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS),
}

# Linux doubles what it is told, for its own bookkeeping, and tells the double.
_BUFFER_FACTOR: Final = 2 if sys.platform == "linux" else 1


class _Option(NamedTuple):
    """An option that is a number.

    Attributes:
        level: where the system has it.
        number: as what the system has it.
        default: its value in the loopback, in units of the system: that of Linux.
        most: the largest value that the system takes.
        unit: how much of WIT's one of the system's is.
        factor: how much of what it was told the system tells.
    """

    level: int
    number: int
    default: int
    most: int
    unit: int = 1
    factor: int = 1


def _buffer_size(number: int) -> _Option:
    return _Option(
        socket.SOL_SOCKET, number, default=64 << 10, most=2**31 - 1, factor=_BUFFER_FACTOR
    )


# The largest are those of Linux (`MAX_TCP_KEEPIDLE`, `MAX_TCP_KEEPINTVL` and `MAX_TCP_KEEPCNT` of its tcp.h).
_OPTIONS: Final = {
    "keep_alive_enabled": _Option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, default=0, most=1),
    "keep_alive_idle_time": _Option(
        socket.IPPROTO_TCP, _KEEP_ALIVE_IDLE, default=7200, most=32767, unit=_SECOND
    ),
    "keep_alive_interval": _Option(
        socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, default=75, most=32767, unit=_SECOND
    ),
    "keep_alive_count": _Option(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, default=9, most=127),
    "receive_buffer_size": _buffer_size(socket.SO_RCVBUF),
    "send_buffer_size": _buffer_size(socket.SO_SNDBUF),
}


def _option(name: str, family: Family) -> _Option:
    if name == "hop_limit":
        return _Option(*_HOP_LIMIT[family], default=64, most=255)
    return _OPTIONS[name]


class SocketOptions:
    """The options of one socket, under the names and in the units of WIT.

    They are kept here until there is a socket of the system to have them. Within the loopback none of them changes
    anything.

    Args:
        family: the socket's address family.
        inherited: the options of the socket that has accepted this one.
    """

    __slots__ = ("_family", "_socket", "_values")

    def __init__(self, family: Family, inherited: SocketOptions | None = None) -> None:
        self._family: Final = family
        self._socket: socket.socket | None = None
        self._values: dict[str, int] = {} if inherited is None else dict(inherited._values)

    def get(self, name: str) -> int:
        """The value of an option."""
        option = _option(name, self._family)
        if self._socket is None:
            return self._values.get(name, option.default) * option.unit
        value = self._socket.getsockopt(option.level, option.number)
        return value // option.factor * option.unit

    def set(self, name: str, value: int) -> None:
        """Set an option; what is too large is clamped, and a part of a unit rounded up.

        Raises:
            SocketError: `invalid-argument`: the value is 0.
            OSError: the system refuses.
        """
        option = _option(name, self._family)
        # Rounded down, a duration could become none, which would mean something else to the system.
        self._values[name] = min(-(-_positive(value) // option.unit), option.most)
        self._pass_on(name)

    def set_switch(self, name: str, value: bool) -> None:
        """Set an option that is on or off.

        Raises:
            OSError: the system refuses.
        """
        self._values[name] = int(value)
        self._pass_on(name)

    def attach(self, of: socket.socket) -> None:
        """Have a socket of the system have them from now on.

        Raises:
            OSError: the system refuses.
        """
        self._socket = of
        for name in self._values:
            self._pass_on(name)

    def _pass_on(self, name: str) -> None:
        if self._socket is None:
            return
        option = _option(name, self._family)
        try:
            self._socket.setsockopt(option.level, option.number, self._values[name])
        except OSError as error:
            # The BSDs refuse buffers that are too large, where others take as much as they can.
            if error.errno != errno.ENOBUFS:
                raise


def _positive(value: int) -> int:
    if value == 0:
        raise SocketError(ErrorCode.INVALID_ARGUMENT)
    return value


# --- host functions ----------------------------------------------------------------------------------------


class HasOptions(Protocol):
    """A socket of a guest."""

    @property
    def options(self) -> SocketOptions:
        """Its options."""


def declare_option(interface: HostInterface, resource: str, name: str, attribute: str) -> None:
    """Declare the two methods of an option that is a number, `name` and `set-name`.

    Args:
        interface: the interface that has them.
        resource: the resource that has them.
        name: the name of the first, as WIT has it.
        attribute: the option, as `SocketOptions` has it.
    """

    @interface.method(resource, name)
    @fallible
    def get(_ctx: WasiCtx, this: HasOptions) -> int:
        return this.options.get(attribute)

    @interface.method(resource, f"set-{name}")
    @fallible
    def set_(_ctx: WasiCtx, this: HasOptions, value: int) -> None:
        this.options.set(attribute, value)
