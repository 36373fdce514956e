"""What the sockets of both transports have in common: options, and being bound.

Guests are clients here. What a client needs of `bind` is granted, which is an address and a port of the
system's choice (`0.0.0.0:0`, `[::]:0`): UDP needs it before anything else, many programs begin with it, and
it gives a guest nothing that it would not get by connecting. Any other address is `access-denied`, for a
guest could take the port that someone else is to have.

Source: `wasi:sockets@0.2.12`, `tcp.wit`, `udp.wit`.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import ClassVar

from gateway.bindings.io import Source
from gateway.bindings.sockets.addresses import Family, SocketAddress
from gateway.bindings.sockets.context import Transport, WasiSocketsCtx
from gateway.bindings.sockets.error_code import ErrorCode, SocketError
from gateway.bindings.sockets.options import SocketOptions
from gateway.host.table import Resource

__all__ = ["BaseSocket", "State"]


class State(Enum):
    """How far a socket has come. Those of UDP come no further than to be bound."""

    UNBOUND = auto()
    BIND_STARTED = auto()
    BOUND = auto()
    CONNECTING = auto()
    CONNECTED = auto()
    CLOSED = auto()


_IN_PROGRESS = frozenset((State.BIND_STARTED, State.CONNECTING))
_HAS_ADDRESS = frozenset((State.BOUND, State.CONNECTED))


class BaseSocket(Resource, Source):
    """A socket of a guest.

    Args:
        ctx: the network that it is in.
        family: its address family.

    Attributes:
        family: the same.
        state: how far it has come.

    Raises:
        SocketError: no socket may be opened.
        OSError: the system refuses.
    """

    __slots__ = ("_ctx", "_descriptor", "_options", "family", "state")

    transport: ClassVar[Transport]

    def __init__(self, ctx: WasiSocketsCtx, family: Family) -> None:
        super().__init__()
        self.family = family
        self.state = State.UNBOUND
        self._ctx = ctx
        self._descriptor = ctx.open(self.transport, family)
        self._options = SocketOptions(self._descriptor.socket, family)

    @property
    def options(self) -> SocketOptions:
        """Its options.

        Raises:
            SocketError: `invalid-state`: it is closed.
        """
        if self.state is State.CLOSED:
            raise SocketError(ErrorCode.INVALID_STATE)
        return self._options

    @property
    def local(self) -> SocketAddress:
        """The address that it is bound to.

        Raises:
            SocketError: `invalid-state`: it is bound to none.
        """
        if self.state not in _HAS_ADDRESS:
            raise SocketError(ErrorCode.INVALID_STATE)
        return SocketAddress.from_sockaddr(self._descriptor.socket.getsockname())

    def start_bind(self, local: SocketAddress) -> None:
        """Bind it to an address of the system's choice.

        Raises:
            SocketError: it is bound already, or the address is no such one.
            OSError: the system refuses.
        """
        self.check_start(State.UNBOUND)
        local.check_family(self.family)
        local.check_unicast()
        if not local.is_ephemeral:
            self._ctx.refuse(f"{self.transport} bind to {local}", "guests are clients only")
            raise SocketError(ErrorCode.ACCESS_DENIED)
        self._descriptor.socket.bind(local.sockaddr)
        self.state = State.BIND_STARTED

    def finish_bind(self) -> None:
        """Have it bound.

        Raises:
            SocketError: `not-in-progress`.
        """
        if self.state is not State.BIND_STARTED:
            raise SocketError(ErrorCode.NOT_IN_PROGRESS)
        self.state = State.BOUND

    def check_start(self, *allowed: State) -> None:
        """Refuse to start what can be started in these states alone.

        Raises:
            SocketError: `concurrency-conflict`: something else was started and not finished; `invalid-state`.
        """
        if self.state in _IN_PROGRESS:
            raise SocketError(ErrorCode.CONCURRENCY_CONFLICT)
        if self.state not in allowed:
            raise SocketError(ErrorCode.INVALID_STATE)

    def drop(self) -> None:
        """Close it."""
        self._descriptor.close()
