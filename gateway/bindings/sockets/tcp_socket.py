"""`tcp-socket`: from a new socket to a connection, or to a listener and the connections that it accepts.

    UNBOUND --start-bind--> BIND_STARTED --finish-bind--> BOUND
    UNBOUND, BOUND --start-connect--> CONNECTING --finish-connect--> CONNECTED, or CLOSED where that failed
    BOUND --start-listen--> LISTEN_STARTED --finish-listen--> LISTENING --accept--> another one, CONNECTED

A guest listens in its loopback, where its own sockets can connect, and nowhere else, whatever the policy allows:
what is bound to `0.0.0.0:0` and may go on to connect outside is nothing that anyone there could reach.

A peer that the policy does not allow is refused by `finish-connect`, as in Wasmtime. What cannot be a peer at
all is refused by `start-connect`, and leaves the socket as it was; after a connection that failed it is of no
more use (WIT), and whoever asks for its addresses or options hears why.

Source: `wasi:sockets@0.2.12`, `tcp.wit`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Final, Literal, Self, TypeAlias

from gateway.bindings.io import Source
from gateway.bindings.sockets.addresses import Family, SocketAddress
from gateway.bindings.sockets.base_socket import BaseSocket, State
from gateway.bindings.sockets.connection import Connection
from gateway.bindings.sockets.context import WasiSocketsCtx
from gateway.bindings.sockets.error_code import ErrorCode, SocketError, from_os_error
from gateway.bindings.sockets.loopback import ADDRESSES, is_loopback
from gateway.bindings.sockets.loopback_stream import DEFAULT_BACKLOG, Listener, LoopbackStream
from gateway.bindings.sockets.options import SocketOptions
from gateway.bindings.sockets.tcp_streams import TcpInputStream, TcpOutputStream

__all__ = ["ShutdownType", "TcpSocket"]

ShutdownType: TypeAlias = Literal["receive", "send", "both"]
"""`shutdown-type`."""

_MAY_LISTEN: Final = frozenset(
    (State.UNBOUND, State.BIND_STARTED, State.BOUND, State.LISTEN_STARTED, State.LISTENING)
)


class TcpSocket(BaseSocket):
    """A TCP socket of a guest; see `BaseSocket`."""

    __slots__ = (
        "_backlog",
        "_connection",
        "_input",
        "_listener",
        "_output",
        "_remote",
    )

    transport = "tcp"

    def __init__(self, ctx: WasiSocketsCtx, family: Family) -> None:
        super().__init__(ctx, family)
        self._remote: SocketAddress | None = None
        self._connection: Connection | None = None
        self._listener: Listener | None = None
        self._backlog = DEFAULT_BACKLOG
        self._input: TcpInputStream | None = None
        self._output: TcpOutputStream | None = None

    @property
    def remote(self) -> SocketAddress:
        """The address that it is connected to.

        Raises:
            SocketError: `invalid-state`: it is connected to none; or it is closed, and why.
        """
        self._check_open()
        if self.state is not State.CONNECTED or self._remote is None:
            raise SocketError(ErrorCode.INVALID_STATE)
        return self._remote

    def _local(self) -> SocketAddress:
        if self._connection is not None:
            return self._connection.local
        if self._binding is None:
            raise SocketError(ErrorCode.INVALID_STATE)
        return self._binding.address

    # --- listening -----------------------------------------------------------------------------------------

    @property
    def is_listening(self) -> bool:
        """Whether connections can be accepted."""
        return self.state is State.LISTENING

    def set_listen_backlog_size(self, value: int) -> None:
        """Say how many connections may wait to be accepted.

        Raises:
            SocketError: it is 0, or this socket could not listen any more.
        """
        if value == 0:
            raise SocketError(ErrorCode.INVALID_ARGUMENT)
        if self.state not in _MAY_LISTEN:
            raise SocketError(ErrorCode.INVALID_STATE)
        self._backlog = min(value, DEFAULT_BACKLOG)
        if self._listener is not None:
            self._listener.backlog = self._backlog
            self._listener.admit()

    def start_listen(self) -> None:
        """Begin to listen in the loopback.

        Raises:
            SocketError: this is not the state to listen in.
        """
        self.check_start(State.BOUND)
        if self._binding is None:
            raise SocketError(ErrorCode.INVALID_STATE)
        self._listener = self._binding.receiver = Listener(
            self._ctx.add_socket, self._ctx.remove_socket, self._backlog
        )
        self.state = State.LISTEN_STARTED

    def finish_listen(self) -> None:
        """Have it listen.

        Raises:
            SocketError: `not-in-progress`.
        """
        if self.state is not State.LISTEN_STARTED:
            raise SocketError(ErrorCode.NOT_IN_PROGRESS)
        self.state = State.LISTENING

    def accept(self) -> tuple[Self, TcpInputStream, TcpOutputStream]:
        """The oldest connection that was not accepted yet, with the options that this socket has now.

        Raises:
            SocketError: `invalid-state`: it does not listen; `would-block`: there is none.
        """
        if self.state is not State.LISTENING or self._listener is None:
            raise SocketError(ErrorCode.INVALID_STATE)
        accepted = self._listener.accept()
        if accepted is None:
            raise SocketError(ErrorCode.WOULD_BLOCK)
        self._ctx.remove_socket()  # as which the connection has been counted until now
        made = type(self)(self._ctx, self.family)
        made._options = SocketOptions(self.family, inherited=self._options)
        made._connection, made._remote = accepted
        return (made, *made._connected(made._connection))

    # --- connecting ----------------------------------------------------------------------------------------

    def start_connect(self, remote: SocketAddress) -> None:
        """Begin to connect.

        Raises:
            SocketError: there can be nothing at the address, or this is not the state to connect in.
        """
        self.check_start(State.UNBOUND, State.BOUND)
        remote.check_family(self.family)
        remote.check_unicast()
        remote.check_remote()
        self.state = State.CONNECTING
        self._remote = remote
        try:
            self._connect(remote)
        except (SocketError, OSError) as error:
            self._failure = (
                error.code
                if isinstance(error, SocketError)
                else from_os_error(error, connecting=True)
            )

    def finish_connect(self) -> tuple[TcpInputStream, TcpOutputStream]:
        """The streams of the connection.

        Raises:
            SocketError: `not-in-progress`; `would-block`: it is still being made; otherwise why there is none.
        """
        if self.state is not State.CONNECTING:
            raise SocketError(ErrorCode.NOT_IN_PROGRESS)
        if not self.ready():
            raise SocketError(ErrorCode.WOULD_BLOCK)
        failure, connection = self._failure, self._connection
        if failure is None and connection is not None:
            number = connection.failure()
            if number == 0:
                return self._connected(connection)
            failure = from_os_error(OSError(number, os.strerror(number)), connecting=True)
        self.state, self._failure = State.CLOSED, failure or ErrorCode.UNKNOWN
        self._close()
        raise SocketError(self._failure)

    def _connected(self, connection: Connection) -> tuple[TcpInputStream, TcpOutputStream]:
        self.state = State.CONNECTED
        self._input = TcpInputStream(connection, self)
        self._output = TcpOutputStream(connection, self)
        return self._input, self._output

    def _connect(self, remote: SocketAddress) -> None:
        receiver = self._ctx.loopback.receiver("tcp", remote)
        if isinstance(receiver, Listener):
            if self._binding is None:
                anywhere = SocketAddress(ADDRESSES[self.family], 0)
                self._binding = self._ctx.loopback.bind("tcp", anywhere)
            self._connection = LoopbackStream.connect(receiver, self._binding.source, remote)
        elif self._stays_inside and is_loopback(remote):
            raise SocketError(ErrorCode.CONNECTION_REFUSED)
        else:
            self._ctx.check("tcp", remote, stays_inside=self._stays_inside)
            self._connect_outside(remote)

    def _connect_outside(self, remote: SocketAddress) -> None:
        descriptor = self._ctx.open("tcp", self.family)
        self._connection = descriptor
        self._options.attach(descriptor.socket)
        if self._binding is not None:
            # The guest may know its port already. Somebody outside may have it too; then it is another one.
            try:
                descriptor.socket.bind(self._binding.address.sockaddr)
            except OSError as error:
                if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                    raise
        # Guests cannot ask for this. They say with `flush` when bytes are to go, and those that write with
        # `blocking-write-and-flush` do so every 4096 bytes: Nagle's algorithm would hold the last of them
        # back for as long as the peer delays its acknowledgment, which is 40 ms as a rule.
        descriptor.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = descriptor.socket.connect_ex(remote.sockaddr)
        if number not in {0, errno.EINPROGRESS}:
            raise OSError(number, os.strerror(number))

    def shutdown(self, shutdown_type: ShutdownType) -> None:
        """End one direction of the connection, or both.

        Raises:
            SocketError: `invalid-state`: there is no connection.
        """
        if self._input is None or self._output is None:
            raise SocketError(ErrorCode.INVALID_STATE)
        if shutdown_type != "send":
            self._input.shutdown()
        if shutdown_type != "receive":
            self._output.shutdown()

    # --- waiting -------------------------------------------------------------------------------------------

    def ready(self) -> bool:
        """Whether no connection is being made, or waited for; nothing else takes time."""
        pending = self._pending()
        return pending is None or pending.ready()

    def watch(self, waiter: asyncio.Future[None]) -> None:
        """Complete a future when the connection is made, has failed, or can be accepted."""
        pending = self._pending()
        if pending is not None:
            pending.watch(waiter)

    def unwatch(self, waiter: asyncio.Future[None]) -> None:
        """Forget a future."""
        if self._listener is not None:
            self._listener.unwatch(waiter)
        if self._connection is not None:
            self._connection.writable.unwatch(waiter)

    def _pending(self) -> Source | None:
        """What it waits for, if for anything."""
        if self.state is State.LISTENING:
            return self._listener
        if self.state is State.CONNECTING and self._failure is None and self._connection:
            return self._connection.writable
        return None

    # --- the end -------------------------------------------------------------------------------------------

    def drop(self) -> None:
        """Close it. What was written and is not on its way yet is lost, which the peer sees as a reset."""
        if self._output is not None:
            self._output.abandon()
        self._input = self._output = None
        self._close()
        super().drop()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._listener is not None:
            self._listener.close()
