"""What the sockets of both transports have in common: options, and being bound.

A socket is nothing of the system's until it needs to be: until it connects, or is bound to receive datagrams,
outside of the loopback (`gateway.bindings.sockets.loopback`).

Source: `wasi:sockets@0.2.12`, `tcp.wit`, `udp.wit`.
"""

from __future__ import annotations

from abc import abstractmethod
from enum import Enum, auto
from typing import ClassVar, Final

from gateway.bindings.io import Source
from gateway.bindings.sockets.addresses import Family, SocketAddress
from gateway.bindings.sockets.context import WasiSocketsCtx
from gateway.bindings.sockets.error_code import ErrorCode, SocketError
from gateway.bindings.sockets.loopback import Binding, Transport
from gateway.bindings.sockets.options import SocketOptions
from gateway.host.table import Resource

__all__ = ["BaseSocket", "State"]

_LOOPBACK_ONLY: Final = "a guest has no addresses but those of its own loopback"


class State(Enum):
    """How far a socket has come. Those of UDP come no further than to be bound."""

    UNBOUND = auto()
    BIND_STARTED = auto()
    BOUND = auto()
    CONNECTING = auto()
    CONNECTED = auto()
    LISTEN_STARTED = auto()
    LISTENING = auto()
    CLOSED = auto()


_IN_PROGRESS = frozenset((State.BIND_STARTED, State.CONNECTING, State.LISTEN_STARTED))
_HAS_ADDRESS = frozenset((State.BOUND, State.CONNECTED, State.LISTEN_STARTED, State.LISTENING))


class BaseSocket(Resource, Source):
    """A socket of a guest, which counts as one of its invocation's.

    Args:
        ctx: the network that it is in.
        family: its address family.

    Attributes:
        family: the same.
        state: how far it has come.

    Raises:
        SocketError: `new-socket-limit`.
    """

    __slots__ = ("_binding", "_ctx", "_failure", "_options", "family", "state")

    transport: ClassVar[Transport]

    def __init__(self, ctx: WasiSocketsCtx, family: Family) -> None:
        self.family = family
        self.state = State.UNBOUND
        self._ctx = ctx
        self._binding: Binding | None = None
        self._failure: ErrorCode | None = None
        self._options = SocketOptions(family)
        ctx.add_socket()

    @property
    def options(self) -> SocketOptions:
        """Its options.

        Raises:
            SocketError: it is closed; why.
        """
        self._check_open()
        return self._options

    @property
    def local(self) -> SocketAddress:
        """The address that it is bound to.

        Raises:
            SocketError: `invalid-state`: it is bound to none; or it is closed, and why.
        """
        self._check_open()
        if self.state not in _HAS_ADDRESS:
            raise SocketError(ErrorCode.INVALID_STATE)
        return self._local()

    @abstractmethod
    def _local(self) -> SocketAddress: ...

    def start_bind(self, local: SocketAddress) -> None:
        """Bind it to an address of the loopback, or to one of the system's choice.

        Raises:
            SocketError: it is bound already, or the address is none that it could have, or is in use.
            OSError: the system refuses.
        """
        self.check_start(State.UNBOUND)
        local.check_family(self.family)
        local.check_unicast()
        self._binding = self._bind(local)
        self.state = State.BIND_STARTED

    def _bind(self, local: SocketAddress) -> Binding:
        try:
            return self._ctx.loopback.bind(self.transport, local, chosen=not local.is_ephemeral)
        except SocketError as error:
            if error.code is ErrorCode.ADDRESS_NOT_BINDABLE:
                self._ctx.refuse(f"{self.transport} bind to {local}", _LOOPBACK_ONLY)
            raise

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

    def _check_open(self) -> None:
        """Refuse what a closed socket has no more, with the error that closed it, as Wasmtime does.

        Of `invalid-state` wasi-libc knows nothing there, and ends its program: CPython's, for one, when it writes
        of a socket that could not connect.

        Raises:
            SocketError: it is closed.
        """
        if self.state is State.CLOSED:
            raise SocketError(self._failure or ErrorCode.UNKNOWN)

    @property
    def _stays_inside(self) -> bool:
        """Whether the guest has bound it to a place that only its loopback has."""
        return self._binding is not None and self._binding.chosen

    def drop(self) -> None:
        """Close it."""
        if self._binding is not None:
            self._binding.release()
        self._ctx.remove_socket()
